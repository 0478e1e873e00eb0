"""Ready-made scenes by name, one situation each, for tests and measurements.

Positions are shares of the frame and sizes follow its height, so that every scene looks the same in every format.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from eval.labels.camera import TRIPOD, Camera
from eval.labels.motion import RESTING, Key, Path
from eval.labels.scene import Join, Scene, Sequence
from eval.labels.sprites import Shape, Sprite
from eval.labels.textures import BackgroundKind


@dataclass(frozen=True)
class Format:
    """What every scene can be asked for in."""

    width: int = 320
    height: int = 180
    fps: Fraction = Fraction(24)
    frames: int = 96
    seed: int = 0

    def px(self, shares_of_height: float) -> float:
        return shares_of_height * self.height

    def scene(self, background: BackgroundKind, *sprites: Sprite, camera: Camera = TRIPOD) -> Scene:
        return Scene(
            width=self.width,
            height=self.height,
            fps=self.fps,
            frames=self.frames,
            seed=self.seed,
            background=background,
            camera=camera,
            sprites=sprites,
        )

    def path(self, *keys: tuple[float, ...], ease: float = 0.0) -> Path:
        """Keys (time, x, y[, angle[, scale]]): time as a share of the clip, x and y as shares of the frame."""
        last = self.frames - 1
        moved = [Key(key[0] * last, key[1] * self.width, key[2] * self.height, *key[3:]) for key in keys]
        return Path(tuple(moved), ease)

    def sprite(self, name: str, shape: Shape, path: Path, **details: Any) -> Sprite:
        wide, tall = _SIZES[shape]
        return Sprite(name, shape, (self.px(wide), self.px(tall)), path, seed=self.seed, **details)

    def handheld(self, path: Path = RESTING, strength: float = 1.0) -> Camera:
        """A hand: 1.2 % of the height and 0.4 degrees at strength 1."""
        return Camera(path, shake_px=self.px(0.012) * strength, shake_deg=0.4 * strength)


_SIZES: dict[Shape, tuple[float, float]] = {
    "disc": (0.26, 0.26),
    "box": (0.32, 0.24),
    "blob": (0.36, 0.26),
    "car": (0.52, 0.22),
    "person": (0.18, 0.44),
    "pillar": (0.2, 1.1),
}
"""(width, height) as shares of the frame's height: 2 to 5 % of a 16:9 frame each."""

_BLUE, _GREEN, _OCHRE, _STONE = (44, 88, 164), (52, 132, 84), (206, 150, 52), (150, 142, 132)


def _still(f: Format) -> Scene:
    return f.scene("nature")


def _still_noise(f: Format) -> Scene:
    return replace(f.scene("room"), noise=6.0, flicker=0.01)


def _still_shaky(f: Format) -> Scene:
    return f.scene("street", camera=f.handheld())


def _still_objects(f: Format) -> Scene:
    """Things that could move but do not."""
    car = f.sprite("car", "car", f.path((0, 0.3, 0.78)))
    person = f.sprite("person", "person", f.path((0, 0.7, 0.66)), colour=_BLUE)
    return f.scene("street", car, person)


def _static_cross_left_right(f: Format) -> Scene:
    return f.scene("street", f.sprite("car", "car", f.path((0.06, -0.2, 0.78), (0.9, 1.2, 0.78))))


def _static_cross_right_left(f: Format) -> Scene:
    path = f.path((0.06, 1.2, 0.78), (0.9, -0.2, 0.78))
    return f.scene("street", f.sprite("car", "car", path, mirrored=True, colour=_BLUE))


def _enters_left(f: Format) -> Scene:
    return f.scene("street", f.sprite("person", "person", f.path((0.1, -0.12, 0.64), (1, 0.7, 0.66)), colour=_BLUE))


def _enters_right(f: Format) -> Scene:
    path = f.path((0.1, 1.2, 0.78), (1, 0.4, 0.78))
    return f.scene("street", f.sprite("car", "car", path, mirrored=True))


def _enters_top(f: Format) -> Scene:
    return f.scene("room", f.sprite("ball", "disc", f.path((0.1, 0.45, -0.25, 0), (1, 0.55, 0.72, 160))))


def _enters_bottom(f: Format) -> Scene:
    return f.scene("ground", f.sprite("box", "box", f.path((0.1, 0.4, 1.25), (1, 0.55, 0.4)), colour=_OCHRE))


def _exits_left(f: Format) -> Scene:
    path = f.path((0, 0.55, 0.78), (0.85, -0.2, 0.78))
    return f.scene("street", f.sprite("car", "car", path, mirrored=True, colour=_GREEN))


def _exits_right(f: Format) -> Scene:
    return f.scene("street", f.sprite("person", "person", f.path((0, 0.35, 0.66), (0.85, 1.12, 0.64))))


def _exits_top(f: Format) -> Scene:
    return f.scene("room", f.sprite("ball", "disc", f.path((0, 0.4, 0.7), (0.85, 0.55, -0.25, 140)), colour=_BLUE))


def _exits_bottom(f: Format) -> Scene:
    return f.scene("ground", f.sprite("blob", "blob", f.path((0, 0.5, 0.4), (0.85, 0.4, 1.25)), colour=_OCHRE))


def _turns_back(f: Format) -> Scene:
    """Comes in from the left, turns at mid frame, leaves on the left."""
    path = f.path((0.06, -0.16, 0.62), (0.48, 0.5, 0.62), (0.9, -0.16, 0.62), ease=5)
    return f.scene("nature", f.sprite("animal", "blob", path, colour=(120, 84, 58)))


def _peeks_in(f: Format) -> Scene:
    """Comes in from the left by a quarter of its width, turns, leaves on the left."""
    path = f.path((0.1, -0.1, 0.62), (0.5, -0.037, 0.62), (0.9, -0.1, 0.62), ease=5)
    return f.scene("nature", f.sprite("ball", "disc", path, colour=(44, 88, 164)))


def _touches_and_turns(f: Format) -> Scene:
    """Reaches the right border, is cut by it, comes back in full: neither an exit nor an entry."""
    path = f.path((0, 0.4, 0.62), (0.5, 0.97, 0.62), (1, 0.4, 0.62), ease=5)
    return f.scene("nature", f.sprite("animal", "blob", path, colour=(120, 84, 58)))


def _leaves_and_returns(f: Format) -> Scene:
    """Leaves on the right, comes back in there."""
    path = f.path((0, 0.5, 0.66), (0.4, 1.14, 0.66), (0.6, 1.14, 0.66), (1, 0.5, 0.66))
    return f.scene("street", f.sprite("person", "person", path, colour=_GREEN))


def _two_cross_occlude(f: Format) -> Scene:
    near = f.sprite("near", "car", f.path((0, -0.2, 0.8), (0.9, 1.2, 0.8)), depth=1)
    far = f.sprite("far", "car", f.path((0.05, 1.2, 0.74), (0.95, -0.2, 0.74)), mirrored=True, colour=_BLUE)
    return f.scene("street", far, near)


def _behind_pillar(f: Format) -> Scene:
    pillar = f.sprite("pillar", "pillar", f.path((0, 0.52, 0.5)), colour=_STONE, depth=5, occluder=True)
    person = f.sprite("person", "person", f.path((0, 0.15, 0.66), (1, 0.85, 0.66)), colour=_BLUE)
    return f.scene("street", person, pillar)


def _pan(f: Format) -> Scene:
    return f.scene("nature", camera=Camera(f.path((0, 0, 0), (1, 1.2, 0))))


def _tilt(f: Format) -> Scene:
    return f.scene("nature", camera=Camera(f.path((0, 0, -0.2), (1, 0, 0.6))))


def _zoom(f: Format) -> Scene:
    return f.scene("room", camera=Camera(f.path((0, 0, 0, 0, 1), (1, 0, 0, 0, 1.6))))


def _roll(f: Format) -> Scene:
    return f.scene("street", camera=Camera(f.path((0, 0, 0, -15), (1, 0, 0, 25))))


def _pan_follow(f: Format) -> Scene:
    """The camera goes along with a car, which stays in mid frame: no event."""
    car = f.sprite("car", "car", f.path((0, 0.5, 0.78), (1, 1.7, 0.78)))
    return f.scene("street", car, camera=Camera(f.path((0, 0, 0), (1, 1.2, 0))))


def _handheld_cross(f: Format) -> Scene:
    person = f.sprite("person", "person", f.path((0.08, -0.14, 0.66), (0.88, 1.14, 0.66)), colour=_GREEN)
    return f.scene("nature", person, camera=f.handheld())


def _late_entry(f: Format) -> Scene:
    """Nothing moves in the first half; then a car comes in from the right and stays."""
    path = f.path((0.55, 1.2, 0.78), (0.95, 0.45, 0.78))
    return f.scene("street", f.sprite("car", "car", path, mirrored=True, colour=_OCHRE))


def _stop_and_go(f: Format) -> Scene:
    """Comes in from the left, stands for a third of the time, leaves on the right."""
    path = f.path((0.05, -0.2, 0.78), (0.32, 0.45, 0.78), (0.65, 0.45, 0.78), (0.92, 1.2, 0.78), ease=6)
    return f.scene("street", f.sprite("car", "car", path, colour=_GREEN))


def _bounce(f: Format) -> Scene:
    """A ball that drops in from the top and bounces on, turning."""
    hops = [
        (0.08, 0.2, -0.2),
        (0.28, 0.33, 0.8),
        (0.46, 0.46, 0.4),
        (0.64, 0.58, 0.8),
        (0.78, 0.68, 0.6),
        (1, 0.8, 0.8),
    ]
    path = f.path(*((time, x, y, 400 * x) for time, x, y in hops))
    return f.scene("room", f.sprite("ball", "disc", path, colour=_OCHRE))


def _approaches(f: Format) -> Scene:
    """Grows as it comes nearer; no event."""
    path = f.path((0, 0.35, 0.6, 0, 0.6), (1, 0.55, 0.62, 0, 1.4))
    return f.scene("nature", f.sprite("animal", "blob", path, colour=(150, 116, 84)))


def _three_objects(f: Format) -> Scene:
    car = f.sprite("car", "car", f.path((0.1, -0.2, 0.8), (0.85, 1.2, 0.8)), depth=1)
    person = f.sprite("person", "person", f.path((0, 0.75, 0.6), (1, 0.2, 0.6)), colour=_BLUE, mirrored=True)
    ball = f.sprite("ball", "disc", f.path((0.2, 0.8, -0.2), (0.9, 0.35, 0.32, 200)), colour=_OCHRE)
    return f.scene("street", person, ball, car)


def _text(f: Format) -> Scene:
    return replace(f.scene("room"), text="the quick brown fox jumps over")


def _blurred(f: Format) -> Scene:
    """A fast car under an open shutter."""
    car = f.sprite("car", "car", f.path((0.2, -0.2, 0.78), (0.6, 1.2, 0.78)))
    return replace(f.scene("street", car), shutter=0.5)


def _shots(f: Format, *joins: Join) -> Sequence:
    """Scenes of different places, a car or walker in each, `f.frames` long in all."""
    count = len(joins) + 1
    hidden = sum(join.frames for join in joins if join.kind in ("dissolve", "wipe"))
    length = (f.frames + hidden) // count
    rest = f.frames + hidden - length * count
    kinds: tuple[BackgroundKind, ...] = ("street", "nature", "room", "ground")
    scenes = []
    for index in range(count):
        part = replace(f, frames=length + (rest if index == count - 1 else 0), seed=f.seed + index)
        shape: Shape = ("car", "person", "disc", "box")[index % 4]
        ahead = index % 2 == 0
        path = part.path((0, 0.3 if ahead else 0.7, 0.7), (1, 0.7 if ahead else 0.3, 0.7))
        thing = part.sprite("object", shape, path, mirrored=not ahead, colour=(_OCHRE, _BLUE, _GREEN)[index % 3])
        scenes.append(part.scene(kinds[index % 4], thing))
    return Sequence(tuple(scenes), joins)


def _cuts(f: Format) -> Sequence:
    return _shots(f, Join(), Join())


def _dissolve(f: Format) -> Sequence:
    return _shots(f, Join("dissolve", 14))


def _fade(f: Format) -> Sequence:
    return _shots(f, Join("fade", 16))


def _wipe(f: Format) -> Sequence:
    return _shots(f, Join("wipe", 14))


def _cuts_dissolve_fade(f: Format) -> Sequence:
    return _shots(f, Join(), Join("dissolve", 12), Join("fade", 16))


SCENES: dict[str, Callable[[Format], Scene | Sequence]] = {
    "still": _still,
    "still_noise": _still_noise,
    "still_shaky": _still_shaky,
    "still_objects": _still_objects,
    "static_cross_left_right": _static_cross_left_right,
    "static_cross_right_left": _static_cross_right_left,
    "enters_left": _enters_left,
    "enters_right": _enters_right,
    "enters_top": _enters_top,
    "enters_bottom": _enters_bottom,
    "exits_left": _exits_left,
    "exits_right": _exits_right,
    "exits_top": _exits_top,
    "exits_bottom": _exits_bottom,
    "turns_back": _turns_back,
    "peeks_in": _peeks_in,
    "touches_and_turns": _touches_and_turns,
    "leaves_and_returns": _leaves_and_returns,
    "two_cross_occlude": _two_cross_occlude,
    "behind_pillar": _behind_pillar,
    "pan": _pan,
    "tilt": _tilt,
    "zoom": _zoom,
    "roll": _roll,
    "pan_follow": _pan_follow,
    "handheld_cross": _handheld_cross,
    "late_entry": _late_entry,
    "stop_and_go": _stop_and_go,
    "bounce": _bounce,
    "approaches": _approaches,
    "three_objects": _three_objects,
    "text": _text,
    "blurred": _blurred,
    "cuts": _cuts,
    "dissolve": _dissolve,
    "fade": _fade,
    "wipe": _wipe,
    "cuts_dissolve_fade": _cuts_dissolve_fade,
}

_FORMAT_FIELDS = frozenset(Format.__dataclass_fields__)


def ready_made(name: str, **overrides: Any) -> Scene | Sequence:
    """The scene `name` of `SCENES`.

    Args:
        overrides: fields of `Format` (width, height, fps, frames, seed) and of `Scene` (background, camera, noise,
            flicker, shutter, text); in a sequence the latter go to every scene.

    Raises:
        KeyError: there is no such scene.
    """
    chosen = {key: value for key, value in overrides.items() if key in _FORMAT_FIELDS}
    changes = {key: value for key, value in overrides.items() if key not in _FORMAT_FIELDS}
    built = SCENES[name](Format(**chosen))
    if isinstance(built, Sequence):
        return replace(built, scenes=tuple(replace(scene, **changes) for scene in built.scenes))
    return replace(built, **changes)
