"""Which pixels of an ID picture are the object, by a box, by clicks, or by both."""

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

from curation.contract.errors import UsageError

Box = Sequence[float]


class ClickLike(Protocol):
    """A place, px, that belongs to the object (keep) or does not."""

    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...
    @property
    def keep(self) -> bool: ...


class Segmenter(Protocol):
    """Finds the object that a box or clicks point at."""

    def __call__(self, picture: np.ndarray, box: Box | None, clicks: Sequence[ClickLike]) -> np.ndarray:
        """bool [H, W]; may be empty.

        Args:
            picture: uint8 [H, W, 3] RGB.
            box: [x0, y0, x1, y1] px around the object, wholly or partly on the picture, or None.
            clicks: on the picture; at least one keeps when there is no box.
        """
        ...


def segment_identity(
    picture: np.ndarray,
    box: Box | None = None,
    clicks: Sequence[ClickLike] = (),
    segmenter: Literal["grabcut", "sam2"] = "grabcut",
) -> np.ndarray:
    """bool [H, W] mask of the object that the box or the clicks point at.

    Args:
        picture: uint8 [H, W, 3] RGB.
        box: [x0, y0, x1, y1] px around the object.
        clicks: places on the object, and off it.
        segmenter: grabcut works everywhere; sam2 needs weights on this machine.

    Raises:
        UsageError: neither a box nor a click on the object is given, or one lies off the picture.
        BackendUnavailableError: sam2 has no weights here.
    """
    height, width = picture.shape[:2]
    if box is None and not any(click.keep for click in clicks):
        raise UsageError("say which object is meant: draw a box around it, or click on it")
    if box is not None and not (box[0] < width and box[1] < height and box[2] > 0 and box[3] > 0):
        raise UsageError(f"the box {list(box)} lies off the picture of {width}x{height} px")
    for click in clicks:
        if not (0 <= click.x < width and 0 <= click.y < height):
            raise UsageError(f"the click at ({click.x:g}, {click.y:g}) lies off the picture of {width}x{height} px")
    return _segmenter(segmenter)(picture, box, clicks)


def _segmenter(name: Literal["grabcut", "sam2"]) -> Segmenter:
    if name == "sam2":
        from inference.segmentation.sam2 import sam2

        return sam2
    from inference.segmentation.grabcut import grabcut

    return grabcut
