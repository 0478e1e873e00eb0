"""Captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from curation.contract.errors import ModelError


@dataclass(frozen=True)
class ObjectFacts:
    """What was measured of one object, for a caption.

    Attributes:
        label: class name, 'object' if unknown.
        colour: name of its dominant colour, or None.
        area: mask area / frame area.
        place, last_place: where it is first and last seen: 'left' / 'centre' / 'right' of the frame.
        direction: main direction of motion, 'left' / 'right' / 'up' / 'down' / None when it hardly moves.
        speed: displacement in frame diagonals per second.
        seen_at_start: it is in view in the first frame, so that an exit comes before any entry.
        enters, exits: frame sides that it comes in and goes out by, in order.
    """

    label: str
    colour: str | None
    area: float
    place: str
    last_place: str
    direction: str | None
    speed: float
    seen_at_start: bool
    enters: tuple[str, ...]
    exits: tuple[str, ...]


@dataclass(frozen=True)
class ClipFacts:
    camera_label: str
    objects: tuple[ObjectFacts, ...]


@dataclass(frozen=True)
class PictureSampling:
    """Which pictures a captioner wants: one in `every` frames, of at most `most_frames`, each `width` x `height` px."""

    every: int
    most_frames: int
    width: int
    height: int


@dataclass(frozen=True)
class CaptionRequest:
    """What is to be captioned, small enough to be kept until a whole shard is asked at once.

    Attributes:
        facts: what was measured.
        pictures: uint8 [N, h, w, 3] RGB, as the captioner's `sampling` asks; N is 0 when it asks for none.
        frames: int64 [N], frame of each picture from where the caption begins.
        fps: frames per second of the source.
    """

    facts: ClipFacts
    pictures: np.ndarray
    frames: np.ndarray
    fps: float


class Captioner(Protocol):
    name: str
    """Backend and revision, for the manifests."""

    @property
    def sampling(self) -> PictureSampling | None:
        """The pictures that it wants to see; None for none."""
        ...

    def captions(self, requests: Sequence[CaptionRequest]) -> list[str | ModelError]:
        """One line of plain text for each request, in order; or why there is none, which costs that clip alone."""
        ...
