"""Where batches come from, as the loop sees it. `training.data` has the real ones."""

from collections.abc import Iterator
from typing import Any, Protocol

from curation.contract.errors import CurationError
from training.encode import Batch


class Feeder(Protocol):
    """One process's share of an ordered, endless or repeatable stream of batches.

    Iterating goes on where the state stands; at the end of an epoch the next iteration is the next epoch.
    """

    def __iter__(self) -> Iterator[Batch]: ...

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands after the last batch that was taken; JSON, and the same in every process."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def endless(feeder: Feeder) -> Iterator[Batch]:
    """Batches of epoch after epoch.

    Raises:
        CurationError: an epoch has no batch.
    """
    while True:
        empty = True
        for batch in feeder:
            empty = False
            yield batch
        if empty:
            raise CurationError("the data holds fewer samples than one batch of all processes; lower loop.batch_size")
