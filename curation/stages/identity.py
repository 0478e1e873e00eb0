"""Identity (ID) references: an object cut out of a few frames, as RGBA pictures."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.ids import generator
from curation.contract.mask_tube import Masks
from curation.contract.spans import mask_box
from curation.contract.tables import Tables, records, table
from curation.stages.clip_masks import Extents, mask_extents, moved, object_masks
from curation.stages.stage import ClipStage, Resources
from curation.video.media import ClipFrames


class IdentityConfig(Config):
    more: int = Field(default=3, description="further references per object; the recipe's number")
    larger_share: float = Field(
        default=0.75, description="further references come from this share of the masks, the larger ones; the recipe's"
    )
    apart_s: float = Field(default=0.5, description="least time between two references of an object")
    border: float = Field(
        default=0.01, description="masks closer to the border may be cut off and are avoided, share of the long side"
    )
    well_visible: float = Field(
        default=0.5, description="least area of the main reference's mask, share of the object's median area"
    )
    steady: float = Field(
        default=0.2,
        description="how far the area may be off the median within apart_s: else the mask lacks or holds too much",
    )
    agree_s: float = Field(
        default=0.3, description="time on either side whose masks have a say in what of a mask is the object"
    )
    pad: float = Field(default=0.05, description="space around the mask, share of its longer side")
    erode: float = Field(
        default=0.02, description="how far the edge is moved inwards, share of the square root of the mask's area"
    )


class _Cut(NamedTuple):
    image: dict[str, Any]
    box: list[int]


class IdentityReferences(ClipStage):
    """Fills `objects.identity_reference` and `objects.more_references`; null and empty for an object without masks.

    The main reference shows the object in its query frame, or in the nearest frame with a large picture in which it is
    well visible: whole, apart from the other objects, with a mask like those before and after it, as far as there is
    one. References are cut from the clip's larger pictures as long as these show the object.
    """

    name: ClassVar[str] = "identity"
    reads: ClassVar[tuple[str, ...]] = ("objects.query_frame", "tracks.points", "tracks.visibility", "tracks.masks")
    writes: ClassVar[tuple[str, ...]] = (
        "objects.identity_reference",
        "objects.identity_frame",
        "objects.identity_box",
        "objects.more_references",
    )
    resources = Resources()

    def __init__(self, config: IdentityConfig | None = None) -> None:
        self.config = config or IdentityConfig()

    def __call__(self, clip: ClipFrames, tables: Tables) -> Tables:
        tracks = {track["object_id"]: track for track in records(tables["tracks"])}
        objects = records(tables["objects"])
        known = {key: object_masks(clip, track) for key, track in tracks.items()}
        outlines = {key: mask_extents(masks) for key, masks in known.items() if masks is not None}
        for item in objects:
            masks = known.get(item["object_id"])
            others = [outline for key, outline in outlines.items() if key != item["object_id"]]
            frames = self._frames(clip, item, outlines[item["object_id"]], others) if masks is not None else []
            track = tracks.get(item["object_id"])
            cuts = []
            if masks is not None and track is not None:
                cuts = [self._cut(clip, frame, sure_part(clip, masks, track, frame, self.config)) for frame in frames]
            item["identity_reference"] = cuts[0].image if cuts else None
            item["identity_frame"] = clip.start + frames[0] if cuts else None
            item["identity_box"] = cuts[0].box if cuts else None
            item["more_references"] = [cut.image for cut in cuts[1:]]
        return {"objects": table("objects", objects)}

    def _frames(self, clip: ClipFrames, item: dict[str, Any], extents: Extents, others: list[Extents]) -> list[int]:
        """Clip-relative frames to cut references from, the main one first; empty for an object that is never seen."""
        if not extents.areas.any():
            return []
        rng = generator(clip.seed, self.name, item["object_id"])
        main = main_frame(extents, others, item["query_frame"] - clip.start, clip, self.config)
        return [main, *further_frames(extents, main, clip, self.config, rng)]

    def _cut(self, clip: ClipFrames, frame: int, mask: np.ndarray) -> _Cut:
        picture = clip.pictures[frame] if frame in clip.pictures else clip.frames[frame]
        png, box = cut_out(picture, mask, self.config)
        scale = np.tile([clip.source_width / picture.shape[1], clip.source_height / picture.shape[0]], 2)
        return _Cut({"bytes": png, "path": None}, np.rint(box * scale).astype(int).tolist())


def main_frame(extents: Extents, others: list[Extents], query: int, clip: ClipFrames, config: IdentityConfig) -> int:
    """Clip-relative frame of the main reference: as near to the query frame as the picture and the view are good."""
    seen = extents.areas > 0
    well = extents.areas >= config.well_visible * np.median(extents.areas[seen])
    with_picture = np.isin(np.arange(clip.length), list(clip.pictures))
    whole = _whole(extents, clip, config)
    clear = whole & _apart(extents, others)
    near = round(config.apart_s * float(clip.fps))
    usual = [np.median(extents.areas[max(0, frame - near) : frame + near + 1]) for frame in range(clip.length)]
    steady = np.abs(extents.areas - usual) <= config.steady * extents.areas
    for view in (clear & steady & with_picture, clear & with_picture, whole & with_picture, with_picture, seen):
        frames = np.flatnonzero(well & view)
        if frames.size:
            return int(frames[np.abs(frames - query).argmin()])
    raise AssertionError("some mask is at least as large as half of the median")


def further_frames(
    extents: Extents, main: int, clip: ClipFrames, config: IdentityConfig, rng: np.random.Generator
) -> list[int]:
    """Up to `config.more` clip-relative frames in random order of choice, apart in time.

    Whole views come before those that the border may cut, frames with a large picture before others.
    """
    seen = extents.areas > 0
    large = seen & (extents.areas >= np.quantile(extents.areas[seen], 1 - config.larger_share))
    whole = _whole(extents, clip, config)
    with_picture = np.isin(np.arange(clip.length), list(clip.pictures))
    chosen = [main]
    apart = config.apart_s * float(clip.fps)
    for frames in (large & whole & with_picture, large & whole, large & with_picture, large):
        for frame in rng.permutation(np.flatnonzero(frames)):
            if len(chosen) <= config.more and min(abs(frame - other) for other in chosen) >= apart:
                chosen.append(int(frame))
    return chosen[1:]


def _whole(extents: Extents, clip: ClipFrames, config: IdentityConfig) -> np.ndarray:
    """bool [T]: the object is seen, away from the border of the frame."""
    near = config.border * max(clip.width, clip.height)
    with np.errstate(invalid="ignore"):
        return np.all(extents.boxes[:, :2] >= near, axis=1) & np.all(
            extents.boxes[:, 2:] <= np.array([clip.width, clip.height]) - near, axis=1
        )


def _apart(extents: Extents, others: list[Extents]) -> np.ndarray:
    """bool [T]: no other object's box meets this one's."""
    apart = np.ones(len(extents.areas), bool)
    with np.errstate(invalid="ignore"):
        for other in others:
            meets = (extents.boxes[:, :2] <= other.boxes[:, 2:]) & (other.boxes[:, :2] <= extents.boxes[:, 2:])
            apart &= ~meets.all(axis=1)
    return apart


def sure_part(
    clip: ClipFrames, masks: Masks, track: Mapping[str, Any], frame: int, config: IdentityConfig
) -> np.ndarray:
    """The part of a frame's mask, bool [h, w], that half of the masks around hold too, carried along with the points.

    A shadow, a pole or the ground between legs is taken in for a moment only. Where less than half of the mask is left,
    the object turns or bends too fast to tell, and the mask stays as it is.
    """
    reach = round(config.agree_s * float(clip.fps))
    around = [masks[frame]]
    for other in range(max(0, frame - reach), min(clip.length, frame + reach + 1)):
        way = moved(track, clip.start + frame, clip.start + other)
        if other != frame and way is not None and masks[other].any():
            x, y = way / clip.scale
            shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
            around.append(cv2.warpAffine(masks[other].view(np.uint8), shift, (clip.width, clip.height)) > 0)
    sure: np.ndarray = masks[frame] & (np.mean(around, axis=0) >= 0.5)
    return sure if 2 * np.count_nonzero(sure) >= np.count_nonzero(masks[frame]) else masks[frame]


def cut_out(picture: np.ndarray, mask: np.ndarray, config: IdentityConfig) -> tuple[bytes, np.ndarray]:
    """PNG of the object on a transparent ground, and the box [x0, y0, x1, y1] of the picture that it shows.

    Masks are least sure at their edge, so the edge is moved inwards and fades out over the same distance: what is
    opaque is the object. Under alpha 0 the picture is black.

    Args:
        picture: RGB uint8 [H, W, 3].
        mask: bool [h, w], of the same frame at another size, not empty.
    """
    height, width = picture.shape[:2]
    full = cv2.resize(without_islands(mask).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    depth = cv2.distanceTransform(np.pad(full, 1).view(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    inwards = max(width / mask.shape[1], config.erode * float(np.sqrt(np.count_nonzero(full))))
    inwards = min(inwards, float(depth.max()) / 3)
    alpha = (np.clip(depth / inwards - 1, 0, 1) * 255).astype(np.uint8)

    box = mask_box(alpha > 0)
    assert box is not None, "the edge moves inwards by less than the mask is deep"
    pad = round(config.pad * max(box[2] - box[0], box[3] - box[1]))
    rows = slice(max(0, box[1] - pad), box[3] + pad)
    columns = slice(max(0, box[0] - pad), box[2] + pad)
    shown = np.array([columns.start, rows.start, min(width, columns.stop), min(height, rows.stop)])
    crop = np.dstack([picture[rows, columns, ::-1], alpha[rows, columns]])
    crop[crop[..., 3] == 0] = 0
    return cv2.imencode(".png", crop)[1].tobytes(), shown


def without_islands(mask: np.ndarray) -> np.ndarray:
    """The mask without its islands: parts of less than a quarter of the largest one's area."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[0] = 0
    return (areas >= areas.max() / 4)[labels] & mask
