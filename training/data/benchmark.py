"""How fast samples are made: against the bare decode of the same frames, and against the published loader's way.

    python -m training.data.benchmark [--repetitions 5]

Renders a 20 s 720p clip with three samples. Every repetition takes an epoch of each way one after the other, so that
what else the machine does hits all of them; the medians of the repetitions' ratios are printed.

Both loaders run as training runs them: in a worker process of a `WorkerFeeder`, which hands the batches over. Seconds
are CPU time of all processes, until every page of a batch has been read here, as its copy to a device would. The bare
decode is done in this process and hands nothing over.
"""

import mmap
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Annotated

import cv2
import imageio_ffmpeg
import numpy as np
import psutil
import torch
import typer

from curation.contract import ids
from curation.contract.command_line import run_command
from curation.contract.manifest import RunFolder
from curation.contract.tables import table
from curation.video.decode import analyse_frames
from curation.video.open import open_video
from curation.video.write import write_mp4
from training.conditioning.canvas import mask_outside, scale_box
from training.conditioning.colours import colour
from training.conditioning.identity import place_identity
from training.data.config import DataConfig, ManifestConfig
from training.data.dataset import SampleDataset
from training.data.feeder import WorkerFeeder
from training.data.sample import Bucket, TrainingSample, draw_conditions
from training.data.schedule import Draw, Share
from training.data.worker import set_up_worker

_SECONDS, _FPS, _HEIGHT, _WIDTH = 20, 30, 720, 1280
_STARTS = (0, 0.33, 0.66)  # where curation looks for start frames, share of the clip
# The recipe's objects take up 3 to 40 % of the frame and have 8 to 26 points.
_OBJECTS, _POINTS, _OBJECT_PX = 3, 16, 250
# Canvas, length and dot radius of the recipe's two models.
_MODELS = {"CogVideoX": (Bucket(480, 720, 49), 6), "Wan 2.2": (Bucket(704, 1280, 81), 7)}

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def main(repetitions: Annotated[int, typer.Option(min=1, help="Times that everything is measured.")] = 5) -> None:
    """Measure samples per second and core, for both models' sizes."""
    set_up_worker()
    with tempfile.TemporaryDirectory() as folder:
        run, video = _make_run(Path(folder))
        megabits = video.stat().st_size * 8 / 1e6 / _SECONDS
        typer.echo(
            f"{_SECONDS} s at {_WIDTH}x{_HEIGHT}, {_FPS} frames/s, {megabits:.1f} Mbit/s, {len(_STARTS)} samples"
        )
        for name, (bucket, dot_radius) in _MODELS.items():
            config = DataConfig(
                manifests=(ManifestConfig(run=run.uri),),
                sizes=(bucket[:2],),
                frames=(bucket.frames,),
                dot_radius=dot_radius,
            )
            ours, bare, published = _measure(SampleDataset(config), repetitions)
            typer.echo(
                f"{name}, {bucket.frames} frames of {bucket.width}x{bucket.height}: "
                f"{1 / statistics.median(ours):.2f} samples/s and core, "
                f"{_ratio(bare, ours):.2f} of the bare decode, {_ratio(published, ours):.1f} times the published way"
            )


def _ratio(other: list[float], ours: list[float]) -> float:
    return statistics.median(there / here for there, here in zip(other, ours, strict=True))


def _measure(dataset: SampleDataset, repetitions: int) -> tuple[list[float], list[float], list[float]]:
    """Mean seconds of CPU a sample, one value a repetition: ours, bare decode, the published way."""
    feeders = [
        WorkerFeeder(kind(dataset.config, dataset.index), Share(), workers=1) for kind in (SampleDataset, _Published)
    ]
    loaders = [partial(_receive, feeder) for feeder in feeders]
    for load in loaders:
        load()  # starts the workers
    ways = [loaders[0], partial(_bare_decode, dataset), loaders[1]]
    spent = [[_cpu_seconds(way) / len(dataset) for way in ways] for _ in range(repetitions)]
    ours, bare, published = (list(values) for values in zip(*spent, strict=True))
    return ours, bare, published


def _cpu_seconds(way: Callable[[], object]) -> float:
    """Of this process, of workers, and of what they started. Loaders run on all cores, so that this is what counts."""
    before = _cpu_clock()
    way()
    return _cpu_clock() - before


def _cpu_clock() -> float:
    this = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in (this, *this.children(recursive=True)))


def _receive(feeder: WorkerFeeder) -> None:
    """An epoch's batches, a byte of every page of them read."""
    for batch in feeder:
        for value in batch.values():
            if isinstance(value, torch.Tensor):
                value.view(torch.uint8).reshape(-1)[:: mmap.PAGESIZE].sum()


def _bare_decode(dataset: SampleDataset) -> None:
    """What cannot be avoided: from the key frame before a sample to its last frame, nothing done with them."""
    for place in range(len(dataset)):
        row, bucket = dataset.index.read(place), dataset.index.bucket(place)
        pts = row.video["frame_pts"]
        last = pts[row.start_frame + (bucket.frames - 1) * row.stride]
        with open_video(row.video["uri"], dataset.config.decode) as video:
            video.container.seek(int(pts[row.start_frame]), stream=video.stream, backward=True)
            for frame in video.container.decode(video.stream):
                if frame.pts >= last:
                    break


class _Published(SampleDataset):
    """The same samples, made as by the release (FrameINO, data_loader/video_dataset_motion_FrameINO.py).

    All frames of the file are scaled and piped; points are painted one by one on whole frames of floats, which are
    resized and blurred by the full kernel. It then hands over floats in -1..1 and pictures for inspection; here, uint8.
    """

    def __getitem__(self, draw: Draw) -> TrainingSample:
        row, bucket = self.index.read(draw.row), self.index.bucket(draw.row)
        canvas = (bucket.width, bucket.height)
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", row.video["uri"]]
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{bucket.width}x{bucket.height}", "pipe:"]
        pipe = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        everything = np.frombuffer(pipe.stdout, np.uint8).reshape(-1, bucket.height, bucket.width, 3)
        frames = everything[row.start_frame : row.start_frame + row.stride * bucket.frames : row.stride].copy()

        drawn = draw_conditions(row, self.config, np.random.default_rng(0))
        (height, width), kernel = row.size, cv2.getGaussianKernel(45, 3)
        radius = int(self.config.dot_radius * height / 384)
        painted = []
        for at in range(bucket.frames):
            picture = np.full((height, width, 3), 255, np.float32)
            for number, track in enumerate(drawn.points):
                for x, y in np.rint(track[at * row.stride]).astype(int):
                    if 0 <= x < width and 0 <= y < height:
                        rows = slice(max(0, y - radius), y + radius)
                        picture[rows, max(0, x - radius) : x + radius] = colour(number)
            picture = cv2.resize(picture, canvas, interpolation=cv2.INTER_CUBIC)
            painted.append(cv2.filter2D(picture, -1, kernel @ kernel.T).astype(np.uint8))
        box = scale_box(drawn.region_box, row.size, (bucket.height, bucket.width))
        whole = [(at, 0, 0, bucket.height, bucket.width) for at in range(bucket.frames)]
        return TrainingSample(
            sample_id=row.sample_id,
            caption=row.caption,
            fps=row.fps / row.stride,
            region_box=np.array(box),
            frames=bucket.frames,
            video=frames,
            dot_places=np.array(whole, np.int32),
            dot_pixels=np.stack(painted).reshape(-1, 3),
            first_frame=mask_outside(frames[0], box),
            identity=place_identity(None, (bucket.height, bucket.width)),
            has_identity=False,
        )


def _make_run(folder: Path) -> tuple[RunFolder, Path]:
    """A run folder with one video, and as many samples as there are start frames."""
    video = folder / "clip.mp4"
    write_mp4(video, _frames(), Fraction(_FPS))
    with analyse_frames(str(video), "clip", DataConfig.model_fields["decode"].default) as analysis:
        for _ in analysis:
            pass
        facts = analysis.facts()
    run, count = RunFolder(folder / "run"), _SECONDS * _FPS
    rng = ids.generator(0, "benchmark")
    samples = []
    for start in (round(share * count) for share in _STARTS):
        middles = rng.uniform(250, 550, (_OBJECTS, 1, 1, 2))
        spread = rng.uniform(-_OBJECT_PX / 2, _OBJECT_PX / 2, (_OBJECTS, 1, _POINTS, 2))
        tracks = middles + spread + np.cumsum(rng.normal(0, 2, (_OBJECTS, count - start, 1, 2)), axis=1)
        visible = np.ones(tracks.shape[1:3], bool)
        samples.append(
            {
                "sample_id": ids.sample_id("clip", start, "out"),
                "clip_id": "clip",
                "video_id": "clip",
                "uri": str(video),
                "start_frame": start,
                "end_frame": count,
                "fps": float(_FPS),
                "width": _WIDTH,
                "height": _HEIGHT,
                "caption": "",
                "objects": [
                    {"object_id": str(number), "points": points, "visibility": visible, "is_identity": False}
                    for number, points in enumerate(tracks.astype(np.float32))
                ],
                "region_boxes": [[100, 100, 900, 650]],
                "kinds": "frame_out",
                "strict": True,
                "split": "train",
            }
        )
    run.write_shard("videos", "0", table("videos", [facts]))
    run.write_shard("samples", "0", table("samples", samples))
    run.write_bytes("run.yaml", b"{}\n")
    return run, video


def _frames() -> Iterator[np.ndarray]:
    """A view that glides over a detailed picture, with grain: neither easier nor harder to decode than footage."""
    rng = ids.generator(0, "benchmark frames")
    height, width = _HEIGHT + 200, _WIDTH + 200
    ground = np.zeros((height, width, 3), np.float32)
    for cell in (8, 32, 128):
        coarse = rng.uniform(0, 1, (height // cell + 1, width // cell + 1, 3)).astype(np.float32)
        ground += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * 80
    grain = rng.normal(0, 4, (height, width, 3)).astype(np.float32)
    for at in range(_SECONDS * _FPS):
        x, y = 100 + 90 * np.sin(at / 40), 100 + 90 * np.cos(at / 55)
        view = cv2.getRectSubPix(ground, (_WIDTH, _HEIGHT), (_WIDTH / 2 + x, _HEIGHT / 2 + y))
        shift = rng.integers(0, 200, 2)
        view += grain[shift[0] : shift[0] + _HEIGHT, shift[1] : shift[1] + _WIDTH]
        yield np.clip(view, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    run_command(app)
