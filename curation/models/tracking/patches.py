"""What a point looks like: small patches around points, how alike they are, and where one is found again."""

import cv2
import numpy as np

_NOISE = 2.0
"""Deviation of sensor and codec noise, levels: contrast below it says nothing."""


def cut_patches(gray: np.ndarray, points: np.ndarray, side: int, linear: np.ndarray | None = None) -> np.ndarray:
    """float32 [N, side, side] patches of a uint8 [h, w] picture around points [N, 2], bilinear, border replicated.

    Args:
        linear: [N, 2, 2], patch offsets to picture offsets: undoes how the surroundings of a point turned and grew.
    """
    shape = (len(points), side, side)
    if len(points) == 0:
        return np.empty(shape, np.float32)
    offsets = np.arange(side, dtype=np.float32) - side // 2
    across, down = np.meshgrid(offsets, offsets)
    if linear is None:
        xs, ys = points[:, 0, None, None] + across, points[:, 1, None, None] + down
    else:
        turned = np.einsum("nij,jab->niab", linear, np.stack([across, down])) + points[:, :, None, None]
        xs, ys = turned[:, 0], turned[:, 1]
    # One row a patch: remap takes no picture of more than 32767 rows or columns.
    map_x, map_y = (grid.astype(np.float32).reshape(len(points), -1) for grid in (xs, ys))
    cut = cv2.remap(gray, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cut.reshape(shape).astype(np.float32)


def turn_patches(patches: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """Patches [N, k, k] as they look after their surroundings turned and grew by `linear` [N, 2, 2]."""
    side = patches.shape[1]
    offsets = np.arange(side) - side // 2
    across, down = np.meshgrid(offsets, offsets)
    source = np.einsum("nij,jab->niab", np.linalg.inv(linear), np.stack([across, down])) + side // 2
    maps = source.astype(np.float32)
    turned = [
        cv2.remap(patch, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for patch, (x, y) in zip(patches, maps, strict=True)
    ]
    return np.stack(turned) if turned else patches


def likeness(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How alike patches [N, k, k] are, float32 [N] in -1..1.

    Luminance times correlation, as in structural similarity (Wang et al. 2004): a plain patch is like another plain
    patch of the same brightness only.
    """
    size = first.shape[1] * first.shape[2]
    one, two = first.reshape(-1, size), second.reshape(-1, size)
    mean_one, mean_two = one.mean(axis=1), two.mean(axis=1)
    luminance = (2 * mean_one * mean_two + 100) / (mean_one**2 + mean_two**2 + 100)
    one, two = one - mean_one[:, None], two - mean_two[:, None]
    floor = size * _NOISE**2
    power = np.sqrt((one**2).sum(axis=1) * (two**2).sum(axis=1))
    return luminance * ((one * two).sum(axis=1) + floor) / (power + floor)


def texture(patches: np.ndarray) -> np.ndarray:
    """Structure tensors of patches [N, k, k], float64 [N, 2, 2]: summed squared gradients, what noise gives taken off.

    Large along a direction in which the patch can be located, zero along one in which it cannot.
    """
    down, across = np.gradient(patches, axis=(1, 2))
    xx, yy, xy = ((a * b).sum(axis=(1, 2)) for a, b in ((across, across), (down, down), (across, down)))
    noise = 0.5 * _NOISE**2 * patches.shape[1] * patches.shape[2]
    tensors = np.stack([np.stack([xx, xy], axis=1), np.stack([xy, yy], axis=1)], axis=1).astype(np.float64)
    values, vectors = np.linalg.eigh(tensors)
    return (vectors * np.maximum(0.0, values - noise)[:, None, :]) @ vectors.swapaxes(1, 2)


def find_patch(gray: np.ndarray, patch: np.ndarray, place: np.ndarray, radius: int) -> np.ndarray | None:
    """The place [2] within `radius` px of `place` at which the patch [k, k] correlates best; None near the border."""
    half = patch.shape[0] // 2
    x, y = round(float(place[0])), round(float(place[1]))
    reach = half + radius
    left, top = max(0, x - reach), max(0, y - reach)
    area = gray[top : y + reach + 1, left : x + reach + 1]
    if min(area.shape) < patch.shape[0]:
        return None
    scores = cv2.matchTemplate(area, np.clip(patch, 0, 255).astype(np.uint8), cv2.TM_CCOEFF_NORMED)
    _, _, _, (column, row) = cv2.minMaxLoc(scores)
    dx, dy = _peak_offset(scores[row, :], column), _peak_offset(scores[:, column], row)
    return np.array([left + column + half + dx, top + row + half + dy], np.float32)


def _peak_offset(line: np.ndarray, index: int) -> float:
    """Subpixel offset of a maximum: the vertex of the parabola through it and its neighbours."""
    if not 0 < index < len(line) - 1:
        return 0.0
    before, peak, after = line[index - 1 : index + 2]
    bend = before - 2 * peak + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0
