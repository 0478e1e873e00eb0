"""How many items may fail before a run is stopped: a broken mount or a wrong setting should not cost a night."""

from curation.contract.errors import CurationError
from curation.engine.shards import BAD, ItemReport

# A share is no evidence before so many items are done.
_LEAST = 100


class FailureBudget:
    """Counts the items of one pass.

    Args:
        limit: "5%" of the items, "20" items, or None for no limit.
        items: of the pass, those of earlier runs included.
        done, failed: of earlier runs.
    """

    def __init__(self, limit: str | None, items: int, done: int = 0, failed: int = 0) -> None:
        self._limit, self._items = limit, items
        self._done, self._failed = done, failed

    def count(self, report: ItemReport) -> None:
        """
        Raises:
            CurationError: more failed than the limit allows.
        """
        self._done += 1
        if report.state not in BAD and not report.clip_errors:
            return
        self._failed += 1
        if self._limit is None or self._failed <= self._allowed(self._limit):
            return
        error = report.detail or next(iter(report.clip_errors.values()))
        raise CurationError(
            f"stopped: {self._failed} of {self._done} items failed, more than --max-failed {self._limit} allows; "
            f"the last: {report.item_id}: {error}. What is committed stays; run again with a higher limit to go on"
        )

    def _allowed(self, limit: str) -> float:
        if not limit.endswith("%"):
            return float(limit)
        return float(limit[:-1]) / 100 * max(self._done, min(_LEAST, self._items))
