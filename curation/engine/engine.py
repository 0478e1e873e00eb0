"""Runs the shards of a pass, in this process or on Ray, shows how far it is, and stops what goes wrong."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from curation.contract.errors import CurationError
from curation.engine import inline, ray_data
from curation.engine.budget import FailureBudget
from curation.engine.config import EngineConfig
from curation.engine.progress import progress
from curation.engine.shards import BAD, Item, ItemReport, Shard, ShardReport, ShardWorker, make_shards

logger = logging.getLogger(__name__)


class Engine:
    """A context that starts Ray only when there is something to do, and ends it.

    Args:
        note: told how far a pass is, by fields of `run_lock.Running`.
        run: name of what is worked on, for logs and metrics.
    """

    def __init__(self, config: EngineConfig, note: Callable[..., None] = lambda **_: None, run: str = "") -> None:
        self.config = config
        self._run_name = run
        self._note = note
        self._used_ray = False

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        if self._used_ray:
            ray_data.shut_down()

    def run(
        self,
        pass_name: str,
        items: Sequence[Item],
        build: Callable[[], ShardWorker],
        unit: str,
        asked_gpus: float = 0.0,
    ) -> int:
        """Process items, grouped into shards; returns how many. See `run_shards`."""
        shards = make_shards(pass_name, items, self.config.shard_items)
        budget = FailureBudget(self.config.max_failed, len(items))
        return self.run_shards(pass_name, shards, len(items), build, unit, budget, asked_gpus)

    def run_shards(
        self,
        pass_name: str,
        shards: Sequence[Shard],
        items: int,
        build: Callable[[], ShardWorker],
        unit: str,
        budget: FailureBudget,
        asked_gpus: float = 0.0,
    ) -> int:
        """Process shards; what they put off is done after them, each item by itself.

        Args:
            items: how many are in them.
            build: see `ray_data.run_shards`.
            unit: what the items are, for the progress bar.
            asked_gpus: share of a GPU that a worker's backends want; `engine.worker_gpus` overrules it.

        Returns:
            `items`.

        Raises:
            CurationError: too many failed, a worker says that the run must end, or the folder cannot be written.
        """
        if not shards:
            return 0
        self._note(pass_name=pass_name, items=items, done=0, failed=0, pass_started=time.time())
        done = failed = 0
        with progress(pass_name, items, unit) as shown:
            while shards:
                deferred: list[Item] = []
                for report in self._reports(build, shards, asked_gpus):
                    deferred += [replace(item, redo=None) for item in report.deferred]
                    for item in report.items:
                        if item.fingerprint:  # it only shares its shard with others
                            continue
                        if item.stop:
                            raise CurationError(f"{pass_name} stopped: {item.stop}")
                        done += 1
                        failed += item.state in BAD
                        shown.advance(1, f"{item.item_id}: {item.detail}" if item.state in BAD else item.item_id)
                        self._log(pass_name, item)
                        self._note(done=done, failed=failed)
                        budget.count(item)
                shards = make_shards(pass_name, deferred, 1)
        return items

    def _log(self, pass_name: str, item: ItemReport) -> None:
        where = {"run": self._run_name, "stage": pass_name, "item": item.item_id}
        if item.state in BAD:
            logger.warning("%s", item.detail, extra=where)
        for clip, error in item.clip_errors.items():
            logger.warning("%s: %s", clip, error, extra=where)
        logger.info("%s in %.1f s, %d frames decoded", item.state, item.seconds, item.decoded_frames, extra=where)

    def _reports(
        self, build: Callable[[], ShardWorker], shards: Sequence[Shard], asked_gpus: float
    ) -> Iterator[ShardReport]:
        if self.config.name == "inline":
            yield from inline.run_shards(build, shards)
            return
        self._used_ray = True
        optional = self.config.worker_gpus is None
        resources = self.config.resources(asked_gpus)
        yield from ray_data.run_shards(build, shards, resources, self.config.workers, optional, self._run_name)
