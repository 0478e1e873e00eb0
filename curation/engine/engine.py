"""Runs the items of a pass, in this process or on Ray, and shows how far it is."""

from collections.abc import Callable, Iterator, Sequence

from curation.contract.errors import CurationError
from curation.engine import inline, ray_data
from curation.engine.config import EngineConfig
from curation.engine.progress import progress
from curation.engine.shards import Item, Shard, ShardReport, ShardWorker, make_shards


class Engine:
    """A context that starts Ray only when there is something to do, and ends it."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
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
        """Process items; returns how many.

        Args:
            build: see `ray_data.run_shards`.
            unit: what the items are, for the progress bar.
            asked_gpus: share of a GPU that a worker's backends want; `engine.worker_gpus` overrules it.

        Raises:
            CurationError: a worker says that the run must end.
        """
        if not items:
            return 0
        shards = make_shards(pass_name, items, self.config.shard_items)
        with progress(pass_name, len(items), unit) as shown:
            for report in self._reports(build, shards, asked_gpus):
                for item in report.items:
                    if item.stop:
                        raise CurationError(f"{pass_name} stopped: {item.stop}")
                    note = f"{item.item_id}: {item.detail}" if item.state == "failed" else item.item_id
                    shown.advance(1, note)
        return len(items)

    def _reports(
        self, build: Callable[[], ShardWorker], shards: list[Shard], asked_gpus: float
    ) -> Iterator[ShardReport]:
        if self.config.name == "inline":
            return inline.run_shards(build, shards)
        self._used_ray = True
        optional = self.config.worker_gpus is None
        return ray_data.run_shards(build, shards, self.config.resources(asked_gpus), self.config.workers, optional)
