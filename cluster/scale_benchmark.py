"""`python -m cluster.scale_benchmark plan | select | workers`: what large inputs cost, without a large input.

Inputs are made up in FOLDER by a process of their own, and stay there for the next measurement. Peak memory is that of
this process, `before` what it takes before it starts.
"""

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import pyarrow as pa
import typer

from curation.config import load_config
from curation.contract.command_line import command_app, run_command
from curation.contract.manifest import RunFolder
from curation.contract.schemas import SCHEMAS
from curation.engine import analyse, label
from curation.engine.ledger import Ledger
from curation.engine.plan import PlannedShards, plan_pass
from curation.engine.run import wanted_videos
from curation.engine.select import kept_clips
from curation.engine.shards import ItemReport, Shard, ShardReport
from curation.video.input_config import InputConfig
from curation.video.listing import list_videos

app = command_app("scale_benchmark", "Measure planning, selection and scaling.")
_PER_FOLDER = 1000
_PER_SHARD = 10_000
_CLIPS_PER_VIDEO = 10
_FPS = 24
_OPEN_SCORES = ("clarity", "camera_rotation_deg", "colourfulness")
_SHARES = ("text_area", "image_quality", "aesthetic", "complexity", "classical_quality", "edge_complexity")
_SHARES += ("camera_translation", "camera_focal")

RowsArgument = Annotated[int, typer.Argument(min=1)]
FolderArgument = Annotated[Path, typer.Argument(help="For what is made up; takes 1 to 2 GB for the largest.")]


@app.command()
def plan(rows: RowsArgument, folder: FolderArgument) -> None:
    """The driver's part before the first shard: list ROWS files, compare with the ledger, write the shards to do.

    Once for a new run, and once for one that is complete but for 1 % of its shards.
    """
    videos, run = folder / f"videos-{rows}", RunFolder(folder / f"run-{rows}")
    _apart(_make_videos, videos, rows)
    shutil.rmtree(run.uri, ignore_errors=True)
    _apart(_plan, "new", str(videos), run)
    _apart(_commit_most, run)
    _apart(_plan, "resumed", str(videos), run)


def _plan(case: str, videos: str, run: RunFolder) -> None:
    chain = analyse.analysis_chain(load_config())
    with _measured(f"{case}: files listed"):
        files = list_videos(videos, InputConfig()).files
    with _measured(f"{case}: compared with the ledger, shards written"):
        found = plan_pass(_ledger(run), wanted_videos(files), chain, "", lambda *_: "")
        shards = PlannedShards.write(run, analyse.PASS, found.shards(analyse.PASS, None))
    typer.echo(f"{case}: {found.items} of {files.height} items to do, in {len(shards)} shards")


@app.command()
def select(rows: RowsArgument, folder: FolderArgument) -> None:
    """The rules of presets over a clips manifest of ROWS rows: limits fitted, every clip judged, the kept gathered."""
    run = RunFolder(folder / f"clips-{rows}")
    _apart(_make_clips, run.uri, rows)
    for preset in ("laptop", "full"):
        run.delete("thresholds.yaml")
        with _measured(f"{preset}: {rows} clips judged"):
            kept = kept_clips(run, load_config(preset), refit=False)
        typer.echo(f"{preset}: {kept['clips'].list.len().sum()} clips of {kept.height} videos kept")


@app.command()
def workers(
    clips: Annotated[Path, typer.Argument(help="Folder of real clips.")],
    folder: FolderArgument,
    copies: Annotated[int, typer.Option(min=1, help="How often each clip is in the input.")] = 2,
) -> None:
    """Clips per second with one worker and with two: whole runs, without the seconds in which Ray starts."""
    videos = folder / "copies"
    for number in range(copies):
        shutil.copytree(clips, videos / str(number), dirs_exist_ok=True)
    rates = []
    for count in (1, 2):
        run = folder / f"workers-{count}"
        shutil.rmtree(run, ignore_errors=True)
        words = ["--input", str(videos), "--output", str(run), "--set", f"engine.workers={count}"]
        subprocess.run([sys.executable, "-m", "curation", "run", *words], check=True, stdout=subprocess.DEVNULL)
        rates.append(_clips_per_second(RunFolder(run)))
        typer.echo(f"{count} workers: {rates[-1]:.3f} clips/s, load {os.getloadavg()[0]:.0f} on {os.cpu_count()} CPUs")
    typer.echo(f"efficiency from 1 to 2 workers: {rates[1] / rates[0] / 2:.2f}")


def _clips_per_second(run: RunFolder) -> float:
    """Over both passes, each from the start of its first clip to the commit of its last one."""
    clips = run.read("videos", ["video_id"]).num_rows
    spent = 0.0
    for name in (analyse.PASS, label.PASS):
        folder = f"ledger/{name}"
        ends = {shard: Path(run.path(f"{folder}/{shard}.parquet")).stat().st_mtime for shard in run.shards(folder)}
        seconds = {shard: sum(run.read_shard(folder, shard)["seconds"].to_pylist()) for shard in ends}
        if ends:  # nothing is labelled where the rules keep no clip
            spent += max(ends.values()) - min(end - seconds[shard] for shard, end in ends.items())
    return clips / spent


@contextmanager
def _measured(what: str) -> Iterator[None]:
    before, started = _peak_mb(), time.monotonic()
    yield
    typer.echo(f"{what}: {time.monotonic() - started:.1f} s, peak {_peak_mb():.0f} MB (before {before:.0f})")


def _peak_mb() -> float:
    """Most memory that this process ever held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _apart(make: Callable[..., None], *arguments: object) -> None:
    process = multiprocessing.get_context("spawn").Process(target=make, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def _make_videos(folder: Path, count: int) -> None:
    """Empty files: planning opens none."""
    done = folder / ".whole"
    if done.exists():
        return
    for start in range(0, count, _PER_FOLDER):
        below = folder / f"batch-{start // _PER_FOLDER:05d}"
        below.mkdir(parents=True, exist_ok=True)
        for index in range(start, min(start + _PER_FOLDER, count)):
            (below / f"camera-{index:08d}.mp4").touch()
    done.touch()


def _commit_most(run: RunFolder) -> None:
    """The ledger of a run that has done 99 % of its plan."""
    fingerprint = analyse.analysis_chain(load_config()).fingerprint
    folder = f"ledger/plan/{analyse.PASS}"
    planned = pa.concat_tables(run.read_shard(folder, name) for name in run.shards(folder))["shard"]
    for index, text in enumerate(planned):
        shard = Shard.from_json(text.as_py())
        if index % 100:
            items = [ItemReport(item.item_id, item.uri, item.bytes) for item in shard.items]
            _ledger(run).commit(ShardReport(shard.name, items), fingerprint)


def _ledger(run: RunFolder) -> Ledger:
    return Ledger(run, analyse.PASS, analyse.DATASETS)


def _make_clips(run_uri: str, count: int) -> None:
    """Manifests videos and scored clips with random scores, and without what selection does not read."""
    run = RunFolder(run_uri)
    if run.exists("whole"):
        return
    random = np.random.default_rng(0)
    for shard, start in enumerate(range(0, count, _PER_SHARD)):
        size = min(_PER_SHARD, count - start)
        index = pl.int_range(start, start + size, eager=True)
        video = "camera-" + (index // _CLIPS_PER_VIDEO).cast(pl.String).str.zfill(8)
        begins = index % _CLIPS_PER_VIDEO * 300
        scores = {name: random.lognormal(0, 1, size) for name in _OPEN_SCORES}
        scores |= {name: random.beta(1, 4, size) for name in _SHARES}
        clips = pl.DataFrame(scores).with_columns(
            clip_id=video + "_" + begins.cast(pl.String),
            video_id=video,
            start_frame=begins,
            end_frame=begins + random.integers(60, 300, size),
            start_frames=pl.lit([0, 24, 48]),
            camera_label=pl.Series(random.choice(["static", "handheld", "moving"], size)),
        )
        run.write_shard(analyse.SCORED_CLIPS, f"{shard:06d}", _whole(clips, SCHEMAS["clips"]))
        videos = pl.select(video_id=video.unique(maintain_order=True)).with_columns(
            width=1920, height=1080, fps_num=_FPS, fps_den=1, frames=3000, duration_s=125.0, pixel_aspect=1.0
        )
        run.write_shard("videos", f"{shard:06d}", _whole(videos, SCHEMAS["videos"]))
    run.write_bytes("whole", b"")


def _whole(rows: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    columns = [
        rows[field.name].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(field.type)
        if field.name in rows.columns
        else pa.nulls(rows.height, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


if __name__ == "__main__":
    run_command(app)
