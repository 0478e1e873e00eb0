"""Tracks of every query point through its clip, kept only where they are right: there and back, and on the object."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.mask_tube import Masks
from curation.contract.tables import Tables, records, table
from curation.models.tracking import TrackingConfig, build_tracker
from curation.models.tracking.protocol import PointTracker
from curation.stages.clip_masks import object_masks
from curation.stages.stage import ClipStage
from curation.video.media import ClipFrames


class TracksConfig(Config):
    """Defaults are the recipe's sections 7 to 9 unless it says otherwise."""

    cycle_frames: int = Field(default=170, ge=1, description="most frames over which a point is tracked back")
    least_cycle_frames: int = Field(
        default=50, ge=0, description="with fewer frames ahead, the cycle goes through the frames before, if more"
    )
    cycle_share: float = Field(
        default=0.04, gt=0, description="a return further from the origin drops the point, share of the frame height"
    )
    mask_px: float = Field(
        default=6.0, ge=0, description="working px by which a visible point may be off its mask (not in the recipe)"
    )
    mask_frames: int = Field(
        default=3, ge=0, description="frames off the mask after which a point is dropped (recipe: any)"
    )


class Tracks(ClipStage):
    """Tracks all query points of all objects and drops those that fail a check, from every column alike.

    Where a point lies on its object's mask it is written as seen, even if the tracker had lost it there: it is then as
    good as the other points that carried it along. What share of an object's points was dropped stands in
    `objects.cycle_lost` and `objects.mask_lost`; whether that is too much is for the rules to say.
    """

    name: ClassVar[str] = "tracks"
    reads: ClassVar[tuple[str, ...]] = ("objects.object_id", "objects.query_points", "tracks.masks")
    writes: ClassVar[tuple[str, ...]] = (
        "objects.query_points",
        "objects.cycle_lost",
        "objects.mask_lost",
        "tracks.points",
        "tracks.visibility",
        "tracks.cycle_error_px",
        "tracks.speed",
        "tracks.track_backend",
    )

    def __init__(
        self,
        config: TracksConfig | None = None,
        tracking: TrackingConfig | None = None,
        tracker: PointTracker | None = None,
    ) -> None:
        self.config = config or TracksConfig()
        self.tracker = tracker or build_tracker(tracking or TrackingConfig())

    def __call__(self, clip: ClipFrames, tables: Tables) -> Tables:
        objects, tracks = records(tables["objects"]), records(tables["tracks"])
        of_object = {item["object_id"]: item for item in objects}
        queries, masks, owners = [], [], []
        for track in tracks:
            mask = object_masks(clip, track)
            for query in of_object[track["object_id"]]["query_points"] or []:
                queries.append((query["frame"] - clip.start, query["x"], query["y"]))
                masks.append(mask)
                owners.append(track["object_id"])
        query_array = np.array(queries, np.float32).reshape(-1, 3)
        points, visible = self.tracker.track(clip, query_array, masks)
        ends = cycle_ends(query_array[:, 0].astype(int), visible, self.config)
        errors = self._cycle_errors(clip, query_array, masks, points, ends)
        returned = errors <= self.config.cycle_share * clip.source_height
        stays = _stays_on_mask(clip, points, visible, masks, self.config)
        seen = visible | _on_mask(clip, points, masks)
        owner = np.array(owners, dtype=object)
        for track in tracks:
            item = of_object[track["object_id"]]
            mine = np.flatnonzero(owner == track["object_id"])
            kept = mine[returned[mine] & stays[mine]]
            item["query_points"] = [item["query_points"][index - mine[0]] for index in kept]
            item["cycle_lost"] = _share(~returned[mine])
            item["mask_lost"] = _share(~stays[mine[returned[mine]]])
            track["points"] = points[:, kept]
            track["visibility"] = seen[:, kept]
            track["cycle_error_px"] = errors[kept].astype(np.float32)
            track["speed"] = track_speed(
                points[:, kept], query_array[kept, 0].astype(int), ends[kept], clip.source_width * clip.source_height
            )
            track["start_frame"], track["end_frame"] = clip.start, clip.start + clip.length
            track["track_backend"] = self.tracker.name
        return {"objects": table("objects", objects), "tracks": table("tracks", tracks)}

    def _cycle_errors(
        self,
        clip: ClipFrames,
        queries: np.ndarray,
        masks: Sequence[Masks | None],
        points: np.ndarray,
        ends: np.ndarray,
    ) -> np.ndarray:
        """Distance between each query point and where tracking back from its end frame leads, float64 [N], source px.

        Points whose cycles overlap go together, each group through no more frames than it needs.
        """
        errors = np.zeros(len(queries))
        begins = queries[:, 0].astype(int)
        groups: dict[int, list[int]] = defaultdict(list)
        for index, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            if begin != end:
                groups[min(begin, end) // self.config.cycle_frames].append(index)
        for group in groups.values():
            index = np.array(group)
            first = int(min(begins[index].min(), ends[index].min()))
            last = int(max(begins[index].max(), ends[index].max()))
            part, part_masks = _cut(clip, [masks[i] for i in group], first, last + 1)
            back = np.column_stack([ends[index] - first, points[ends[index], index]]).astype(np.float32)
            found, _ = self.tracker.track(part, back, part_masks)
            origin = found[begins[index] - first, np.arange(len(index))]
            errors[index] = np.linalg.norm(origin - queries[index, 1:], axis=1)
        return errors


def cycle_ends(begins: np.ndarray, visible: np.ndarray, config: TracksConfig) -> np.ndarray:
    """The frame in which each point's cycle turns back, int64 [N]: the last in reach in which it is seen.

    Args:
        begins: int [N] query frames.
        visible: bool [T, N].
    """
    frames = visible.shape[0]
    ends = begins.astype(np.int64)
    for index, begin in enumerate(begins):
        ahead, behind = frames - 1 - begin, begin
        if ahead >= min(config.least_cycle_frames, behind):
            seen = np.flatnonzero(visible[begin : begin + config.cycle_frames + 1, index])
            ends[index] = begin + seen[-1] if seen.size else begin
        else:
            first = max(0, begin - config.cycle_frames)
            seen = np.flatnonzero(visible[first : begin + 1, index])
            ends[index] = first + seen[0] if seen.size else begin
    return ends


def track_speed(points: np.ndarray, begins: np.ndarray, ends: np.ndarray, frame_area: int) -> float | None:
    """The recipe's object speed (section 8): mean over points of |p_end - p_begin| / frames, * 100000 / frame area.

    Args:
        points: float32 [T, P, 2], source px.
        begins, ends: int [P], first and last frame of the part that counts.

    Returns:
        None when no point was followed over at least one frame.
    """
    moved = np.flatnonzero(begins != ends)
    if moved.size == 0:
        return None
    distance = np.linalg.norm(points[ends[moved], moved] - points[begins[moved], moved], axis=1)
    return float((distance / np.abs(ends[moved] - begins[moved])).mean() * 100_000 / frame_area)


def _stays_on_mask(
    clip: ClipFrames,
    points: np.ndarray,
    visible: np.ndarray,
    masks: Sequence[Masks | None],
    config: TracksConfig,
) -> np.ndarray:
    """Whether each point, where it claims to be seen, stays on its object's mask but for a few frames, bool [N]."""
    columns, rows = _pixels(clip, points)
    off = np.zeros(visible.shape, bool)
    size = 2 * round(config.mask_px) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    for stack, index in _by_mask(masks):
        bare = visible[:, index] & ~_at(stack, rows[:, index], columns[:, index])
        # Widening a mask costs more than looking: only where a point is off the mask as it is.
        for frame in np.flatnonzero(bare.any(axis=1)):
            wide = cv2.dilate(stack[frame].astype(np.uint8), kernel).astype(bool)
            off[frame, index] = visible[frame, index] & ~wide[rows[frame, index], columns[frame, index]]
    return off.sum(axis=0) <= config.mask_frames


def _on_mask(clip: ClipFrames, points: np.ndarray, masks: Sequence[Masks | None]) -> np.ndarray:
    """Whether points [T, N, 2] lie in the frame and on their objects' masks, bool [T, N]; never without a mask.

    There they are seen, whatever the tracker says: the mask shows what hides the object, and a tracker may have lost a
    point for blur or want of texture alone.
    """
    columns, rows = _pixels(clip, points)
    size = np.array([clip.source_width, clip.source_height])
    on = np.zeros(points.shape[:2], bool)
    for stack, index in _by_mask(masks):
        on[:, index] = _at(stack, rows[:, index], columns[:, index])
    return on & np.all((points >= -0.5) & (points < size - 0.5), axis=2)


def _pixels(clip: ClipFrames, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of working pixels, int64 [T, N], at points [T, N, 2] of the source; the nearest inside."""
    scale_x, scale_y = clip.scale
    columns = np.rint((points[..., 0] + 0.5) / scale_x - 0.5).astype(np.int64).clip(0, clip.width - 1)
    rows = np.rint((points[..., 1] + 0.5) / scale_y - 0.5).astype(np.int64).clip(0, clip.height - 1)
    return columns, rows


def _by_mask(masks: Sequence[Masks | None]) -> list[tuple[Masks, np.ndarray]]:
    """Each mask stack with the points that it belongs to, int64 [K]; points without one are left out."""
    stacks: dict[int, Masks] = {}
    groups: dict[int, list[int]] = defaultdict(list)
    for index, mask in enumerate(masks):
        if mask is not None:
            stacks[id(mask)] = mask
            groups[id(mask)].append(index)
    return [(stack, np.array(groups[key])) for key, stack in stacks.items()]


def _at(masks: Masks, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Values of bool [T, h, w] masks at [T, N] places."""
    return np.stack([mask[rows[frame], columns[frame]] for frame, mask in enumerate(masks)])


def _cut(clip: ClipFrames, masks: list[Masks | None], first: int, end: int) -> tuple[ClipFrames, list[Masks | None]]:
    """Frames [first, end) of a clip, and of masks; masks that were one array stay one."""
    part = replace(
        clip,
        start=clip.start + first,
        frames=clip.frames[first:end],
        seconds=clip.seconds[first:end],
        pictures={},
        cache={"gray": clip.gray[first:end]},
    )
    cut = {id(mask): mask[first:end] for mask in masks if mask is not None}
    return part, [None if mask is None else cut[id(mask)] for mask in masks]


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if flags.size else 0.0
