"""Fixtures that every test file shares: rendered clips with exact truth, as frames, as files and as stage input."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from curation.contract import ids, tables
from curation.contract.manifest import RunFolder
from curation.contract.rle import encode_mask
from curation.contract.schemas import SCHEMAS
from curation.contract.spans import mask_box
from curation.contract.tables import Tables
from curation.engine import run_lock
from curation.video.decode import analyse_frames
from curation.video.media import ClipFrames, fit_within
from curation.video.open import DecodeConfig
from eval.labels.render import render
from eval.labels.scenes import ready_made
from eval.labels.truth import RenderedClip
from eval.labels.write import write_clip

_WORKING_SIDE = 512
_CAMERA_STEP = 2


@pytest.fixture(scope="session", autouse=True)
def nobody_else_runs() -> Iterator[None]:
    """Who takes a run folder waits half a second for others that took it too. Here, in this process, are none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_lock, "_SETTLE_S", 0.0)
        yield


@pytest.fixture(scope="session")
def scene() -> Callable[..., RenderedClip]:
    """`scene("enters_left", seed=1, frames=60)`: a ready-made scene of `eval/labels/scenes.py`, with its truth.

    Rendered once a session and shared: do not write into its arrays. Overrides are fields of `Format` and `Scene`.
    """
    rendered: dict[tuple[Any, ...], RenderedClip] = {}

    def get(name: str, **overrides: Any) -> RenderedClip:
        key = (name, *sorted(overrides.items()))
        if key not in rendered:
            rendered[key] = render(ready_made(name, **overrides))
        return rendered[key]

    return get


@pytest.fixture(scope="session")
def clip_file(scene, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`clip_file("enters_left", seed=1)`: the same scene as an H.264 mp4, written once a session. Do not change it.

    `encoding` (a dict) goes to `write_clip`: codec, crf, key_interval, pixel_format, b_frames.
    """
    folder = tmp_path_factory.mktemp("clips")
    written: dict[tuple[Any, ...], Path] = {}

    def get(name: str, *, encoding: dict[str, Any] | None = None, **overrides: Any) -> Path:
        options = encoding or {}
        key = (name, *sorted(options.items()), *sorted(overrides.items()))
        if key not in written:
            clip = scene(name, **overrides)
            written[key] = write_clip(clip.frames, folder / f"{len(written):03d}_{name}.mp4", clip.fps, **options)
        return written[key]

    return get


@pytest.fixture(scope="module")
def videos(clip_file, tmp_path_factory) -> Path:
    """A folder of two short videos, one with an exit, and a file that is none."""
    folder = tmp_path_factory.mktemp("videos")
    for name in ("static_cross_left_right", "exits_left"):
        shutil.copy(clip_file(name, frames=60), folder / f"{name}.mp4")
    (folder / "empty.mp4").touch()
    return folder


@pytest.fixture(scope="session")
def clip_frames() -> Callable[..., tuple[ClipFrames, Tables]]:
    """`clip, tables = clip_frames(scene("enters_left"))`: what a ClipStage is called with, without any decoding.

    `start` is the source frame of the clip's first frame: use one above 0 to catch mixed-up frame indices. `longest` is
    the working size's longer side. `tables` has one row in each of videos, shots and clips, camera columns from truth
    and start frames at 0, 1/3 and 2/3.
    """

    def get(
        rendered: RenderedClip, *, start: int = 0, longest: int = _WORKING_SIDE, seed: int = 0, video: str = "rendered"
    ) -> tuple[ClipFrames, Tables]:
        size = fit_within(rendered.width, rendered.height, longest)
        if size == (rendered.width, rendered.height):
            frames = rendered.frames.copy()
        else:
            frames = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in rendered.frames])
        clip = ClipFrames(
            video_id=video,
            clip_id=ids.clip_id(video, start, start + rendered.length),
            start=start,
            fps=rendered.fps,
            frames=frames,
            seconds=np.arange(rendered.length) / float(rendered.fps),
            source_width=rendered.width,
            source_height=rendered.height,
            pictures=dict(enumerate(rendered.frames)),
            seed=seed,
        )
        return clip, _tables(clip, rendered)

    return get


def _tables(clip: ClipFrames, rendered: RenderedClip) -> Tables:
    end = clip.start + rendered.length
    video = {
        "video_id": clip.video_id,
        "uri": f"/videos/{clip.video_id}.mp4",
        "bytes": 1_000_000,
        "width": rendered.width,
        "height": rendered.height,
        "fps_num": rendered.fps.numerator,
        "fps_den": rendered.fps.denominator,
        "frames": end,
        "duration_s": float(end / rendered.fps),
        "codec": "h264",
        "variable_frame_rate": False,
        "rotation_deg": 0,
        "pixel_aspect": 1.0,
        "pixel_format": "yuv420p",
        "header_frames": end,
        "key_frames": np.arange(0, end, 48, dtype=np.int32),
    }
    shot = {
        "video_id": clip.video_id,
        "shot_index": 0 if clip.start == 0 else 1,
        "start_frame": clip.start,
        "end_frame": end,
        "transition": None if clip.start == 0 else "cut",
        "shot_backend": "truth",
    }
    steps = _camera_steps(rendered, clip.start)
    moved = float(np.mean([step["translation"] for step in steps]))
    turned = float(np.mean([step["rotation_deg"] for step in steps]))
    zoomed = float(np.mean([abs(step["zoom"] - 1) for step in steps]))
    drift = np.abs(rendered.camera[-1, :2, 2] - rendered.camera[0, :2, 2]).max() / rendered.width
    label = "static" if moved + turned + zoomed < 1e-6 else "handheld" if drift < 0.1 else "moving"
    row = {
        "clip_id": clip.clip_id,
        "video_id": clip.video_id,
        "start_frame": clip.start,
        "end_frame": end,
        "camera_rotation_deg": turned,
        "camera_translation": moved,
        "camera_focal": zoomed,
        "camera_label": label,
        "camera_steps": steps,
        "camera_backend": "truth",
        "start_frames": clip.start + np.array([0, rendered.length // 3, 2 * rendered.length // 3], dtype=np.int32),
    }
    return {
        "videos": tables.table("videos", [video]),
        "shots": tables.table("shots", [shot]),
        "clips": tables.table("clips", [row]),
    }


def _camera_steps(rendered: RenderedClip, start: int) -> list[dict[str, float]]:
    """True motion between every second frame: translation of the frame's centre / diagonal, roll, zoom."""
    centre = np.array([(rendered.width - 1) / 2, (rendered.height - 1) / 2, 1.0])
    diagonal = float(np.hypot(rendered.width, rendered.height))
    steps = []
    for frame in range(0, rendered.length - _CAMERA_STEP, _CAMERA_STEP):
        move = rendered.camera[frame + _CAMERA_STEP] @ np.linalg.inv(rendered.camera[frame])
        steps.append(
            {
                "frame": start + frame,
                "next_frame": start + frame + _CAMERA_STEP,
                "rotation_deg": abs(float(np.degrees(np.arctan2(move[1, 0], move[0, 0])))),
                "translation": float(np.hypot(*(move @ centre - centre)[:2])) / diagonal,
                "zoom": float(np.sqrt(np.linalg.det(move[:2, :2]))),
                "inliers": 1.0,
            }
        )
    return steps


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real footage beside the repository; tests that need it skip where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real footage is not here: no folder {folder}")
    return folder


_HOSTILE = '<img src=x onerror=alert(1)> & "quoted" {{ 7 * 7 }}'


@pytest.fixture
def truth_run(scene, clip_file, tmp_path: Path) -> RunFolder:
    """A finished run folder whose manifests say the truth about rendered clips, as a flawless pipeline would have.

    Two videos with a sample each (frame_in with a region box at the left, frame_out), one dropped for its camera, one
    for its clarity, and one file that could not be read and whose name is hostile to HTML.
    """
    run = RunFolder(tmp_path / "truth run")
    names = ("enters_left", "exits_right", "pan", "blurred")
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}
    for name in names:
        _describe_truth(rows, name, scene(name, frames=48), clip_file(name, frames=48))
    bad = {"video_id": "hostile-00000000", "uri": f"/videos/{_HOSTILE}.mp4", "bytes": 0, "error": f"{_HOSTILE}: empty"}
    rows["videos"].append(bad)
    drops = [
        (bad["video_id"], "video", "readable", None, None, f"cannot be read: {_HOSTILE}"),
        ("pan", "clip", "camera_label", None, None, "camera: moving, not one of static, handheld"),
        ("blurred", "clip", "clarity", 3.5, 10.0, "clarity: 3.5 is below 10"),
        ("pan", "video", "no_clip", None, None, "its only clip was dropped: camera_label"),
        ("blurred", "video", "no_clip", None, None, "its only clip was dropped: clarity"),
    ]
    for item, level, rule, value, threshold, reason in drops:
        found = next((row[f"{level}_id"] for row in rows[f"{level}s"] if row["video_id"] == item), item)
        verdict = {"item_id": found, "level": level, "stage": "test", "rule": rule, "kept": False}
        rows["verdicts"].append(verdict | {"value": value, "threshold": threshold, "reason": reason})
    for manifest, found in rows.items():
        if found:
            run.write_shard(manifest, "000", tables.table(manifest, found))
    thresholds = {"clarity": {"level": "clip", "column": "clarity", "min": 10.0, "max": None, "source": "absolute"}}
    thresholds["clarity"]["config"] = {"min": 10.0}
    run.write_bytes("thresholds.yaml", yaml.safe_dump(thresholds).encode())
    settings = {"rules": {"camera_label": {"allowed": ["static", "handheld"]}}}
    facts = {"created": "2025-01-01T00:00:00+00:00", "preset": "laptop", "seed": 0, "config": settings, "versions": {}}
    run.write_bytes("run.yaml", yaml.safe_dump(facts).encode())
    decode = {"source_frames": 192, "decoded_frames": 288, "ratio": 1.5}
    stages = [{"name": "analyse: decode", "items": 5, "seconds": 1.25, "decoded_frames": 192}]
    run.write_bytes("summary.json", json.dumps({"wall_seconds": 75.0, "decode": decode, "stages": stages}).encode())
    return run


def _describe_truth(rows: dict[str, list[dict[str, Any]]], name: str, clip: RenderedClip, file: Path) -> None:
    """Add what is known of one rendered clip to the rows of every manifest."""
    with analyse_frames(str(file), name, DecodeConfig()) as analysis:
        for _ in analysis:
            pass
        rows["videos"].append(analysis.facts())
    clip_id = ids.clip_id(name, 0, clip.length)
    scores = {"clarity": 3.5 if name == "blurred" else 240.0, "text_area": 0.0, "colourfulness": 31.0 + len(name)}
    rows["clips"].append({"clip_id": clip_id, "video_id": name, "start_frame": 0, "end_frame": clip.length} | scores)
    kinds = {"enters_left": "frame_in", "exits_right": "frame_out"}.get(name)
    if kinds is None:
        return
    who = clip.objects[0]
    track, masks = clip.tracks[who], clip.masks[who]
    seen = int(masks.sum(axis=(1, 2)).argmax())
    object_id = ids.object_id(clip_id, seen, 0)
    owner = {"object_id": object_id, "clip_id": clip_id, "video_id": name}
    box = mask_box(masks[seen])
    assert box is not None
    crop = np.dstack([clip.frames[seen], masks[seen] * np.uint8(255)])[box[1] : box[3], box[0] : box[2]]
    reference = {"bytes": cv2.imencode(".png", cv2.cvtColor(crop, cv2.COLOR_RGBA2BGRA))[1].tobytes(), "path": None}
    found = {"query_frame": seen, "label": "ball", "mask_area": float(masks[seen].mean()), "mask_box": box}
    rows["objects"].append(owner | found | {"mask": encode_mask(masks[seen]), "identity_reference": reference})
    over_time = {"points": track.points, "visibility": track.visibility, "speed": 12.0}
    rles = [encode_mask(mask) if mask.any() else None for mask in masks]
    rows["tracks"].append(owner | over_time | {"start_frame": 0, "end_frame": clip.length, "masks": rles})
    region = [clip.width // 4, clip.height // 8, clip.width * 3 // 4, clip.height * 7 // 8]
    inside = np.flatnonzero(masks[:, region[1] : region[3], region[0] : region[2]].any(axis=(1, 2)))
    crossing = ("enter", "left", int(inside[0])) if kinds == "frame_in" else ("exit", "right", int(inside[-1]))
    events = [("frame", event.type, event.side, event.frame, None) for event in clip.events]
    for boundary, kind, side, frame, where in [*events, ("region", *crossing, region)]:
        happens = {"boundary": boundary, "type": kind, "side": side, "frame": frame, "region_box": where}
        rows["events"].append(owner | happens)
    identity = {"object_id": object_id, "label": "ball", "is_identity": kinds == "frame_in"}
    sample = {
        "sample_id": ids.sample_id(clip_id, 0, "0"),
        "clip_id": clip_id,
        "video_id": name,
        "uri": str(file),
        "start_frame": 0,
        "end_frame": clip.length,
        "fps": float(clip.fps),
        "width": clip.width,
        "height": clip.height,
        "caption": f"A ball comes and goes. {_HOSTILE}",
        "objects": [identity | {"points": track.points, "visibility": track.visibility}],
        "region_boxes": [region],
        "identity_reference": reference if kinds == "frame_in" else None,
        "kinds": kinds,
        "strict": True,
        "split": "train",
    }
    rows["samples"].append(sample)
    for level, item in (("video", name), ("clip", clip_id), ("object", object_id), ("sample", sample["sample_id"])):
        verdict = {"item_id": item, "level": level, "stage": "samples", "rule": "kept", "kept": True}
        rows["verdicts"].append(verdict | {"reason": "reaches samples"})


@pytest.fixture
def bench(truth_run: RunFolder, tmp_path: Path) -> RunFolder:
    """Two samples at 160x112: the ball that comes in, and the one that goes out."""
    from eval.benchmark.build import build_benchmark

    rows = tables.records(truth_run.read("samples"))
    for row in rows:
        row["split"] = "bench"
        if row["kinds"] == "frame_in":
            row["start_frame"] = 16
            for item in row["objects"]:
                item["points"], item["visibility"] = item["points"][16:], item["visibility"][16:]
    truth_run.write_shard("samples", "000", tables.table("samples", rows))
    folder = RunFolder(tmp_path / "bench")
    build_benchmark(truth_run.uri, folder.uri, 5, (112, 160), 15, 0)
    return folder


@pytest.fixture(scope="module")
def one_thread():
    """Tiny networks on one thread: several only wait for each other, and for whatever else runs on the machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`tiny_model("sam2")`: folder of a tiny random model of `tests/tiny_models.py`, made once a session."""
    from tests import tiny_models

    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = getattr(tiny_models, name)(tmp_path_factory.mktemp(name))
        return made[name]

    return get
