"""The caption of a clip, from facts measured over the part that begins at its first start frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from curation.contract.errors import ModelError
from curation.contract.mask_tube import Masks
from curation.contract.tables import Tables, records, table
from curation.models.caption import CaptionConfig, build_captioner
from curation.models.caption.protocol import CaptionRequest, ClipFacts, ObjectFacts, PictureSampling
from curation.stages.clip_masks import Extents, mask_extents, object_masks
from curation.stages.stage import DeferredClipStage, Resources
from curation.video.media import ClipFrames

STILL = 0.03
"""Displacement in frame diagonals below which an object is said to stay where it is."""

LEAST_COLOUR_SHARE = 0.4
"""A colour is named when at least this share of the object's pixels has it."""

# Upper ends of hue ranges in OpenCV's half degrees.
_HUES = (
    (8, "red"),
    (20, "orange"),
    (34, "yellow"),
    (84, "green"),
    (130, "blue"),
    (150, "purple"),
    (168, "pink"),
    (180, "red"),
)


class Captions(DeferredClipStage):
    """Fills `clips.caption`, `caption_model` and `caption_start`. The caption is null when there is nothing to tell."""

    name: ClassVar[str] = "captions"
    reads: ClassVar[tuple[str, ...]] = (
        "clips.camera_label",
        "clips.start_frames",
        "objects.label",
        "tracks.masks",
        "events",
    )
    writes: ClassVar[tuple[str, ...]] = ("clips.caption", "clips.caption_model", "clips.caption_start")
    resources = Resources()

    def __init__(self, config: CaptionConfig | None = None) -> None:
        self.captioner = build_captioner(config or CaptionConfig())

    def ask(self, clip: ClipFrames, tables: Tables) -> "_Asked":
        """See DeferredClipStage."""
        (row,) = records(tables["clips"])
        starts = row["start_frames"]
        start = int(starts[0]) if starts is not None and len(starts) else clip.start
        tracks = {track["object_id"]: track for track in records(tables["tracks"])}
        events = [event for event in records(tables["events"]) if event["boundary"] == "frame"]
        facts = []
        for item in records(tables["objects"]):
            track = tracks.get(item["object_id"])
            masks = object_masks(clip, track) if track else None
            own = [event for event in events if event["object_id"] == item["object_id"] and event["frame"] >= start]
            if masks is not None and mask_extents(masks[start - clip.start :]).areas.any():
                facts.append(object_facts(clip, item["label"] or "object", masks, start - clip.start, own))
        row["caption_model"] = self.captioner.name
        row["caption_start"] = start
        measured = ClipFacts(row["camera_label"] or "", tuple(facts))
        return _Asked(row, caption_request(clip, start - clip.start, measured, self.captioner.sampling))

    def answer(self, asked: Sequence["_Asked"]) -> list[Tables | ModelError]:
        """See DeferredClipStage."""
        captions = self.captioner.captions([one.request for one in asked])
        return [
            caption
            if isinstance(caption, ModelError)
            else {"clips": table("clips", [one.row | {"caption": caption or None}])}
            for one, caption in zip(asked, captions, strict=True)
        ]


@dataclass(frozen=True)
class _Asked:
    """A clip's record of `clips`, which its caption is still to be added to, and what the captioner is shown."""

    row: dict[str, Any]
    request: CaptionRequest


def caption_request(clip: ClipFrames, start: int, facts: ClipFacts, sampling: PictureSampling | None) -> CaptionRequest:
    """What a captioner is shown of a clip from its clip-relative frame `start` on."""
    if sampling is None:
        nothing = np.zeros((0, 0, 0, 3), np.uint8)
        return CaptionRequest(facts, nothing, np.zeros(0, np.int64), float(clip.fps))
    frames = np.arange(start, min(clip.length, start + sampling.most_frames), sampling.every)
    size = (sampling.width, sampling.height)
    pictures = np.stack([cv2.resize(clip.frames[frame], size, interpolation=cv2.INTER_AREA) for frame in frames])
    return CaptionRequest(facts, pictures, frames - start, float(clip.fps))


def object_facts(clip: ClipFrames, label: str, masks: Masks, start: int, events: list[dict[str, Any]]) -> ObjectFacts:
    """What the masks, bool [T, h, w], and frame events of an object say of it from clip-relative frame `start` on."""
    extents = mask_extents(masks[start:])
    seen = np.flatnonzero(extents.areas)
    first, last = (_middle(extents, int(frame)) for frame in (seen[0], seen[-1]))
    dx, dy = last - first
    diagonal = float(np.hypot(clip.width, clip.height))
    displacement = float(np.hypot(dx, dy)) / diagonal
    direction = None
    if displacement >= STILL:
        direction = ("right" if dx > 0 else "left") if abs(dx) >= abs(dy) else ("down" if dy > 0 else "up")
    ordered = sorted(events, key=lambda event: event["frame"])
    return ObjectFacts(
        label=label,
        colour=colour_name(clip.frames[start + extents.areas.argmax()], masks[start + extents.areas.argmax()]),
        area=float(np.median(extents.areas[seen])) / (clip.width * clip.height),
        place=_place(first[0] / clip.width),
        last_place=_place(last[0] / clip.width),
        direction=direction,
        speed=displacement / max(1, int(seen[-1] - seen[0])) * float(clip.fps),
        seen_at_start=bool(seen[0] == 0),
        enters=tuple(event["side"] for event in ordered if event["type"] == "enter"),
        exits=tuple(event["side"] for event in ordered if event["type"] == "exit"),
    )


def colour_name(picture: np.ndarray, mask: np.ndarray) -> str | None:
    """The plain colour word that most of the masked pixels of an RGB picture go by; None when they do not agree."""
    hue, saturation, value = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[mask].T.astype(int)
    names = np.array([name for _, name in _HUES])[
        np.searchsorted([end for end, _ in _HUES], hue, side="right").clip(max=7)
    ]
    grey = (saturation < 60) | (value < 45)
    names = np.where((names == "orange") & (value < 140), "brown", names)
    names = np.where(grey, np.where(value < 70, "black", np.where(value > 180, "white", "grey")), names)
    words, counts = np.unique(names, return_counts=True)
    return str(words[counts.argmax()]) if counts.max() >= LEAST_COLOUR_SHARE * len(names) else None


def _middle(extents: Extents, frame: int) -> np.ndarray:
    x0, y0, x1, y1 = extents.boxes[frame]
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2])


def _place(share: float) -> str:
    return "left" if share < 1 / 3 else "right" if share > 2 / 3 else "centre"
