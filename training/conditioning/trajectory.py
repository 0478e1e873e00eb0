"""The trajectory video: where every kept point is in every frame, as blurred squares in its object's colour on white.

The recipe paints squares at source size, resizes (bicubic) and blurs whole frames. All three are linear and separable,
and the painting consists of few rectangles, so the same pixels come from small matrix products around the points. Dots
travel as the patches that are not white, to be pasted where the video is used.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np

from training.conditioning.canvas import Pixels
from training.conditioning.colours import colour

# Recipe: 45 x 45 kernel, sigma 3, radii stated for frames of 384 px height.
_KERNEL, _SIGMA, _NOMINAL_HEIGHT = 45, 3.0, 384
_WHITE = 255.0
# The recipe converts to uint8 by cutting off; without this, rounding errors would turn white into 254.
_EPSILON = 1e-3


class Dots(NamedTuple):
    """What of a trajectory video is not white: N rectangles that do not overlap.

    Attributes:
        places: int32 [N, 5] (frame, top, left, height, width).
        pixels: uint8 [sum of height x width, 3] RGB, rectangle after rectangle, each row by row.
    """

    places: np.ndarray
    pixels: np.ndarray


def draw_trajectories(
    objects: Sequence[np.ndarray],
    source_size: tuple[int, int],
    canvas_size: tuple[int, int],
    dot_radius: int,
) -> np.ndarray:
    """uint8 [T, canvas height, canvas width, 3] RGB: the trajectory video of `draw_dots`, which has the arguments."""
    dots = draw_dots(objects, source_size, canvas_size, dot_radius)
    video = np.full((len(objects[0]), *canvas_size, 3), 255, np.uint8)
    paste_dots(video, *dots)
    return video


def paste_dots(video: Pixels, places: Pixels, pixels: Pixels) -> None:
    """Put `Dots` into a white video, uint8 [T, H, W, 3], in place: arrays, or tensors on one device."""
    done = 0
    for frame, top, left, height, width in places.tolist():
        patch: Any = pixels[done : done + height * width].reshape(height, width, 3)
        video[frame, top : top + height, left : left + width] = patch
        done += height * width


def draw_dots(
    objects: Sequence[np.ndarray],
    source_size: tuple[int, int],
    canvas_size: tuple[int, int],
    dot_radius: int,
) -> Dots:
    """Render points as the recipe does; equal to painting, resizing and blurring whole frames to within one level.

    Args:
        objects: for each object, points float or int [T, P, 2] in px of the source; P may be 0. A point that is outside
            the source, or not finite, is not drawn. Later objects and points are painted over earlier ones.
        source_size: (height, width) in which the points are given; the squares' size follows this height.
        canvas_size: (height, width) of the result.
        dot_radius: half side of a square in px at a source height of 384; CogVideoX 6, Wan 7.

    Raises:
        ValueError: there is no object, or objects differ in T.
    """
    lengths = {len(points) for points in objects}
    if len(lengths) != 1:
        raise ValueError(f"objects need tracks of the same length, at least one object, got lengths {sorted(lengths)}")
    owner = np.concatenate([np.full(points.shape[1], index) for index, points in enumerate(objects)]).astype(np.intp)
    paint = np.array([colour(index) for index in range(len(objects))], np.float32)[owner]
    points = np.concatenate([np.asarray(points, np.float64) for points in objects], axis=1)

    height, width = source_size
    radius = int(dot_radius * height / _NOMINAL_HEIGHT)
    rows, columns = _spread(height, canvas_size[0]), _spread(width, canvas_size[1])
    cells = np.rint(np.nan_to_num(points, nan=-1, posinf=-1, neginf=-1)).astype(np.int64)
    inside = np.all((cells >= 0) & (cells < (width, height)), axis=2, keepdims=False)
    gap = 2 * radius + _reach(width, canvas_size[1]), 2 * radius + _reach(height, canvas_size[0])
    places, pixels = [], []
    for frame, (cell, shown) in enumerate(zip(cells, inside & (radius > 0), strict=True)):
        for column in _apart(np.flatnonzero(shown), cell[:, 0], gap[0]):
            for group in _apart(column, cell[:, 1], gap[1]):
                top, left, patch = _painted(cell[group], paint[group], radius, rows, columns)
                if patch.size:  # on a much smaller canvas, cubic resizing steps over small squares
                    places.append((frame, top, left, *patch.shape[:2]))
                    pixels.append(patch.reshape(-1, 3))
    return Dots(
        np.array(places, np.int32).reshape(-1, 5),
        np.concatenate(pixels) if pixels else np.empty((0, 3), np.uint8),
    )


def _apart(points: np.ndarray, along: np.ndarray, gap: int) -> Iterator[np.ndarray]:
    """Indices `points` in groups that do not touch each other's pixels along one axis, each in painting order."""
    if len(points) == 0:
        return
    order = points[np.argsort(along[points], kind="stable")]
    breaks = np.flatnonzero(np.diff(along[order]) > gap) + 1
    for group in np.split(order, breaks):
        yield np.sort(group)


def _reach(source: int, canvas: int) -> int:
    """Source px between two squares' edges beyond which they share no pixel of the result."""
    return int(np.ceil((_KERNEL + 4) * source / canvas)) + 4


def _painted(
    places: np.ndarray, paint: np.ndarray, radius: int, rows: np.ndarray, columns: np.ndarray
) -> tuple[int, int, np.ndarray]:
    """Top, left and pixels uint8 [h, w, 3] of what the squares around `places` [P, 2] make of white.

    The squares' edges cut the plane into cells of one colour each. A cell's share in a pixel is the product of its
    row's and its column's, which are differences of the cumulative weights `rows` and `columns`.
    """
    height, width = len(rows) - 1, len(columns) - 1
    left, right = (places[:, 0] - radius).clip(0), (places[:, 0] + radius).clip(max=width)
    top, bottom = (places[:, 1] - radius).clip(0), (places[:, 1] + radius).clip(max=height)
    x_edges, y_edges = np.unique(np.concatenate([left, right])), np.unique(np.concatenate([top, bottom]))
    cells = np.zeros((len(y_edges) - 1, len(x_edges) - 1, 3), np.float32)
    x0, x1 = np.searchsorted(x_edges, left), np.searchsorted(x_edges, right)
    y0, y1 = np.searchsorted(y_edges, top), np.searchsorted(y_edges, bottom)
    for index, value in enumerate(paint):
        cells[y0[index] : y1[index], x0[index] : x1[index]] = value - _WHITE

    row_weights, row_span = _weights(rows, y_edges)
    column_weights, column_span = _weights(columns, x_edges)
    if not (row_weights.size and column_weights.size):
        return 0, 0, np.empty((0, 0, 3), np.uint8)
    # One product makes interleaved RGB when every column weight stands once for each channel.
    by_channel = np.zeros((cells.shape[1], 3, column_weights.shape[1], 3), np.float32)
    for channel in range(3):
        by_channel[:, channel, :, channel] = column_weights
    pixels = row_weights.T @ (cells.reshape(len(cells), -1) @ by_channel.reshape(cells.shape[1] * 3, -1))
    shares = pixels.reshape(row_weights.shape[1], -1, 3)
    # cv2 rounds where it converts, the recipe cuts off: half a level less.
    white = (_WHITE - 0.5 + _EPSILON,) * 4
    patch = cv2.add(shares, white, dtype=cv2.CV_8U)  # pyright: ignore - takes scalars too
    return row_span.start, column_span.start, patch


def _weights(cumulative: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, slice]:
    """float32 [cells, pixels]: the share that each cell between `edges` has in each pixel; and which ones."""
    source, canvas = len(cumulative) - 1, cumulative.shape[1]
    margin = _reach(source, canvas) / 2
    first = max(0, int((edges[0] - margin) * canvas / source))
    last = int((edges[-1] + margin) * canvas / source) + 1
    weights = np.diff(cumulative[edges, first:last], axis=0)
    touched = np.flatnonzero(np.abs(weights).max(axis=0) > 1e-7)
    span = slice(int(touched[0]), int(touched[-1]) + 1) if len(touched) else slice(0, 0)
    return weights[:, span].astype(np.float32), slice(first + span.start, first + span.stop)


@lru_cache(maxsize=16)
def _spread(source: int, canvas: int) -> np.ndarray:
    """float64 [source + 1, canvas]: how much of canvas pixel i comes from source pixels before j, along one axis."""
    resized = cv2.resize(np.eye(source), (source, canvas), interpolation=cv2.INTER_CUBIC)
    kernel = cv2.getGaussianKernel(_KERNEL, _SIGMA)
    blurred = cv2.sepFilter2D(resized, -1, np.ones((1, 1)), kernel)
    return np.concatenate([np.zeros((1, canvas)), np.cumsum(blurred.T, axis=0)])
