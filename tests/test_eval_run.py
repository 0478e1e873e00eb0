"""`python -m eval run` and `report`: every generation gets one row, whatever happens on the way."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder
from curation.contract.tables import records, table
from curation.video.write import write_mp4
from eval.config import load_config
from eval.report.write import write_reports
from eval.run import run_evaluation
from eval.schemas import FEATURES, SCHEMAS, SCORES
from eval.summary import read_scores
from eval.videos import read_truth
from inference.generations import GENERATIONS, SCHEMA

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ["engine.name=inline", "comparison.height=112", "comparison.width=160"]
CONFIG = load_config("embedded", None, SETTINGS)


def generation(sample_id, run, uri, **changes):
    row = {
        "sample_id": sample_id,
        "run": run.uri,
        "video_uri": str(uri),
        "model": "painted",
        "model_revision": "1",
        "num_frames": 15,
        "fps": 12.0,
        "fingerprint": "x",
        "error": None,
    }
    return row | changes


def names_of(bench):
    return sorted(bench.read("samples", ["sample_id"])["sample_id"].to_pylist())


@pytest.fixture
def generations(bench, tmp_path):
    """One sample as it was, with a little noise; one whose video is broken; one that was never made."""
    folder = RunFolder(tmp_path / "gen")
    good, broken = names_of(bench)
    video = next(row for row in records(bench.read("videos")) if row["video_id"] == good)
    noise = np.random.default_rng(0).integers(-6, 7, (15, 112, 160, 3))
    frames = np.clip(read_truth(video, range(15), (112, 160)) + noise, 0, 255).astype(np.uint8)
    write_mp4(tmp_path / "good.mp4", frames, fps=12)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    rows = [generation(good, bench, tmp_path / "good.mp4"), generation(broken, bench, tmp_path / "broken.mp4")]
    folder.write_shard(GENERATIONS, "000", table(GENERATIONS, rows, SCHEMA))
    return folder


def scores_of(folder):
    return {row["sample_id"]: row for row in records(RunFolder(folder).read(SCORES, schema=SCHEMAS[SCORES]))}


def test_one_failing_video_is_a_row_with_an_error(bench, generations, tmp_path, capsys):
    good, broken = names_of(bench)
    assert run_evaluation(generations.uri, str(tmp_path / "out"), CONFIG, "painted", None) == 1
    rows = scores_of(tmp_path / "out")
    assert set(rows) == {good, broken}
    assert "not a video" in rows[broken]["error"] and rows[broken]["trajectory_error"] is None
    row = rows[good]
    assert row["error"] is None and row["frames"] == 15
    assert row["trajectory_error"] < 6 and row["event_accuracy"] == 1 and 25 < row["psnr"] < 45
    assert len(row["trajectory_error_over_time"]) == 15 and row["track_backend"] == "lucas-kanade-1"
    features = RunFolder(tmp_path / "out").read(FEATURES, schema=SCHEMAS[FEATURES]).to_pylist()
    assert {(item["metric"], tuple(item["shape"])) for item in features} == {("fid", (15, 96)), ("fvd", (1, 120))}

    # Only what failed is tried again; with the video mended, nothing is left to do.
    shards = sorted((tmp_path / "out" / SCORES).iterdir())
    before = {shard.name: shard.stat().st_mtime_ns for shard in shards}
    video = next(item for item in records(bench.read("videos")) if item["video_id"] == broken)
    (tmp_path / "broken.mp4").write_bytes(Path(video["uri"]).read_bytes())
    assert run_evaluation(generations.uri, str(tmp_path / "out"), CONFIG, "painted", None) == 0
    changed = [s for s in sorted((tmp_path / "out" / SCORES).iterdir()) if s.stat().st_mtime_ns != before[s.name]]
    assert len(changed) == 1
    perfect = scores_of(tmp_path / "out")[broken]
    assert perfect["psnr"] == np.inf and perfect["trajectory_error"] == 0 and perfect["error"] is None
    capsys.readouterr()
    assert run_evaluation(generations.uri, str(tmp_path / "out"), CONFIG, "painted", None) == 0
    assert "2 generations, 0 to score" in capsys.readouterr().out

    # Other settings: all again. A sample that is no longer asked for goes.
    other = load_config("embedded", None, [*SETTINGS, "comparison.event_tolerance=1"])
    run_evaluation(generations.uri, str(tmp_path / "out"), other, "painted", None)
    assert "2 generations, 2 to score" in capsys.readouterr().out
    kept = [row for row in records(generations.read(GENERATIONS)) if row["sample_id"] == good]
    generations.write_shard(GENERATIONS, "000", table(GENERATIONS, kept, SCHEMA))
    run_evaluation(generations.uri, str(tmp_path / "out"), other, "painted", None)
    assert set(scores_of(tmp_path / "out")) == {good}


def test_a_folder_of_videos_of_another_tool(bench, tmp_path):
    good, missing = names_of(bench)
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / f"{good}.mp4").write_bytes((tmp_path / "bench" / "media" / f"{good}.mp4").read_bytes())
    with pytest.raises(UsageError, match="--samples BENCH"):
        run_evaluation(str(folder), str(tmp_path / "out"), CONFIG, None, None)
    assert run_evaluation(str(folder), str(tmp_path / "out"), CONFIG, None, bench.uri) == 1
    rows = scores_of(tmp_path / "out")
    assert rows[good]["trajectory_error"] == 0 and rows[good]["psnr"] == np.inf
    assert f"no file {missing}.mp4" in rows[missing]["error"]
    (folder / "stranger.mp4").write_bytes(b"x")
    with pytest.raises(UsageError, match="no benchmark sample of that name"):
        run_evaluation(str(folder), str(tmp_path / "out"), CONFIG, None, bench.uri)


def test_samples_of_a_plain_run_are_scored_too(truth_run, tmp_path):
    """At the source's size and rate: every second frame of it was generated."""
    sample = next(row for row in records(truth_run.read("samples")) if row["kinds"] == "frame_out")
    video = next(row for row in records(truth_run.read("videos")) if row["video_id"] == sample["video_id"])
    write_mp4(tmp_path / "v.mp4", read_truth(video, range(0, 41, 2), (180, 320)), fps=12, crf=4)
    row = generation(sample["sample_id"], truth_run, tmp_path / "v.mp4", num_frames=21)
    folder = RunFolder(tmp_path / "gen")
    folder.write_shard(GENERATIONS, "000", table(GENERATIONS, [row], SCHEMA))
    assert run_evaluation(folder.uri, str(tmp_path / "out"), CONFIG, None, None) == 0
    scores = scores_of(tmp_path / "out")[sample["sample_id"]]
    assert scores["frames"] == 21 and scores["psnr"] > 38 and scores["trajectory_error"] < 2
    assert (scores["event_accuracy"], scores["true_event_side"]) == (1, "right")


def test_a_sample_without_points_is_a_row_with_an_error(bench, tmp_path):
    name = names_of(bench)[0]
    sample = next(row for row in records(bench.read("samples")) if row["sample_id"] == name)
    for item in sample["objects"]:
        item["points"], item["visibility"] = [[]] * 15, [[]] * 15
    bench.write_shard("samples", name, table("samples", [sample]))
    folder = RunFolder(tmp_path / "gen")
    row = generation(name, bench, tmp_path / "bench" / "media" / f"{name}.mp4")
    folder.write_shard(GENERATIONS, "000", table(GENERATIONS, [row], SCHEMA))
    assert run_evaluation(folder.uri, str(tmp_path / "out"), CONFIG, None, None) == 1
    assert "no point of its object is seen" in scores_of(tmp_path / "out")[name]["error"]


def test_wrong_places_are_refused(generations, tmp_path):
    with pytest.raises(UsageError, match="no generations there"):
        run_evaluation(str(tmp_path / "nowhere"), str(tmp_path / "out"), CONFIG, None, None)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        run_evaluation(generations.uri, str(tmp_path / "mine"), CONFIG, None, None)
    with pytest.raises(UsageError, match="no scores there"):
        read_scores(str(tmp_path / "mine"))
    with pytest.raises(UsageError, match="embedded, full"):
        load_config("best")
    with pytest.raises(UsageError, match=r"comparison\.height"):
        load_config("embedded", None, ["comparison.hight=3"])
    with pytest.raises(UsageError, match="cotracker3"):
        run_evaluation(
            generations.uri, str(tmp_path / "full"), load_config("full", None, ["engine.name=inline"]), None, None
        )


def test_reports_say_the_same_in_every_format(compared, tmp_path, capsys):
    write_reports([str(tmp_path / "a"), str(tmp_path / "b")], compared)
    printed = capsys.readouterr().out
    markdown, latex, html = ((tmp_path / "report" / f"report.{suffix}").read_text() for suffix in ("md", "tex", "html"))
    result = next(item for item in read_scores(str(tmp_path / "a")).results["frame_in"] if item.measure.key == "psnr")
    for text in (printed, markdown, latex, html):
        assert f"{result.value:.2f}" in text and "10.37" in text  # ours, and the published trajectory error
        assert "at most 5 generated frames early or late" in " ".join(text.split())
        assert "∞" in text or r"$\infty$" in text
        assert ("the truth" in text and "not a video" in text) or text is latex
    assert r"noisy\_one" in latex and latex.count(r"\begin{tabular}") == 2
    for line in (line for line in latex.splitlines() if line.endswith(r"\\")):
        assert line.count("&") - line.count(r"\&") in (5, 7)  # two runs, and three or five published methods
    assert "lucas-kanade-1" in markdown and r"0.00\*" in markdown  # marked as not comparable
    assert html.count("<video ") == 2 and "data:video/mp4;base64," in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)  # nothing is fetched from elsewhere
    with pytest.raises(UsageError, match="two runs are called"):
        write_reports([str(tmp_path / "a"), str(tmp_path / "a")], tmp_path / "report")


@pytest.fixture
def compared(bench, generations, tmp_path):
    """A report of two runs: noisy videos, and the ground truth as another tool's output."""
    run_evaluation(generations.uri, str(tmp_path / "a"), CONFIG, "noisy_one", None)
    folder = tmp_path / "truth"
    folder.mkdir()
    for name in names_of(bench):
        (folder / f"{name}.mp4").write_bytes((tmp_path / "bench" / "media" / f"{name}.mp4").read_bytes())
    run_evaluation(str(folder), str(tmp_path / "b"), CONFIG, "the truth", bench.uri)
    write_reports([str(tmp_path / "a"), str(tmp_path / "b")], tmp_path / "report")
    return tmp_path / "report"


def test_the_page_opens_in_a_browser(compared):
    """Nothing is blocked, broken or asked of others; players play; dots and cases lead to them; it fits a phone."""
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        except api.Error as error:
            pytest.skip(f"no browser here: {error}")
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        complaints, asked = [], []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((compared / "report.html").as_uri())
        assert page.locator("table.comparison").count() == 2
        assert page.get_by_text("Frame In-N-Out, stage 2").count() == 2
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.locator("svg a circle").first.click()
        assert page.evaluate("document.querySelector('figure:target video') !== null")
        assert (
            page.locator("table.cases thead th").all_inner_texts() == ["measure", "run", "best", "median", "worst"] * 2
        )
        page.locator("table.cases a").last.click()
        assert page.evaluate("document.querySelector('figure:target figcaption b').textContent") == "#2"
        posters = "[...document.querySelectorAll('video')].map(video => video.poster.slice(0, 22))"
        assert page.evaluate(posters) == ["data:image/jpeg;base64"] * 2
        if page.evaluate("document.createElement('video').canPlayType('video/mp4; codecs=avc1.640015')"):
            playing = """async () => Promise.all([...document.querySelectorAll("video")].map(async video => {
                await video.play();
                await new Promise(done => video.addEventListener("timeupdate", done, {once: true}));
                return [video.videoWidth, video.readyState >= 2 && video.currentTime > 0, video.error];
            }))"""
            states = page.evaluate(playing)
            assert len(states) == 2
            for width, advances, error in states:
                assert width == 576 and advances and error is None
        page.screenshot(path=compared / "report.png", full_page=True)
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        browser.close()
    assert not complaints
    assert {url.split("#")[0] for url in asked if not url.startswith("data:")} == {(compared / "report.html").as_uri()}
    assert (compared / "report.png").stat().st_size > 20_000


def test_the_schemas_say_what_every_column_means():
    for schema in SCHEMAS.values():
        for field in schema:
            assert field.metadata[b"doc"]


@pytest.mark.parametrize("command", ["", "build-benchmark", "run", "report"])
def test_help_imports_nothing_heavy(command):
    program = (
        "import sys\n"
        f"sys.argv = ['eval', *'{command} --help'.split()]\n"
        "from eval.__main__ import app\n"
        "try:\n    app()\n"
        "except SystemExit as stop:\n    assert stop.code == 0\n"
        "heavy = {'torch', 'ray', 'transformers', 'torchmetrics', 'cv2', 'polars'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_killed_on_ray_and_resumed(bench, generations, tmp_path):
    output = tmp_path / "out"
    command = [sys.executable, "-m", "eval", "run", "--generations", generations.uri, "-o", str(output)]
    for setting in (*SETTINGS[1:], "engine.workers=1"):
        command += ["--set", setting]
    first = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 200
    while not list(output.glob(f"{SCORES}/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    again = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert again.returncode == 1 and "not a video" in again.stdout, again.stderr
    assert sorted(scores_of(output)) == names_of(bench)
    report = [sys.executable, "-m", "eval", "report", str(output), "-o", str(tmp_path / "report")]
    subprocess.run(report, cwd=ROOT, check=True)
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_a_missing_backend_on_ray_is_one_line(generations, tmp_path):
    command = [sys.executable, "-m", "eval", "run", "--generations", generations.uri, "-o", str(tmp_path / "out")]
    command += ["--set", "look.backend=dinov2", "--set", "look.dinov2.weights=nobody/nothing"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    result = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=environment)
    assert result.returncode == 2, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "dinov2" in line and "hf download nobody/nothing" in line
