"""Procedural pictures with the statistics of photographs: noise at every scale, edges of things that overlap, light.

Overlapping things of power-law size (the dead leaves model; Lee, Mumford, Huang 2001) give edges and corners at every
scale; noise whose amplitude falls with frequency gives the surfaces between them.
"""

from typing import Literal, cast, get_args

import cv2
import numpy as np

from eval.labels.photographs import Photograph, cover, photograph

BackgroundKind = Literal["nature", "street", "ground", "room"] | Photograph

_HIGHEST = 2.0  # frame heights that a photograph may fill: larger, it is too blurred to be one
_ENLARGED = 1.3  # scale of a photograph beyond which its finest grain is missing and is made up


def noise(rng: np.random.Generator, height: int, width: int, coarsest: float, roughness: float = 0.55) -> np.ndarray:
    """float32 [height, width], zero mean, unit deviation: octaves from `coarsest` px down to 1 px.

    Args:
        roughness: amplitude of an octave relative to the next coarser one; photographs have about 0.5.
    """
    total = np.zeros((height, width), np.float32)
    cell, amplitude = float(coarsest), 1.0
    while cell >= 1.0:
        shape = (int(np.ceil(height / cell)) + 3, int(np.ceil(width / cell)) + 3)
        knots = rng.standard_normal(shape, dtype=np.float32)
        size = (int(shape[1] * cell) + 1, int(shape[0] * cell) + 1)
        total += amplitude * cv2.resize(knots, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
        cell, amplitude = cell / 2, amplitude * roughness
    total -= total.mean()
    return total / max(float(total.std()), 1e-6)


def background(kind: BackgroundKind, height: int, width: int, unit: float, rng: np.random.Generator) -> np.ndarray:
    """uint8 [height, width, 3] RGB picture to put behind everything.

    Args:
        unit: px that a hundredth of the frame's height takes: detail has the same relative size in every format.
    """
    if kind in get_args(Photograph):
        return _photograph(cast(Photograph, kind), height, width, unit, rng)
    picture = {"nature": _nature, "street": _street, "ground": _ground, "room": _room}[kind](height, width, unit, rng)
    light = 1.0 + 0.10 * noise(rng, height, width, max(height, width) / 2, 0.3)
    grain = 5.0 * noise(rng, height, width, 8 * unit, 0.7)
    picture = cv2.GaussianBlur(picture * light[..., None] + grain[..., None], (0, 0), 0.7)
    return np.clip(picture, 4, 251).astype(np.uint8)


def _photograph(name: Photograph, height: int, width: int, unit: float, rng: np.random.Generator) -> np.ndarray:
    """A photograph that is as high as what the camera sees, so that nothing stands upside down in it; where a camera
    rises too far for that it is mirrored. To the sides it is mirrored wherever it is too narrow."""
    source = photograph(name)
    short = min(height, _HIGHEST * 100 * unit)
    picture = cover(source, height, width, short, rng)
    if short > _ENLARGED * min(source.shape[:2]):
        picture += 5.0 * noise(rng, height, width, 3.0, 0.8)[..., None]
    return np.clip(picture, 4, 251).astype(np.uint8)


def leaves(
    picture: np.ndarray,
    rng: np.random.Generator,
    colours: np.ndarray,
    count: int,
    smallest: float,
    largest: float,
    region: tuple[float, float, float, float],
) -> None:
    """Throw `count` shaded ellipses into float32 `picture`, large ones first, sizes by an inverse cube law.

    Args:
        colours: [N, 3] levels to pick from; each leaf varies a little.
        region: x0, y0, x1, y1 as shares of the picture: where centres fall.
    """
    height, width = picture.shape[:2]
    uniform = rng.uniform(size=count)
    radii = np.sort(1 / np.sqrt(uniform / smallest**2 + (1 - uniform) / largest**2))[::-1]
    for radius in radii:
        x = rng.uniform(region[0], region[2]) * width
        y = rng.uniform(region[1], region[3]) * height
        colour = colours[rng.integers(len(colours))] + rng.normal(0, 9) + rng.normal(0, 4, 3)
        axes = (max(1, round(radius)), max(1, round(radius * rng.uniform(0.45, 1.0))))
        angle, centre = rng.uniform(0, 180), (round(x), round(y))
        cv2.ellipse(picture, centre, axes, angle, 0, 360, (colour * 0.72).tolist(), -1, cv2.LINE_8)
        lit = (round(x - 0.15 * radius), round(y - 0.2 * radius))
        inner = (max(1, round(0.8 * axes[0])), max(1, round(0.8 * axes[1])))
        cv2.ellipse(picture, lit, inner, angle, 0, 360, colour.tolist(), -1, cv2.LINE_8)


def _ramp(height: int, width: int, top: tuple[float, ...], bottom: tuple[float, ...]) -> np.ndarray:
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    rows = (1 - share) * np.array(top, np.float32) + share * np.array(bottom, np.float32)
    return np.repeat(rows, width, axis=1)


def _jitter(rng: np.random.Generator, base: tuple[float, ...], spread: float, count: int) -> np.ndarray:
    return (np.array(base) + rng.normal(0, spread, (count, 1)) + rng.normal(0, spread / 2, (count, 3))).clip(10, 245)


def _sky(height: int, width: int, unit: float, rng: np.random.Generator) -> np.ndarray:
    picture = _ramp(height, width, (118, 160, 208), (206, 214, 216))
    clouds = np.clip(noise(rng, height, width, 40 * unit, 0.5), 0, 2)[..., None]
    return picture + clouds * 18


def _nature(height: int, width: int, unit: float, rng: np.random.Generator) -> np.ndarray:
    picture = _sky(height, width, unit, rng)
    share = width / max(height, 1)
    skyline = (0.26 + 0.035 * noise(rng, 1, width, 60 * unit)[0]) * height
    rows = np.arange(height, dtype=np.float32)[:, None]
    hills = _ramp(height, width, (88, 112, 96), (70, 96, 62)) + 9 * noise(rng, height, width, 12 * unit)[..., None]
    picture = np.where((rows > skyline)[..., None], hills, picture)
    meadow = _ramp(height, width, (120, 138, 78), (86, 100, 52)) + 15 * noise(rng, height, width, 6 * unit)[..., None]
    edge = (0.46 + 0.015 * noise(rng, 1, width, 30 * unit)[0]) * height
    picture = np.ascontiguousarray(np.where((rows > edge)[..., None], meadow, picture), np.float32)
    shrubs = np.concatenate([_jitter(rng, (64, 88, 48), 14, 8), _jitter(rng, (96, 104, 60), 14, 5)])
    leaves(picture, rng, shrubs, int(700 * share), 0.7 * unit, 5 * unit, (0, 0.27, 1, 0.47))
    stones = np.concatenate([_jitter(rng, (140, 132, 112), 18, 5), _jitter(rng, (98, 116, 58), 16, 12)])
    leaves(picture, rng, stones, int(900 * share), 0.5 * unit, 4 * unit, (0, 0.47, 1, 1.02))
    for _ in range(int(3 * share)):
        _tree(picture, unit, rng)
    return picture


def _tree(picture: np.ndarray, unit: float, rng: np.random.Generator) -> None:
    height, width = picture.shape[:2]
    x, foot = rng.uniform(0, 1), rng.uniform(0.44, 0.6)
    tall, thick = rng.uniform(0.25, 0.4), rng.uniform(1.2, 2.5) * unit
    left, right = round(x * width - thick), round(x * width + thick)
    top, bottom = round((foot - tall) * height), round(foot * height)
    cv2.rectangle(picture, (left, top), (right, bottom), (72, 58, 46), -1)
    cv2.rectangle(picture, (left, top), (round(x * width - 0.3 * thick), bottom), (104, 86, 68), -1)
    crown = (x - 9 * unit / width, foot - 1.5 * tall, x + 9 * unit / width, foot - 0.55 * tall)
    leaves(picture, rng, _jitter(rng, (70, 98, 44), 18, 10), 160, 0.7 * unit, 4 * unit, crown)


def _street(height: int, width: int, unit: float, rng: np.random.Generator) -> np.ndarray:
    picture = _sky(height, width, unit, rng)
    pavement, road = round(0.60 * height), round(0.68 * height)
    x = 0.0
    while x < width:
        wide = rng.uniform(28, 55) * unit
        _house(picture[: pavement + 1], int(x), int(min(width, x + wide)), unit, rng)
        x += wide
    slabs = _ramp(road - pavement, width, (150, 146, 138), (164, 160, 152))
    picture[pavement:road] = slabs + 7 * noise(rng, road - pavement, width, 6 * unit)[..., None]
    for seam in np.arange(0, width, 9 * unit):
        cv2.line(picture, (int(seam), pavement), (int(seam - 3 * unit), road), (118, 114, 108), 1)
    tar = _ramp(height - road, width, (92, 92, 96), (112, 110, 110))
    picture[road:] = tar + 9 * noise(rng, height - road, width, 10 * unit, 0.75)[..., None]
    cv2.line(picture, (0, road), (width, road), (190, 186, 176), max(1, round(0.8 * unit)))
    lane = round(0.85 * height)
    for start in np.arange(0, width, 26 * unit):
        dash = np.array([[start, lane], [start + 13 * unit, lane], [start + 12 * unit, lane + 1.6 * unit]])
        dash = np.vstack([dash, [start - unit, lane + 1.6 * unit]]).astype(np.int32)
        cv2.fillPoly(picture, [dash], (206, 204, 196))
    stains = _jitter(rng, (84, 84, 86), 8, 6)
    leaves(picture, rng, stains, int(60 * width / height), 0.5 * unit, 3 * unit, (0, 0.7, 1, 1))
    return picture


def _house(picture: np.ndarray, left: int, right: int, unit: float, rng: np.random.Generator) -> None:
    bottom = picture.shape[0]
    top = round(rng.uniform(-0.1, 0.3) * bottom)
    top = max(0, top)
    colour = np.array([rng.uniform(110, 200)] * 3) + rng.normal(0, 9, 3) + (12, 2, -12)
    front = picture[top:bottom, left:right]
    front[:] = colour + 6 * noise(rng, front.shape[0], front.shape[1], 5 * unit, 0.8)[..., None]
    cv2.line(picture, (left, top), (left, bottom), (colour * 0.6).tolist(), max(1, round(0.5 * unit)))
    cv2.line(picture, (left, top), (right, top), (colour * 0.5).tolist(), max(1, round(unit)))
    step_x, step_y = rng.uniform(8, 12) * unit, rng.uniform(11, 15) * unit
    wide, tall = 0.5 * step_x, 0.62 * step_y
    for y in np.arange(top + 0.3 * step_y, bottom - tall, step_y):
        for x in np.arange(left + 0.3 * step_x, right - wide, step_x):
            glass = np.array([52, 62, 76]) * rng.uniform(0.7, 1.7)
            box = (int(x), int(y)), (int(x + wide), int(y + tall))
            cv2.rectangle(picture, *box, glass.tolist(), -1)
            shine = (int(x), int(y)), (int(x + wide * rng.uniform(0.3, 1)), int(y + tall * rng.uniform(0.2, 0.6)))
            cv2.rectangle(picture, *shine, (glass * 1.35 + 8).tolist(), -1)
            cv2.rectangle(picture, *box, (colour * 1.18).clip(0, 245).tolist(), max(1, round(0.4 * unit)))


def _ground(height: int, width: int, unit: float, rng: np.random.Generator) -> np.ndarray:
    base = _ramp(height, width, (126, 118, 106), (116, 110, 100))
    picture = np.ascontiguousarray(base + 14 * noise(rng, height, width, 30 * unit)[..., None], np.float32)
    pebbles = np.concatenate([_jitter(rng, (132, 126, 118), 26, 14), _jitter(rng, (112, 92, 72), 18, 8)])
    share = width / max(height, 1)
    leaves(picture, rng, pebbles, int(2600 * share), 0.6 * unit, 7 * unit, (-0.02, -0.02, 1.02, 1.02))
    litter = np.concatenate([_jitter(rng, (150, 98, 48), 18, 5), _jitter(rng, (96, 110, 56), 16, 5)])
    leaves(picture, rng, litter, int(120 * share), 0.8 * unit, 2.5 * unit, (0, 0, 1, 1))
    return picture


def _room(height: int, width: int, unit: float, rng: np.random.Generator) -> np.ndarray:
    tint = np.array([196, 186, 168]) + rng.normal(0, 12, 3)
    wall = _ramp(height, width, tuple(tint), tuple(tint * 0.82))
    picture = np.ascontiguousarray(wall + 4 * noise(rng, height, width, 10 * unit, 0.8)[..., None], np.float32)
    floor = round(0.72 * height)
    boards = _ramp(height - floor, width, (128, 92, 62), (158, 116, 80))
    grain = noise(rng, height - floor, max(2, width // 8), 10 * unit, 0.7)
    picture[floor:] = boards + 11 * cv2.resize(grain, (width, height - floor))[..., None]
    for seam in np.linspace(floor, height, 6)[1:-1]:
        cv2.line(picture, (0, int(seam)), (width, int(seam)), (92, 64, 42), 1)
    cv2.rectangle(picture, (0, floor - round(3 * unit)), (width, floor), (222, 216, 206), -1)
    x = rng.uniform(0, 20) * unit
    while x < width:
        wide = rng.uniform(26, 50) * unit
        (_shelf if rng.uniform() < 0.6 else _poster)(picture, x, x + wide, 0.12 * height, floor - 6 * unit, unit, rng)
        x += wide + rng.uniform(8, 26) * unit
    return picture


def _shelf(
    picture: np.ndarray, left: float, right: float, top: float, bottom: float, unit: float, rng: np.random.Generator
) -> None:
    cv2.rectangle(picture, (int(left), int(top)), (int(right), int(bottom)), (84, 60, 42), -1)
    for base in np.arange(top + 15 * unit, bottom, 15 * unit):
        x = left + unit
        while x < right - 3 * unit:
            wide, tall = rng.uniform(1.2, 3.5) * unit, rng.uniform(8, 13) * unit
            colour = rng.uniform(40, 200, 3)
            cv2.rectangle(picture, (int(x), int(base - tall)), (int(x + wide), int(base)), colour.tolist(), -1)
            mark = int(base - tall * rng.uniform(0.4, 0.8))
            cv2.line(picture, (int(x), mark), (int(x + wide), mark), (colour * 0.4 + 120).tolist(), 1)
            x += wide + 0.3 * unit
        cv2.line(picture, (int(left), int(base)), (int(right), int(base)), (122, 92, 66), max(1, round(unit)))


def _poster(
    picture: np.ndarray, left: float, right: float, top: float, bottom: float, unit: float, rng: np.random.Generator
) -> None:
    low = top + 0.6 * (bottom - top)
    cv2.rectangle(picture, (int(left), int(top)), (int(right), int(low)), (60, 48, 40), -1)
    x0, y0 = max(0, int(left + 1.5 * unit)), int(top + 1.5 * unit)
    inside = picture[y0 : int(low - 1.5 * unit), x0 : int(right - 1.5 * unit)]
    if inside.shape[0] > 8 and inside.shape[1] > 8:
        art = np.ascontiguousarray(inside * 0 + rng.uniform(60, 200, 3), np.float32)
        palette = rng.uniform(30, 220, (6, 3))
        leaves(art, rng, palette, 60, unit, 10 * unit, (0, 0, 1, 1))
        inside[:] = art
