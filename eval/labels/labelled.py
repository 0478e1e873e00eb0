"""What a labelled clip is to the scorer, whoever labelled it: the renderer (everything, exactly) or a person (a part).

What is not known is None, and is then not scored; what is known and empty is an empty tuple.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from curation.contract.rle import Rle
from eval.labels.truth import EventTruth, TransitionTruth

CameraLabel = Literal["static", "handheld", "moving"]


class TrueSurface(Protocol):
    """Where the points of an object's surface are."""

    def track(self, query_frames: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Carry points float [P, 2] that lie on the object in source frames `query_frames` int [P] to every frame.

        Returns:
            points float32 [T, P, 2] in px of the source, also outside the frame and where hidden; visibility bool
            [T, P].
        """
        ...


@dataclass(frozen=True)
class LabelledObject:
    """One physical object.

    Attributes:
        name: unique within the file.
        moving: it moves by itself within its span; a resting object must not be reported, nor missed.
        start_frame, end_frame: the shot that it belongs to, half open.
        masks: COCO RLE of the part that is seen in every frame of that span, None where nothing of it is seen; the
            whole list is None when nobody labelled masks.
        surface: for point tracks; None when unknown.
    """

    name: str
    moving: bool
    start_frame: int
    end_frame: int
    masks: tuple[Rle | None, ...] | None
    surface: TrueSurface | None


@dataclass(frozen=True)
class LabelledShot:
    """Attributes: start_frame, end_frame: half open, without mixed frames; camera: None when unknown."""

    start_frame: int
    end_frame: int
    camera: CameraLabel | None


@dataclass(frozen=True)
class LabelledClip:
    """One video file and what is known of it.

    Attributes:
        name: file name, unique within the data set.
        path: of the file.
        group: what it is an example of ("static", "pan", "real" ...), for tables.
        transitions: shot changes.
        shots: spans between transitions with the camera's label.
        camera: float64 [T, 3, 3], similarity from world to frame px (far layer), for the pose error.
        objects: objects with their masks.
        objects_complete: every moving object of the file is in `objects`, so one more found is a false one.
        events: border crossings. An event's object is named in `objects`, or is a name only a person knows.
        events_complete: every border crossing of the file is in `events`.
        by_hand: a person read the labels off, so frames are good to about two.
    """

    name: str
    path: Path
    group: str
    transitions: tuple[TransitionTruth, ...] | None = None
    shots: tuple[LabelledShot, ...] | None = None
    camera: np.ndarray | None = None
    objects: tuple[LabelledObject, ...] | None = None
    objects_complete: bool = False
    events: tuple[EventTruth, ...] | None = None
    events_complete: bool = False
    by_hand: bool = False
