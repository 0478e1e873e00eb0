"""The rules that decide what is kept, in the order in which they are asked.

Scores are measured once; a rule compares one measured value with a bound that is absolute (`min`, `max`) or by rank
(`drop_lowest`, `drop_highest`: shares of the run's scored rows). Defaults are those of the laptop preset.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from curation.contract.config import Config

Level = Literal["video", "clip", "object"]
LEVELS: tuple[Level, ...] = ("video", "clip", "object")

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, lt=1)]


class Bounds(Config):
    """Limits of a number; all null: the rule is off. A missing score (null) breaks no rule, NaN breaks every one."""

    min: _Finite | None = Field(default=None, description="least value that is kept, inclusive")
    max: _Finite | None = Field(default=None, description="largest value that is kept, inclusive")
    drop_lowest: _Share | None = Field(default=None, description="share of the run's rows to drop from below, by rank")
    drop_highest: _Share | None = Field(default=None, description="share of the run's rows to drop from above, by rank")

    @model_validator(mode="after")
    def _consistent(self) -> "Bounds":
        for absolute, rank in (("min", "drop_lowest"), ("max", "drop_highest")):
            if getattr(self, absolute) is not None and getattr(self, rank) is not None:
                raise ValueError(f"{absolute} and {rank} bound the same side; set one of them to null")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max, nothing would be kept")
        if (self.drop_lowest or 0) + (self.drop_highest or 0) >= 1:
            raise ValueError("drop_lowest and drop_highest together leave nothing")
        return self

    @property
    def by_rank(self) -> bool:
        return self.drop_lowest is not None or self.drop_highest is not None


class Labels(Config):
    """Labels that are kept. Null: the rule is off."""

    allowed: tuple[str, ...] | None = Field(default=None, description="labels that are kept")


class Flag(Config):
    """A defect that is noted as text."""

    drop: bool = Field(default=True, description="drop items that have the defect")


@dataclass(frozen=True)
class _Subject:
    """What a rule is about: the part of it that nobody configures.

    Attributes:
        column: column of `curation.selection.measures` of that level.
        stage: stage that measured it.
        noun: what a reason calls it. unit: as it follows a number; "%" shows shares in percent.
        early: known before any picture is scored.
    """

    level: Level
    column: str
    stage: str
    noun: str
    unit: str = ""
    early: bool = False


def _video(column: str, noun: str, unit: str = "") -> _Subject:
    return _Subject("video", column, "probe", noun, unit, early=True)


def _image(column: str, noun: str, unit: str = "") -> _Subject:
    return _Subject("clip", column, "image_scores", noun, unit)


def _camera(column: str, noun: str, unit: str = "") -> _Subject:
    return _Subject("clip", column, "camera", noun, unit)


class RulesConfig(Config):
    """Every rule, in order: the first one that an item breaks is its verdict.

    Files that cannot be read are dropped before any of them.
    """

    damaged: Annotated[Flag, _video("damage", "damaged")] = Flag()
    fps: Annotated[Bounds, _video("fps", "frame rate", " fps")] = Bounds(min=8, max=60)
    aspect: Annotated[Bounds, _video("aspect", "displayed width / height")] = Bounds()
    # 144p is the smallest ordinary format; 320x180, 480x360 and 362x640 are ordinary small footage and stay.
    width: Annotated[Bounds, _video("width", "width", " px")] = Bounds(min=144)
    height: Annotated[Bounds, _video("height", "height", " px")] = Bounds(min=144)
    video_frames: Annotated[Bounds, _video("frames", "decoded frames")] = Bounds()
    # 49 training frames at 12 fps.
    video_duration: Annotated[Bounds, _video("duration", "duration", " s")] = Bounds(min=4)

    length: Annotated[Bounds, _Subject("clip", "length", "clips", "length", " frames", early=True)] = Bounds()
    duration: Annotated[Bounds, _Subject("clip", "duration", "clips", "duration", " s", early=True)] = Bounds(min=4)
    start_frames: Annotated[
        Bounds, _Subject("clip", "start_frames", "start_frames", "usable start frames", early=True)
    ] = Bounds(min=1)
    # Seen on real footage: a logo 0.02, a line of text across the picture 0.06, a talk show's captions and emoji 0.16.
    text_area: Annotated[Bounds, _image("text_area", "text area", "%")] = Bounds(max=0.1)
    image_quality: Annotated[Bounds, _image("image_quality", "image quality")] = Bounds()
    aesthetic: Annotated[Bounds, _image("aesthetic", "aesthetic score")] = Bounds()
    complexity: Annotated[Bounds, _image("complexity", "complexity")] = Bounds()
    # Seen: soft, small footage from 16, a flat picture in mid fade 7, black 0.
    clarity: Annotated[Bounds, _image("clarity", "clarity (variance of the Laplacian)")] = Bounds(min=10)
    # Seen: dull or dark footage from 0.44, nearly black pictures up to 0.17.
    classical_quality: Annotated[Bounds, _image("classical_quality", "classical quality")] = Bounds(min=0.2)
    colourfulness: Annotated[Bounds, _image("colourfulness", "colourfulness")] = Bounds()
    edge_complexity: Annotated[Bounds, _image("edge_complexity", "share of edge pixels", "%")] = Bounds()
    camera_rotation: Annotated[Bounds, _camera("camera_rotation_deg", "camera rotation per step", " degrees")] = (
        Bounds()
    )
    camera_translation: Annotated[Bounds, _camera("camera_translation", "camera translation per step")] = Bounds()
    camera_focal: Annotated[Bounds, _camera("camera_focal", "zoom per step")] = Bounds()
    camera_label: Annotated[Labels, _camera("camera_label", "camera")] = Labels(allowed=("static", "handheld"))

    # Motion segmentation knows no classes; presets whose backend does name those of the recipe.
    label: Annotated[Labels, _Subject("object", "label", "objects", "label")] = Labels()
    # .40: reference recipe v1.5, panoptic step; .002 is 21 x 21 px of 640x360, the least that carries 4 points apart.
    mask_area: Annotated[Bounds, _Subject("object", "mask_area", "objects", "mask area", "%")] = Bounds(
        min=0.002, max=0.4
    )
    mask_box: Annotated[Bounds, _Subject("object", "mask_box_area", "objects", "mask box area", "%")] = Bounds()
    # .33 and .33: reference recipe v1.5, point tracking and In-N-Out steps.
    cycle_lost: Annotated[Bounds, _Subject("object", "cycle_lost", "tracks", "points lost on the way back", "%")] = (
        Bounds(max=0.33)
    )
    mask_lost: Annotated[Bounds, _Subject("object", "mask_lost", "tracks", "points that left the mask", "%")] = Bounds(
        max=0.33
    )
    points: Annotated[Bounds, _Subject("object", "points", "tracks", "tracked points")] = Bounds(min=4)
    # .02 is 5 px over 100 frames of 640x360: below it, tracking jitter passes for motion.
    speed: Annotated[Bounds, _Subject("object", "speed", "tracks", "speed")] = Bounds(min=0.02)


@dataclass(frozen=True)
class Rule:
    """One rule that is switched on, with its subject's facts.

    Attributes:
        bounds: limits of a number. allowed: labels that are kept. With neither, any text in `column` breaks the rule.
    """

    name: str
    level: Level
    column: str
    stage: str
    noun: str
    unit: str = ""
    early: bool = False
    bounds: Bounds | None = None
    allowed: tuple[str, ...] | None = None

    def breaks(self, value: Any) -> bool:
        """Whether a single measured value breaks the absolute part of this rule; null never does, see `Bounds`."""
        if value is None:
            return False
        if self.allowed is not None:
            return value not in self.allowed
        if self.bounds is None:
            return True
        low, high = self.bounds.min, self.bounds.max
        return value != value or (low is not None and value < low) or (high is not None and value > high)


def rules_of(level: Level, config: RulesConfig) -> list[Rule]:
    """The rules of a level that are switched on, in the order in which they are asked."""
    rules = [Rule("readable", "video", "error", "probe", "cannot be read", early=True)] if level == "video" else []
    for name, field in RulesConfig.model_fields.items():
        subject = next(item for item in field.metadata if isinstance(item, _Subject))
        if subject.level != level:
            continue
        setting = getattr(config, name)
        common = (name, level, subject.column, subject.stage, subject.noun, subject.unit, subject.early)
        if isinstance(setting, Bounds) and setting != Bounds():
            rules.append(Rule(*common, bounds=setting))
        elif isinstance(setting, Labels) and setting.allowed is not None:
            rules.append(Rule(*common, allowed=setting.allowed))
        elif isinstance(setting, Flag) and setting.drop:
            rules.append(Rule(*common))
    return rules


def drops_size(config: RulesConfig, width: int, height: int, pixel_aspect: float | None) -> str | None:
    """Why a file of this size need not be analysed; None when it must be.

    Size is all that a header says for certain: frame rate and length are left to the decoded frames.

    Args:
        width, height: px after rotation. pixel_aspect: sample aspect ratio, None for square pixels.
    """
    known = {"width": width, "height": height, "aspect": width * (pixel_aspect or 1.0) / height}
    for rule in rules_of("video", config):
        if rule.column in known and rule.breaks(known[rule.column]):
            return f"{rule.noun} {known[rule.column]:g}{rule.unit}"
    return None


def wants_scores(config: RulesConfig, clip: dict[str, Any], video: dict[str, Any]) -> bool:
    """Whether a clip gets past every rule that needs no picture, so that scoring its pictures is worth while.

    Args:
        clip, video: records of the two manifests; score columns may be absent.
    """
    import polars as pl

    from curation.contract.tables import table
    from curation.selection.measures import measures

    rows = {"videos": table("videos", [video]), "clips": table("clips", [clip])}
    manifests = {name: pl.LazyFrame(pl.from_arrow(row)) for name, row in rows.items()}
    for level in ("video", "clip"):
        facts = measures(level, manifests).collect().row(0, named=True)
        if any(rule.breaks(facts[rule.column]) for rule in rules_of(level, config) if rule.early):
            return False
    return True
