"""Shards, ledger and attempts: what makes a run resumable."""

import pyarrow as pa
import pytest

from curation.contract.errors import VideoError
from curation.contract.manifest import RunFolder
from curation.contract.tables import table
from curation.engine.attempts import attempt
from curation.engine.committer import commit_shard
from curation.engine.ledger import Ledger
from curation.engine.shards import Item, ItemReport, Shard, ShardReport, make_shards


def items(count: int) -> list[Item]:
    return [Item(f"v{i:05d}", f"/videos/{i}.mp4", f"{i}.mp4", 100 + i) for i in range(count)]


def test_few_items_get_a_shard_each_and_many_do_not_become_many_files():
    assert [len(shard.items) for shard in make_shards("analyse", items(18), None)] == [1] * 18
    assert len(make_shards("analyse", items(5_000), None)) < 300
    assert max(len(shard.items) for shard in make_shards("analyse", items(40_000), None)) == 64


def test_shard_names_depend_on_what_is_in_them():
    first, second = make_shards("label", items(4), 2)
    assert make_shards("label", items(4), 2) == [first, second]
    assert first.name != second.name
    assert make_shards("analyse", items(4), 2)[0].name.startswith("analyse-")


def test_shards_and_reports_survive_the_journey():
    shard = Shard("s", (Item("a", "/a.mp4", "a.mp4", 1, ("a_0-9",), "analyse-1"),))
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


def test_an_item_that_crashed_its_worker_twice_is_not_tried_again(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.write_bytes("ledger/attempts/analyse-a", b"2")
    with pytest.raises(VideoError, match="2 times"), attempt(run, "analyse", "a", None):
        pytest.fail("must not run")
    with attempt(run, "analyse", "b", None):
        assert run.read_bytes("ledger/attempts/analyse-b") == b"1"
    assert not run.exists("ledger/attempts/analyse-b")


def test_empty_manifests_have_their_schema(tmp_path):
    run = RunFolder(tmp_path / "run")
    assert run.read("events").schema.names[0] == "object_id"
    assert run.read("events", ["side", "frame"]).schema.types == [pa.string(), pa.int32()]
