"""Small pictures of a decoded frame, made from the decoder's own planes.

Converting a whole frame to RGB costs more than decoding it. Here the luma and chroma planes are shrunk first, without a
copy, and only the small picture changes colour space.
"""

from functools import cache

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

# Kr and Kb by FFmpeg's colorspace number (ITU-T H.273, table 4). Unspecified means BT.601, as FFmpeg takes it, so that
# RGB is the same here and there.
_BT601 = (0.299, 0.114)
_WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    2: _BT601,  # unspecified
    4: (0.30, 0.11),  # FCC
    5: _BT601,
    6: _BT601,
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
    10: (0.2627, 0.0593),
}
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class FramePictures:
    """Renders one frame at any size.

    Args:
        frame: as the decoder gave it.
        rotation_deg: clockwise turn, 0 / 90 / 180 / 270, applied to every picture.
    """

    def __init__(self, frame: av.VideoFrame, rotation_deg: int) -> None:
        self._frame = frame
        self._rotation_deg = rotation_deg
        self._planes = _native_planes(frame)
        self._full_range = _is_full_range(frame)
        # Halved copies of each plane: the first is the plane itself.
        self._halves = [[plane] for plane in self._planes or []]

    def render(self, width: int, height: int, luma: bool) -> np.ndarray:
        """uint8 [height, width, 3] RGB, or [height, width] full-range luma; area-averaged, after rotation."""
        size = (height, width) if self._rotation_deg % 180 else (width, height)
        picture = self._luma(size) if luma else self._rgb(size)
        return cv2.rotate(picture, _TURNS[self._rotation_deg]) if self._rotation_deg else picture

    def _luma(self, size: tuple[int, int]) -> np.ndarray:
        if self._planes is None:
            return cv2.cvtColor(self._rgb(size), cv2.COLOR_RGB2GRAY)
        luma = self._shrink(0, size)
        return luma.copy() if self._full_range else cv2.LUT(luma, _full_range_luma())

    def _rgb(self, size: tuple[int, int]) -> np.ndarray:
        if self._planes is None:
            return self._frame.reformat(*size, format="rgb24", interpolation="AREA").to_ndarray()
        if len(self._planes) == 1:
            return cv2.cvtColor(self._luma(size), cv2.COLOR_GRAY2RGB)
        yuv = cv2.merge([self._shrink(plane, size) for plane in range(3)])
        return cv2.transform(yuv, _to_rgb(int(self._frame.colorspace), self._full_range))

    def _shrink(self, plane: int, size: tuple[int, int]) -> np.ndarray:
        """One plane at `size` as uint8.

        Halving is ten times faster than averaging over an uneven factor, so it goes first.
        """
        halves = self._halves[plane]
        level = 0
        while (half := _half_size(halves[level], size)) is not None:
            level += 1
            if level == len(halves):
                halves.append(cv2.resize(halves[level - 1], half, interpolation=cv2.INTER_AREA))
        return _to_8_bit(_resize(halves[level], size), self._frame.format.components[plane].bits)


def _half_size(plane: np.ndarray, size: tuple[int, int]) -> tuple[int, int] | None:
    """(width, height) halved; None when that is uneven or smaller than `size`."""
    height, width = plane.shape
    if width % 2 or height % 2 or width // 2 < size[0] or height // 2 < size[1]:
        return None
    return width // 2, height // 2


def _resize(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = plane.shape
    if (width, height) == size:
        return plane
    grows = size[0] > width or size[1] > height
    return cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR if grows else cv2.INTER_AREA)


def _to_8_bit(plane: np.ndarray, bits: int) -> np.ndarray:
    return plane if bits == 8 else cv2.convertScaleAbs(plane, alpha=1 / (1 << (bits - 8)))


def _native_planes(frame: av.VideoFrame) -> list[np.ndarray] | None:
    """Views of the luma (and both chroma) planes, uint8 or uint16; None when the layout is another."""
    layout = frame.format
    gray = layout.name.startswith("gray") and len(layout.components) == 1
    planar = layout.is_planar and not layout.is_rgb and len(layout.components) >= 3
    bits = [component.bits for component in layout.components[:3]]
    known_matrix = gray or int(frame.colorspace) in _WEIGHTS
    if not (gray or planar) or not known_matrix or layout.is_big_endian or len(set(bits)) > 1 or not 8 <= bits[0] <= 16:
        return None
    if [component.plane for component in layout.components[:3]] != list(range(len(bits))):
        return None  # nv12, p010: chroma interleaved
    kind = np.dtype(np.uint8 if bits[0] == 8 else np.uint16)
    views = []
    for component, plane in zip(layout.components[: len(bits)], frame.planes, strict=False):
        if plane.line_size <= 0:
            return None  # stored bottom up
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        views.append(rows[: component.height, : component.width * kind.itemsize].view(kind))
    return views


def _is_full_range(frame: av.VideoFrame) -> bool:
    """As FFmpeg decides it: the tag; without one, the yuvj and gray formats are full."""
    if frame.format.name.startswith("yuvj"):
        return True
    if frame.color_range == ColorRange.UNSPECIFIED:
        return frame.format.name.startswith("gray")
    return frame.color_range == ColorRange.JPEG


@cache
def _full_range_luma() -> np.ndarray:
    """uint8 [256]: luma of 16..235 stretched to 0..255."""
    levels = (np.arange(256) - 16) * 255 / 219
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


@cache
def _to_rgb(colorspace: int, full_range: bool) -> np.ndarray:
    """float32 [3, 4] from 8-bit YUV to RGB (ITU-T H.273, equations for MatrixCoefficients)."""
    red, blue = _WEIGHTS[colorspace]
    green = 1 - red - blue
    to_rgb = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    if full_range:
        scale, offset = np.ones(3), np.array([0, 128, 128])
    else:
        scale, offset = np.array([255 / 219, 255 / 224, 255 / 224]), np.array([16, 128, 128])
    matrix = to_rgb * scale
    return np.column_stack([matrix, -matrix @ offset]).astype(np.float32)
