"""Random labelled clips: every situation that the labels have to hold in, drawn by seed.

Fair rather than cruel: a careful person would label each of these clips with certainty. Objects cover 0.5 to 12 % of
the frame and differ from what is behind them by at least `_VISIBLE` levels on average; a hand-held camera sways around
one place; a moving one goes far beyond its sway.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np

from curation.contract.ids import generator
from eval.labels.camera import TRIPOD, Camera
from eval.labels.labelled import CameraLabel
from eval.labels.motion import Key, Path
from eval.labels.photographs import BACKGROUNDS, MATERIALS
from eval.labels.render import contrasts
from eval.labels.scene import Join, JoinKind, Scene, Sequence
from eval.labels.sprites import Shadow, Shape, Sprite
from eval.labels.stories import STORIES, View, followed, inside, resting, to_world, turned
from eval.labels.sway import RIGID, Sway
from eval.labels.textures import BackgroundKind
from eval.labels.truth import SIDES

Group = Literal[
    "still",
    "still_handheld",
    "resting",
    "still_parallax",
    "static",
    "handheld",
    "pan",
    "tilt",
    "zoom",
    "roll",
    "follow",
    "parallax",
    "cut",
    "dissolve",
    "fade",
    "wipe",
]

# One data set after the other goes through this list; common situations come more often.
_ROUND: tuple[Group, ...] = (
    *(
        "static",
        "cut",
        "handheld",
        "pan",
        "static",
        "still",
        "dissolve",
        "follow",
        "static",
        "wipe",
        "handheld",
        "zoom",
    ),
    *("static", "fade", "parallax", "static", "still_handheld", "cut", "static", "tilt", "handheld", "static"),
    *("dissolve", "resting", "static", "roll", "wipe", "static", "handheld", "fade", "static", "pan", "still_parallax"),
    *("static", "parallax", "cut"),
)
_FORMATS = ((480, 270), (480, 270), (480, 270), (640, 360), (270, 480))
_RATES = (12, 15, 24, 25, 30)
_CRF = (18, 23, 28, 32)
_TEXTURES: tuple[BackgroundKind, ...] = ("nature", "street", "ground", "room")
_SHAPES: dict[Shape, float] = {"disc": 1.0, "box": 1.3, "blob": 1.35, "car": 2.3, "person": 0.42, "horse": 1.25}
"""Shapes of objects and their width over height."""
_VISIBLE = 28.0
_TRIES = 12


@dataclass(frozen=True)
class SampledClip:
    """Attributes: camera: label of every shot, in order; crf: constant rate factor to encode with."""

    name: str
    group: Group
    scene: Scene | Sequence
    cameras: tuple[CameraLabel, ...]
    crf: int


def sample_clip(seed: int, index: int) -> SampledClip:
    """Clip `index` of data set `seed`; the same every time."""
    rng = generator(seed, "clip", str(index))
    group = _ROUND[index % len(_ROUND)]
    width, height = _FORMATS[rng.integers(len(_FORMATS))]
    fps = Fraction(_RATES[rng.integers(len(_RATES))])
    frames = int(rng.integers(64, 145))
    blank = Scene(width=width, height=height, fps=fps, frames=frames, seed=int(rng.integers(2**31)))
    side = int(rng.integers(4)) + index  # sides take turns over the data set
    scene: Scene | Sequence
    if group in ("cut", "dissolve", "fade", "wipe"):
        scene, cameras = _sequence(blank, group, side, rng)
    else:
        scene, label = _shot(blank, group, side, rng)
        cameras = (label,)
    return SampledClip(f"{group}_{index:03d}.mp4", group, scene, cameras, int(_CRF[rng.integers(len(_CRF))]))


def _sequence(
    blank: Scene, kind: JoinKind, side: int, rng: np.random.Generator
) -> tuple[Sequence, tuple[CameraLabel, ...]]:
    """Two to four shots of different places with the same kind of transition between them."""
    count = int(rng.integers(2, 5))
    joins = tuple(Join(kind, 0 if kind == "cut" else int(rng.integers(8, 41))) for _ in range(count - 1))
    scenes, labels, used = [], [], set()
    for index in range(count):
        mixed = sum(join.frames for join in joins[max(0, index - 1) : index + 1])
        part = replace(blank, frames=int(rng.integers(30, 70)) + mixed, seed=int(rng.integers(2**31)))
        group: Group = ("static", "static", "handheld", "pan")[rng.integers(4)]
        shot, label = _shot(part, group, side + index, rng, without=frozenset(used), most=2)
        used.add(shot.background)
        scenes.append(replace(shot, drift=0.0, step=0.0, flicker=0.0))
        labels.append(label)
    return Sequence(tuple(scenes), joins), tuple(labels)


def _shot(
    blank: Scene,
    group: Group,
    side: int,
    rng: np.random.Generator,
    without: frozenset[str] = frozenset(),
    most: int = 4,
) -> tuple[Scene, CameraLabel]:
    kinds = [kind for kind in (*_TEXTURES, *BACKGROUNDS) if kind not in without]
    camera, label = _camera(group, blank, rng)
    scene = replace(
        blank,
        background=kinds[rng.integers(len(kinds))],
        camera=camera,
        noise=float(rng.uniform(0.5, 4)),
        flicker=float(rng.choice([0, 0, 0.006, 0.012])),
        drift=float(rng.choice([0, 0, rng.uniform(-0.15, 0.15)])),
        step=float(rng.choice([0, 0, 0, 0, 0, 0.2, -0.2])) if group != "still" else float(rng.choice([0, 0.25, -0.25])),
        step_frame=int(rng.integers(15, max(16, blank.frames - 15))),
        shutter=float(rng.choice([0, 0, 0.5])),
    )
    if group in ("parallax", "still_parallax"):
        scene = replace(scene, sprites=_near_layer(scene, rng))
    if group in ("still", "still_handheld", "still_parallax"):
        return scene, label
    count = int(rng.integers(1, most + 1)) if group != "resting" else 2
    for number in range(count):
        scene = _with_object(scene, group, number, SIDES[(side + number) % 4], rng)
    if group == "static" and rng.random() < 0.3:
        scene = replace(scene, sprites=(*scene.sprites, _pillar(scene, rng)))
    return scene, label


def _camera(group: Group, scene: Scene, rng: np.random.Generator) -> tuple[Camera, CameraLabel]:
    """Static does not move at all; handheld sways by about 1 % of the height around one place; moving goes on."""
    width, height, last = scene.width, scene.height, scene.frames - 1
    sway = Camera(
        shake_px=float(rng.uniform(0.008, 0.018)) * height,
        shake_deg=float(rng.uniform(0.2, 0.5)),
        shake_period=float(rng.uniform(1.0, 1.8) * scene.fps),
    )
    if group in ("handheld", "still_handheld") or (group == "resting" and rng.random() < 0.5):
        return sway, "handheld"
    sign = float(rng.choice([-1, 1]))
    seconds = last / float(scene.fps)
    far = sign * float(rng.uniform(0.12, 0.3)) * min(seconds, 5.0)  # frame sides in all
    moves: dict[str, tuple[Key, Key]] = {
        "pan": (Key(0, 0, 0), Key(last, far * width, 0)),
        "follow": (Key(0, 0, 0), Key(last, far * width, 0)),
        "parallax": (Key(0, 0, 0), Key(last, far * width, 0)),
        "still_parallax": (Key(0, 0, 0), Key(last, far * width, 0)),
        "tilt": (Key(0, 0, 0), Key(last, 0, far * height)),
        "zoom": (Key(0, 0, 0, 0, 1.0), Key(last, 0, 0, 0, float(rng.uniform(1.4, 1.8)))),
        "roll": (Key(0, 0, 0, -sign * 15), Key(last, 0, 0, sign * float(rng.uniform(12, 25)))),
    }
    if group not in moves:
        return TRIPOD, "static"
    first, final = moves[group]
    if group == "zoom" and sign < 0:
        first, final = first._replace(scale=final.scale), final._replace(scale=1.0)
    path = Path((first, final))
    return (
        replace(sway, path=path, shake_px=sway.shake_px / 4, shake_deg=0.05) if rng.random() < 0.4 else Camera(path)
    ), "moving"


def _near_layer(scene: Scene, rng: np.random.Generator) -> tuple[Sprite, ...]:
    """Posts and bushes that pass faster than the background; they are scenery."""
    parallax = float(rng.uniform(1.3, 1.8))
    ends = [key.x * parallax for key in scene.camera.path.keys]
    low, high = min(ends) - scene.width, max(ends) + 2 * scene.width
    hedge = Sprite(
        "near_hedge",
        "hedge",
        (high - low, 0.3 * scene.height),
        Path((Key(0, (low + high) / 2, 0.92 * scene.height),)),
        colour=(66, 92, 50),
        depth=8,
        occluder=True,
        parallax=parallax,
        seed=1,
    )
    posts = [
        Sprite(
            f"near_post{number}",
            "pillar",
            (0.06 * scene.height, 1.2 * scene.height),
            Path((Key(0, x, 0.5 * scene.height),)),
            colour=(112, 96, 80),
            depth=9,
            occluder=True,
            parallax=parallax,
            seed=number,
        )
        for number, x in enumerate(np.arange(low, high, rng.uniform(0.7, 1.1) * scene.width).tolist())
    ]
    return (hedge, *posts)


def _pillar(scene: Scene, rng: np.random.Generator) -> Sprite:
    place = Path((Key(0, rng.uniform(0.3, 0.7) * scene.width, 0.5 * scene.height),))
    size = (rng.uniform(0.05, 0.09) * scene.width, 1.1 * scene.height)
    return Sprite("pillar", "pillar", size, place, colour=(150, 142, 132), depth=9, occluder=True)


def _with_object(scene: Scene, group: Group, number: int, side: str, rng: np.random.Generator) -> Scene:
    """The scene with one more object: of several drawn, the first that can be seen well, else the best."""
    best: tuple[float, Scene] | None = None
    for _ in range(_TRIES):
        candidate = replace(scene, sprites=(*scene.sprites, _object(scene, group, number, side, rng)))
        seen = contrasts(candidate, f"object{number}")
        if best is None or seen > best[0]:
            best = (seen, candidate)
        if seen >= _VISIBLE:
            break
    assert best is not None
    return best[1]


def _object(scene: Scene, group: Group, number: int, side: str, rng: np.random.Generator) -> Sprite:
    shapes = list(_SHAPES)
    shape = shapes[rng.integers(len(shapes))]
    area = float(np.exp(rng.uniform(np.log(0.006), np.log(0.08)))) * scene.width * scene.height
    aspect = _SHAPES[shape] * float(rng.uniform(0.85, 1.15))
    tall = float(np.sqrt(area / aspect))
    size = (tall * aspect, tall)
    upright = shape in ("car", "person", "horse")
    bends = shape in ("blob", "person", "horse") and rng.random() < 0.6
    sway = RIGID
    if bends:
        sway = Sway(
            across=float(rng.uniform(0.03, 0.07)) * min(size),
            along=float(rng.uniform(0.0, 0.04)) * min(size),
            waves_x=float(rng.uniform(0.5, 1.2)) / size[1],
            waves_y=float(rng.uniform(0.5, 1.2)) / size[0],
            period=float(rng.uniform(0.8, 1.6) * scene.fps),
            phase=float(rng.uniform(0, 6)),
        )
    turns = 0.0 if upright or rng.random() < 0.4 else float(rng.uniform(-200, 200))
    story = STORIES[rng.integers(len(STORIES))] if group not in ("follow", "resting") else inside
    view = View(scene, size, side, rng)
    path = resting(view) if group == "resting" else followed(view) if group == "follow" and number == 0 else story(view)
    growth = float(rng.uniform(0.75, 1.35)) if rng.random() < 0.3 and group != "resting" else 1.0
    path = turned(path, turns if group != "resting" else 0.0, growth, scene.frames - 1)
    return Sprite(
        f"object{number}",
        shape,
        size,
        to_world(path, scene),
        colour=tuple(int(level) for level in rng.integers(25, 230, 3)),  # pyright: ignore[reportArgumentType]
        depth=int(rng.integers(0, 4)),
        mirrored=bool(rng.random() < 0.5),
        seed=int(rng.integers(1000)),
        photograph=MATERIALS[rng.integers(len(MATERIALS))]
        if shape in ("disc", "box", "blob") and rng.random() < 0.6
        else None,
        softness=float(rng.uniform(0.6, 1.6)),
        sway=sway,
        shadow=Shadow(lean=float(rng.uniform(-0.7, 0.7)), strength=float(rng.uniform(0.2, 0.4)))
        if rng.random() < 0.35
        else None,
    )
