"""What is rendered: a scene is one shot, a sequence joins scenes."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from eval.labels.camera import TRIPOD, Camera
from eval.labels.sprites import Sprite
from eval.labels.textures import BackgroundKind


@dataclass(frozen=True)
class Scene:
    """One shot: a large flat background, sprites on it, and a camera.

    Attributes:
        width, height: frame size, px; even, so that every codec takes it.
        frames: length.
        seed: of everything random in the scene.
        noise: deviation of the sensor noise, levels.
        flicker: root mean square of the brightness changes, as a share.
        shutter: share of the frame interval during which the shutter is open; blurs what moves. 0 gives sharp frames.
        drift: slow change of brightness from the first to the last frame, as a share.
        step: sudden change of brightness at `step_frame`, as a share; 0 for none.
        text: a caption burnt into the lower third; empty for none.
    """

    width: int = 320
    height: int = 180
    fps: Fraction = Fraction(24)
    frames: int = 96
    seed: int = 0
    background: BackgroundKind = "nature"
    camera: Camera = TRIPOD
    sprites: tuple[Sprite, ...] = ()
    noise: float = 1.5
    flicker: float = 0.0
    shutter: float = 0.0
    drift: float = 0.0
    step: float = 0.0
    step_frame: int = 0
    text: str = ""


JoinKind = Literal["cut", "dissolve", "fade", "wipe"]


@dataclass(frozen=True)
class Join:
    """How one scene becomes the next.

    Attributes:
        kind: `fade` goes through black; `wipe` moves a vertical border from left to right.
        frames: number of frames that are neither one scene nor the other; 0 for a cut.
    """

    kind: JoinKind = "cut"
    frames: int = 0


@dataclass(frozen=True)
class Sequence:
    """Scenes of the same size and rate, one after the other; `joins` has one item fewer than `scenes`.

    Dissolves and wipes overlap the two scenes by the join's frames; cuts and fades do not.
    """

    scenes: tuple[Scene, ...]
    joins: tuple[Join, ...]
