"""Whether a backend can run here: it is asked itself, by being built. Building loads no model and imports no torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.backends import Choice
from curation.contract.errors import BackendUnavailableError
from curation.models.camera import CameraBackendConfig, build_camera
from curation.models.caption import CaptionConfig, build_captioner
from curation.models.masks import MasksConfig, build_masks
from curation.models.model_config import ModelConfig
from curation.models.objects import ObjectsConfig, build_detector
from curation.models.quality import QualityConfig, build_quality_scorer
from curation.models.quality.icnet import IcNet
from curation.models.quality.pyiqa_metrics import PyIqaMetrics, weights_folder
from curation.models.shots import ShotConfig, build_shot_detector
from curation.models.text import TextConfig, build_text_detector
from curation.models.tracking import TrackingConfig, build_tracker
from curation.models.weights import find_weights, is_hub_name

_SECTIONS: dict[str, tuple[Any, Callable[[Any], object]]] = {
    "shots": (ShotConfig, build_shot_detector),
    "image_scores.text": (TextConfig, build_text_detector),
    "image_scores.quality": (QualityConfig, build_quality_scorer),
    "camera": (CameraBackendConfig, build_camera),
    "objects.detector": (ObjectsConfig, build_detector),
    "objects.masks": (MasksConfig, build_masks),
    "tracking": (TrackingConfig, build_tracker),
    "captions": (CaptionConfig, build_captioner),
}


@dataclass(frozen=True)
class Check:
    """What is the case with one backend.

    Attributes:
        problem: what it lacks and the command that helps, one line; None when it can run.
        weights: where its weights are, "-" when it has none of its own, "not here" when they are missing.
    """

    problem: str | None
    weights: str


def check(choice: Choice) -> Check:
    """Ask a backend whether it has all it needs here."""
    weights = _weights(choice)
    try:
        _build(choice)
    except BackendUnavailableError as error:
        remedy = error.remedy.split("; or choose another backend")[0]
        return Check(f"needs {error.needs}; {remedy}", weights)
    return Check(None, weights)


def _build(choice: Choice) -> object:
    if choice.backend == "pyiqa":
        return PyIqaMetrics(choice.config)  # pyright: ignore[reportArgumentType] - the config of this very backend
    if choice.backend == "icnet":
        return IcNet(choice.config)  # pyright: ignore[reportArgumentType] - the config of this very backend
    section, build = _SECTIONS[choice.key]
    settings = {} if choice.config is None else {choice.backend: choice.config}
    return build(section(backend=choice.backend, **settings))


def _weights(choice: Choice) -> str:
    if choice.backend == "pyiqa":
        return str(weights_folder()) if weights_folder().is_dir() else "not here"
    if not isinstance(choice.config, ModelConfig):
        return "-"
    try:
        path = find_weights(choice.backend, choice.config)
    except BackendUnavailableError:
        return "not here"
    pinned = choice.config.revision or not is_hub_name(choice.config.weights)
    return f"{path}{'' if pinned else ', not pinned'}, {_size(path)}"


def _size(path: Path) -> str:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 2**30:.2f} GiB"
