"""Fixtures that every test file shares: rendered clips with exact truth, as frames, as files and as stage input."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from curation.contract import ids, tables
from curation.contract.tables import Tables
from curation.video.media import ClipFrames, fit_within
from eval.labels.render import render
from eval.labels.scenes import ready_made
from eval.labels.truth import RenderedClip
from eval.labels.write import write_clip

_WORKING_SIDE = 512
_CAMERA_STEP = 2


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
