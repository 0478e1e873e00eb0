"""Objects and their masks over the clip: found in the start frames and on a grid of frames, followed both ways."""

from collections.abc import Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.ids import object_id
from curation.contract.mask_tube import MaskTube
from curation.contract.rle import Rle, encode_crop
from curation.contract.spans import mask_box, scale_box
from curation.contract.tables import Tables, records, table
from curation.models.masks import MasksConfig, build_masks
from curation.models.masks.protocol import MaskPrompt
from curation.models.objects import ObjectsConfig, build_detector
from curation.models.objects.motion_model import motion_model
from curation.models.objects.protocol import Detection
from curation.models.objects.stabilise import CameraPath
from curation.stages.clip_masks import Extents, cut_sides, mask_extents, uncut_middles
from curation.stages.discovery import discovery_grid
from curation.stages.join_tubes import join_pieces, join_tubes
from curation.stages.own_motion import carried_share
from curation.stages.scenery import without_scenery
from curation.stages.stage import ClipStage
from curation.stages.untangle import untangle
from curation.video.media import ClipFrames


class ObjectsOverClipConfig(Config):
    detector: ObjectsConfig = ObjectsConfig()
    masks: MasksConfig = MasksConfig()
    discovery_seconds: float = Field(default=0.5, gt=0, description="step of the grid on which objects are looked for")
    max_objects: int = Field(default=24, ge=1, description="most objects kept of a clip, those that cover most first")
    max_prompts: int = Field(
        default=60, ge=1, description="most detections followed in a clip: bounds the time it takes"
    )
    covered: float = Field(
        default=0.5, ge=0, le=1, description="share of a detection that known objects may hold already"
    )
    min_seconds: float = Field(
        default=0.4,
        ge=0,
        description="shortest time its masks must last: what is seen for half a second has no mask in its first and "
        "last frames",
    )
    join_seconds: float = Field(default=4.0, ge=0, description="longest absence after which an object is still itself")
    min_area: float = Field(
        default=0.0013,
        ge=0,
        le=1,
        description="least share of the frame, median over its life, before edges are sharpened, which takes a "
        "quarter of small ones: slivers at edges of depth are specks mostly",
    )
    min_travel: float = Field(
        default=0.015, ge=0, description="least way through the scene, share of the frame diagonal"
    )
    min_camera_share: float = Field(
        default=0.25,
        ge=0,
        description="the same, share of the camera's way in the meantime: scenery at another depth goes some of it",
    )
    min_carried: float = Field(
        default=0.3, ge=0, le=1, description="least share of frame pairs in which its picture goes along with its mask"
    )
    min_persistence: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="least overlap of its masks in neighbouring frames: waves change all the time",
    )
    min_seen: float = Field(default=0.5, ge=0, le=1, description="least share of the frames of its life it is seen in")
    min_own_travel: float = Field(
        default=0.35, ge=0, description="least way through the scene, in square roots of its area"
    )


class ObjectsOverClip(ClipStage):
    """Finds the objects of a clip and writes `objects` rows, and `tracks` rows that hold masks only."""

    name: ClassVar[str] = "objects"
    reads: ClassVar[tuple[str, ...]] = ("clips.start_frames",)
    writes: ClassVar[tuple[str, ...]] = (
        "objects.object_id",
        "objects.clip_id",
        "objects.video_id",
        "objects.query_frame",
        "objects.label",
        "objects.label_score",
        "objects.mask_area",
        "objects.mask_box",
        "objects.mask",
        "objects.object_backend",
        "objects.mask_backend",
        "tracks.object_id",
        "tracks.clip_id",
        "tracks.video_id",
        "tracks.start_frame",
        "tracks.end_frame",
        "tracks.masks",
    )

    def __init__(self, config: ObjectsOverClipConfig) -> None:
        self._config = config
        self._detector = build_detector(config.detector)
        self._masks = build_masks(config.masks)

    def __call__(self, clip: ClipFrames, tables: Tables) -> Tables:
        given = records(tables["clips"])[0]["start_frames"]
        starts = [int(frame) - clip.start for frame in (given if given is not None else [])]
        starts = [frame for frame in starts if 0 <= frame < clip.length]
        tubes = self._find(clip, starts)
        kept = clip.cache.setdefault("masks", {})
        objects, tracks = [], []
        counted: dict[int, int] = {}
        for masks, detection in tubes:
            extents = mask_extents(masks)
            query = _query_frame(extents, starts, clip)
            index = counted.get(query, 0)
            counted[query] = index + 1
            name = object_id(clip.clip_id, clip.start + query, index)
            kept[name] = masks
            objects.append(self._object_row(clip, name, query, masks, extents, detection))
            tracks.append(
                {
                    "object_id": name,
                    "clip_id": clip.clip_id,
                    "video_id": clip.video_id,
                    "start_frame": clip.start,
                    "end_frame": clip.start + clip.length,
                    "masks": [_source_rle(clip, mask) for mask in masks],
                }
            )
        return {"objects": table("objects", objects), "tracks": table("tracks", tracks)}

    def _find(self, clip: ClipFrames, starts: Sequence[int]) -> list[tuple[MaskTube, Detection]]:
        """Masks over the clip with the detection that each began with; largest first."""
        grid = discovery_grid(clip.length, clip.fps, starts, self._config.discovery_seconds)
        detections = self._detector.detect(clip, grid)
        tubes: list[tuple[MaskTube, Detection]] = []
        taken = np.zeros(clip.gray.shape, bool)
        refused = np.zeros(clip.gray.shape, bool)
        prompts = 0
        for frame in sorted(grid, key=lambda frame: -_lengths(detections[frame])):
            for detection in detections[frame]:
                area = np.count_nonzero(detection.mask)
                free = detection.mask & ~taken[frame]
                known = np.count_nonzero(detection.mask & (taken[frame] | refused[frame]))
                if known > self._config.covered * area or prompts >= self._config.max_prompts:
                    continue
                prompts += 1
                masks = self._masks.propagate(clip, MaskPrompt(frame, _solid(free), _no_points()), [taken])
                if self._is_object(clip, masks):
                    tubes.append((MaskTube.of(masks, (clip.height, clip.width)), detection))
                    taken |= masks
                else:
                    refused |= masks
        return self._finished(clip, tubes)

    def _finished(self, clip: ClipFrames, tubes: list[tuple[MaskTube, Detection]]) -> list[tuple[MaskTube, Detection]]:
        """One tube for each object, largest first."""
        tubes = without_scenery(clip, tubes)  # first: an object that goes with a pole for a while is no piece of it
        tubes = untangle(clip, tubes, self._masks)
        tubes = join_tubes(clip, join_pieces(clip, tubes), self._config.join_seconds)
        tubes = [tube for tube in tubes if self._is_large(clip, tube[0])]
        tubes.sort(key=lambda tube: -mask_extents(tube[0]).areas.sum())
        tubes = tubes[: self._config.max_objects]
        alone = [masks for masks, _ in tubes]
        return [
            (self._masks.sharpened(clip, masks, alone[:index] + alone[index + 1 :]), detection)
            for index, (masks, detection) in enumerate(tubes)
        ]

    def _is_large(self, clip: ClipFrames, masks: MaskTube) -> bool:
        areas = mask_extents(masks).areas
        return bool(np.median(areas[areas > 0]) >= self._config.min_area * clip.width * clip.height)

    def _is_object(self, clip: ClipFrames, masks: np.ndarray) -> bool:
        """It lives long enough, and its way through the scene is long enough for its size."""
        extents = mask_extents(masks)
        seen = np.flatnonzero(extents.areas)
        if len(seen) < max(3, self._config.min_seconds * float(clip.fps)):
            return False
        centres = uncut_middles(extents.boxes, (clip.width, clip.height))[seen]
        path = motion_model(clip).path
        placed = np.stack(
            [
                cv2.perspectiveTransform(centre[None, None], path.to_scene[frame])[0, 0]
                for centre, frame in zip(centres, seen, strict=True)
            ]
        )
        smooth = np.stack([np.median(placed[max(0, i - 2) : i + 3], axis=0) for i in range(len(placed))])
        travel = float(np.linalg.norm(smooth.max(0) - smooth.min(0)))
        size = float(np.sqrt(np.median(extents.areas[seen])))
        diagonal = float(np.hypot(clip.width, clip.height))
        if travel < self._config.min_travel * diagonal or travel < self._config.min_own_travel * size:
            return False
        if travel < self._config.min_camera_share * _camera_way(path, centres[0], seen):
            return False
        if shape_persistence(masks, seen) < self._config.min_persistence:
            return False
        if len(seen) < self._config.min_seen * (seen[-1] - seen[0] + 1):
            return False
        return carried_share(clip, masks, extents) >= self._config.min_carried

    def _object_row(
        self, clip: ClipFrames, name: str, query: int, masks: MaskTube, extents: Extents, detection: Detection
    ) -> dict[str, Any]:
        box = [int(value) for value in extents.boxes[query]]
        return {
            "object_id": name,
            "clip_id": clip.clip_id,
            "video_id": clip.video_id,
            "query_frame": clip.start + query,
            "label": detection.label,
            "label_score": detection.score,
            "mask_area": float(extents.areas[query]) / (clip.width * clip.height),
            "mask_box": scale_box(box, *clip.scale, clip.source_width, clip.source_height),
            "mask": _source_rle(clip, masks[query]),
            "object_backend": self._detector.name,
            "mask_backend": self._masks.name,
        }


def _camera_way(path: CameraPath, centre: np.ndarray, seen: np.ndarray) -> float:
    """How far, at most, the camera takes the ground at `centre` [2] of the first of frames `seen` until another, px."""
    first = int(seen[0])
    return max(float(np.linalg.norm(path.way(centre, first, int(frame)))) for frame in seen)


def shape_persistence(masks: np.ndarray, seen: np.ndarray) -> float:
    """Median IoU of the masks of neighbouring frames laid over one another, 0..1."""
    pairs = [frame for frame in seen[:-1] if masks[frame + 1].any()]
    pairs = pairs[:: max(1, len(pairs) // 30)]
    if not pairs:
        return 0.0
    overlaps = []
    for frame in pairs:
        a, b = _centred(masks[frame]), _centred(masks[frame + 1])
        height, width = np.maximum(a.shape, b.shape)
        a, b = _padded(a, height, width), _padded(b, height, width)
        overlaps.append(np.count_nonzero(a & b) / np.count_nonzero(a | b))
    return float(np.median(overlaps))


def _centred(mask: np.ndarray) -> np.ndarray:
    """The mask cut out, its centre of mass in the middle."""
    ys, xs = np.nonzero(mask)
    y, x = round(ys.mean()), round(xs.mean())
    tall, wide = int(np.abs(ys - y).max()), int(np.abs(xs - x).max())
    cut = np.zeros((2 * tall + 1, 2 * wide + 1), bool)
    cut[ys - y + tall, xs - x + wide] = True
    return cut


def _padded(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    y, x = (height - mask.shape[0]) // 2, (width - mask.shape[1]) // 2
    return np.pad(mask, ((y, y), (x, x)))


def _lengths(detections: Sequence[Detection]) -> float:
    """Sum of the square roots of their areas: large where objects are whole, and apart rather than in one piece."""
    return sum(float(np.sqrt(np.count_nonzero(detection.mask))) for detection in detections)


def _solid(mask: np.ndarray) -> np.ndarray:
    """The mask without the slivers that cutting known objects out of it leaves; itself if nothing else remains."""
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    return opened if opened.any() else mask


def _no_points() -> np.ndarray:
    return np.zeros((0, 2), np.float32)


def _query_frame(extents: Extents, starts: Sequence[int], clip: ClipFrames) -> int:
    """A start frame that shows the object whole at its usual size, or else one from which it changes least either way.

    That is a frame of middling size (in logarithm) among those that show it whole, as near as can be to the middle of
    their time: points have to be followed from there to both ends, and an object that recedes shrinks several times.
    """
    areas = extents.areas.astype(np.float64)
    whole = np.where(cut_sides(extents.boxes, (clip.width, clip.height)).any(axis=1), 0, areas)
    if not whole.any():
        return int(areas.argmax())
    frames = np.flatnonzero(whole)
    logs = np.log(whole[frames])
    # Much larger than usual is a mask that holds another object too.
    usual = float(np.median(logs))
    good = [frame for frame in starts if whole[frame] and abs(np.log(whole[frame]) - usual) <= np.log(2)]
    if good:
        return min(good, key=lambda frame: (abs(np.log(whole[frame]) - usual), frame))
    # A tenth at either end is left out: there a mask is often still growing or already failing.
    low, high = np.percentile(logs, [10, 90])
    off = np.abs(logs - (low + high) / 2)
    middling = frames[off <= off.min() + 0.1 * (high - low) + 0.05]
    return int(middling[np.abs(middling - frames.mean()).argmin()])


def _source_rle(clip: ClipFrames, mask: np.ndarray) -> Rle | None:
    """Run lengths at source size, as `ClipFrames.mask_to_source` would enlarge it; None for an empty mask."""
    box = mask_box(mask)
    if box is None:
        return None
    x0, y0, x1, y1 = scale_box(
        [box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1], *clip.scale, clip.source_width, clip.source_height
    )
    scale_x, scale_y = clip.scale
    u0, v0, u1, v1 = max(0, box[0] - 2), max(0, box[1] - 2), box[2] + 2, box[3] + 2
    # Source pixel X lies at (X + 0.5) / scale - 0.5 of the working picture.
    place = np.array(
        [[1 / scale_x, 0, (x0 + 0.5) / scale_x - 0.5 - u0], [0, 1 / scale_y, (y0 + 0.5) / scale_y - 0.5 - v0]]
    )
    crop = mask[v0:v1, u0:u1].astype(np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    large = cv2.warpAffine(crop, place, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return encode_crop(large > 0.5, x0, y0, clip.source_height, clip.source_width)
