"""Shards in this process, one after the other: debugging, tests, tiny inputs. Same manifests as Ray."""

from collections.abc import Callable, Iterator, Sequence

from curation.engine.shards import Shard, ShardReport, ShardWorker


def run_shards(build: Callable[[], ShardWorker], shards: Sequence[Shard]) -> Iterator[ShardReport]:
    worker = build()
    for shard in shards:
        yield worker(shard)
