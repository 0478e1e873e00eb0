"""On Ray: an item that takes its worker down, by a crash in native code or a hang, costs itself and nothing else."""

import os
import signal
import sys
import time
from dataclasses import dataclass

import ray.cloudpickle

from curation.contract.manifest import RunFolder
from curation.contract.tables import table
from curation.engine.attempts import guarded, take_suspects
from curation.engine.bounds import Bounds
from curation.engine.committer import commit_shard
from curation.engine.config import EngineConfig
from curation.engine.engine import Engine
from curation.engine.ledger import Ledger
from curation.engine.shards import Item, ItemReport, Shard, ShardReport

PASS = "analyse"
NAMES = ("good_1", "segfault", "good_2", "hang", "good_3")
BOUNDS = Bounds(deadline_s=2, session="s")


@dataclass(frozen=True)
class Worker:
    run: str

    def __call__(self, shard: Shard) -> ShardReport:
        run = RunFolder(self.run)
        items, suspects = take_suspects(run, PASS, shard, BOUNDS)
        results = []
        for item in items:
            report = ItemReport(item.item_id, item.uri, item.bytes)
            guarded(run, PASS, report, BOUNDS, lambda item=item: work(item.item_id))
            results.append(({"videos": table("videos", [{"video_id": item.item_id}])}, report))
        return commit_shard(run, PASS, ("videos",), shard.name, "f", results, deferred=suspects)


def work(name: str) -> None:
    if name == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "hang":
        time.sleep(600)


@dataclass(frozen=True)
class Build:
    run: str

    def __call__(self) -> Worker:
        return Worker(self.run)


def test_a_poisoned_item_is_quarantined_and_its_mates_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_worker_niceness", "0")  # or this takes long on a machine with much else to do
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    run = RunFolder(tmp_path / "run")
    config = EngineConfig(workers=1, worker_memory_mb=256, shard_items=len(NAMES))
    items = [Item(name, f"/{name}.mp4", 1) for name in NAMES]
    with Engine(config) as engine:
        engine.run(PASS, items, Build(run.uri), "videos")
    found = {row[0]: row[1:] for row in Ledger(run, PASS, ()).frame(["item_id", "state", "detail"]).iter_rows()}
    assert {name: found[name][0] for name in NAMES} == {
        name: "done" if name.startswith("good") else "failed" for name in NAMES
    }
    assert found["segfault"][1] == "its worker crashed 5 times in the analyse pass; not tried again"
    assert found["hang"][1] == "its worker hung 2 times in the analyse pass; not tried again"
    assert sorted(run.read("videos")["video_id"].to_pylist()) == sorted(NAMES)
    assert not run.files("ledger/attempts", "")
