"""Things that move: textured shapes with soft edges, drawn once and warped into every frame."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from eval.labels.motion import Path
from eval.labels.photographs import Photograph, cover, horse_silhouette, photograph
from eval.labels.sway import RIGID, Sway
from eval.labels.textures import leaves, noise

Shape = Literal["disc", "box", "blob", "car", "person", "pillar", "horse", "hedge"]
_OVERSAMPLE = 4


@dataclass(frozen=True)
class Shadow:
    """What a sprite keeps light from: its own outline, thrown on the ground behind it.

    Attributes:
        lean: how far the shadow's tip lies to the right of its foot, in heights of the sprite; negative: to the left.
        flat: how far it lies above the foot; 0.3 is a low floor seen from the side, 1 a wall right behind.
        strength: share of the light that is missing.
        softness: deviation of the blur, px of the frame's 270th part of its height.
    """

    lean: float = 0.6
    flat: float = 0.3
    strength: float = 0.35
    softness: float = 2.0


@dataclass(frozen=True)
class Sprite:
    """A flat thing in world coordinates.

    Attributes:
        name: unique within its scene.
        size: (width, height) in world px at scale 1; the shape fills this box around the path's position.
        path: position of the box's centre, angle, scale.
        colour: mean RGB in 0..255.
        depth: the higher one hides the lower one; ties go to the later sprite.
        mirrored: draw it facing left; cars and people are drawn facing right.
        occluder: scenery that hides things; it has masks but no events and no tracks.
        seed: of its texture and, for blobs, of its outline.
        photograph: its surface is a piece of this photograph instead of drawn paint.
        softness: deviation of the blur of its edge, texels.
        sway: how it bends.
        shadow: what it throws on the background; None for nothing.
        parallax: how fast it passes when the camera moves, relative to the background: above 1 it is nearer.
    """

    name: str
    shape: Shape
    size: tuple[float, float]
    path: Path
    colour: tuple[int, int, int] = (190, 60, 50)
    depth: int = 0
    mirrored: bool = False
    occluder: bool = False
    seed: int = 0
    photograph: Photograph | None = None
    softness: float = 0.6
    sway: Sway = RIGID
    shadow: Shadow | None = None
    parallax: float = 1.0


def draw_sprite(sprite: Sprite, density: float, rng: np.random.Generator) -> np.ndarray:
    """float32 [h, w, 4], premultiplied RGB in 0..255 and alpha in 0..1, with a transparent border around.

    Args:
        density: texels per world px.
    """
    width, height = (max(6, round(side * density)) for side in sprite.size)
    big = (height * _OVERSAMPLE, width * _OVERSAMPLE)
    outline = np.zeros(big, np.uint8)
    paint = np.empty((*big, 3), np.float32)
    paint[:] = sprite.colour
    _PAINTERS[sprite.shape](outline, paint, np.array(sprite.colour, np.float32), rng)
    rgb = cv2.resize(paint, (width, height), interpolation=cv2.INTER_AREA)
    if sprite.photograph is not None:
        rgb = cover(photograph(sprite.photograph), height, width, 1.4 * max(height, width), rng)
    alpha = cv2.resize(outline.astype(np.float32) / 255, (width, height), interpolation=cv2.INTER_AREA)
    light = np.linspace(1.12, 0.82, height, dtype=np.float32)[:, None]
    surface = 9 * noise(rng, height, width, max(4.0, min(width, height) / 4), 0.75)
    rgb = np.clip(rgb * light[..., None] + surface[..., None], 4, 251)
    rgba = np.dstack([rgb * alpha[..., None], alpha]).astype(np.float32)
    if sprite.mirrored:
        rgba = rgba[:, ::-1]
    border = _border(sprite)
    rgba = cv2.copyMakeBorder(rgba, border, border, border, border, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    return cv2.GaussianBlur(rgba, (0, 0), sprite.softness)


def _border(sprite: Sprite) -> int:
    """Texels around the shape: the outermost are three deviations of the edge's blur away, a third of a level."""
    return int(np.ceil(3 * sprite.softness + 0.5))


def sprite_to_world(sprite: Sprite, times: np.ndarray) -> np.ndarray:
    """float64 [N, 3, 3] from the sprite's own px (origin at its centre, before scaling) to world px."""
    matrices = np.tile(np.eye(3), (len(times), 1, 1))
    for matrix, (x, y, angle, scale) in zip(matrices, sprite.path.at(times), strict=True):
        turn = np.deg2rad(angle)
        cos, sin = scale * np.cos(turn), scale * np.sin(turn)
        matrix[:2] = [[cos, -sin, x], [sin, cos, y]]
    return matrices


def texel_to_sprite(sprite: Sprite, texture: np.ndarray) -> np.ndarray:
    """float64 [3, 3] from the drawn texture's texels to the sprite's own px."""
    height, width = texture.shape[:2]
    border = 2 * _border(sprite)
    scale_x, scale_y = sprite.size[0] / (width - border), sprite.size[1] / (height - border)
    return np.array(
        [[scale_x, 0, -scale_x * (width - 1) / 2], [0, scale_y, -scale_y * (height - 1) / 2], [0, 0, 1]], np.float64
    )


def _points(outline: np.ndarray, shares: list[tuple[float, float]]) -> np.ndarray:
    height, width = outline.shape
    return np.round(np.array(shares) * (width - 1, height - 1)).astype(np.int32)


def _fill(picture: np.ndarray, shares: list[tuple[float, float]], colour: object) -> None:
    cv2.fillPoly(picture, [_points(picture[..., 0] if picture.ndim == 3 else picture, shares)], colour)  # pyright: ignore


def _ellipse(
    picture: np.ndarray, centre: tuple[float, float], radii: tuple[float, float], colour: object, angle: float = 0
) -> None:
    """Ellipse by shares of the picture's width (x) and height (y)."""
    height, width = picture.shape[:2]
    middle = (round(centre[0] * (width - 1)), round(centre[1] * (height - 1)))
    axes = (max(1, round(radii[0] * width)), max(1, round(radii[1] * height)))
    cv2.ellipse(picture, middle, axes, angle, 0, 360, colour, -1)  # pyright: ignore


def _rounded(outline: np.ndarray, radius: float) -> None:
    height, width = outline.shape
    r = max(1, round(radius * min(height, width)))
    cv2.rectangle(outline, (r, 0), (width - 1 - r, height - 1), 255, -1)
    cv2.rectangle(outline, (0, r), (width - 1, height - 1 - r), 255, -1)
    for x in (r, width - 1 - r):
        for y in (r, height - 1 - r):
            cv2.circle(outline, (x, y), r, 255, -1)


def _disc(outline: np.ndarray, paint: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> None:
    """A ball with coloured gores."""
    _ellipse(outline, (0.5, 0.5), (0.495, 0.495), 255)
    height, width = outline.shape
    other = 255 - 0.75 * colour
    start = rng.uniform(0, 60)
    for index in range(3):
        angle = start + index * 120
        centre, axes = (round(0.42 * width), round(0.45 * height)), (width, height)
        cv2.ellipse(paint, centre, axes, angle, 0, 60, other.tolist(), -1)
    _ellipse(paint, (0.42, 0.45), (0.09, 0.09), (colour * 0.3).tolist())
    _shade(paint)


def _box(outline: np.ndarray, paint: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> None:
    """A parcel with tape and labels."""
    _rounded(outline, 0.12)
    tape = rng.uniform(0.35, 0.6)
    _fill(paint, [(tape, 0), (tape + 0.1, 0), (tape + 0.1, 1), (tape, 1)], (colour * 0.5 + 90).tolist())
    for _ in range(5):
        x, y, w, h = *rng.uniform(0.05, 0.75, 2), *rng.uniform(0.1, 0.25, 2)
        _fill(paint, [(x, y), (x + w, y), (x + w, y + h), (x, y + h)], rng.uniform(30, 230, 3).tolist())


def _blob(outline: np.ndarray, paint: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> None:
    """An animal-like lump with a mottled coat."""
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radius = np.ones_like(angles)
    for order in range(2, 6):
        radius += rng.uniform(-0.22, 0.22) / (order - 0.5) * np.cos(order * angles + rng.uniform(0, 2 * np.pi))
    x, y = radius * np.cos(angles), radius * np.sin(angles)
    shares = np.stack([(x - x.min()) / np.ptp(x), (y - y.min()) / np.ptp(y)], axis=1)
    _fill(outline, [(float(a), float(b)) for a, b in shares], 255)
    coat = np.clip(colour + rng.normal(0, 28, (8, 1)) + rng.normal(0, 8, (8, 3)), 15, 240)
    side = min(outline.shape)
    leaves(paint, rng, coat, 160, side / 40, side / 5, (0, 0, 1, 1))


def _car(outline: np.ndarray, paint: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> None:
    """A car from the side, facing right."""
    cabin = [(0.16, 0.42), (0.27, 0.03), (0.62, 0.0), (0.78, 0.40)]
    body = [(0.0, 0.46), (0.16, 0.38), (0.78, 0.37), (0.96, 0.47), (1.0, 0.62), (0.99, 0.82), (0.01, 0.82)]
    _fill(outline, cabin, 255)
    _fill(outline, body, 255)
    height, width = outline.shape
    _fill(paint, [(0, 0.6), (1, 0.56), (1, 0.64), (0, 0.67)], (colour * 0.75).tolist())
    _fill(paint, [(0, 0.72), (1, 0.72), (1, 0.86), (0, 0.86)], (colour * 0.35).tolist())
    glass = (58, 70, 84)
    _fill(paint, [(0.22, 0.38), (0.30, 0.09), (0.45, 0.08), (0.45, 0.38)], glass)
    _fill(paint, [(0.48, 0.38), (0.48, 0.08), (0.605, 0.07), (0.72, 0.38)], glass)
    _fill(paint, [(0.25, 0.24), (0.30, 0.09), (0.40, 0.09)], (150, 168, 184))
    _fill(paint, [(0.5, 0.24), (0.5, 0.08), (0.6, 0.08)], (150, 168, 184))
    cv2.line(
        paint,
        (round(0.465 * width), round(0.38 * height)),
        (round(0.465 * width), round(0.78 * height)),
        (colour * 0.5).tolist(),
        max(1, width // 120),
    )
    _ellipse(paint, (0.965, 0.54), (0.03, 0.06), (240, 232, 190))
    _ellipse(paint, (0.015, 0.54), (0.022, 0.07), (150, 24, 20))
    wheel = 0.19 * height / width
    for x in (0.2 + rng.uniform(-0.01, 0.01), 0.79):
        for target, value in ((outline, 255), (paint, (26, 26, 28))):
            _ellipse(target, (x, 0.80), (wheel, 0.19), value)
        _ellipse(paint, (x, 0.80), (wheel * 0.55, 0.105), (168, 170, 174))
        _ellipse(paint, (x, 0.80), (wheel * 0.2, 0.04), (70, 70, 74))


def _person(outline: np.ndarray, paint: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> None:
    """A walker from the side, facing right."""
    skin, trousers, shoe = (196, 150, 122), np.clip(rng.uniform(30, 90, 3), 0, 255).tolist(), (44, 36, 32)
    parts: list[tuple[list[tuple[float, float]], object]] = [
        ([(0.28, 0.50), (0.58, 0.50), (0.40, 0.96), (0.12, 0.96)], [0.8 * c for c in trousers]),
        ([(0.38, 0.50), (0.72, 0.50), (0.92, 0.96), (0.66, 0.96)], trousers),
        ([(0.08, 0.95), (0.40, 0.95), (0.44, 1.0), (0.08, 1.0)], shoe),
        ([(0.64, 0.95), (0.94, 0.95), (1.0, 1.0), (0.64, 1.0)], shoe),
        ([(0.22, 0.19), (0.34, 0.155), (0.66, 0.155), (0.78, 0.19), (0.74, 0.54), (0.26, 0.54)], colour.tolist()),
        ([(0.22, 0.19), (0.36, 0.20), (0.24, 0.47), (0.04, 0.50)], (colour * 0.7).tolist()),
        ([(0.62, 0.20), (0.78, 0.19), (0.98, 0.44), (0.84, 0.50)], (colour * 0.8).tolist()),
    ]
    for shares, value in parts:
        _fill(outline, shares, 255)
        _fill(paint, shares, value)
    _fill(paint, [(0.26, 0.30), (0.76, 0.28), (0.76, 0.34), (0.26, 0.36)], (255 - 0.8 * colour).tolist())
    height, width = outline.shape
    head = 0.085 * height / width
    for target, value in ((outline, 255), (paint, skin)):
        _fill(target, [(0.44, 0.12), (0.58, 0.12), (0.58, 0.17), (0.44, 0.17)], value)
        _ellipse(target, (0.52, 0.085), (head, 0.083), value)
    _ellipse(paint, (0.48, 0.05), (head, 0.062), (58, 42, 30))


def _pillar(outline: np.ndarray, paint: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> None:
    """A stone column, darker to the right."""
    outline[:] = 255
    height, width = outline.shape
    stone = 18 * noise(rng, height // _OVERSAMPLE, width // _OVERSAMPLE, 24, 0.7)
    paint += cv2.resize(stone, (width, height))[..., None]
    paint *= (1.1 - 0.55 * np.linspace(-0.4, 1, width, dtype=np.float32) ** 2)[None, :, None]
    for seam in np.arange(rng.uniform(0.02, 0.1), 1, 0.16):
        cv2.line(paint, (0, round(seam * height)), (width, round(seam * height)), (colour * 0.55).tolist(), _OVERSAMPLE)


def _horse(outline: np.ndarray, paint: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> None:
    """A horse from the side, with a dappled coat."""
    height, width = outline.shape
    silhouette = horse_silhouette()[:, ::-1].astype(np.uint8) * 255
    outline[:] = cv2.resize(silhouette, (width, height), interpolation=cv2.INTER_AREA)
    coat = np.clip(colour + rng.normal(0, 26, (8, 1)), 15, 240)
    leaves(paint, rng, coat, 140, height / 60, height / 8, (0, 0, 1, 1))


def _hedge(outline: np.ndarray, paint: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> None:
    """A strip of bushes with a ragged top."""
    height, width = outline.shape
    top = (0.25 + 0.1 * noise(rng, 1, width, height)[0]).clip(0, 0.8) * height
    outline[np.arange(height)[:, None] >= top[None]] = 255
    green = np.clip(colour + rng.normal(0, 22, (10, 1)) + rng.normal(0, 6, (10, 3)), 10, 235)
    leaves(paint, rng, green, round(700 * width / height), height / 60, height / 7, (0, 0, 1, 1))


def _shade(paint: np.ndarray) -> None:
    """Darken towards lower right, as a ball under the sun."""
    height, width = paint.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    distance = np.hypot(x + 0.35, y + 0.4)
    paint *= np.clip(1.25 - 0.32 * distance**2, 0.45, 1.25)[..., None]


_PAINTERS = {
    "disc": _disc,
    "box": _box,
    "blob": _blob,
    "car": _car,
    "person": _person,
    "pillar": _pillar,
    "horse": _horse,
    "hedge": _hedge,
}
