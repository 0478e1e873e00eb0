"""A folder of labelled clips on disk.

    DATA/labels.json             what is in it: format, seed, one entry a clip
    DATA/clips/NAME              the videos
    DATA/truth/NAME/truth.json   transitions, shots, events, objects with their masks (COCO RLE)
    DATA/truth/NAME/arrays.npz   camera and surfaces, for pose errors and point tracks

Folders in the layout of hand-labelled real clips are read as well (`real.py`).
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder
from curation.contract.rle import Rle, decode_mask, encode_mask
from eval.labels.labelled import LabelledClip, LabelledObject, LabelledShot
from eval.labels.real import is_real_layout, read_real
from eval.labels.render import render
from eval.labels.sampler import SampledClip, sample_clip
from eval.labels.sway import Sway
from eval.labels.truth import EventTruth, RenderedClip, Surface, TransitionTruth, visible_points
from eval.labels.write import write_clip

FORMAT = "1"


@dataclass(frozen=True)
class RenderedSurface:
    """Surface of a rendered object, with its masks to tell where it is seen."""

    surface: Surface
    masks: tuple[Rle | None, ...]
    start_frame: int

    def track(self, query_frames: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `TrueSurface`."""
        carried = np.empty((len(self.surface.matrices), len(points), 2), np.float32)
        for frame in np.unique(query_frames).tolist():
            columns = np.flatnonzero(query_frames == frame)
            carried[:, columns] = self.surface.to_frame(self.surface.from_frame(points[columns], frame))
        visibility = np.zeros(carried.shape[:2], bool)
        for frame, mask in enumerate(self.masks, self.start_frame):
            if mask is not None:
                visibility[frame] = visible_points(carried[frame], decode_mask(mask))
        return carried, visibility


def make_clip(folder: Path, seed: int, index: int) -> dict[str, Any]:
    """Render clip `index` of data set `seed` into `folder`, whole or not at all; one that is there stays.

    Returns:
        its entry of labels.json.
    """
    sampled = sample_clip(seed, index)
    truth, video = folder / "truth" / sampled.name, folder / "clips" / sampled.name
    if not (truth.exists() and video.exists()):
        clip = render(sampled.scene)
        partial = folder / "truth" / f".{sampled.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write_truth(partial, clip, sampled)
        moving = video.with_name(f".{video.stem}.partial{video.suffix}")
        write_clip(clip.frames, moving, clip.fps, crf=sampled.crf)
        moving.replace(video)
        shutil.rmtree(truth, ignore_errors=True)
        partial.rename(truth)
    return {"file": sampled.name, "group": sampled.group, "seed": seed, "index": index, "crf": sampled.crf}


def write_index(folder: Path, seed: int, clips: list[dict[str, Any]]) -> None:
    """Write labels.json, which makes the folder a data set."""
    text = json.dumps({"format": FORMAT, "seed": seed, "clips": clips}, indent=1) + "\n"
    RunFolder(folder).write_bytes("labels.json", text.encode())


def read_data(folder: Path) -> list[LabelledClip]:
    """All labelled clips of a folder, ours or in the layout of the real ones.

    Raises:
        UsageError: it is neither, is of another format, or a clip is missing.
    """
    if is_real_layout(folder):
        return read_real(folder)
    index = folder / "labels.json"
    if not index.exists():
        raise UsageError(f"{folder}: no labels.json and no truth/*.csv; make one: python -m eval labels make {folder}")
    listed = json.loads(index.read_text())
    if listed["format"] != FORMAT:
        raise UsageError(f"{index}: format {listed['format']!r}, this version reads {FORMAT!r}; make the data set anew")
    return [_read_clip(folder, entry) for entry in listed["clips"]]


def _write_truth(folder: Path, clip: RenderedClip, sampled: SampledClip) -> None:
    shots, arrays = _pure_shots(clip), {"camera": clip.camera}
    objects, spans = [], {}
    for name in clip.objects:
        start, end = spans[name] = _within(clip.spans[name], shots)
        masks = clip.masks[name][start:end]
        if not masks.any():
            continue
        surface = clip.surfaces[name]
        arrays[f"surface{len(objects)}"] = surface.matrices
        objects.append(
            {
                "name": name,
                "moving": clip.moving[name],
                "start_frame": start,
                "end_frame": end,
                "masks": [encode_mask(mask) if mask.any() else None for mask in masks],
                "sway": asdict(surface.sway),
                "sway_start": surface.start,
            }
        )
    # What happens while two shots are mixed is no one's to label.
    events = [event for event in clip.events if spans[event.object][0] <= event.frame < spans[event.object][1]]
    truth = {
        "height": clip.height,
        "width": clip.width,
        "frames": clip.length,
        "transitions": [asdict(transition) for transition in clip.transitions],
        "shots": [
            {"start_frame": start, "end_frame": end, "camera": camera}
            for (start, end), camera in zip(shots, sampled.cameras, strict=True)
        ],
        "events": [asdict(event) for event in events],
        "objects": objects,
    }
    (folder / "truth.json").write_text(json.dumps(truth, separators=(",", ":")))
    np.savez_compressed(folder / "arrays.npz", **arrays)  # pyright: ignore[reportArgumentType]


def _pure_shots(clip: RenderedClip) -> list[tuple[int, int]]:
    """Spans of the shots without the mixed frames between them."""
    spans = []
    for index, (start, end) in enumerate(clip.shots):
        if index and (before := clip.transitions[index - 1]).kind != "cut":
            start = before.last + 1
        if index < len(clip.transitions) and (after := clip.transitions[index]).kind != "cut":
            end = after.first
        spans.append((start, end))
    return spans


def _within(span: tuple[int, int], shots: list[tuple[int, int]]) -> tuple[int, int]:
    """The pure shot inside an object's span."""
    return next(shot for shot in shots if span[0] <= shot[0] and shot[1] <= span[1])


def _read_clip(folder: Path, entry: Mapping[str, Any]) -> LabelledClip:
    name = entry["file"]
    video, truth = folder / "clips" / name, folder / "truth" / name
    for path in (video, truth / "truth.json", truth / "arrays.npz"):
        if not path.exists():
            raise UsageError(f"{path} is missing though labels.json lists {name}; run `labels make` again to repair")
    known = json.loads((truth / "truth.json").read_text())
    with np.load(truth / "arrays.npz", allow_pickle=False) as arrays:
        objects = tuple(_read_object(item, arrays[f"surface{number}"]) for number, item in enumerate(known["objects"]))
        camera = arrays["camera"]
    return LabelledClip(
        name=name,
        path=video,
        group=entry["group"],
        transitions=tuple(TransitionTruth(**transition) for transition in known["transitions"]),
        shots=tuple(LabelledShot(**shot) for shot in known["shots"]),
        camera=camera,
        objects=objects,
        objects_complete=True,
        events=tuple(EventTruth(**event) for event in known["events"]),
        events_complete=True,
    )


def _read_object(item: Mapping[str, Any], matrices: np.ndarray) -> LabelledObject:
    masks = tuple(item["masks"])
    surface = Surface(matrices, Sway(**item["sway"]), item["sway_start"])
    return LabelledObject(
        name=item["name"],
        moving=item["moving"],
        start_frame=item["start_frame"],
        end_frame=item["end_frame"],
        masks=masks,
        surface=RenderedSurface(surface, masks, item["start_frame"]),
    )
