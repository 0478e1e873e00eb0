"""Four worked examples: what can be asked for, to begin from. Places are shares of the canvas, times of the video."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from inference.app import scenes
from inference.app.sessions import Session
from inference.models import ModelSpec
from inference.pictures import write_picture

Places = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ExampleLine:
    """A trajectory; start and end are shares of the video's length."""

    points: Places
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True)
class ExampleObject:
    """identity: paints the ID picture; box: what to keep of it, as shares of it, where it is not cut out already."""

    name: str
    lines: tuple[ExampleLine, ...]
    identity: Callable[[], np.ndarray] | None = None
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Example:
    """One example.

    Attributes:
        corner: of the picture on the canvas.
        width: of the picture; its height follows.
    """

    title: str
    shows: str
    prompt: str
    scene: Callable[[], np.ndarray]
    corner: tuple[float, float]
    width: float
    objects: tuple[ExampleObject, ...]


EXAMPLES = (
    Example(
        title="Roll in",
        shows="An ID picture enters from the left",
        prompt="A colourful beach ball rolls in from the left over the sand and comes to rest by the parasol.",
        scene=scenes.beach,
        corner=(0.27, 0.06),
        width=0.7,
        objects=(
            ExampleObject(
                "ball",
                (
                    ExampleLine(((-0.08, 0.58), (0.1, 0.62), (0.28, 0.66), (0.46, 0.68)), end=0.7),
                    ExampleLine(((0.46, 0.68),), start=0.7),
                ),
                scenes.ball,
            ),
        ),
    ),
    Example(
        title="Fly out",
        shows="An object leaves by the top",
        prompt="A hot-air balloon rises from the valley and drifts out of the picture.",
        scene=scenes.valley,
        corner=(0.17, 0.17),
        width=0.66,
        objects=(
            ExampleObject(
                "balloon",
                (ExampleLine(((0.5, 0.45), (0.52, 0.32), (0.58, 0.15), (0.66, -0.02), (0.72, -0.15)), start=0.1),),
            ),
        ),
    ),
    Example(
        title="Sail through",
        shows="Enters, waits, goes on; reeds stand still",
        prompt="A sailing boat glides in over the still lake, pauses, and sails on.",
        scene=scenes.lake,
        corner=(0.06, 0.06),
        width=0.68,
        objects=(
            ExampleObject(
                "boat",
                (
                    ExampleLine(((1.06, 0.6), (0.85, 0.62), (0.52, 0.66)), end=0.5),
                    ExampleLine(((0.52, 0.66),), start=0.5, end=0.65),
                    ExampleLine(((0.52, 0.66), (0.28, 0.7), (0.08, 0.68)), start=0.65),
                ),
                scenes.boat,
                (0.1, 0.06, 0.94, 0.93),
            ),
            ExampleObject("reeds", (ExampleLine(((0.12, 0.82),)),)),
        ),
    ),
    Example(
        title="There and back",
        shows="Comes in, leaves, and comes back; a cloud drifts",
        prompt="A kite dances into the sky over the park, is blown away for a moment, and returns.",
        scene=scenes.park,
        corner=(0.14, 0.2),
        width=0.62,
        objects=(
            ExampleObject(
                "kite",
                (
                    ExampleLine(
                        (
                            (0.95, -0.12),
                            (0.8, 0.2),
                            (0.62, 0.36),
                            (0.8, 0.32),
                            (1.1, 0.25),
                            (0.95, 0.45),
                            (0.7, 0.43),
                        )
                    ),
                ),
                scenes.kite,
            ),
            ExampleObject("cloud", (ExampleLine(((0.34, 0.38), (0.44, 0.36))),)),
        ),
    ),
)


def example_draft(example: Example, session: Session, spec: ModelSpec, fps: float) -> dict[str, Any]:
    """The drawing of an example on a model's canvas; its pictures become the session's."""
    scene = example.scene()
    seconds = (spec.num_frames - 1) / fps
    width = round(example.width * spec.width)
    height = round(width * scene.shape[0] / scene.shape[1])
    x, y = round(example.corner[0] * spec.width), round(example.corner[1] * spec.height)
    picture = {
        "name": _add(session, scene, example.title),
        "x": x,
        "y": y,
        "width": min(width, spec.width - x),
        "height": min(height, spec.height - y),
    }
    objects = [_object(item, session, spec, seconds) for item in example.objects]
    return {"width": spec.width, "height": spec.height, "picture": picture, "objects": objects, "options": {}}


def _object(item: ExampleObject, session: Session, spec: ModelSpec, seconds: float) -> dict[str, Any]:
    lines = [
        {
            "points": [[round(x * spec.width, 1), round(y * spec.height, 1)] for x, y in line.points],
            "pace": None,
            "start": round(line.start * seconds, 3),
            "end": round(line.end * seconds, 3),
        }
        for line in item.lines
    ]
    identities = []
    if item.identity is not None and spec.identity:
        pixels = item.identity()
        height, width = pixels.shape[:2]
        box = (
            [round(share * side) for share, side in zip(item.box, (width, height) * 2, strict=True)]
            if item.box
            else None
        )
        name = _add(session, pixels, item.name)
        identities.append({"picture": name, "box": box, "clicks": [], "segmenter": "grabcut"})
    return {"name": item.name, "trajectories": lines, "identities": identities}


def _add(session: Session, pixels: np.ndarray, title: str) -> str:
    painted = session.folder / "painted.png"
    write_picture(painted, pixels)
    name = session.add_picture(painted, f"{title.lower().replace(' ', '-')}.png")
    painted.unlink()
    return name
