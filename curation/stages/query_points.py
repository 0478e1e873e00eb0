"""Points to track: spread over each object's mask in the frame where it was found and in every start frame."""

from typing import Any, ClassVar

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.ids import generator
from curation.contract.mask_tube import Masks
from curation.contract.rle import decode_mask
from curation.contract.spans import scale_points
from curation.contract.tables import Tables, records, table
from curation.models.objects.motion_model import LIKELY, motion_model
from curation.stages.clip_masks import mask_extents, object_masks
from curation.stages.stage import ClipStage
from curation.video.media import ClipFrames


class QueryPointsConfig(Config):
    """Defaults are the recipe's section 4 unless it says otherwise."""

    pixel_share: float = Field(default=0.15, gt=0, le=1, description="share of the mask's pixels that are clustered")
    fewest: int = Field(default=8, ge=1, description="points on an object of small_area or less")
    most: int = Field(default=26, ge=1, description="points on an object of large_area or more; linear in between")
    small_area: float = Field(default=0.033, ge=0, description="mask area, share of the frame")
    large_area: float = Field(default=0.40, gt=0, description="mask area, share of the frame")
    margin_px: float = Field(
        default=3.0,
        ge=0,
        description="working px that points keep from the mask's edge, where the mask is wide enough (not in the "
        "recipe): windows on the edge see the background, and masks are a pixel or two off",
    )
    sure_share: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="share of the mask that must differ from the background behind it for points to keep to that part "
        "(not in the recipe): masks close over the ground between legs",
    )
    visible_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="a start frame gets points if the mask there is at least this share of its median area (not in "
        "the recipe)",
    )
    most_share: float = Field(
        default=2.5,
        ge=1,
        description="and at most this many times its median area: else another object is in it (not in the recipe)",
    )


class QueryPoints(ClipStage):
    """Writes `objects.query_points`: k-means centres of a random share of the mask's pixels, in source px."""

    name: ClassVar[str] = "query_points"
    reads: ClassVar[tuple[str, ...]] = (
        "clips.start_frames",
        "objects.object_id",
        "objects.query_frame",
        "objects.mask",
        "tracks.masks",
    )
    writes: ClassVar[tuple[str, ...]] = ("objects.query_points",)

    def __init__(self, config: QueryPointsConfig | None = None) -> None:
        self.config = config or QueryPointsConfig()

    def __call__(self, clip: ClipFrames, tables: Tables) -> Tables:
        starts = records(tables["clips"])[0]["start_frames"]
        tracks = {track["object_id"]: track for track in records(tables["tracks"])}
        objects = records(tables["objects"])
        for item in objects:
            masks = object_masks(clip, tracks[item["object_id"]]) if item["object_id"] in tracks else None
            points = []
            for frame, mask in self._frames(clip, item, [] if starts is None else starts, masks):
                rng = generator(clip.seed, "query_points", item["object_id"], str(frame))
                sure = motion_model(clip).evidence[frame - clip.start] >= LIKELY
                points += [
                    {"frame": frame, "x": float(x), "y": float(y)}
                    for x, y in scale_points(spread_points(mask, rng, self.config, sure), *clip.scale)
                ]
            item["query_points"] = points
        return {"objects": table("objects", objects)}

    def _frames(
        self, clip: ClipFrames, item: dict[str, Any], starts: Any, masks: Masks | None
    ) -> list[tuple[int, np.ndarray]]:
        """Source frames in which the object is to be marked, with its working masks there."""
        found = int(item["query_frame"])
        if masks is None or not masks[found - clip.start].any():
            mask = cv2.resize(
                decode_mask(item["mask"]).astype(np.float32), (clip.width, clip.height), interpolation=cv2.INTER_AREA
            )
            first = (found, mask > 0.5)
        else:
            first = (found, masks[found - clip.start])
        if masks is None:
            return [first]
        areas = mask_extents(masks).areas
        usual = np.median(areas[areas > 0])
        least, most = max(1, self.config.visible_share * usual), self.config.most_share * usual
        others = [int(frame) for frame in starts if 0 <= frame - clip.start < clip.length and frame != found]
        clear = [frame for frame in others if least <= areas[frame - clip.start] <= most]
        return [first, *((frame, masks[frame - clip.start]) for frame in clear)]


def point_count(area: float, config: QueryPointsConfig) -> int:
    """Points on a mask of `area`, share of the frame: linear between the two sizes, clamped outside."""
    position = (area - config.small_area) / (config.large_area - config.small_area)
    return round(config.fewest + float(np.clip(position, 0, 1)) * (config.most - config.fewest))


def spread_points(
    mask: np.ndarray, rng: np.random.Generator, config: QueryPointsConfig, sure: np.ndarray | None = None
) -> np.ndarray:
    """Points on a bool [h, w] mask, float32 [K, 2] px, none of them outside it; K = 0 for an empty mask.

    Centres that fall off the mask (it may be a ring or have arms) are dropped; those on its rim move inside.

    Args:
        sure: bool [h, w], where points go if that is enough of the mask.
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    core = depth > min(config.margin_px, 0.5 * float(depth.max(initial=0.0)))
    if sure is not None and np.count_nonzero(core & sure) >= config.sure_share * np.count_nonzero(core):
        core &= sure
    ys, xs = np.nonzero(core)
    if xs.size == 0:
        return np.empty((0, 2), np.float32)
    pixels = np.stack([xs, ys], axis=1).astype(np.float32)
    count = min(point_count(float(mask.mean()), config), len(pixels))
    drawn = max(count, round(config.pixel_share * len(pixels)))
    sample = pixels[rng.choice(len(pixels), drawn, replace=False)]
    centres = _centres(sample, count)
    column, row = np.rint(centres).astype(int).T
    centres = centres[mask[row, column]]
    nearest = pixels[np.linalg.norm(pixels[None] - centres[:, None], axis=2).argmin(axis=1)]
    column, row = np.rint(centres).astype(int).T
    return np.where(core[row, column, None], centres, nearest).astype(np.float32)


def _centres(sample: np.ndarray, count: int) -> np.ndarray:
    """K-means centres, float32 [count, 2], of points float32 [N, 2]."""
    if count == len(sample):
        return sample
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 0.1)
    return cv2.kmeans(sample, count, np.empty(0, np.int32), stop, 1, cv2.KMEANS_PP_CENTERS)[2]
