"""Captions."""

from dataclasses import dataclass
from typing import Protocol

from curation.video.media import ClipFrames


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


class Captioner(Protocol):
    name: str
    """Backend and revision, for the manifests."""

    def caption(self, clip: ClipFrames, facts: ClipFacts) -> str:
        """One line of plain text."""
        ...
