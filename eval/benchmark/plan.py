"""A sample of the benchmark before it is cut: which frames of which video, and what is known of its objects in them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from curation.contract.rle import Rle
from eval.metrics.event_accuracy import Kind


@dataclass(frozen=True)
class PlannedObject:
    """Attributes: points float32 [T, P, 2] in source px; visibility bool [T, P]; masks: one a frame, or None."""

    object_id: str
    label: str
    points: np.ndarray
    visibility: np.ndarray
    masks: Sequence[Rle | None] | None


@dataclass(frozen=True)
class ClipPlan:
    """Attributes:
    video: record of the manifest videos that the frames are of.
    frames: T source frames, ascending; fps: of the clip that they become.
    region_box: half-open, source px.
    objects: the one in question first.
    side, event_frame: of the crossing, in frames of the clip; None where nobody says.
    identity: RGBA or RGB PNG; None when nothing is brought in.
    """

    sample_id: str
    kind: Kind
    video: Mapping[str, Any]
    frames: Sequence[int]
    fps: float
    caption: str
    region_box: Sequence[int]
    objects: Sequence[PlannedObject]
    side: str | None
    event_frame: int | None
    identity: bytes | None


class Source(Protocol):
    """Where samples come from.

    Attributes:
        uri: run folder, or folder of the published files.
        title: a line for the card.
        names: sample_ids of the chosen samples.
        left_out: reason -> how many samples; complete once the plans are made.
    """

    uri: str
    title: str
    names: list[str]
    left_out: dict[str, int]

    def plans(self, done: set[str]) -> Iterator[ClipPlan]:
        """The chosen samples but those already done. One whose files are damaged is left out, with its reason."""
        ...
