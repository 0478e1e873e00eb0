"""Writing a benchmark: clips at its size, and manifests that generation and evaluation read like those of a run."""

import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from curation.contract.manifest import RunFolder
from curation.contract.rle import Rle, decode_mask, encode_mask
from curation.contract.spans import scale_points
from curation.contract.tables import table
from curation.report.pictures import read_pictures
from curation.video.decode import analyse_frames
from curation.video.open import DecodeConfig
from curation.video.write import write_mp4
from eval.benchmark.plan import ClipPlan, PlannedObject
from eval.benchmark.schemas import BENCHMARK, SCHEMA
from training.conditioning.canvas import scale_box

_CRF = 12  # the truth that everything is held against: finer than what looks lossless
DATASETS = ("videos", "clips", "tracks", "events", "samples", BENCHMARK)


def write_clip(folder: RunFolder, plan: ClipPlan, size: tuple[int, int], source: str) -> None:
    """Cut one sample and write its rows, in files of its name; the row of `benchmark` comes last and makes it count.

    Args:
        size: (height, width) of the canvas that whole frames are stretched to.

    Raises:
        VideoError: the source video cannot be read.
    """
    name = plan.sample_id
    video = _write_video(folder, plan, size)
    source_size = (plan.video["height"], plan.video["width"])
    scale = size[1] / source_size[1], size[0] / source_size[0]
    box = list(scale_box(plan.region_box, source_size, size))
    count = len(plan.frames)
    about = {"clip_id": name, "video_id": name, "start_frame": 0, "end_frame": count}
    # An object of several samples has other frames in each of them, so it is another object here.
    tracks = [
        _track(item, size, scale) | about | {"object_id": f"{name}_o{index}"} for index, item in enumerate(plan.objects)
    ]
    rows: dict[str, list[dict[str, Any]]] = {
        "videos": [video],
        "clips": [about | {"caption": plan.caption, "start_frames": np.zeros(1, np.int32)}],
        "tracks": tracks,
        "events": [_event(plan, tracks[0]["object_id"], box)]
        if plan.side is not None and plan.event_frame is not None
        else [],
        "samples": [_sample(plan, video, tracks, box) | about],
    }
    for manifest, records in rows.items():
        folder.write_shard(manifest, name, table(manifest, records))
    row = {
        "sample_id": name,
        "kind": plan.kind,
        "side": plan.side,
        "label": plan.objects[0].label,
        "event_frame": plan.event_frame,
        "source": source,
        "source_object_id": plan.objects[0].object_id,
        "source_uri": plan.video["uri"],
        "source_frames": np.array(plan.frames, np.int32),
        "source_width": plan.video["width"],
        "source_height": plan.video["height"],
    }
    folder.write_shard(BENCHMARK, name, table(BENCHMARK, [row], SCHEMA))


def _write_video(folder: RunFolder, plan: ClipPlan, size: tuple[int, int]) -> dict[str, Any]:
    """The clip as an mp4; returns its record of the manifest videos."""
    place = f"media/{plan.sample_id}.mp4"
    pictures = dict(read_pictures(plan.video, plan.frames, (size[1], size[0])))
    frames = (pictures[frame] for frame in plan.frames)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "clip.mp4"
        write_mp4(file, frames, Fraction(plan.fps).limit_denominator(1001), crf=_CRF)
        folder.write_bytes(place, file.read_bytes())
        with analyse_frames(str(file), plan.sample_id, DecodeConfig()) as analysis:
            for _ in analysis:
                pass
            return analysis.facts() | {"uri": folder.path(place)}


def _track(item: PlannedObject, size: tuple[int, int], scale: tuple[float, float]) -> dict[str, Any]:
    return {
        "points": scale_points(item.points, *scale),
        "visibility": item.visibility,
        "masks": None if item.masks is None else [_scaled_mask(mask, size) for mask in item.masks],
    }


def _scaled_mask(mask: Rle | None, size: tuple[int, int]) -> Rle | None:
    if mask is None:
        return None
    scaled = cv2.resize(decode_mask(mask).astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_AREA) > 0.5
    return encode_mask(scaled) if scaled.any() else None


def _event(plan: ClipPlan, object_id: str, box: list[int]) -> dict[str, Any]:
    return {
        "object_id": object_id,
        "clip_id": plan.sample_id,
        "video_id": plan.sample_id,
        "boundary": "region",
        "type": "enter" if plan.kind == "frame_in" else "exit",
        "side": plan.side,
        "frame": plan.event_frame,
        "region_box": box,
    }


def _sample(plan: ClipPlan, video: Mapping[str, Any], tracks: list[dict[str, Any]], box: list[int]) -> dict[str, Any]:
    return {
        "sample_id": plan.sample_id,
        "uri": video["uri"],
        "fps": video["fps_num"] / video["fps_den"],
        "width": video["width"],
        "height": video["height"],
        "caption": plan.caption,
        "objects": [
            {
                "object_id": track["object_id"],
                "label": item.label,
                "points": track["points"],
                "visibility": track["visibility"],
                "is_identity": plan.kind == "frame_in" and index == 0,
            }
            for index, (item, track) in enumerate(zip(plan.objects, tracks, strict=True))
        ],
        "region_boxes": [box],
        "identity_reference": {"bytes": plan.identity, "path": None} if plan.identity else None,
        "more_references": [],
        "kinds": plan.kind,
        "strict": plan.side is not None,
        "split": "bench",
    }
