"""What is drawn on the page, and the request that it stands for.

The page keeps pictures by name, a line's timing as start, end and pace, and nothing of the model; a request has files,
times for each point, and all settings. Both directions are here, and going there and back changes nothing.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from curation.contract.config import Config, parse_config
from curation.contract.errors import UsageError
from inference.app.sessions import Session
from inference.models import Family, model_spec
from inference.request import FAMILY_OPTIONS, Click, Point, Request, Trajectory, parse_request
from inference.trajectories import fill_times

MAX_VIDEO_PIXELS = 2 * 1280 * 704 * 81
"""Width times height times frames: twice the largest video that a model was trained on. More would fill the memory."""

SETTINGS = (
    "model", "prompt", "negative_prompt", "seed", "num_inference_steps", "guidance_scale", "num_frames", "fps",
)  # fmt: skip
"""Fields of a request that the page has a control for, in the controls' order."""

_ROUND_S = 1e-3


class Placed(Config):
    """The first frame's picture on the canvas, px."""

    name: str
    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class Line(Config):
    """A trajectory. pace: for each point the share of the time from start to end; null: even speed."""

    points: tuple[Point, ...] = Field(min_length=1, max_length=2000)
    pace: tuple[float, ...] | None = None
    start: float = Field(ge=0, description="s")
    end: float = Field(gt=0, description="s")


class Reference(Config):
    """An ID picture, and what to keep of it."""

    picture: str
    box: tuple[float, float, float, float] | None = None
    clicks: tuple[Click, ...] = Field(default=(), max_length=100)
    segmenter: Literal["grabcut", "sam2"] = "grabcut"


class Item(Config):
    """An object."""

    name: str = Field(default="", max_length=100)
    trajectories: tuple[Line, ...] = Field(default=(), max_length=500)
    identities: tuple[Reference, ...] = Field(default=(), max_length=20)


class Draft(Config):
    """All that is drawn; positions are px of the canvas.

    options: of a loaded request, without a control of their own.
    """

    width: int = Field(gt=0, le=4096)
    height: int = Field(gt=0, le=4096)
    picture: Placed | None = None
    objects: tuple[Item, ...] = Field(default=(), max_length=50)
    options: dict[str, bool | None] = Field(default_factory=dict)


def request_of(drawn: Any, settings: Mapping[str, Any], session: Session) -> Request:
    """The request that a drawing and the page's settings stand for. Objects without anything are left out.

    Raises:
        UsageError: there is no picture or trajectory yet, one is not this session's, or the whole is no valid request.
    """
    draft = parse_config(Draft, drawn if isinstance(drawn, dict) else {}, "the drawing")
    placed = draft.picture
    if placed is None:
        raise UsageError("there is no picture yet: drop one onto the canvas, or start from an example")
    right, bottom = draft.width - placed.x - placed.width, draft.height - placed.y - placed.height
    if right < 0 or bottom < 0:
        raise UsageError("the picture reaches beyond the canvas; make it smaller or move it inside")
    frames = settings.get("num_frames") or model_spec(settings["model"]).num_frames
    if draft.width * draft.height * frames > MAX_VIDEO_PIXELS:
        raise UsageError(
            f"{frames} frames of {draft.width}x{draft.height} px are more than this page takes; "
            "choose a smaller canvas or fewer frames"
        )
    seconds = (frames - 1) / float(settings.get("fps") or 12)
    known = _options(model_spec(settings["model"]).family)
    data = {
        **settings,
        **{name: value for name, value in draft.options.items() if name in known},
        "first_frame": {"picture": placed.name, "width": placed.width, "height": placed.height},
        "canvas": {"left": placed.x, "right": right, "top": placed.y, "bottom": bottom},
        "objects": [
            {
                "name": item.name,
                "trajectories": [_trajectory(line, seconds) for line in item.trajectories],
                "identities": [_identity(entry, session) for entry in item.identities],
            }
            for item in draft.objects
            if item.trajectories or item.identities
        ],
    }
    session.picture(placed.name)
    return parse_request(data, "this drawing cannot be generated yet", session.folder)


def draft_of(request: Request) -> dict[str, Any]:
    """The drawing of a request whose pictures are a session's, as the page takes it."""
    width, height = request.size
    resolved = request.resolved()
    seconds = ((resolved.num_frames or 1) - 1) / request.fps
    x0, y0, x1, y1 = request.region_box
    name = request.first_frame.picture.name
    draft = Draft(
        width=width,
        height=height,
        picture=Placed(name=name, x=x0, y=y0, width=x1 - x0, height=y1 - y0),
        objects=tuple(
            Item(
                name=item.name,
                trajectories=tuple(_line(line, seconds) for line in item.trajectories),
                identities=tuple(
                    Reference(picture=entry.picture.name, box=entry.box, clicks=entry.clicks, segmenter=entry.segmenter)
                    for entry in item.identities
                ),
            )
            for item in request.objects
        ),
        options={
            name: value for name in _options(request.spec.family) if (value := getattr(request, name)) is not None
        },
    )
    return draft.model_dump(mode="json")


def settings_of(request: Request) -> dict[str, Any]:
    """What the page's controls show of a request; nothing is left to the model's defaults."""
    resolved = request.resolved()
    return {name: getattr(resolved, name) for name in SETTINGS}


def _options(family: Family) -> tuple[str, ...]:
    return ("legacy_stretch", *FAMILY_OPTIONS[family])


def _trajectory(line: Line, seconds: float) -> dict[str, Any]:
    if line.pace is None or len(line.points) == 1:
        start = {"start": line.start} if line.start > _ROUND_S else {}
        end = {"end": line.end} if line.end < seconds - _ROUND_S else {}
        return {"points": line.points, **start, **end}
    end = min(line.end, seconds)
    return {"points": line.points, "times": [line.start + share * (end - line.start) for share in line.pace]}


def _line(line: Trajectory, seconds: float) -> Line:
    if len(line.points) == 1:
        return Line(points=line.points, start=line.start or 0.0, end=line.end or seconds)
    times = list(line.times or [None] * len(line.points))
    start = times[0] if times[0] is not None else line.start or 0.0
    end = times[-1] if times[-1] is not None else line.end or seconds
    if all(time is None for time in times[1:-1]):
        return Line(points=line.points, start=start, end=end)
    moments = fill_times(line.points, [start, *times[1:-1], end])
    pace = tuple(round(float(share), 6) for share in (moments - start) / (end - start))
    return Line(points=line.points, pace=pace, start=start, end=end)


def _identity(entry: Reference, session: Session) -> dict[str, Any]:
    session.picture(entry.picture)
    box = {"box": entry.box} if entry.box else {}
    clicks = {"clicks": [click.model_dump() for click in entry.clicks]} if entry.clicks else {}
    return {"picture": entry.picture, "segmenter": entry.segmenter, **box, **clicks}
