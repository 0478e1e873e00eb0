"""Shards, ledger and attempts: what makes a run resumable."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from curation.contract.errors import VideoError
from curation.contract.manifest import RunFolder
from curation.contract.tables import table
from curation.engine.attempts import attempt, take_suspects
from curation.engine.bounds import Bounds
from curation.engine.committer import commit_shard
from curation.engine.ledger import Ledger
from curation.engine.shards import Item, ItemReport, Shard, ShardReport, make_shards

ROOT = Path(__file__).resolve().parents[1]


def items(count: int) -> list[Item]:
    return [Item(f"v{i:05d}", f"/videos/{i}.mp4", 100 + i) for i in range(count)]


def test_few_items_get_a_shard_each_and_many_do_not_become_many_files():
    assert [len(shard.items) for shard in make_shards("analyse", items(18), None)] == [1] * 18
    # Enough that a hundred workers that die with the driver take less than a tenth along, and no file per video.
    assert 1_000 < len(make_shards("analyse", items(5_000), None)) < 1_500
    assert max(len(shard.items) for shard in make_shards("analyse", items(100_000), None)) == 64


def test_shard_names_depend_on_what_is_in_them():
    first, second = make_shards("label", items(4), 2)
    assert make_shards("label", items(4), 2) == [first, second]
    assert first.name != second.name
    assert make_shards("analyse", items(4), 2)[0].name.startswith("analyse-")


def test_shards_and_reports_survive_the_journey():
    shard = Shard("s", (Item("a", "/a.mp4", 1, ("a_0-9",), "analyse-1"),))
    assert Shard.from_json(shard.to_json()) == shard
    report = ShardReport(
        "s", [ItemReport("a", "/a.mp4", 1, clip_errors={"a_0-9": "broke"}, stage_seconds={"shots": 0.5})]
    )
    assert ShardReport.from_json(report.to_json()) == report


def test_only_committed_shards_count(tmp_path):
    run = RunFolder(tmp_path / "run")
    ledger = Ledger(run, "analyse", ("videos", "shots"))
    done = {"videos": table("videos", [{"video_id": "a", "frames": 3}])}
    commit_shard(run, "analyse", ("videos", "shots"), "analyse-1", "f", [(done, ItemReport("a", "/a.mp4", 1))])
    run.write_shard(
        "videos", "analyse-2", table("videos", [{"video_id": "b"}])
    )  # the crash came before its ledger entry

    assert ledger.sweep() == 1
    assert run.read("videos")["video_id"].to_pylist() == ["a"]
    assert run.read("shots").num_rows == 0
    assert ledger.entries()["analyse-1"][0]["item_id"] == "a"

    ledger.retire(["analyse-1"])
    assert run.read("videos").num_rows == 0
    assert ledger.entries() == {}


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    run = RunFolder(tmp_path / "run")
    for name in (".report.html.7.partial", "videos/.a.parquet.7.partial", "stages/clips/.b.parquet.7.partial"):
        run.write_bytes(name, b"half")
    run.write_bytes("videos/a.parquet", b"whole")
    assert run.remove_partial() == 2
    left = sorted(path.name for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert left == [".report.html.7.partial", "a.parquet"]  # somebody may be at the report


def test_nothing_half_written_is_visible(tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")
    run.write_bytes("videos/a.parquet", b"whole")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        run.write_bytes("videos/a.parquet", b"half")
    assert run.read_bytes("videos/a.parquet") == b"whole"
    assert [path.name for path in (tmp_path / "run" / "videos").iterdir()] == ["a.parquet"]


def crash_over(run: RunFolder, item_id: str, bounds: Bounds, work: str) -> None:
    """A process that dies over an item."""
    program = (
        "import sys, time, os, signal\n"
        "from curation.contract.manifest import RunFolder\n"
        "from curation.engine.attempts import attempt\n"
        "from curation.engine.bounds import Bounds\n"
        f"with attempt(RunFolder(sys.argv[1]), 'analyse', {item_id!r}, {bounds!r}):\n"
        f"    {work}\n"
    )
    done = subprocess.run([sys.executable, "-c", program, run.uri], cwd=ROOT, check=False, stderr=subprocess.PIPE)
    assert done.returncode != 0
    assert run.exists(f"ledger/attempts/analyse-{item_id}"), done.stderr.decode()


@pytest.mark.parametrize(
    ("work", "bounds", "limit", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", Bounds(session="s"), 5, "crashed 5 times"),
        ("time.sleep(60)", Bounds(deadline_s=0.3, session="s"), 2, "hung 2 times"),
        (
            "held = bytearray(400 << 20); time.sleep(60)",
            Bounds(memory_bytes=350 << 20, session="s"),
            2,
            "too much memory",
        ),
    ],
)
def test_what_takes_its_worker_down_is_quarantined(work, bounds, limit, said, tmp_path):
    run = RunFolder(tmp_path / "run")
    for _ in range(limit):
        crash_over(run, "a", bounds, work)
    with pytest.raises(VideoError, match=said), attempt(run, "analyse", "a", bounds):
        pytest.fail("must not run")
    assert not run.exists("ledger/attempts/analyse-a")
    with attempt(run, "analyse", "b", Bounds(session="s")):
        assert run.exists("ledger/attempts/analyse-b")
    assert not run.exists("ledger/attempts/analyse-b")


def test_whoever_dies_with_its_run_is_not_blamed(tmp_path):
    run = RunFolder(tmp_path / "run")
    for session in "abcdefg":
        crash_over(run, "a", Bounds(session=session), "os.kill(os.getpid(), signal.SIGKILL)")
    with attempt(run, "analyse", "a", Bounds(session="h")):
        pass


def test_a_suspect_is_retried_apart_from_its_shard(tmp_path):
    run = RunFolder(tmp_path / "run")
    bounds = Bounds(session="s")
    crash_over(run, "v00001", bounds, "os._exit(1)")
    suspects: list[Item] = []
    shard = Shard("shard", tuple(items(3)))
    for _ in range(2):  # looking at it twice is no second crash
        mates, suspects = take_suspects(run, "analyse", shard, bounds)
        assert [item.item_id for item in mates] == ["v00000", "v00002"]
        assert [item.item_id for item in suspects] == ["v00001"]
    assert json.loads(run.read_bytes("ledger/attempts/analyse-v00001"))["causes"] == ["crashed"]
    assert take_suspects(run, "analyse", Shard("alone", tuple(suspects)), bounds) == (suspects, [])


def test_a_worker_that_died_over_a_shard_as_a_whole_makes_all_of_it_suspect(tmp_path):
    run = RunFolder(tmp_path / "run")
    bounds = Bounds(session="s")
    crash_over(run, "shard", bounds, "os._exit(1)")
    shard = Shard("shard", tuple(items(3)))
    assert take_suspects(run, "analyse", shard, bounds) == ([], items(3))
    assert take_suspects(run, "analyse", Shard("other", tuple(items(3))), bounds) == (items(3), [])


def test_empty_manifests_have_their_schema(tmp_path):
    run = RunFolder(tmp_path / "run")
    assert run.read("events").schema.names[0] == "object_id"
    assert run.read("events", ["side", "frame"]).schema.types == [pa.string(), pa.int32()]
