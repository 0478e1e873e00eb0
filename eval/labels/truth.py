"""What is known of a rendered clip, exactly, because we rendered it."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from eval.labels.scene import JoinKind
from eval.labels.sway import RIGID, Sway

SIDES = ("left", "right", "top", "bottom")


@dataclass(frozen=True)
class EventTruth:
    """An object crosses the frame border.

    Attributes:
        type: enter / exit.
        side: left / right / top / bottom.
        frame: enter: first frame in which any part is visible inside; exit: last such frame.
        first, last: the frames from the first to the last in which the border cuts the object.
        hidden: it crosses behind something and is seen only away from the border: nobody can tell that it crossed.
    """

    object: str
    type: str
    side: str
    frame: int
    first: int
    last: int
    hidden: bool = False


@dataclass(frozen=True)
class TransitionTruth:
    """One shot becomes the next.

    Attributes:
        first, last: for a cut both are the first frame of the new shot; otherwise first and last mixed frame.
    """

    kind: JoinKind
    first: int
    last: int


@dataclass(frozen=True)
class PointTracks:
    """Points fixed to a surface: float32 [T, P, 2] in frame px, also outside the frame, and bool [T, P] visible."""

    points: np.ndarray
    visibility: np.ndarray


@dataclass(frozen=True)
class Surface:
    """Where every point of a sprite is: first it bends, then a similarity puts it into the frame.

    Attributes:
        matrices: float64 [T, 3, 3], sprite px to frame px.
        sway: how it bends.
        start: frame from which the sway's time counts.
    """

    matrices: np.ndarray
    sway: Sway
    start: int = 0

    def from_frame(self, points: np.ndarray, frame: int) -> np.ndarray:
        """Points [P, 2] of a frame, in px of the resting sprite."""
        moved = apply_affine(np.linalg.inv(self.matrices[frame]), np.asarray(points, np.float64))
        return self.sway.unbend(moved, frame - self.start)

    def to_frame(self, points: np.ndarray) -> np.ndarray:
        """Points [P, 2] of the resting sprite, float64 [T, P, 2] in every frame."""
        times = np.arange(len(self.matrices), dtype=np.float64)[:, None] - self.start
        bent = self.sway.bend(np.broadcast_to(points, (len(times), *np.shape(points))), times)
        return np.einsum("tij,tpj->tpi", self.matrices[:, :2, :2], bent) + self.matrices[:, None, :2, 2]


@dataclass(frozen=True)
class RenderedClip:
    """Frames and their truth. T frames of H x W px.

    Attributes:
        frames: uint8 [T, H, W, 3] RGB.
        masks: name -> bool [T, H, W], the part of the sprite that is seen (occluders are included here).
        full_masks: name -> bool [T, H, W], the part inside the frame as if nothing were in front of it.
        tracks: name -> a dozen surface points of every object.
        surfaces: name -> where its points are.
        moving: name -> it moves by itself: while it is seen some point of it goes further than 2 % of the frame's
            height, relative to the background.
        spans: name -> the shot (start, end) that it belongs to.
        events: border crossings of every object, by frame.
        camera: float64 [T, 3, 3], world px to frame px; in overlaps, the scene that is shown more.
        shots: first frame and end of every shot; mixed frames belong to the shot that is shown more.
        transitions: one for each border between shots.
    """

    fps: Fraction
    frames: np.ndarray
    masks: dict[str, np.ndarray]
    full_masks: dict[str, np.ndarray]
    tracks: dict[str, PointTracks]
    surfaces: dict[str, Surface]
    moving: dict[str, bool]
    spans: dict[str, tuple[int, int]]
    events: tuple[EventTruth, ...]
    camera: np.ndarray
    shots: tuple[tuple[int, int], ...]
    transitions: tuple[TransitionTruth, ...]

    @property
    def length(self) -> int:
        return self.frames.shape[0]

    @property
    def height(self) -> int:
        return self.frames.shape[1]

    @property
    def width(self) -> int:
        return self.frames.shape[2]

    @property
    def objects(self) -> tuple[str, ...]:
        """Names of the sprites that are objects, not scenery."""
        return tuple(self.tracks)

    def track(self, name: str, query_frame: int, points: np.ndarray) -> PointTracks:
        """True tracks of points [P, 2] that lie on object `name` in `query_frame`, frame px."""
        return surface_track(self.surfaces[name], self.masks[name], query_frame, points)

    def track_background(self, query_frame: int, points: np.ndarray) -> PointTracks:
        """True tracks of points [P, 2] that lie on the background in `query_frame`, frame px."""
        free = np.ones(self.frames.shape[:3], bool)
        for mask in self.masks.values():
            free &= ~mask
        return surface_track(Surface(self.camera, RIGID), free, query_frame, points)


def surface_track(surface: Surface, seen: np.ndarray, query_frame: int, points: np.ndarray) -> PointTracks:
    """Carry points [P, 2] from `query_frame` to every frame; visible where `seen` bool [T, H, W] is true."""
    return visible_track(surface.to_frame(surface.from_frame(points, query_frame)), seen)


def visible_track(points: np.ndarray, seen: np.ndarray) -> PointTracks:
    """Points [T, P, 2], visible where the nearest pixel of `seen` bool [T, H, W] is true."""
    visible = [visible_points(places, mask) for places, mask in zip(points, seen, strict=True)]
    return PointTracks(points.astype(np.float32), np.array(visible).reshape(points.shape[:2]))


def visible_points(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """bool [P]: which of the points [P, 2] have a nearest pixel where `seen` bool [H, W] is true."""
    height, width = seen.shape
    cells = np.rint(points).astype(np.int64)
    inside = ((cells >= 0) & (cells < (width, height))).all(axis=1)
    return inside & seen[cells[:, 1].clip(0, height - 1), cells[:, 0].clip(0, width - 1)]


def apply_affine(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [..., 2] through an affine map [3, 3]."""
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def border_events(name: str, full: np.ndarray, seen: np.ndarray, boxes: np.ndarray) -> list[EventTruth]:
    """Crossings of the frame border by one object of one shot.

    A stay is a run of frames in which the object, occluded or not, reaches into the frame; hiding behind something does
    not end it. Being there from the first frame on is no entry, and until the last frame no exit.

    Args:
        full, seen: bool [T, H, W], mask without and with occlusion.
        boxes: float64 [T, 4], x0, y0, x1, y1 around the object in frame px, not clipped to the frame.
    """
    frames, height, width = full.shape
    inside = np.asarray(full.any(axis=(1, 2)))
    visible = np.asarray(seen.any(axis=(1, 2)))
    steps = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    cut = np.stack([boxes[:, 0] < 0, boxes[:, 2] > width - 1, boxes[:, 1] < 0, boxes[:, 3] > height - 1], axis=1)
    events = []
    for start, end in steps.reshape(-1, 2).tolist():
        shown = np.flatnonzero(visible[start:end]) + start
        if shown.size == 0:
            continue
        if start > 0:
            side = _side_beyond(boxes[start - 1], width, height)
            whole = np.flatnonzero(~cut[start:end, side])
            last = start + int(whole[0]) - 1 if whole.size else end - 1
            frame = int(shown[0])
            hidden = frame != start and not _along(seen[frame], side).any()
            events.append(EventTruth(name, "enter", SIDES[side], frame, start, max(start, last), hidden))
        if end < frames:
            side = _side_beyond(boxes[end], width, height)
            whole = np.flatnonzero(~cut[start:end, side])
            first = start + int(whole[-1]) + 1 if whole.size else start
            frame = int(shown[-1])
            hidden = frame != end - 1 and not _along(seen[frame], side).any()
            events.append(EventTruth(name, "exit", SIDES[side], frame, min(end - 1, first), end - 1, hidden))
    return events


def _side_beyond(box: np.ndarray, width: int, height: int) -> int:
    """Index of the side of the frame beyond which a box lies; the widest gap decides at a corner."""
    x0, y0, x1, y1 = box
    return int(np.argmax([-x1, x0 - width, -y1, y0 - height]))


def _along(mask: np.ndarray, side: int) -> np.ndarray:
    """The row or column of bool [H, W] at one side of the frame."""
    return (mask[:, 0], mask[:, -1], mask[0], mask[-1])[side]
