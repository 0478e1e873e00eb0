"""Draws what the manifests say about a frame onto that frame: masks, tracks, region box, events, labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from curation.contract.rle import Rle, decode_mask
from curation.contract.spans import mask_box, scale_points

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

# The recipe's colour order for objects; grey is kept light so that it shows on dark footage.
OBJECT_COLOURS: tuple[tuple[str, Colour], ...] = (
    ("red", (255, 56, 56)),
    ("yellow", (255, 221, 43)),
    ("green", (47, 205, 76)),
    ("cyan", (28, 222, 240)),
    ("magenta", (245, 64, 214)),
    ("blue", (64, 122, 255)),
    ("grey", (176, 176, 176)),
    ("turquoise", (64, 224, 190)),
    ("salmon", (255, 150, 125)),
    ("orange", (255, 150, 30)),
    ("lime", (180, 240, 50)),
    ("violet", (165, 105, 255)),
)

_INK: Colour = (16, 18, 22)
_PAPER: Colour = (255, 255, 255)
_SHIFT = 4  # OpenCV draws at 1/16 px: smooth motion instead of points that hop from pixel to pixel

TAIL_SECONDS = 0.5
EVENT_SECONDS = 0.4


@dataclass(frozen=True)
class DrawnObject:
    """One object over the span of an overlay.

    Attributes:
        name: label to write beside it.
        points: float32 [T, P, 2] (x, y), source px.
        visibility: bool [T, P].
        masks: [T] COCO RLE at source size, None where the object is not seen; empty when there are none at all.
        is_identity: whether it is the object that is brought in.
    """

    name: str
    colour: Colour
    points: np.ndarray
    visibility: np.ndarray
    masks: Sequence[Rle | None] = ()
    is_identity: bool = False


@dataclass(frozen=True)
class DrawnEvent:
    """One crossing of the frame border or of a region box.

    Attributes:
        type: enter / exit.
        side: left / right / top / bottom.
        who: name of the object that crosses.
        frame: source frame.
        at: where along the border, source px (x, y); the coordinate across the border is ignored.
        box: the border crossed, source px.
    """

    who: str
    type: str
    side: str
    frame: int
    colour: Colour
    at: tuple[float, float]
    box: Sequence[int]


@dataclass(frozen=True)
class Overlay:
    """All there is to draw over source frames [start_frame, start_frame + T).

    Attributes:
        fps: mean frame rate; gives the length of tails and flashes.
        seconds: [T] presentation times from the first frame, s.
        width, height: source px.
        region_box: the part that the first frame of a sample shows, source px.
    """

    start_frame: int
    fps: float
    seconds: Sequence[float]
    width: int
    height: int
    objects: Sequence[DrawnObject]
    events: Sequence[DrawnEvent] = ()
    region_box: Sequence[int] | None = None


def object_colour(index: int) -> Colour:
    """Colour of the sample's object number `index`, in the recipe's order, beginning again after the last."""
    return OBJECT_COLOURS[index % len(OBJECT_COLOURS)][1]


def draw_overlay(picture: np.ndarray, frame: int, overlay: Overlay) -> np.ndarray:
    """A copy of a frame with everything drawn that the overlay knows of it.

    Args:
        picture: uint8 [h, w, 3] RGB, the frame at output size; its aspect may differ from the source's.
        frame: its index in the source.
    """
    canvas = np.ascontiguousarray(picture).copy()
    height, width = canvas.shape[:2]
    scale = (width / overlay.width, height / overlay.height)
    step = frame - overlay.start_frame
    if overlay.region_box is not None:
        _dim_outside(canvas, _scaled_box(overlay.region_box, scale))
    masks = [_mask_at(item, step, canvas.shape[:2]) for item in overlay.objects]
    for item, mask in zip(overlay.objects, masks, strict=True):
        if mask is not None:
            _draw_mask(canvas, mask, item.colour)
    if overlay.region_box is not None:
        _draw_region_box(canvas, _scaled_box(overlay.region_box, scale))
    tail = max(1, round(TAIL_SECONDS * overlay.fps))
    for item in overlay.objects:
        _draw_tracks(canvas, item, step, tail, scale)
    taken: list[Box] = []
    stamp = f"frame {frame}" + (f" · {overlay.seconds[step]:.2f} s" if 0 <= step < len(overlay.seconds) else "")
    taken.append(draw_pill(canvas, stamp, (_unit(canvas), _unit(canvas)), _INK, taken))
    # At least three frames, so that nobody blinks it away at 8 fps.
    reach = max(1, round(EVENT_SECONDS * overlay.fps / 2))
    for event in overlay.events:
        if abs(frame - event.frame) <= reach:
            taken.append(_draw_event(canvas, event, scale, taken))
    for item, mask in zip(overlay.objects, masks, strict=True):
        _draw_name(canvas, item, mask, step, scale, taken)
    return canvas


def draw_pill(
    canvas: np.ndarray,
    text: str,
    corner: tuple[float, float],
    colour: Colour,
    taken: Sequence[Box] = (),
) -> Box:
    """Text on a rounded patch, moved down (then up) until it covers none of the boxes `taken`.

    Args:
        corner: wanted top left corner, px of the canvas; kept inside.

    Returns:
        Box that it covers, px of the canvas.
    """
    size = text_size(canvas.shape[1])
    pad = max(3, size // 3)
    text = fit_text(text, size, canvas.shape[1] - 4 * pad, weight=600)
    width, height = text_width(text, size, 600) + 2 * pad, size + 2 * max(2, size // 5) + 1
    margin = _lit_width(canvas) + 2  # an event's lit border stays free
    x = int(np.clip(corner[0], margin, max(margin, canvas.shape[1] - width - margin)))
    wanted = int(np.clip(corner[1], 2, max(2, canvas.shape[0] - height - 2)))
    y = next(
        (
            y
            for move in range(0, canvas.shape[0], max(1, height // 3))
            for y in (wanted + move, wanted - move)
            if 2 <= y <= canvas.shape[0] - height - 2 and not _overlaps((x, y, x + width, y + height), taken)
        ),
        wanted,
    )
    _rounded_patch(canvas, (x, y, x + width, y + height), colour)
    draw_text(canvas, text, (x + pad, y + (height + size * 0.72) / 2), size, _readable_on(colour), 600)
    return x, y, x + width, y + height


def draw_text(
    canvas: np.ndarray,
    text: str,
    origin: tuple[float, float],
    size: int,
    colour: Colour,
    weight: int = 400,
) -> None:
    """One line of text; `origin` is the left end of its baseline, px. Any script the font inside OpenCV has."""
    # A wrap range wider than any text keeps OpenCV from breaking the line by itself.
    cv2.putText(
        canvas,
        text,
        (round(origin[0]), round(origin[1])),
        colour,
        _font(),
        size,
        weight,
        cv2.PUT_TEXT_ALIGN_LEFT,
        (0, 1 << 20),
    )


def text_size(width: int) -> int:
    """Height of letters (em, px) that reads well on a picture `width` px wide."""
    return min(22, round(12 + width / 130))


def text_width(text: str, size: int, weight: int = 400) -> int:
    """Advance of one line, px."""
    box = cv2.getTextSize((1 << 20, 1 << 20), text, (0, size), _font(), size, weight, cv2.PUT_TEXT_ALIGN_LEFT)
    return int(box[2])


def fit_text(text: str, size: int, width: int, weight: int = 400) -> str:
    """The text on one line without control characters, cut with an ellipsis to `width` px."""
    text = " ".join(text.split())
    if text_width(text, size, weight) <= width:
        return text
    while text and text_width(text + "…", size, weight) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrap_text(text: str, size: int, width: int, lines: int) -> list[str]:
    """The text broken at spaces into at most `lines` lines of `width` px; the last one is cut with an ellipsis."""
    words = text.split()
    wrapped: list[str] = []
    while words and len(wrapped) < lines - 1:
        count = 1
        while count < len(words) and text_width(" ".join(words[: count + 1]), size) <= width:
            count += 1
        wrapped.append(fit_text(" ".join(words[:count]), size, width))
        words = words[count:]
    return [*wrapped, fit_text(" ".join(words), size, width)] if words else wrapped


def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")


def _unit(canvas: np.ndarray) -> int:
    """Margin that goes with the text size, px."""
    return max(4, canvas.shape[1] // 80)


def _lit_width(canvas: np.ndarray) -> int:
    """Width of the bar along a border that is being crossed, px."""
    return max(3, round(canvas.shape[1] / 130))


def _scaled_box(box: Sequence[int], scale: tuple[float, float]) -> Box:
    x0, y0, x1, y1 = box
    return round(x0 * scale[0]), round(y0 * scale[1]), round(x1 * scale[0]), round(y1 * scale[1])


def _dim_outside(canvas: np.ndarray, box: Box) -> None:
    x0, y0, x1, y1 = box
    inside = canvas[y0:y1, x0:x1].copy()
    canvas[:] = (canvas * 0.42).astype(np.uint8)
    canvas[y0:y1, x0:x1] = inside


def _draw_region_box(canvas: np.ndarray, box: Box) -> None:
    x0, y0, x1, y1 = box[0], box[1], box[2] - 1, box[3] - 1
    line = max(1, round(canvas.shape[1] / 400))
    cv2.rectangle(canvas, (x0, y0), (x1, y1), _INK, line + 2, cv2.LINE_AA)
    cv2.rectangle(canvas, (x0, y0), (x1, y1), _PAPER, line, cv2.LINE_AA)


def _mask_at(item: DrawnObject, step: int, size: tuple[int, int]) -> np.ndarray | None:
    """The object's mask as float32 [h, w] in 0..1 at the canvas's size; None where the object is not seen."""
    rle = item.masks[step] if 0 <= step < len(item.masks) else None
    if rle is None:
        return None
    mask = decode_mask(rle)
    how = cv2.INTER_AREA if mask.shape[1] > size[1] else cv2.INTER_LINEAR
    return cv2.resize(mask.astype(np.float32), size[::-1], interpolation=how)


def _draw_mask(canvas: np.ndarray, mask: np.ndarray, colour: Colour) -> None:
    box = mask_box(mask > 0)
    if box is None:
        return
    part = np.s_[box[1] : box[3], box[0] : box[2]]
    _blend(canvas[part], mask[part] * 0.32, colour)
    contours, _ = cv2.findContours((mask > 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    line = max(1, round(canvas.shape[1] / 480))
    cv2.drawContours(canvas, contours, -1, _INK, line + 1, cv2.LINE_AA)
    cv2.drawContours(canvas, contours, -1, colour, line, cv2.LINE_AA)


def _draw_tracks(canvas: np.ndarray, item: DrawnObject, step: int, tail: int, scale: tuple[float, float]) -> None:
    """The last `tail` steps as lines that fade with age, then the points: filled where visible, hollow elsewhere."""
    if not 0 <= step < len(item.points):
        return
    first = max(0, step - tail)
    points = scale_points(item.points[first : step + 1], *scale)
    visible = np.asarray(item.visibility[first : step + 1], bool)
    if not visible.any():
        return  # gone, or not there yet: extrapolated places of all its points would only litter the picture
    # Far outside the canvas nothing shows, and 1/16 px must still fit into an int32.
    fixed = np.round(np.clip(points, -20_000, 20_000) * (1 << _SHIFT)).astype(np.int32)
    line = max(1, round(canvas.shape[1] / 420))
    alpha = np.zeros(canvas.shape[:2], np.uint8)
    for age in range(len(fixed) - 1, 0, -1):
        start, end = len(fixed) - 1 - age, len(fixed) - age
        strength = 1 - age / (tail + 1)
        for seen in (False, True):
            both = visible[start] & visible[end]
            segments = np.stack([fixed[start], fixed[end]], axis=1)[both if seen else ~both]
            grey = round(255 * strength * (0.9 if seen else 0.3))
            cv2.polylines(alpha, list(segments), False, (grey,), line, cv2.LINE_AA, _SHIFT)
    _blend(canvas, alpha.astype(np.float32) / 255, item.colour)
    radius = max(1.6, canvas.shape[1] / 210) * (1 << _SHIFT)
    hollow = max(radius, 3.6 * (1 << _SHIFT))  # a smaller ring would close up
    for (x, y), seen in zip(fixed[-1].tolist(), visible[-1], strict=True):
        if seen:
            cv2.circle(canvas, (x, y), round(radius * 1.35), _INK, cv2.FILLED, cv2.LINE_AA, _SHIFT)
            cv2.circle(canvas, (x, y), round(radius), item.colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)
        else:
            outline = hollow + (line << _SHIFT)
            cv2.circle(canvas, (x, y), round(outline), _INK, line, cv2.LINE_AA, _SHIFT)
            cv2.circle(canvas, (x, y), round(hollow), item.colour, line + 1, cv2.LINE_AA, _SHIFT)


def _draw_event(canvas: np.ndarray, event: DrawnEvent, scale: tuple[float, float], taken: Sequence[Box]) -> Box:
    """A lit border, an arrow across it and the event's name; returns the box of the name."""
    height, width = canvas.shape[:2]
    x0, y0, x1, y1 = _scaled_box(event.box, scale)
    x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1) - 1, min(height, y1) - 1
    length = 0.085 * width
    margin = length * 0.6
    bar = _lit_width(canvas)
    across = {"left": (1, 0), "right": (-1, 0), "top": (0, 1), "bottom": (0, -1)}[event.side]
    inward = np.array(across, float)
    along_x = np.clip(event.at[0] * scale[0], x0 + margin, max(x0 + margin, x1 - margin))
    along_y = np.clip(event.at[1] * scale[1], y0 + margin, max(y0 + margin, y1 - margin))
    ends = {
        "left": ((x0, y0), (x0, y1), (x0, along_y)),
        "right": ((x1, y0), (x1, y1), (x1, along_y)),
        "top": ((x0, y0), (x1, y0), (along_x, y0)),
        "bottom": ((x0, y1), (x1, y1), (along_x, y1)),
    }[event.side]
    half = inward * bar / 2
    cv2.line(canvas, _pixel(ends[0] + half), _pixel(ends[1] + half), event.colour, bar, cv2.LINE_AA, _SHIFT)
    foot = np.array(ends[2], float)
    # The arrow crosses the border where there is room outside it, else it stays inside.
    outer = foot - inward * length / 2
    room = 0 <= outer[0] < width and 0 <= outer[1] < height
    outer, inner = (outer, foot + inward * length / 2) if room else (foot + inward * bar, foot + inward * length)
    tail, tip = (outer, inner) if event.type == "enter" else (inner, outer)
    _arrow(canvas, tail, tip, length, event.colour)
    name = f"{event.type} {event.side}"
    size = text_size(width)
    name_width = text_width(name, size, 600) + size
    beside = inner + inward * length * 0.15
    corner = {
        "left": (beside[0], along_y - size * 0.8),
        "right": (beside[0] - name_width, along_y - size * 0.8),
        "top": (along_x - name_width / 2, beside[1]),
        "bottom": (along_x - name_width / 2, beside[1] - size * 1.6),
    }[event.side]
    return draw_pill(canvas, name, corner, event.colour, taken)


def _arrow(canvas: np.ndarray, tail: np.ndarray, tip: np.ndarray, length: float, colour: Colour) -> None:
    direction = (tip - tail) / max(1e-6, float(np.linalg.norm(tip - tail)))
    normal = np.array([-direction[1], direction[0]])
    neck = tip - direction * length * 0.42
    shaft, head = length * 0.11, length * 0.32
    outline = [
        tail + normal * shaft,
        neck + normal * shaft,
        neck + normal * head,
        tip,
        neck - normal * head,
        neck - normal * shaft,
        tail - normal * shaft,
    ]
    polygon = np.array([_pixel(corner) for corner in outline], np.int32)
    cv2.fillPoly(canvas, [polygon], colour, cv2.LINE_AA, _SHIFT)
    cv2.polylines(canvas, [polygon], True, _INK, max(1, round(length / 28)), cv2.LINE_AA, _SHIFT)


def _draw_name(
    canvas: np.ndarray,
    item: DrawnObject,
    mask: np.ndarray | None,
    step: int,
    scale: tuple[float, float],
    taken: list[Box],
) -> None:
    """The object's name above what is seen of it; nothing while it is out of sight."""
    box = mask_box(mask > 0.5) if mask is not None else None
    if box is None and 0 <= step < len(item.points):
        seen = scale_points(item.points[step], *scale)[np.asarray(item.visibility[step], bool)]
        if len(seen):
            box = [*np.floor(seen.min(axis=0)).astype(int).tolist(), *np.ceil(seen.max(axis=0)).astype(int).tolist()]
    if box is None:
        return
    size = text_size(canvas.shape[1])
    name = f"ID  {item.name}" if item.is_identity else item.name
    middle = (box[0] + box[2]) / 2
    taken.append(
        draw_pill(
            canvas, name, (middle - (text_width(name, size, 600) + size) / 2, box[1] - size * 2), item.colour, taken
        )
    )


def _blend(canvas: np.ndarray, alpha: np.ndarray, colour: Colour) -> None:
    """Mix a colour into the canvas, in place; alpha float32 [h, w] in 0..1."""
    mixed = canvas + (np.array(colour, np.float32) - canvas) * alpha[..., None]
    canvas[:] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def _rounded_patch(canvas: np.ndarray, box: Box, colour: Colour) -> None:
    x0, y0, x1, y1 = box
    part = canvas[y0:y1, x0:x1]
    height, width = part.shape[:2]
    alpha = np.zeros((height, width), np.uint8)
    radius = min(height, width) // 4
    cv2.rectangle(alpha, (radius, radius), (width - 1 - radius, height - 1 - radius), (255,), cv2.FILLED)
    cv2.rectangle(alpha, (radius, radius), (width - 1 - radius, height - 1 - radius), (255,), 2 * radius, cv2.LINE_AA)
    _blend(part, alpha.astype(np.float32) / 255 * 0.86, colour)


def _readable_on(colour: Colour) -> Colour:
    luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    return _INK if luma > 110 else _PAPER


def _overlaps(box: Box, others: Sequence[Box]) -> bool:
    return any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in others)


def _pixel(point: np.ndarray) -> tuple[int, int]:
    """A continuous point at OpenCV's fixed precision."""
    return round(float(point[0]) * (1 << _SHIFT)), round(float(point[1]) * (1 << _SHIFT))
