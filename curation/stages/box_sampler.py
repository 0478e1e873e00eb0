"""Drawing region boxes: the recipe's sizes, placed evenly on all sides of what they must exclude.

The recipe (Frame In-N-Out v1.5, In-N-Out step) gives aspect ratios, their probabilities and least heights. Its sampler
places boxes by their upper left corner alone, which skews the sides on which objects wait, and a box of its least
height never fits above or below an object in the middle. Here each side gets its own draws, inside the strip of the
canvas beyond the object.

Boxes are int64 [N, 4], half open, in px, the largest first; a canvas is (width, height). "Largest" is meant for the
box's own aspect ratio: by area, the rare tall boxes would take every narrow strip beside an object.
"""

import numpy as np

SIDES = ("left", "right", "top", "bottom")

# Width / height of the recipe's boxes, how often each is drawn (normalised when used), and least height.
ASPECTS = np.array([16 / 9, 3 / 2, 4 / 3, 5 / 4, 1, 4 / 5])
PROBABILITIES = np.array([0.35, 0.30, 0.20, 0.13, 0.01, 0.01])
LEAST_HEIGHTS = np.array([0.60, 0.60, 0.65, 0.65, 0.75, 0.85])


def excluding_boxes(
    held: np.ndarray, side: str, canvas: tuple[int, int], relaxed: float, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Boxes of which the object waits on `side`: they lie wholly beyond `held`, the box [4] that it takes up.

    Where the recipe's least height does not fit into the strip beyond the object, `relaxed` takes its place. Fewer
    than `count` when not even that fits for some aspect ratios.
    """
    width, height = canvas
    # An object that is all or partly outside the canvas leaves a strip that still ends at its border.
    x0, y0 = np.maximum(0, np.ceil(held[2:]))
    x1, y1 = np.minimum(canvas, np.floor(held[:2]))
    strip = {
        "left": (x0, 0, width, height),
        "right": (0, 0, x1, height),
        "top": (0, y0, width, height),
        "bottom": (0, 0, width, y1),
    }[side]
    room = np.array([max(0, strip[2] - strip[0]), max(0, strip[3] - strip[1])])
    sizes = _draw_sizes(canvas, np.zeros(2), room, relaxed, count, rng)
    return _place(sizes, np.array(strip[:2]) + np.zeros_like(sizes), np.array(strip[2:]) - sizes, rng)


def containing_boxes(held: np.ndarray, canvas: tuple[int, int], count: int, rng: np.random.Generator) -> np.ndarray:
    """Boxes that contain `held` [4], as far as it lies on the canvas."""
    low = np.maximum(0, np.floor(held[:2]))
    high = np.minimum(canvas, np.ceil(held[2:]))
    sizes = _draw_sizes(canvas, high - low, np.array(canvas), 1.0, count, rng)
    return _place(sizes, np.maximum(0, high - sizes), np.minimum(low, canvas - sizes), rng)


def any_boxes(canvas: tuple[int, int], count: int, rng: np.random.Generator) -> np.ndarray:
    """Boxes anywhere on the canvas."""
    sizes = _draw_sizes(canvas, np.zeros(2), np.array(canvas), 1.0, count, rng)
    return _place(sizes, np.zeros_like(sizes), canvas - sizes, rng)


def distinct(boxes: np.ndarray, duplicate_iou: float, most: int) -> np.ndarray:
    """The first `most` boxes, leaving out those that overlap one before them by more than `duplicate_iou`."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    for index in range(len(boxes)):
        if len(kept) == most:
            break
        low = np.maximum(boxes[index, :2], boxes[kept, :2])
        high = np.minimum(boxes[index, 2:], boxes[kept, 2:])
        shared = np.maximum(0, high - low).prod(axis=1)
        if np.all(shared <= duplicate_iou * (areas[index] + areas[kept] - shared)):
            kept.append(index)
    return boxes[kept]


def waiting_side(box: np.ndarray, region: np.ndarray) -> str:
    """The side of `region` on which a `box` [4] outside it lies; of two, the one that it is farther away on."""
    gaps = [region[0] - box[2], box[0] - region[2], region[1] - box[3], box[1] - region[3]]
    return SIDES[int(np.argmax(gaps))]


def _draw_sizes(
    canvas: tuple[int, int], least: np.ndarray, room: np.ndarray, relaxed: float, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Widths and heights [N, 2], N <= count, at least `least` and at most `room` (width, height).

    Least heights are shares of the tallest box of the aspect ratio that the canvas holds, which is the canvas's own
    height unless the canvas is narrower than the box.
    """
    kind = rng.choice(len(ASPECTS), count, p=PROBABILITIES / PROBABILITIES.sum())
    aspect = ASPECTS[kind]
    tallest = np.minimum(canvas[1], canvas[0] / aspect)
    highest = np.minimum(room[1], room[0] / aspect)
    lowest = LEAST_HEIGHTS[kind] * tallest
    lowest = np.where(lowest > highest, np.minimum(lowest, relaxed * tallest), lowest)
    lowest = np.maximum(lowest, np.maximum(least[1], least[0] / aspect))
    fits = lowest <= highest
    heights = np.floor(rng.uniform(lowest, np.maximum(lowest, highest)))
    heights = np.maximum(heights, least[1])
    widths = np.clip(np.round(heights * aspect), least[0], max(room[0], least[0]))
    largest = np.argsort(-(heights / np.maximum(highest, 1))[fits], kind="stable")
    return np.stack([widths, heights], axis=1)[fits][largest].astype(np.int64)


def _place(sizes: np.ndarray, first: np.ndarray, last: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Boxes whose upper left corners are uniform over first <= corner <= last, each [N, 2]."""
    corners = np.floor(first + rng.random(sizes.shape) * (last - first + 1)).astype(np.int64)
    return np.concatenate([corners, corners + sizes], axis=1)
