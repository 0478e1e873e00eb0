"""Changed settings redo the stages that they touch and what depends on those, and end where a fresh run would."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from curation.__main__ import app
from curation.config import load_config
from curation.contract.manifest import RunFolder
from curation.contract.schemas import SCHEMAS
from curation.engine.analyse import PASS, analysis_chain
from curation.engine.label import PASS as LABEL
from curation.engine.label import labelling_chain
from curation.engine.ledger import Ledger
from curation.engine.redo import Chain, Step, changed_settings
from eval.labels.write import write_clip


def chains(*overrides: str) -> tuple[Chain, Chain]:
    config = load_config("laptop", None, list(overrides))
    return analysis_chain(config), labelling_chain(config)


def test_each_change_runs_no_more_than_what_depends_on_it():
    before = chains()

    def run_again(*overrides: str) -> list[tuple[str, ...] | None]:
        now = chains(*overrides)
        return [new.to_run(new.stale(old.fingerprint)) for old, new in zip(before, now, strict=True)]

    assert run_again() == [(), ()]
    assert run_again("image_scores.longest_side=512") == [("image_scores",), ()]
    assert run_again("camera.static_shift=0.01") == [("camera",), ("captions",)]
    assert run_again("start_frames.min_gap=40") == [("start_frames",), None]
    assert run_again("shots.backend=pyscenedetect") == [None, None]
    assert run_again("clips.longest=100") == [("clips", "start_frames", "image_scores", "camera"), None]
    assert run_again("tracks.cycle_share=0.001")[1] == (
        *("query_points", "tracks", "events", "region_boxes", "region_events", "identity", "captions"),
    )
    assert run_again("identity.pad=0.2") == [(), ("identity",)]
    assert run_again("region_events.gap_s=1.0") == [(), ("events", "region_events", "captions")]
    assert run_again("rules.speed.min=5", "samples.min_seconds=3", "engine.workers=3") == [(), ()]
    assert run_again("seed=7") == [None, None]


def test_what_a_stage_overwrites_is_written_again_before_it():
    chain = Chain(
        [Step("make", (), ("a.x",), "1"), Step("mend", ("a.x",), ("a.x",), "1"), Step("use", ("a.x",), ("a.y",), "1")],
        "salt",
    )
    assert chain.to_run(["use"]) == ("use",)
    assert chain.to_run(["mend"]) is None or chain.to_run(["mend"]) == ("make", "mend")
    assert chain.roots(["mend", "use"]) == ["mend"]
    assert chain.stale("") == ("make", "mend", "use")


def test_sources_are_what_a_stage_depends_on():
    analysis, labels = chains()
    assert analysis.sources("image_scores") == ["shots", "clips", "image_scores"]
    assert labels.sources("query_points") == ["shots", "clips", "start_frames", "objects", "query_points"]
    assert set(labels.sources("captions")) >= {"camera", "objects", "events", "captions"}


def test_changed_settings_are_named():
    assert changed_settings({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 5, "d": 3}}) == ["b.c: 2 -> 5"]


# The least that gives samples: these tests compare, whatever the labels are worth.
FAST = (
    *("start_frames.min_seconds=2", "samples.min_seconds=2", "rules.video_duration.min=2", "rules.duration.min=2"),
    "engine.name=inline",
)


def curate(videos: Path, run: Path, *overrides: str) -> str:
    settings = [part for override in (*FAST, *overrides) for part in ("--set", override)]
    result = CliRunner().invoke(app, ["run", "--input", str(videos), "--output", str(run), *settings])
    assert result.exit_code == 0, result.output
    return result.output


def manifests(run: Path) -> dict[str, list[str]]:
    return {name: sorted(map(repr, RunFolder(run).read(name).to_pylist())) for name in SCHEMAS}


@pytest.fixture(scope="module")
def base(videos, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "base"
    curate(videos, run)
    assert RunFolder(run).read("samples").num_rows
    return run


@pytest.mark.parametrize(
    "override",
    [
        "camera.seconds=1.0",
        "start_frames.positions=[0.1]",
        "tracks.cycle_share=0.001",
        pytest.param("region_boxes.margin=0.1", marks=pytest.mark.slow),
        pytest.param("clips.longest=40", marks=pytest.mark.slow),
        pytest.param("shots.backend=pyscenedetect", marks=pytest.mark.slow),
        pytest.param("image_scores.positions=[0.5]", marks=pytest.mark.slow),
        pytest.param("objects.min_area=0.2", marks=pytest.mark.slow),
        pytest.param("query_points.fewest=5", marks=pytest.mark.slow),
        pytest.param("events.least_area=0.05", marks=pytest.mark.slow),
        pytest.param("region_events.least_share=0.3", marks=pytest.mark.slow),
        pytest.param("identity.pad=0.2", marks=pytest.mark.slow),
    ],
)
def test_redone_stages_give_what_a_fresh_run_gives(override, videos, base, tmp_path):
    changed, fresh = tmp_path / "changed", tmp_path / "fresh"
    shutil.copytree(base, changed)
    said = curate(videos, changed, override)
    assert override.partition("=")[0] in said  # and why
    curate(videos, fresh, override)
    assert manifests(changed) == manifests(fresh) != manifests(base)
    again = curate(videos, changed, override)
    assert "nothing to do" in again


def test_clips_that_the_rules_let_in_later_are_labelled_beside_those_that_are(scene, tmp_path):
    shots = [scene("static_cross_left_right", frames=48), scene("exits_left", frames=30, seed=7)]
    write_clip(np.concatenate([shot.frames for shot in shots]), tmp_path / "videos" / "two.mp4", shots[0].fps)
    # TransNetV2 needs seconds for what is no question here.
    short = ("shots.backend=pyscenedetect", "start_frames.min_seconds=0.5", "samples.min_seconds=0.5")
    strict, loose = (*short, "rules.duration.min=1.5"), (*short, "rules.duration.min=0.5")

    def decoded(run: str) -> int:
        return sum(Ledger(RunFolder(tmp_path / run), LABEL, ()).frame(["decoded_frames"])["decoded_frames"].to_list())

    curate(tmp_path / "videos", tmp_path / "grown", *strict)
    assert decoded("grown") < 78
    said = curate(tmp_path / "videos", tmp_path / "grown", *loose)
    assert "1 with more clips that the rules keep now" in said
    curate(tmp_path / "videos", tmp_path / "fresh", *loose)
    assert manifests(tmp_path / "grown") == manifests(tmp_path / "fresh")
    assert RunFolder(tmp_path / "fresh").read("clips").num_rows == 2
    assert decoded("grown") == decoded("fresh") == 78, "no clip is labelled twice"


def test_a_stage_without_frames_opens_no_video(videos, base, tmp_path):
    """Start frames are computed from what is known; only labelling, which depends on them, decodes."""
    changed = tmp_path / "changed"
    shutil.copytree(base, changed)
    curate(videos, changed, "start_frames.min_gap=41")
    columns = ["item_id", "decoded_frames"]
    before, after = (Ledger(RunFolder(run), PASS, ()).frame(columns).sort("item_id") for run in (base, changed))
    assert before.select(columns).equals(after.select(columns))


def test_a_crash_while_files_are_replaced_leaves_the_shard_to_be_redone(videos, base, tmp_path, monkeypatch):
    changed = tmp_path / "changed"
    shutil.copytree(base, changed)
    write, written = RunFolder.write_shard, []

    def power_cut(self, dataset, shard, data):
        if dataset == "tracks":
            raise SystemExit(9)
        written.append(dataset)
        write(self, dataset, shard, data)

    monkeypatch.setattr(RunFolder, "write_shard", power_cut)
    with pytest.raises(AssertionError):
        curate(videos, changed, "region_boxes.margin=0.1")
    monkeypatch.undo()
    assert "objects" in written
    # What that run had begun, the next one goes on with, and knows why.
    shutil.copytree(changed, tmp_path / "resumed")
    said = curate(videos, tmp_path / "resumed", "region_boxes.margin=0.1")
    assert "1 whose rows were being replaced when a run ended" in said
    assert "(region_boxes.margin: 0.020833333333333332 -> 0.1)" in said
    # The settings are back where they were; what is half replaced must not pass for theirs.
    curate(videos, changed)
    assert manifests(changed) == manifests(base)
