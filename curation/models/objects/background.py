"""What a clip's scene looks like without the things that move, and how far each frame departs from it.

The background of a place is the temporal median of what is seen there at rest, over frames registered to one another:
one picture for a clip whose camera stays about where it is, a sliding window of pictures for one that travels.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from curation.models.objects.stabilise import CameraPath

_SAMPLES = 31  # frames a scene picture is made of
_WINDOW_SAMPLES = 13  # the same for a sliding window
_WINDOW_STEP = 16  # frames between two windows, at most
_WINDOW_SHIFT = 0.12  # camera motion between two windows, share of the longer side, at most
_SCENE_GROWTH = 1.7  # a scene wider than this many frame areas is done in windows
_MOTION_SIDE = 256  # longer side of the pictures dense flow is computed in, px
_MOTION_SECONDS = 0.2  # between the two frames that tell what is at rest
_MOTION_PX = 0.5  # residual flow over that time, at flow size, that counts as moving
_MIN_REST = 3  # rest samples that a background pixel needs
_BLOCK_ROWS = 16  # rows sorted at a time: small enough for the processor's cache
_UNREST = 8  # least noise, grey levels, where nothing was ever at rest
_TEXTURE = 5.0  # standard deviation, grey levels, at which a background has texture
_NOISE = (1.0, 14.0)  # least and largest noise scale, grey levels
LIKELY = 12
"""Evidence, grey levels beyond noise, from which a pixel is taken for foreground."""
POSSIBLE = 6
"""Evidence that is enough where an object is expected anyway."""
_LIT = 1.15  # times the background's light that a pixel may have without being something else
_SLACK_PX = 0.5  # how far off a registered frame may lie: over texture, a whole pixel of slack hides most objects


@dataclass(frozen=True)
class ScenePicture:
    """Attributes:
    colour: uint8 [H, W, 3] on a canvas; noise: uint8 [H, W] in quarter levels; known: uint8 [H, W], 255 where seen.
    from_scene: float64 [3, 3], scene coordinates to canvas coordinates.
    """

    colour: np.ndarray
    noise: np.ndarray
    known: np.ndarray
    from_scene: np.ndarray


class Background:
    """The background of every frame of one clip, and the evidence against it."""

    def __init__(self, frames: np.ndarray, path: CameraPath, rest: "RestFinder") -> None:
        """frames: uint8 [T, h, w, 3] RGB."""
        self._path = path
        self._tones: dict[int, np.ndarray | None] = {}
        self._size = (frames.shape[2], frames.shape[1])
        if path.still:
            samples = _spread(0, len(frames), _SAMPLES)
            picture = _scene_picture(frames, path, samples, rest, np.eye(3), self._size)
            self._pictures = [_without_ghosts(picture, frames, path, samples, rest)]
            self._window_of = np.zeros(len(frames), int)
            return
        corners = _corners(self._size)
        seen = np.concatenate([cv2.perspectiveTransform(corners, pose) for pose in path.to_scene])[:, 0]
        low, high = np.floor(seen.min(0)), np.ceil(seen.max(0))
        if np.prod(high - low) <= _SCENE_GROWTH * frames.shape[1] * frames.shape[2]:
            samples = _spread(0, len(frames), _SAMPLES)
            shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]])
            canvas = (int(high[0] - low[0]) + 1, int(high[1] - low[1]) + 1)
            picture = _scene_picture(frames, path, samples, rest, shift, canvas)
            self._pictures = [_without_ghosts(picture, frames, path, samples, rest)]
            self._window_of = np.zeros(len(frames), int)
            return
        self._pictures, self._window_of = _windows(frames, path, rest)

    def evidence(self, index: int, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 [h, w] departure of frame `index` (uint8 [h, w, 3]) from the background, grey levels beyond noise;
        bool [h, w], where it is a shadow."""
        if not self._path.reliable[index]:
            return np.zeros(self._size[::-1], np.uint8), np.zeros(self._size[::-1], bool)
        colour, noise, known = self.seen(index)
        self._tones[index] = _tone_table(colour, frame, known)
        colour = _toned(colour, self._tones[index])
        departure, shadow = _departure(frame, colour, noise, known, slack_px=_SLACK_PX)
        if self._path.still:  # texture can only be compared where it lies exactly where it lay
            shadow &= ~_other_texture(frame[..., 1], colour[..., 1])
        return departure, shadow

    def behind(self, index: int, part: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        """The background in the rows and columns `part` of frame `index`, at its exposure, once `evidence` was asked.

        Returns:
            uint8 [h, w, 3], and bool [h, w] where it is known.
        """
        picture = self._pictures[self._window_of[index]]
        if self._path.still:
            colour, known = picture.colour[part], picture.known[part]
        else:
            corner = np.array([[1, 0, -part[1].start], [0, 1, -part[0].start], [0, 0, 1.0]])
            motion = corner @ np.linalg.inv(picture.from_scene @ self._path.to_scene[index])
            size = (part[1].stop - part[1].start, part[0].stop - part[0].start)
            colour = cv2.warpPerspective(picture.colour, motion, size, borderMode=cv2.BORDER_REPLICATE)
            known = cv2.warpPerspective(picture.known, motion, size)
        return _toned(colour, self._tones.get(index)), (known == 255) & self._path.reliable[index]

    def seen(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The background as frame `index` would show it: colour [h, w, 3], noise [h, w], known [h, w], all uint8."""
        picture = self._pictures[self._window_of[index]]
        if self._path.still:
            return picture.colour, picture.noise, picture.known
        motion = np.linalg.inv(picture.from_scene @ self._path.to_scene[index])
        stack = np.dstack([picture.colour, picture.noise])
        stack = cv2.warpPerspective(stack, motion, self._size, borderMode=cv2.BORDER_REPLICATE)
        known = cv2.warpPerspective(picture.known, motion, self._size)
        return np.ascontiguousarray(stack[..., :3]), np.ascontiguousarray(stack[..., 3]), known


class RestFinder:
    """Which pixels of a frame are at rest relative to the camera."""

    def __init__(self, gray: np.ndarray, seconds: np.ndarray, path: CameraPath) -> None:
        self._gray = gray
        self._path = path
        step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
        self._gap = max(1, min(round(_MOTION_SECONDS / max(step, 1e-6)), (len(gray) - 1) // 2))
        factor = min(1.0, _MOTION_SIDE / max(gray.shape[1:]))
        self._small = (max(16, round(gray.shape[2] * factor)), max(16, round(gray.shape[1] * factor)))
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._known: dict[int, np.ndarray] = {}

    def neighbours(self, index: int) -> list[int]:
        """The frames that frame `index` is compared with."""
        return sorted({max(0, index - self._gap), min(len(self._gray) - 1, index + self._gap)} - {index})

    def moving(self, index: int) -> np.ndarray:
        """uint8 [h, w]: 255 where something moves in frame `index`."""
        if index not in self._known:
            moving = np.zeros(self._small[::-1], bool)
            for other in self.neighbours(index):
                moving |= self._moves(index, other)
            grown = cv2.dilate(moving.astype(np.uint8) * 255, np.ones((7, 7), np.uint8))
            size = (self._gray.shape[2], self._gray.shape[1])
            self._known[index] = cv2.resize(grown, size, interpolation=cv2.INTER_NEAREST)
        return self._known[index]

    def _moves(self, index: int, other: int) -> np.ndarray:
        size = (self._gray.shape[2], self._gray.shape[1])
        there = self._gray[other]
        if not self._path.still:
            there = cv2.warpPerspective(there, self._path.between(other, index), size, borderMode=cv2.BORDER_REPLICATE)
        a = cv2.resize(self._gray[index], self._small, interpolation=cv2.INTER_AREA)
        b = cv2.resize(there, self._small, interpolation=cv2.INTER_AREA)
        flow = self._flow.calc(a, b, None)  # pyright: ignore
        change = cv2.boxFilter(cv2.absdiff(a, b), -1, (9, 9))
        return (np.hypot(flow[..., 0], flow[..., 1]) > _MOTION_PX) & (change > 3)


def _spread(start: int, end: int, count: int) -> list[int]:
    return sorted(set(np.linspace(start, end - 1, min(count, end - start)).round().astype(int).tolist()))


def _corners(size: tuple[int, int]) -> np.ndarray:
    width, height = size
    return np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)[:, None]


def _scene_picture(
    frames: np.ndarray,
    path: CameraPath,
    samples: list[int],
    rest: RestFinder,
    from_scene: np.ndarray,
    canvas: tuple[int, int],
) -> ScenePicture:
    """Median of the samples at rest; where nothing was ever at rest, median of what was seen at all."""
    stack, seen, still = _registered(frames, path, samples, rest, from_scene, canvas)
    calm = seen & still
    enough = calm.sum(0) >= min(_MIN_REST, len(samples))
    colour, noise, count = _median(stack, np.where(enough, calm, seen))
    noise = np.where(enough, noise, np.maximum(noise, _UNREST * 4)).astype(np.uint8)
    return ScenePicture(colour, noise, (count > 0).astype(np.uint8) * 255, from_scene)


def _registered(
    frames: np.ndarray,
    path: CameraPath,
    samples: list[int],
    rest: RestFinder,
    from_scene: np.ndarray,
    canvas: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples on the canvas: uint8 [N, H, W, 3], bool [N, H, W] where seen, bool [N, H, W] where at rest."""
    samples = [index for index in samples if path.reliable[index]] or samples
    stack = np.empty((len(samples), canvas[1], canvas[0], 3), np.uint8)
    seen = np.ones(stack.shape[:3], bool)
    still = np.empty(stack.shape[:3], bool)
    for row, index in enumerate(samples):
        moving = rest.moving(index)
        if path.still:
            stack[row] = frames[index]
            still[row] = moving == 0
            continue
        motion = from_scene @ path.to_scene[index]
        stack[row] = cv2.warpPerspective(frames[index], motion, canvas, borderMode=cv2.BORDER_REPLICATE)
        seen[row] = cv2.warpPerspective(np.full(moving.shape, 255, np.uint8), motion, canvas) == 255
        still[row] = cv2.warpPerspective(moving, motion, canvas, flags=cv2.INTER_NEAREST) == 0
    return stack, seen, still


def _median(stack: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per-pixel median of the valid samples, noise in quarter levels, and their number.

    Invalid samples become 0 and 255 in turn, so that they cancel out in the sorted order. The noise is the smaller of
    the two sides' 18 % quantile distances: an object that passes disturbs one side, flicker and foliage both.
    """
    count = len(stack)
    number = valid.sum(0)
    middle = np.clip((count - number + 1) // 2 + number // 2, 0, count - 1)
    reach = (0.18 * number).astype(int)
    low, high = np.maximum(middle - reach, 0), np.minimum(middle + reach, count - 1)
    centre = np.empty(stack.shape[1:], np.uint8)
    noise = np.empty(stack.shape[1:3], np.uint8)
    for top in range(0, stack.shape[1], _BLOCK_ROWS):
        part = slice(top, top + _BLOCK_ROWS)
        ordered = _ordered(stack[:, part], valid[:, part])
        centre[part] = _take(ordered, middle[part])
        below = cv2.absdiff(centre[part], _take(ordered, low[part])).max(2)
        above = cv2.absdiff(_take(ordered, high[part]), centre[part]).max(2)
        noise[part] = np.clip(np.minimum(below, above) * 1.6, *_NOISE) * 4
    return centre, noise, number


def _ordered(stack: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """A copy of the stack, each pixel's samples sorted, the invalid ones half at either end."""
    ordered = stack.copy()
    odd = np.zeros(valid.shape[1:], bool)
    for row in range(len(stack)):
        if not valid[row].all():
            invalid = ~valid[row]
            ordered[row][invalid] = np.where(odd[invalid], 255, 0)[:, None]
            odd ^= invalid
    for turn in range(len(stack)):  # odd-even transposition sort: minimum and maximum run at memory speed
        a, b = ordered[turn % 2 : -1 : 2], ordered[turn % 2 + 1 :: 2]
        low = np.minimum(a, b)
        np.maximum(a, b, out=b)
        a[:] = low
    return ordered


def _take(ordered: np.ndarray, position: np.ndarray) -> np.ndarray:
    index = np.broadcast_to(position[None, ..., None], (1, *ordered.shape[1:]))
    return np.take_along_axis(ordered, index, 0)[0]


def _without_ghosts(
    picture: ScenePicture, frames: np.ndarray, path: CameraPath, samples: list[int], rest: RestFinder
) -> ScenePicture:
    """Take out of the background what stood in the scene for most of the clip and was not there all the time.

    Such a place has two pictures, with and without the thing. Its outline has strong edges only in the one with it.
    """
    canvas = picture.colour.shape[1::-1]
    stack, seen, still = _registered(frames, path, samples, rest, picture.from_scene, canvas)
    other = np.empty(seen.shape, bool)
    for row in range(len(stack)):
        known = seen[row].astype(np.uint8) * 255
        level = _toned(picture.colour, _tone_table(picture.colour, stack[row], known))
        departs, shadow = _departure(stack[row], level, picture.noise, known)
        other[row] = (departs >= LIKELY) & ~shadow & still[row]
    second, spread, count = _median(stack, other)
    steady = ((count >= max(_MIN_REST, 0.07 * len(samples))) & (spread < 8 * 4)).astype(np.uint8)
    steady = cv2.morphologyEx(steady, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    steady = cv2.morphologyEx(steady, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    number, labels, stats, _ = cv2.connectedComponentsWithStats(steady)
    colour = picture.colour.copy()
    for label in range(1, number):
        if stats[label, cv2.CC_STAT_AREA] < 0.0006 * steady.size:
            continue
        region = labels == label
        patched = colour.copy()
        patched[region] = second[region]
        if _outline_contrast(picture.colour, region) > 1.15 * _outline_contrast(patched, region):
            colour = np.where(cv2.dilate(region.astype(np.uint8), np.ones((3, 3)))[..., None] > 0, patched, colour)
            wide = cv2.dilate(region.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            fill = wide & (count > 0)
            colour[fill] = second[fill]
    return ScenePicture(colour, picture.noise, picture.known, picture.from_scene)


def _outline_contrast(image: np.ndarray, region: np.ndarray) -> float:
    """Mean colour step across the outline of a region, grey levels."""
    small = region.astype(np.uint8)
    inner = cv2.erode(small, np.ones((3, 3), np.uint8))
    blur = cv2.GaussianBlur(image, (0, 0), 1.0).astype(np.int16)
    edge = (cv2.dilate(small, np.ones((3, 3), np.uint8)) > 0) & (inner == 0)
    gx = np.abs(cv2.Sobel(blur, cv2.CV_16S, 1, 0)).max(2)
    gy = np.abs(cv2.Sobel(blur, cv2.CV_16S, 0, 1)).max(2)
    return float(np.mean(np.maximum(gx, gy)[edge])) if edge.any() else 0.0


def _windows(frames: np.ndarray, path: CameraPath, rest: RestFinder) -> tuple[list[ScenePicture], np.ndarray]:
    """Scene pictures along a travelling camera's path, and for every frame which of them it belongs to."""
    height, width = frames.shape[1:3]
    longest = max(height, width)
    corners = _corners((width, height))
    begins = [0]
    for index in range(1, len(frames)):
        moved = cv2.perspectiveTransform(corners, path.between(begins[-1], index)) - corners
        if index - begins[-1] >= _WINDOW_STEP or np.abs(moved).max() > _WINDOW_SHIFT * longest:
            begins.append(index)
    ends = [*begins[1:], len(frames)]
    window_of = np.zeros(len(frames), int)
    margin = int(0.14 * longest)
    pictures = []
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        window_of[begin:end] = number
        centre = (begin + end - 1) // 2
        samples = _overlapping(path, centre, (width, height))
        shift = np.array([[1, 0, margin], [0, 1, margin], [0, 0, 1.0]])
        from_scene = shift @ np.linalg.inv(path.to_scene[centre])
        canvas = (width + 2 * margin, height + 2 * margin)
        pictures.append(_scene_picture(frames, path, samples, rest, from_scene, canvas))
    return pictures, window_of


def _overlapping(path: CameraPath, centre: int, size: tuple[int, int]) -> list[int]:
    """Frames around `centre` that still show at least 40 % of what it shows, thinned to the sample count."""
    width, height = size
    corners = _corners(size)

    def overlap(index: int) -> float:
        moved = cv2.perspectiveTransform(corners, path.between(index, centre))[:, 0]
        spanned = np.minimum(moved.max(0), size) - np.maximum(moved.min(0), 0)
        return float(np.prod(np.maximum(spanned, 0))) / (width * height)

    start = end = centre
    while start > 0 and centre - start < 120 and overlap(start - 1) > 0.4:
        start -= 1
    while end < len(path.to_scene) - 1 and end - centre < 120 and overlap(end + 1) > 0.4:
        end += 1
    # A common grid of frames, so that neighbouring windows share their rest maps.
    step = max(1, (end - start) // _WINDOW_SAMPLES)
    return [index for index in range(start, end + 1) if index % step == 0] or [centre]


def _toned(background: np.ndarray, table: np.ndarray | None) -> np.ndarray:
    return background if table is None else cv2.LUT(background, table)


def _tone_table(background: np.ndarray, frame: np.ndarray, known: np.ndarray) -> np.ndarray | None:
    """uint8 [1, 256, 3], the background's levels at the frame's exposure: a robust quadratic tone curve per channel.

    None when they are the same.
    """
    step = max(1, round((frame.shape[0] * frame.shape[1] / 4000) ** 0.5))
    valid = known[::step, ::step] == 255
    if valid.sum() < 100:
        return None
    curves = []
    for channel in range(3):
        x = background[::step, ::step, channel][valid].astype(np.float64)
        y = frame[::step, ::step, channel][valid].astype(np.float64)
        curves.append(_tone_curve(x, y))
    if all(np.abs(curve - np.arange(256)).max() < 1.5 for curve in curves):
        return None
    return np.stack(curves, axis=1)[None].round().astype(np.uint8)


def _tone_curve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """float64 [256]: levels `x` as they appear in `y`, by reweighted least squares from the median offset."""
    levels = np.arange(256.0)
    usable = (y > 2) & (y < 253)  # clipped levels say nothing
    if usable.sum() < 100:
        return levels
    x, y = x[usable], y[usable]
    design = np.stack([np.ones_like(x), x / 255, (x / 255) ** 2], axis=1)
    fitted = x + np.median(y - x)
    fit = np.array([0.0, 255.0, 0.0])
    for scale in (24.0, 12.0, 6.0, 6.0):
        weight = 1 / (1 + ((y - fitted) / scale) ** 2) ** 2
        # A little pull towards "nothing changed" keeps the curve sane where few levels occur.
        pull = np.diag([2.0, 2.0, 20.0]) * len(x) * 0.002
        normal = design.T @ (design * weight[:, None]) + pull
        fit = np.linalg.solve(normal, design.T @ (weight * y) + pull @ np.array([0.0, 255.0, 0.0]))
        fitted = design @ fit
    curve = fit[0] + fit[1] * levels / 255 + fit[2] * (levels / 255) ** 2
    return np.clip(np.maximum.accumulate(curve), 0, 255)


def _departure(
    frame: np.ndarray, colour: np.ndarray, noise: np.ndarray, known: np.ndarray, slack_px: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of every pixel to what the background holds within `slack_px` of it, and shadows.

    The distance is the sum of the channels' differences, weighted by .6, in grey levels beyond noise.
    """
    low, high = levels_near(colour, slack_px)
    above = cv2.subtract(frame, high)
    below = cv2.subtract(low, frame)
    miss = cv2.blur(cv2.add(above, below), (3, 3))
    total = cv2.transform(miss, np.array([[0.6, 0.6, 0.6]], np.float32))
    # noise is in quarter levels: three times noise, less the one level that everything has
    slack = cv2.convertScaleAbs(cv2.blur(noise, (5, 5)), alpha=0.6)
    evidence = cv2.subtract(total, slack)
    evidence[known < 255] = 0
    return evidence, _shadow(frame, colour, evidence)


def levels_near(colour: np.ndarray, reach_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest levels that linear interpolation finds within `reach_px` of every pixel."""
    whole = int(np.ceil(reach_px))
    kernel = np.ones((2 * whole + 1, 2 * whole + 1), np.uint8)
    low, high = cv2.erode(colour, kernel), cv2.dilate(colour, kernel)
    share = reach_px / whole
    return cv2.addWeighted(low, share, colour, 1 - share, 0), cv2.addWeighted(high, share, colour, 1 - share, 0)


def _shadow(frame: np.ndarray, colour: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """bool [h, w]: the same colour as the background, evenly darker, or a little lighter where light comes back.

    Shaded and highlighted background after Horprasert et al. 1999.
    """
    shadow = np.zeros(evidence.shape, bool)
    found = evidence >= POSSIBLE
    if not found.any():
        return shadow
    a = frame[found].astype(np.float32)
    b = colour[found].astype(np.float32)
    ratio = (a * b).sum(1) / np.maximum((b * b).sum(1), 1)
    off = np.abs(a - ratio[:, None] * b).max(1)
    shaded = (ratio > 0.45) & (ratio < 0.97)
    lit = (ratio > 1.03) & (ratio < _LIT)
    shadow[found] = (shaded | lit) & (off < 4 + 0.03 * b.max(1)) & (b.max(1) > 40)
    return shadow


def _other_texture(frame: np.ndarray, background: np.ndarray) -> np.ndarray:
    """bool [h, w]: the background has texture, and the frame does not follow it (local correlation, 9 px)."""
    a, b = frame.astype(np.float32), background.astype(np.float32)
    side = (9, 9)
    mean_a, mean_b = cv2.blur(a, side), cv2.blur(b, side)
    spread_a = cv2.blur(a * a, side) - mean_a * mean_a
    spread_b = cv2.blur(b * b, side) - mean_b * mean_b
    together = cv2.blur(a * b, side) - mean_a * mean_b
    return (spread_b > _TEXTURE**2) & (together < 0.5 * np.sqrt(np.maximum(spread_a * spread_b, 1e-6)))
