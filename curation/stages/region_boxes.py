"""Region boxes of every object at every start frame: such that exclude it, and such that it leaves."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.ids import generator
from curation.contract.tables import Tables, records, table
from curation.stages.box_sampler import (
    SIDES,
    any_boxes,
    containing_boxes,
    distinct,
    excluding_boxes,
    waiting_side,
)
from curation.stages.clip_masks import Outlined, mask_extents, moved, object_masks
from curation.stages.stage import ClipStage, Resources
from curation.stages.surroundings import Surroundings
from curation.video.media import ClipFrames


class RegionBoxesConfig(Config):
    """Numbers without another source are the recipe's (Frame In-N-Out v1.5, In-N-Out step)."""

    candidates: int = Field(default=2000, description="boxes drawn per object and start frame")
    keep: int = Field(default=15, description="boxes kept per object and start frame")
    margin: float = Field(
        default=15 / 720, description="least distance from the object, share of the shorter side: 15 px at 720p"
    )
    piece_gap: float = Field(
        default=1.0,
        description="what comes nearer to the object, share of its size, may be a part of it and is excluded too; ours",
    )
    side_min_height: float = Field(
        default=0.25,
        description="least height where the recipe's does not fit beside the object, share of the canvas; ours",
    )
    least_side_px: int = Field(default=48, description="least width and height of a box, px; ours")
    duplicate_iou: float = Field(default=0.9, description="boxes that overlap a larger one by more are left out; ours")
    least_area: float = Field(default=5e-5, description="smallest mask that counts as seen, share of the frame; ours")
    around_s: float = Field(
        default=0.5,
        description="time on either side of a start frame in which the masks say what this one may lack; ours",
    )
    doubt_s: float = Field(
        default=0.2, description="time before the first mask of what enters in which it may be there already; ours"
    )
    least_whole: float = Field(
        default=0.6,
        description="least area of the mask, share of the median within a second: else it lacks parts; ours",
    )
    least_usual: float = Field(
        default=0.5, description="least area of the mask, share of the median over the clip: the same for longer; ours"
    )
    unknown_share: float = Field(
        default=0.25,
        description="least area of foreground that no object claims, share of an entrant's median, at which it may "
        "be the entrant before it left; ours",
    )
    missing_share: float = Field(
        default=0.1,
        description="the same near an object that is seen, at which it may be a part that the mask lacks; ours",
    )
    outside_s: float = Field(default=0.1, description="time wholly outside a box that counts as having left it; ours")


class RegionBoxes(ClipStage):
    """Fills `objects.starts`, with one entry per start frame of the clip.

    An object that is seen in the start frame gets boxes that exclude it and what is near it, each with the side of
    the box on which it waits, and boxes that hold all of it and that it leaves before the clip ends. An object that
    enters the frame later gets boxes that it will enter, and that hold nothing which may be this object before it left.
    One that is partly or all hidden or lost in the start frame, or that is about to enter, gets none.
    """

    name: ClassVar[str] = "region_boxes"
    reads: ClassVar[tuple[str, ...]] = (
        "clips.start_frames",
        "objects.object_id",
        "tracks.points",
        "tracks.visibility",
        "tracks.masks",
        "events",
    )
    writes: ClassVar[tuple[str, ...]] = ("objects.starts",)
    resources = Resources()

    def __init__(self, config: RegionBoxesConfig | None = None) -> None:
        self.config = config or RegionBoxesConfig()

    def __call__(self, clip: ClipFrames, tables: Tables) -> Tables:
        start_frames = [int(frame) for frame in records(tables["clips"])[0]["start_frames"]]
        tracks = {track["object_id"]: track for track in records(tables["tracks"])}
        events = records(tables["events"])
        objects = records(tables["objects"])
        margin = self.config.margin * min(clip.source_width, clip.source_height)
        known = {name: object_masks(clip, track) for name, track in tracks.items()}
        outlined = {name: Outlined(masks, mask_extents(masks)) for name, masks in known.items() if masks is not None}
        for item in objects:
            name = item["object_id"]
            item["starts"] = []
            if name in outlined:
                others = [other for key, other in outlined.items() if key != name]
                own_events = [event for event in events if event["object_id"] == name]
                surroundings = Surroundings(clip, outlined[name], others, margin / clip.scale[0])
                item["starts"] = self._starts(surroundings, start_frames, tracks[name], own_events, margin)
        return {"objects": table("objects", objects)}

    def _starts(
        self,
        surroundings: Surroundings,
        start_frames: list[int],
        track: Mapping[str, Any],
        events: list[dict[str, Any]],
        margin: float,
    ) -> list[dict[str, Any]]:
        clip = surroundings.clip
        around, doubt = (round(time * float(clip.fps)) for time in (self.config.around_s, self.config.doubt_s))
        areas, boxes = surroundings.own.extents
        boxes = boxes * np.tile(clip.scale, 2)
        boxes[areas < self.config.least_area * clip.width * clip.height] = np.nan

        starts = []
        for frame in start_frames:
            rng = generator(clip.seed, self.name, track["object_id"], str(frame))
            index = frame - clip.start
            crossings = [(event["frame"], event["type"]) for event in events if event["boundary"] == "frame"]
            later = [kind for at, kind in crossings if at > frame]
            earlier = [kind for at, kind in crossings if at <= frame]
            after = boxes[index + 1 :]
            after = after[~np.isnan(after[:, 0])]
            start: dict[str, Any] = {"start_frame": frame, "region_boxes": [], "region_sides": [], "leave_boxes": []}
            if not np.isnan(boxes[index, 0]):
                if not self._whole(surroundings, index):
                    starts.append(start)
                    continue
                size = float(np.sqrt(np.prod(boxes[index, 2:] - boxes[index, :2])))
                held = held_area(carried_box(boxes, index, track, clip.start, around), track, frame, margin)
                near = surroundings.parts(index, max(margin, self.config.piece_gap * size), self.config.missing_share)
                whole = box_around([held, *(margin_around(box, margin) for box in near)])
                start["region_boxes"], start["region_sides"] = boxes_beside(
                    whole, (clip.source_width, clip.source_height), self.config, rng
                )
                start["leave_boxes"] = self._left(clip, held, after, "exit" in later, rng)
            elif (
                later[:1] == ["enter"]
                and (earlier[-1:] == ["exit"] or np.isnan(boxes[:index, 0]).all())
                and min(at for at, _ in crossings if at > frame) > frame + max(1, doubt)
            ):
                first = index + 1 + int(np.argmax(~np.isnan(boxes[index + 1 :, 0])))
                gone = surroundings.gone(index, first, self.config.unknown_share)
                start["region_boxes"], start["region_sides"] = self._entered(clip, after, gone, rng)
            starts.append(start)
        return starts

    def _whole(self, of: Surroundings, index: int) -> bool:
        """Whether the mask is about as large as those before and after it, and not far smaller than most."""
        second = max(1, round(float(of.clip.fps)))
        around = of.areas[max(0, index - second) : index + second + 1]
        least = self.config.least_whole * float(np.median(around[around > 0]))
        return bool(of.areas[index] >= max(least, self.config.least_usual * of.usual))

    def _left(
        self, clip: ClipFrames, held: np.ndarray, after: np.ndarray, leaves_frame: bool, rng: np.random.Generator
    ) -> list[list[int]]:
        """Boxes that contain the object and that it leaves: all that contain it, if it leaves even the frame."""
        canvas = (clip.source_width, clip.source_height)
        drawn = _big(containing_boxes(held, canvas, self.config.candidates, rng), self.config)
        if not leaves_frame:
            outside = np.any(
                (after[None, :, :2] >= drawn[:, None, 2:]) | (after[None, :, 2:] <= drawn[:, None, :2]), axis=2
            )
            drawn = drawn[outside.sum(axis=1) >= max(1, round(self.config.outside_s * float(clip.fps)))]
        kept = distinct(drawn, self.config.duplicate_iou, self.config.keep).tolist()
        return [*kept, [0, 0, *canvas]] if leaves_frame else kept

    def _entered(
        self, clip: ClipFrames, after: np.ndarray, gone: list[np.ndarray], rng: np.random.Generator
    ) -> tuple[list[list[int]], list[str]]:
        """Boxes that the middle of an object comes into which is not in the frame yet, and that `gone` is not in."""
        canvas = (clip.source_width, clip.source_height)
        drawn = _big(any_boxes(canvas, self.config.candidates, rng), self.config)
        for box in gone:
            drawn = drawn[np.any((drawn[:, 2:] <= box[:2]) | (drawn[:, :2] >= box[2:]), axis=1)]
        middle = (after[None, :, :2] + after[None, :, 2:]) / 2
        inside = np.all((middle >= drawn[:, None, :2]) & (middle < drawn[:, None, 2:]), axis=2)
        kept = distinct(drawn[inside.any(axis=1)], self.config.duplicate_iou, self.config.keep)
        return kept.tolist(), [entered_from(after, box) for box in kept]


def boxes_beside(
    held: np.ndarray, canvas: tuple[int, int], config: RegionBoxesConfig, rng: np.random.Generator
) -> tuple[list[list[int]], list[str]]:
    """Boxes that exclude what takes up `held` [4], and the side of each on which it waits.

    The largest ones of each side in turn; which side begins is drawn, so that none is favoured.
    """
    by_side = []
    for side in SIDES:
        drawn = excluding_boxes(held, side, canvas, config.side_min_height, config.candidates // len(SIDES), rng)
        kept = distinct(_big(drawn, config), config.duplicate_iou, config.keep)
        by_side.append([(box, side) for box in kept])
    order = rng.permutation(len(SIDES))
    turns = [by_side[i][turn] for turn in range(config.keep) for i in order if turn < len(by_side[i])]
    return [box.tolist() for box, _ in turns[: config.keep]], [side for _, side in turns[: config.keep]]


def _big(boxes: np.ndarray, config: RegionBoxesConfig) -> np.ndarray:
    return boxes[(boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= config.least_side_px]


def carried_box(boxes: np.ndarray, index: int, track: Mapping[str, Any], clip_start: int, reach: int) -> np.ndarray:
    """The box [4] around the object's box in a frame and those of the frames around, carried along with its points.

    A mask that lacks a part for a moment is as wide there as those before and after it, and a part that is missing
    does not move the points.

    Args:
        boxes: [T, 4] over the clip, nan where the object is not seen; px of the source, as the track's points.
        index: of the frame in the clip, which begins at the source's frame `clip_start`.
        reach: most frames between the frame and those around.
    """
    carried = [boxes[index]]
    for other in range(max(0, index - reach), min(len(boxes), index + reach + 1)):
        way = moved(track, clip_start + index, clip_start + other)
        if way is not None and not np.isnan(boxes[other, 0]):
            carried.append(boxes[other] + np.tile(way, 2))
    return box_around(carried)


def box_around(boxes: Sequence[np.ndarray]) -> np.ndarray:
    """The box [4] around boxes [4]."""
    return np.concatenate([np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]])


def held_area(box: np.ndarray, track: Mapping[str, Any], frame: int, margin: float) -> np.ndarray:
    """The box [4] that an object takes up in a source frame: mask and visible points, with `margin` px around."""
    index = frame - track["start_frame"]
    seen = track["points"][index][track["visibility"][index]] if 0 <= index < len(track["points"]) else np.empty((0, 2))
    # Without any point, the nested lists of the table have lost the last axis' length.
    corners = np.concatenate([box.reshape(2, 2), seen.reshape(-1, 2)], axis=0)
    return margin_around(np.concatenate([corners.min(axis=0), corners.max(axis=0)]), margin)


def margin_around(box: np.ndarray, margin: float) -> np.ndarray:
    """The box [4] with `margin` px around."""
    return box + np.array([-margin, -margin, margin, margin])


def entered_from(boxes: np.ndarray, region: np.ndarray) -> str:
    """The side by which the object with these mask boxes [K, 4], in order of time, comes into `region` [4]."""
    inside = np.all((boxes[:, :2] < region[2:]) & (boxes[:, 2:] > region[:2]), axis=1)
    return waiting_side(boxes[max(0, int(inside.argmax()) - 1)], region)
