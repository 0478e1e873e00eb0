"""Small pictures of a decoded frame, shrunk before they change colour space.

Converting whole frames to RGB and shrinking those costs more than decoding does. Luma and chroma are shrunk instead,
and the small picture converted. Even factors are halvings of the decoder's own planes, without a copy; for others
FFmpeg's scaler is the fastest that averages areas.
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
# Formats whose planes are read as they are: 8 bits per sample, one plane per component.
_PLANAR = frozenset(
    f"{family}{sampling}p" for family in ("yuv", "yuvj") for sampling in ("444", "440", "422", "420", "411")
)

# Rows that are converted at once: few enough to stay in a core's cache between the two steps.
_STRIP = 64


class FramePictures:
    """Renders one frame at any size.

    Args:
        frame: as the decoder gave it.
        rotation_deg: clockwise turn, 0 / 90 / 180 / 270, applied to every picture.
    """

    def __init__(self, frame: av.VideoFrame, rotation_deg: int) -> None:
        self._frame = frame
        self._rotation_deg = rotation_deg
        self._is_yuv = _is_yuv(frame)
        self._full_range = _is_full_range(frame)
        self._yuv: dict[tuple[int, int], list[np.ndarray]] = {}
        # Per plane, the plane itself and what halving has made of it so far.
        self._halves = [[plane] for plane in _planes(frame)] if self._is_yuv and frame.format.name in _PLANAR else None

    def render(self, width: int, height: int, luma: bool) -> np.ndarray:
        """uint8 [height, width, 3] RGB, or [height, width] full-range luma; area-averaged, after rotation."""
        size = (height, width) if self._rotation_deg % 180 else (width, height)
        picture = self._luma(size) if luma else self._rgb(size)
        return cv2.rotate(picture, _TURNS[self._rotation_deg]) if self._rotation_deg else picture

    def render_into(self, out: np.ndarray) -> None:
        """The same RGB picture at the size of `out`, written into it: uint8 [height, width, 3], C-contiguous."""
        height, width = out.shape[:2]
        if self._rotation_deg:
            out[...] = self.render(width, height, luma=False)
        else:
            self._rgb((width, height), out)

    def _luma(self, size: tuple[int, int]) -> np.ndarray:
        if not self._is_yuv:
            return cv2.cvtColor(self._rgb(size), cv2.COLOR_RGB2GRAY)
        luma = self._halved(0, size)
        if luma is None:
            luma = self._shrunk(size)[0]
        return luma if self._full_range else cv2.LUT(luma, _full_range_luma())

    def _rgb(self, size: tuple[int, int], out: np.ndarray | None = None) -> np.ndarray:
        if not self._is_yuv or size == (self._frame.width, self._frame.height):
            rgb = self._frame.reformat(*size, format="rgb24", interpolation="AREA", threads=1).to_ndarray()
            if out is not None:
                out[...] = rgb
            return rgb
        planes, to_rgb = self._shrunk(size), _to_rgb(int(self._frame.colorspace), self._full_range)
        rgb = np.empty((size[1], size[0], 3), np.uint8) if out is None else out
        for top in range(0, size[1], _STRIP):
            rows = slice(top, top + _STRIP)
            cv2.transform(cv2.merge([plane[rows] for plane in planes]), to_rgb, rgb[rows])
        return rgb

    def _shrunk(self, size: tuple[int, int]) -> list[np.ndarray]:
        """Y, U and V at `size`, uint8, in the frame's own matrix and range."""
        if size not in self._yuv:
            halved = [plane for plane in (self._halved(index, size) for index in range(3)) if plane is not None]
            self._yuv[size] = halved if len(halved) == 3 else self._scaled(size)
        return self._yuv[size]

    def _scaled(self, size: tuple[int, int]) -> list[np.ndarray]:
        layout = "yuvj444p" if self._full_range else "yuv444p"
        small = self._frame.reformat(*size, format=layout, interpolation="AREA", threads=1)
        return _planes(small)

    def _halved(self, plane: int, size: tuple[int, int]) -> np.ndarray | None:
        """One plane halved down to (width, height) `size`; None when that does not come out even."""
        if self._halves is None:
            return None
        levels = self._halves[plane]
        height, width = levels[0].shape
        count = max(0, (width // size[0]).bit_length() - 1)
        if (size[0] << count, size[1] << count) != (width, height):
            return None
        while len(levels) <= count:
            height, width = levels[-1].shape
            levels.append(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
        return levels[count]


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """Views of the three planes of an 8-bit planar frame, uint8 [rows, columns] each. They keep the frame alive."""
    views = []
    for plane in frame.planes[:3]:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        views.append(rows[: plane.height, : plane.width])
    return views


def _is_yuv(frame: av.VideoFrame) -> bool:
    """Luma and chroma of a known matrix, or luma alone; not RGB, palettes, XYZ."""
    name = frame.format.name
    return name.startswith(("yuv", "nv", "p0", "gray")) and int(frame.colorspace) in _WEIGHTS


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
