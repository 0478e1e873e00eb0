"""The whole configuration of a run: one section per stage, each declared beside the code that it configures.

Presets are YAML files that hold only what differs from the defaults. What is given later wins, key by key:
defaults < preset < config file < --set.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from curation.contract.config import Config, parse_config
from curation.contract.config_layers import merge, parse_override, read_yaml
from curation.contract.errors import UsageError
from curation.engine.config import EngineConfig
from curation.models.caption import CaptionConfig
from curation.models.shots import ShotConfig
from curation.models.tracking import TrackingConfig
from curation.selection.rules import RulesConfig
from curation.selection.samples import SamplesConfig
from curation.selection.split import SplitConfig
from curation.stages.camera import CameraConfig
from curation.stages.clips import ClipConfig
from curation.stages.events import FrameEventsConfig
from curation.stages.identity import IdentityConfig
from curation.stages.image_scores import ImageScoreConfig
from curation.stages.objects import ObjectsOverClipConfig
from curation.stages.query_points import QueryPointsConfig
from curation.stages.region_boxes import RegionBoxesConfig
from curation.stages.region_events import RegionEventsConfig
from curation.stages.start_frames import StartFrameConfig
from curation.stages.tracks import TracksConfig
from curation.video.decode_config import DecodeConfig
from curation.video.input_config import InputConfig

PRESETS = ("laptop", "full", "commercial", "everything")
_BASES = {"commercial": ("full",)}
"""Presets that change another one."""
_PRESET_FOLDER = Path(__file__).parent / "configs"


class RunConfig(Config):
    """Defaults are those of the laptop preset."""

    preset: str = Field(default="laptop", description="the preset that the rest started from")
    seed: int = Field(default=0, ge=0, description="the same input, config and seed give the same manifests")
    input: InputConfig = InputConfig()
    decode: DecodeConfig = DecodeConfig()
    shots: ShotConfig = ShotConfig()
    clips: ClipConfig = ClipConfig()
    start_frames: StartFrameConfig = StartFrameConfig()
    image_scores: ImageScoreConfig = ImageScoreConfig()
    camera: CameraConfig = CameraConfig()
    objects: ObjectsOverClipConfig = ObjectsOverClipConfig()
    query_points: QueryPointsConfig = QueryPointsConfig()
    tracking: TrackingConfig = TrackingConfig()
    tracks: TracksConfig = TracksConfig()
    events: FrameEventsConfig = FrameEventsConfig()
    region_boxes: RegionBoxesConfig = RegionBoxesConfig()
    region_events: RegionEventsConfig = RegionEventsConfig()
    identity: IdentityConfig = IdentityConfig()
    captions: CaptionConfig = CaptionConfig()
    samples: SamplesConfig = SamplesConfig()
    split: SplitConfig = SplitConfig()
    rules: RulesConfig = RulesConfig()
    engine: EngineConfig = EngineConfig()


def load_config(
    preset: str | None = None, config_file: Path | None = None, overrides: list[str] | None = None
) -> RunConfig:
    """The config of a preset with a file's and the command line's changes.

    Args:
        preset: one of PRESETS; None for the one that the file names, or laptop.
        config_file: YAML with any part of a RunConfig; a whole one from `dump_config` will do.
        overrides: `a.b=c`, c in YAML.

    Raises:
        UsageError: one line that names the key or the file, what is wrong, and what was probably meant.
    """
    changes = read_yaml(config_file) if config_file else {}
    named = changes.get("preset")
    if preset and named and preset != named:
        raise UsageError(
            f"{config_file}: is for preset {named!r}, but preset {preset!r} was asked for; drop one of them"
        )
    preset = preset or named or "laptop"
    if preset not in PRESETS:
        raise UsageError(f"unknown preset {preset!r}; presets: {', '.join(PRESETS)}")
    data = RunConfig(preset=preset).model_dump()
    for name in (*_BASES.get(preset, ()), preset):
        path = _PRESET_FOLDER / f"{name}.yaml"
        data = merge(data, read_yaml(path))
        parse_config(RunConfig, data, str(path))
    if config_file:
        data = merge(data, changes)
        parse_config(RunConfig, data, str(config_file))
    config = override_config(data, overrides or [], "--set")
    if config.preset != preset:
        raise UsageError(f"--set preset={config.preset}: a preset is chosen by --preset {config.preset}")
    return config


def override_config(data: dict[str, Any], overrides: list[str], origin: str) -> RunConfig:
    """A config from its dumped form with `a.b=c` changes.

    Raises:
        UsageError: as `load_config`; it begins with `origin`.
    """
    for override in overrides:
        data = merge(data, parse_override(override))
    return parse_config(RunConfig, data, origin)


def dump_config(config: RunConfig) -> str:
    """YAML that `load_config` reads back as the same config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
