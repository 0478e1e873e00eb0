"""What the model will see of a request, as pixels: the same for the preview and for the generation."""

import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from curation.contract.errors import UsageError
from curation.stages.identity import IdentityConfig, cut_out
from inference.pictures import read_picture
from inference.request import Identity, Request
from inference.segmentation import segment_identity
from training.conditioning.canvas import Box
from training.conditioning.identity import place_identity
from training.conditioning.trajectory import draw_trajectories


@dataclass(frozen=True)
class Conditions:
    """Pixels are uint8 RGB in 0..255, all at canvas size.

    Attributes:
        first_frame: [H, W, 3], black outside the region box.
        region_box: half-open [x0, y0, x1, y1] of the first frame, px.
        trajectories: [T, H, W, 3], blurred squares on white.
        identities: [N, H, W, 3], one for each ID picture; a black one where there is none and the model expects one.
    """

    first_frame: np.ndarray
    region_box: Box
    trajectories: np.ndarray
    identities: np.ndarray


def preview_conditions(request: Request) -> Conditions:
    """The exact conditions of a generation, without any model.

    Raises:
        UsageError: a picture cannot be read, or nothing is left of an ID picture.
    """
    request = request.resolved()
    width, height = request.size
    tracks = request.tracks()
    return Conditions(
        first_frame=_first_frame(request),
        region_box=request.region_box,
        trajectories=draw_trajectories(tracks, (height, width), (height, width), request.spec.dot_radius),
        identities=_identities(request),
    )


def identity_crop(identity: Identity) -> np.ndarray:
    """uint8 [h, w, 4] RGBA: the object cut out of its picture.

    Raises:
        UsageError: the picture cannot be read, says nowhere what to keep, or the prompt selects nothing.
    """
    picture = read_picture(identity.picture)
    if identity.box is None and not identity.clicks:
        if picture.shape[2] == 4:
            if not picture[..., 3].any():
                raise UsageError(f"{identity.picture}: is wholly transparent")
            return picture
        raise UsageError(f"{identity.picture}: say what to keep of it, by box or clicks, or make the rest transparent")
    mask = segment_identity(picture[..., :3], identity.box, identity.clicks, identity.segmenter)
    if not mask.any():
        raise UsageError(f"{identity.picture}: nothing was found at the box or clicks; move them, or add more")
    png, _ = cut_out(np.ascontiguousarray(picture[..., :3]), mask, IdentityConfig())
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def _first_frame(request: Request) -> np.ndarray:
    picture = read_picture(request.first_frame.picture)[..., :3]
    size = (request.first_frame.width, request.first_frame.height)
    shrinks = size[0] * size[1] < picture.shape[0] * picture.shape[1]
    resized = cv2.resize(
        np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    width, height = request.size
    x0, y0, x1, y1 = request.region_box
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[y0:y1, x0:x1] = resized
    return canvas


def _identities(request: Request) -> np.ndarray:
    width, height = request.size
    stretch = bool(request.legacy_stretch)
    crops = [identity_crop(identity) for item in request.objects for identity in item.identities]
    placed = [place_identity(crop, (height, width), legacy_stretch=stretch) for crop in crops]
    if not placed and request.spec.identity:
        placed = [place_identity(None, (height, width))]
    return np.stack(placed) if placed else np.zeros((0, height, width, 3), np.uint8)
