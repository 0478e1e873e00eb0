"""A request out of a curated sample: its first frame, region box, tracks, ID reference and caption."""

import difflib
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder, find_record
from curation.contract.spans import scale_points
from curation.video.open import DecodeConfig
from curation.video.planes import FramePictures
from curation.video.reader import FrameReader
from inference.models import ModelSpec, model_spec
from inference.pictures import write_picture
from inference.request import Request, parse_request, save_request
from training.conditioning.canvas import scale_box

TARGET_FPS = 12.0
"""The recipe takes every second frame of 24 to 30 per second; other rates get the stride that comes nearest."""


def read_sample(run: RunFolder, sample_id: str) -> dict[str, Any]:
    """One record of the samples manifest.

    Raises:
        UsageError: the run has no sample of that name.
    """
    found = find_record(run, "samples", "sample_id", sample_id)
    if found is not None:
        return found
    known = run.read("samples", ["sample_id"])["sample_id"].to_pylist()
    close = difflib.get_close_matches(sample_id, known, n=3, cutoff=0.5)
    guess = f"did you mean {' or '.join(repr(name) for name in close)}? " if close else ""
    listing = f"list them with `python -m curation inspect {shlex.quote(run.uri)} samples`"
    raise UsageError(f"{run.uri}: no sample {sample_id!r}; {guess}{listing}")


def request_from_sample(run: RunFolder, sample: Mapping[str, Any], model: str, folder: Path, seed: int = 0) -> Request:
    """Write `folder`/request.yaml and its pictures. The canvas is the whole frame at the model's size.

    Args:
        sample: a record of the samples manifest; its first region box is taken.
        model: one of `MODELS`; canvas, number of frames and stride are for it.
        folder: made if absent.

    Raises:
        UsageError: the sample is too short for the model, or its folder cannot be written.
        VideoError: the source video cannot be read any more.
    """
    spec = model_spec(model)
    stride = max(1, round(sample["fps"] / TARGET_FPS))
    num_frames = _num_frames(sample, stride, spec)
    source = (sample["height"], sample["width"])
    canvas = (spec.height, spec.width)
    box = scale_box(sample["region_boxes"][0], source, canvas)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot make this folder: {error.strerror}") from None

    write_picture(folder / "first_frame.png", _region(run, sample, box, canvas))
    identity = sample["identity_reference"] if spec.identity else None
    if identity is not None:
        (folder / "identity.png").write_bytes(identity["bytes"])
    scale = canvas[1] / source[1], canvas[0] / source[0]
    objects = [
        {
            "name": item["label"] or "object",
            "trajectories": _trajectories(item, box, stride, num_frames, scale, canvas, sample["fps"] / stride),
            "identities": [{"picture": "identity.png"}] if item["is_identity"] and identity is not None else [],
        }
        for item in sample["objects"]
    ]
    data = {
        "model": model,
        "prompt": sample["caption"] or "",
        "seed": seed,
        "first_frame": {"picture": "first_frame.png", "width": box[2] - box[0], "height": box[3] - box[1]},
        "canvas": {
            "left": box[0],
            "right": canvas[1] - box[2],
            "top": box[1],
            "bottom": canvas[0] - box[3],
        },
        "objects": [item for item in objects if item["trajectories"] or item["identities"]],
        "num_frames": num_frames,
        "fps": sample["fps"] / stride,
    }
    request = parse_request(data, f"sample {sample['sample_id']}", folder)
    save_request(request, folder / "request.yaml")
    return request


def _num_frames(sample: Mapping[str, Any], stride: int, spec: ModelSpec) -> int:
    """The model's number of frames, or the largest that it can make of what the sample has at this stride."""
    there = len(range(sample["start_frame"], sample["end_frame"], stride))
    least = spec.frame_step + 1
    if there < least:
        raise UsageError(f"sample {sample['sample_id']}: {there} frames at a stride of {stride}; {least} is the least")
    return min(spec.num_frames, (there - 1) // spec.frame_step * spec.frame_step + 1)


def _region(
    run: RunFolder, sample: Mapping[str, Any], box: tuple[int, int, int, int], canvas: tuple[int, int]
) -> np.ndarray:
    """uint8 [h, w, 3]: what the region box shows in the start frame, at canvas size."""
    video = find_record(run, "videos", "video_id", sample["video_id"])
    assert video is not None, "every sample has a row in videos"
    with FrameReader(video, DecodeConfig()) as reader:
        frame = FramePictures(reader.frame(sample["start_frame"]), video["rotation_deg"] or 0)
        picture = frame.render(canvas[1], canvas[0], luma=False)
    x0, y0, x1, y1 = box
    return picture[y0:y1, x0:x1]


def _trajectories(
    item: Mapping[str, Any],
    box: tuple[int, int, int, int],
    stride: int,
    num_frames: int,
    scale: tuple[float, float],
    canvas: tuple[int, int],
    fps: float,
) -> list[dict[str, Any]]:
    """One for each track, with a point and a time for every frame.

    As in training: of the ID all that are ever on the canvas, of other objects those that start in the region box.
    """
    points = scale_points(np.asarray(item["points"])[::stride][:num_frames], *scale)
    kept = np.all((np.rint(points) >= 0) & (np.rint(points) < canvas[::-1]), axis=2).any(axis=0)
    if not item["is_identity"]:
        kept &= np.all((points[0] >= box[:2]) & (points[0] < box[2:]), axis=1)
    times = [round(frame / fps, 4) for frame in range(num_frames)]
    return [
        {"points": np.round(points[:, track].astype(float), 1).tolist(), "times": times}
        for track in np.flatnonzero(kept)
    ]
