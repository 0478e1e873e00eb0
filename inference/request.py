"""A generation as one file: what is to move where on which picture.

Positions are px of the canvas, x right, y down, (0, 0) the centre of its top left pixel. The canvas is the first frame,
at the size that it is given, plus what is grown on each side; objects that enter start in the grown part, or outside
the canvas altogether. Times are seconds from the first frame. Paths are relative to the request's file.

    model: wan2.2-5b-inout
    prompt: A dog runs in from the left and sits down.
    seed: 7
    first_frame: {picture: garden.png, width: 1024, height: 704}
    canvas: {left: 256}
    objects:
    - name: dog
      identities:
      - {picture: dog.jpg, box: [40, 30, 420, 500]}     # or clicks, or a picture with transparency
      trajectories:
      - {points: [[-40, 500], [380, 520]], end: 2}      # even speed, there after two seconds
      - {points: [[380, 520]], start: 2}                # and stays
    - name: cat
      trajectories:
      - {points: [[900, 400], [1400, 420], [900, 440]], times: [0, 3, null]}   # leaves, and comes back
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import yaml
from pydantic import Field, FilePath, field_validator, model_validator

from curation.contract.config import Config, parse_config
from curation.contract.errors import UsageError
from inference.models import MODELS, Family, ModelSpec, model_spec
from inference.trajectories import sample_trajectory

LONGEST_SIDE = 4096

Point = tuple[float, float]

FAMILY_OPTIONS: dict[Family, tuple[str, ...]] = {
    "wan": ("legacy_single_timestep",),
    "cogvideox": ("legacy_noise", "use_dynamic_cfg"),
}
"""Fields of a request that only one family's pipeline knows."""


class FirstFrame(Config):
    """The picture that the video starts with, and its size on the canvas."""

    picture: FilePath = Field(description="any size; PNG, JPEG, WebP, ...")
    width: int = Field(gt=0, le=LONGEST_SIDE, description="px on the canvas")
    height: int = Field(gt=0, le=LONGEST_SIDE, description="px on the canvas")


class Growth(Config):
    """How far the canvas reaches beyond the first frame on each side, px."""

    left: int = Field(default=0, ge=0, le=LONGEST_SIDE)
    right: int = Field(default=0, ge=0, le=LONGEST_SIDE)
    top: int = Field(default=0, ge=0, le=LONGEST_SIDE)
    bottom: int = Field(default=0, ge=0, le=LONGEST_SIDE)


class Click(Config):
    """A place in an ID picture, px of that picture, that belongs to the object, or does not."""

    x: float = Field(ge=0)
    y: float = Field(ge=0)
    keep: bool = True


class Identity(Config):
    """A picture of what an object looks like. What is not the object is cut away."""

    picture: FilePath = Field(description="one with transparency is taken as it is, unless a box or clicks are given")
    box: tuple[float, float, float, float] | None = Field(
        default=None, description="[x0, y0, x1, y1] around the object, px of the picture"
    )
    clicks: tuple[Click, ...] = Field(default=(), description="places on the object, and off it (keep: false)")
    segmenter: Literal["grabcut", "sam2"] = "grabcut"

    @field_validator("box")
    @classmethod
    def _box_has_area(cls, box: tuple[float, float, float, float] | None) -> tuple[float, float, float, float] | None:
        if box is not None and not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError(f"[x0, y0, x1, y1] needs x0 < x1 and y0 < y1, got {list(box)}")
        return box

    @field_validator("clicks")
    @classmethod
    def _some_click_keeps(cls, clicks: tuple[Click, ...]) -> tuple[Click, ...]:
        if clicks and not any(click.keep for click in clicks):
            raise ValueError("at least one click must be on the object (keep: true)")
        return clicks


class Trajectory(Config):
    """Where one point of an object is over time. An object may have several, at the same time or one after the other.

    Before its first and after its last time the point is not drawn, and neither is it while it is off the canvas.
    """

    points: tuple[Point, ...] = Field(min_length=1, description="[x, y] each, px; one alone stands still")
    times: tuple[float | None, ...] | None = Field(
        default=None, description="s for each point, rising; null: placed by the length of the line, at even speed"
    )
    start: float | None = Field(default=None, ge=0, description="s of the first point; default 0")
    end: float | None = Field(default=None, gt=0, description="s of the last point; default the end of the video")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.times is not None:
            if len(self.points) < 2:
                raise ValueError("a single point takes start and end, not times")
            if len(self.times) != len(self.points):
                raise ValueError(f"{len(self.points)} points but {len(self.times)} times")
            if self.start is not None and self.times[0] is not None:
                raise ValueError(f"start is {self.start:g}, but the first point has a time too; give one of them")
            if self.end is not None and self.times[-1] is not None:
                raise ValueError(f"end is {self.end:g}, but the last point has a time too; give one of them")
        return self

    def sample(self, num_frames: int, fps: float) -> np.ndarray:
        """float64 [num_frames, 2] px; NaN where the point does not exist.

        Raises:
            ValueError: times do not rise.
        """
        points = self.points if len(self.points) > 1 else self.points * 2
        times = list(self.times or [None] * len(points))
        times[0] = times[0] if times[0] is not None else (self.start or 0.0)
        last = (num_frames - 1) / fps if self.end is None else self.end
        times[-1] = times[-1] if times[-1] is not None else last
        return sample_trajectory(points, times, num_frames, fps)


class MovingObject(Config):
    """Something that moves, enters or leaves. Objects get the trajectory colours in their order."""

    name: str = Field(default="", description="for people; the model does not see it")
    trajectories: tuple[Trajectory, ...] = ()
    identities: tuple[Identity, ...] = Field(default=(), description="ID pictures of an object that comes in")


class Request(Config):
    """Everything that a generation depends on. What is null is the model's default; `resolved` fills it in."""

    model: str = Field(default="wan2.2-5b-inout", description="one of " + ", ".join(MODELS))
    prompt: str = ""
    negative_prompt: str = ""
    seed: int = Field(default=0, ge=0, lt=2**63)
    first_frame: FirstFrame
    canvas: Growth = Growth()
    objects: tuple[MovingObject, ...] = ()
    num_frames: int | None = Field(default=None, gt=0, le=1001, description="4N + 1, for CogVideoX 8N + 1")
    fps: float = Field(default=12.0, gt=0, le=120, description="frames per second; models were trained at about 12")
    num_inference_steps: int | None = Field(default=None, gt=0, le=1000)
    guidance_scale: float | None = Field(default=None, ge=1, description="1 switches guidance off")
    legacy_stretch: bool | None = Field(
        default=None, description="stretch ID references to the canvas' aspect; null: as the weights were trained"
    )
    legacy_single_timestep: bool = Field(default=False, description="Wan: see `WanFrameInOutPipeline`")
    legacy_noise: bool = Field(default=False, description="CogVideoX: see `CogVideoXFrameInOutPipeline`")
    use_dynamic_cfg: bool = Field(default=False, description="CogVideoX: guidance that grows over the steps")

    @field_validator("model")
    @classmethod
    def _known_model(cls, model: str) -> str:
        try:
            model_spec(model)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return model

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [
            *_side_problems("wide", self.size[0], self.spec.side, "width", "left or right"),
            *_side_problems("high", self.size[1], self.spec.side, "height", "top or bottom"),
        ]
        step = self.spec.frame_step
        if self.num_frames is not None and self.num_frames % step != 1:
            low = (self.num_frames - 1) // step * step + 1
            problems.append(
                f"num_frames: {self.model} makes {step}N + 1, got {self.num_frames}; take {low} or {low + step}"
            )
        else:
            problems += self._trajectory_problems()
        pictures = sum(len(item.identities) for item in self.objects)
        if pictures and not self.spec.identity:
            problems.append(
                f"model: {self.model} takes no ID pictures, and {pictures} are given; take its -inout model"
            )
        for family, names in FAMILY_OPTIONS.items():
            foreign = [name for name in names if getattr(self, name) and family != self.spec.family]
            problems += [f"{name}: is for {family} models, and {self.model} is none" for name in foreign]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the canvas, px."""
        across = self.canvas.left + self.first_frame.width + self.canvas.right
        down = self.canvas.top + self.first_frame.height + self.canvas.bottom
        return across, down

    @property
    def region_box(self) -> tuple[int, int, int, int]:
        """Half-open [x0, y0, x1, y1] of the first frame on the canvas, px."""
        left, top = self.canvas.left, self.canvas.top
        return left, top, left + self.first_frame.width, top + self.first_frame.height

    @property
    def spec(self) -> ModelSpec:
        """What its model was made for."""
        return model_spec(self.model)

    def resolved(self) -> "Request":
        """The same with nothing left to the model's spec."""
        known = ("num_frames", "num_inference_steps", "guidance_scale", "legacy_stretch")
        missing = {name: getattr(self.spec, name) for name in known if getattr(self, name) is None}
        return self.model_copy(update=missing)

    def tracks(self) -> list[np.ndarray]:
        """For each object, float64 [num_frames, P, 2] positions on the canvas, px; NaN where a point does not exist."""
        num_frames = self.num_frames or self.spec.num_frames
        return [
            np.stack([line.sample(num_frames, self.fps) for line in item.trajectories], axis=1)
            if item.trajectories
            else np.zeros((num_frames, 0, 2))
            for item in self.objects
        ]

    def _trajectory_problems(self) -> list[str]:
        num_frames = self.num_frames or self.spec.num_frames
        if not any(item.trajectories for item in self.objects):
            return ["objects: no trajectory; draw at least one, so that something moves"]
        problems = []
        for i, item in enumerate(self.objects):
            if not item.trajectories and not item.identities:
                problems.append(f"objects.{i}: neither trajectories nor identities")
            for k, line in enumerate(item.trajectories):
                problem = self._problem(line, num_frames)
                if problem:
                    problems.append(f"objects.{i}.trajectories.{k}: {problem}")
        return problems

    def _problem(self, line: Trajectory, num_frames: int) -> str | None:
        seconds = (num_frames - 1) / self.fps
        late = max([time for time in (*(line.times or ()), line.start, line.end) if time is not None], default=0.0)
        if late > seconds + 0.5 / self.fps:
            return f"reaches {late:g} s, but {num_frames} frames at {self.fps:g} per second end at {seconds:.2f} s"
        try:
            places = line.sample(num_frames, self.fps)
        except ValueError as error:
            return str(error)
        if np.isnan(places).all():
            return "is shorter than one frame; give it more time"
        with np.errstate(invalid="ignore"):
            inside = np.all((np.rint(places) >= 0) & (np.rint(places) < self.size), axis=1)
        if not inside.any():
            return f"is never on the canvas of {self.size[0]}x{self.size[1]} px"
        return None


def _side_problems(adjective: str, side: int, step: int, name: str, edges: str) -> list[str]:
    if side > LONGEST_SIDE:
        return [f"the canvas is {side} px {adjective}, at most {LONGEST_SIDE} will do"]
    if side % step:
        more = -side % step
        return [
            f"the canvas is {side} px {adjective}, which is no multiple of {step}; "
            f"add {more} or take off {step - more} at canvas {edges}, or at first_frame.{name}"
        ]
    return []


def parse_request(data: dict[str, Any], origin: str, folder: Path) -> Request:
    """A request from its parsed form; relative paths are looked for in `folder` and become absolute.

    Raises:
        UsageError: one line that begins with `origin` and names every wrong key, and what was probably meant.
    """
    return parse_config(Request, map_pictures(data, lambda path: folder.absolute() / path), origin)


def load_request(path: Path) -> Request:
    """Read a request from YAML or JSON.

    Raises:
        UsageError: it cannot be read, or is no request; one line that names file, key and remedy.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except OSError as error:
        raise UsageError(f"{path}: cannot read this request: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: cannot read this request: it is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path}: not a request; it needs at least first_frame and objects")
    return parse_request(data, str(path), path.parent)


def change_request(request: Request, changes: Mapping[str, Any], origin: str) -> Request:
    """A request with the values of `changes` that are not None, checked anew.

    Raises:
        UsageError: as `parse_request`.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    return parse_config(Request, request.model_dump(exclude_unset=True) | given, origin) if given else request


def dump_request(request: Request, folder: Path | None = None, defaults: bool = False) -> dict[str, Any]:
    """Plain values that `parse_request` reads back as the same.

    Args:
        folder: paths below it are written relative to it.
        defaults: write what is as by default too.
    """

    def shorten(path: str) -> str:
        relative = os.path.relpath(path, folder) if folder else path
        return path if relative.startswith(os.pardir) else Path(relative).as_posix()

    return map_pictures(request.model_dump(mode="json", exclude_defaults=not defaults), shorten)


def save_request(request: Request, path: Path) -> None:
    """Write a request as YAML, or as JSON when `path` ends so."""
    data = dump_request(request, path.absolute().parent)
    if path.suffix == ".json":
        text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    else:
        # Lists of numbers on one line, sections on lines of their own.
        text = yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    path.write_text(text, encoding="utf-8")


def map_pictures(data: dict[str, Any], change: Callable[[str], str | Path]) -> dict[str, Any]:
    """A copy of a request's parsed form with every path changed; what has not its shape is left to validation."""
    result = dict(data)
    if isinstance(result.get("first_frame"), dict):
        result["first_frame"] = _map_picture(result["first_frame"], change)
    if isinstance(result.get("objects"), list):
        result["objects"] = [_map_object(item, change) for item in result["objects"]]
    return result


def _map_object(item: Any, change: Callable[[str], str | Path]) -> Any:
    if not isinstance(item, dict) or not isinstance(item.get("identities"), list):
        return item
    pictures = [_map_picture(entry, change) if isinstance(entry, dict) else entry for entry in item["identities"]]
    return item | {"identities": pictures}


def _map_picture(entry: dict[str, Any], change: Callable[[str], str | Path]) -> dict[str, Any]:
    return entry | {"picture": str(change(entry["picture"]))} if isinstance(entry.get("picture"), str) else entry
