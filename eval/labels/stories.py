"""What objects do: paths through the frame that enter, leave, touch the border, stop or turn back."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from eval.labels.motion import RESTING, Key, Path
from eval.labels.scene import Scene
from eval.labels.truth import SIDES

_OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


class View:
    """Where an object can be in the frame, px of the frame at rest."""

    def __init__(self, scene: Scene, size: tuple[float, float], side: str, rng: np.random.Generator) -> None:
        self.width, self.height, self.last = scene.width, scene.height, scene.frames - 1
        self.half = 0.5 * 1.4 * float(np.hypot(*size))  # turned, grown and bent, it still stays within
        self.size = size
        self.side, self.rng = side, rng

    def inside(self) -> tuple[float, float]:
        """A place in which nothing of it is cut, if it fits."""
        places = []
        for side in (self.width, self.height):
            margin = min(self.half + 6, 0.45 * side)
            places.append(float(self.rng.uniform(margin, side - margin)))
        return places[0], places[1]

    def at_border(self, side: str, outside: float, along: float) -> tuple[float, float]:
        """A place across `side`: -1 is cut by nothing, +1 is all outside; `along` in 0..1 goes along the border."""
        x, y = 0.15 * self.width + 0.7 * along * self.width, 0.15 * self.height + 0.7 * along * self.height
        reach_x, reach_y = self.size[0] / 2, self.size[1] / 2
        far = self.half + 6
        across = {"left": (reach_x, -1, 0), "right": (reach_x, 1, self.width)}.get(side)
        if across is not None:
            reach, sign, border = across
            return border + sign * (far if outside >= 1 else outside * reach), y
        reach, sign, border = {"top": (reach_y, -1, 0), "bottom": (reach_y, 1, self.height)}[side]
        return x, border + sign * (far if outside >= 1 else outside * reach)

    def beyond(self, side: str) -> tuple[float, float]:
        return self.at_border(side, 1.0, float(self.rng.uniform(0.1, 0.9)))

    def time(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high)) * self.last


def _cross(view: View) -> Path:
    first, last = view.time(0.03, 0.2), view.time(0.8, 0.95)
    return Path((Key(first, *view.beyond(view.side)), Key(last, *view.beyond(_OPPOSITE[view.side]))))


def _enter(view: View) -> Path:
    return Path((Key(view.time(0.1, 0.35), *view.beyond(view.side)), Key(view.time(0.8, 1.0), *view.inside())))


def _exit(view: View) -> Path:
    return Path((Key(view.time(0.0, 0.15), *view.inside()), Key(view.time(0.65, 0.9), *view.beyond(view.side))))


def inside(view: View) -> Path:
    """From one place to another one that is far enough away."""
    start = view.inside()
    ends = [view.inside() for _ in range(8)]
    end = max(ends, key=lambda place: np.hypot(place[0] - start[0], place[1] - start[1]))
    return Path((Key(view.time(0.0, 0.1), *start), Key(view.time(0.85, 1.0), *end)))


def _partial(view: View) -> Path:
    """Comes in by a part, turns back, leaves on the same side."""
    along = float(view.rng.uniform(0.2, 0.8))
    out = view.at_border(view.side, 1.0, along)
    deep = view.at_border(view.side, float(view.rng.uniform(-0.4, 0.2)), along)
    times = view.time(0.08, 0.2), view.time(0.45, 0.55), view.time(0.8, 0.92)
    return Path((Key(times[0], *out), Key(times[1], *deep), Key(times[2], *out)), ease=4)


def _touch(view: View) -> Path:
    """Is cut by the border for a while and comes back: no event."""
    along = float(view.rng.uniform(0.2, 0.8))
    cut = view.at_border(view.side, float(view.rng.uniform(-0.6, -0.3)), along)
    place = view.inside()
    return Path((Key(view.time(0.0, 0.1), *place), Key(view.time(0.45, 0.55), *cut), Key(view.last, *place)), ease=4)


def _return(view: View) -> Path:
    out = view.beyond(view.side)
    times = view.time(0.02, 0.1), view.time(0.38, 0.45), view.time(0.55, 0.62), view.time(0.9, 1.0)
    return Path(
        (Key(times[0], *view.inside()), Key(times[1], *out), Key(times[2], *out), Key(times[3], *view.inside()))
    )


def _stop_and_go(view: View) -> Path:
    stop = view.inside()
    times = view.time(0.03, 0.15), view.time(0.38, 0.45), view.time(0.55, 0.62), view.time(0.88, 0.96)
    return Path(
        (
            Key(times[0], *view.beyond(view.side)),
            Key(times[1], *stop),
            Key(times[2], *stop),
            Key(times[3], *view.beyond(SIDES[view.rng.integers(4)])),
        ),
        ease=4,
    )


def followed(view: View) -> Path:
    """What the camera follows: it wavers about mid frame."""
    x, y = 0.5 * view.width, 0.55 * view.height
    offsets = view.rng.uniform(-0.08, 0.08, (3, 2)) * (view.width, view.height)
    return Path(
        tuple(Key(t * view.last, x + dx, y + dy) for t, (dx, dy) in zip((0, 0.5, 1), offsets, strict=True)), ease=8
    )


def resting(view: View) -> Path:
    """Stays where it is."""
    return Path((Key(0, *view.inside()),))


STORIES: tuple[Callable[[View], Path], ...] = (
    *(_cross, _cross, _cross, _enter, _enter, _exit, _exit),
    *(inside, inside, _partial, _touch, _return, _stop_and_go),
)
"""To draw from; common ones stand there more often."""


def turned(path: Path, degrees: float, growth: float, last: int) -> Path:
    """The path with a turn and a change of size spread evenly over the clip."""
    if not degrees and growth == 1.0:
        return path
    times = np.linspace(0, last, 25)
    states = path.at(times)
    share = times / last
    states[:, 2] += degrees * share
    states[:, 3] *= growth**share
    return Path(tuple(Key(time, *state) for time, state in zip(times.tolist(), states.tolist(), strict=True)))


def to_world(path: Path, scene: Scene) -> Path:
    """A path in frame px to world px, where the camera (its sway apart) moves."""
    if scene.camera.path == RESTING:
        return path
    times = np.linspace(0, scene.frames - 1, 49)
    camera = replace(scene.camera, shake_px=0, shake_deg=0).matrices(times, scene.width, scene.height, scene.seed)
    view, keys = scene.camera.path.at(times), []
    for time, state, inverse, looks in zip(times, path.at(times), np.linalg.inv(camera), view, strict=True):
        x, y, _ = inverse @ (state[0], state[1], 1)
        keys.append(Key(float(time), float(x), float(y), float(state[2] + looks[2]), float(state[3] / looks[3])))
    return Path(tuple(keys))
