"""A model by its name, ready to generate."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch.distributed.device_mesh import init_device_mesh

from curation.contract.errors import UsageError
from inference.memory import LoadConfig, place
from inference.models import ModelSpec, model_spec
from inference.pipelines.cogvideox import CogVideoXFrameInOutPipeline
from inference.pipelines.wan import WanFrameInOutPipeline
from inference.processes import join_processes
from training.models.context_parallel import DIMENSIONS, share_tokens
from training.models.tiny import tiny_pipeline
from training.models.weights import fetch, transformer_folder

_PIPELINES = {"wan": WanFrameInOutPipeline, "cogvideox": CogVideoXFrameInOutPipeline}
_TRANSFORMERS = {"wan": WanTransformer3DModel, "cogvideox": CogVideoXTransformer3DModel}


@dataclass(frozen=True)
class LoadedModel:
    """A pipeline in its place.

    Attributes:
        revision: which weights these are: "repository@commit", a folder, or "random, seed 0".
    """

    name: str
    pipeline: Any
    revision: str


def load_model(name: str, config: LoadConfig | None = None) -> LoadedModel:
    """Load a model: bfloat16 on a GPU; float32 on a CPU, and tiny ones. Weights that are not here are fetched.

    Raises:
        UsageError: there is no such model, no transformer where one should be, or no context parallel for it.
        BackendUnavailableError: weights are not here and cannot be fetched.
    """
    config = config or LoadConfig()
    spec = model_spec(name)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.context_parallel is not None:
        device = join_processes(config.context_parallel)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    if spec.base:
        pipeline, revision = _published(spec, config, dtype)
    else:
        pipeline, revision = _tiny(spec, config)
    if config.lora is not None:
        _load_lora(pipeline, config)
    if config.context_parallel is not None:
        shape = (1, config.context_parallel)
        share_tokens(pipeline.transformer, init_device_mesh(device.type, shape, mesh_dim_names=DIMENSIONS))
    place(pipeline, config, device)
    pipeline.set_progress_bar_config(disable=True)
    return LoadedModel(name, pipeline, revision)


@lru_cache(maxsize=1)
def cached_model(name: str, config: LoadConfig | None = None) -> LoadedModel:
    """As `load_model`; keeps the last one, for a process that is asked again and again."""
    return load_model(name, config)


def _published(spec: ModelSpec, config: LoadConfig, dtype: torch.dtype) -> tuple[Any, str]:
    base = fetch(spec.base, spec.revision)
    source = config.transformer or spec.transformer
    folder = transformer_folder(source)
    transformer = _TRANSFORMERS[spec.family].from_pretrained(folder, torch_dtype=dtype)
    pipeline = _PIPELINES[spec.family].from_pretrained(base, transformer=transformer, torch_dtype=dtype)
    return pipeline, _revision(source, folder)


def _tiny(spec: ModelSpec, config: LoadConfig) -> tuple[Any, str]:
    stock = tiny_pipeline(spec.family)
    own = {"expand_timesteps": True} if spec.family == "wan" else {}
    components = {name: part for name, part in stock.components.items() if part is not None}
    revision = "random, seed 0"
    if config.transformer is not None:
        folder = transformer_folder(config.transformer)
        components["transformer"] = _TRANSFORMERS[spec.family].from_pretrained(folder)
        revision = _revision(config.transformer, folder)
    return _PIPELINES[spec.family](**components, **own), revision


def _revision(source: str, folder: Any) -> str:
    """Which weights lie in a folder: hub downloads lie in a folder named by their commit."""
    parts = folder.parts
    commit = parts[parts.index("snapshots") + 1] if "snapshots" in parts else None
    return f"{source}@{commit}" if commit else str(folder)


def _load_lora(pipeline: Any, config: LoadConfig) -> None:
    try:
        pipeline.load_lora_weights(str(config.lora))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{config.lora}: cannot load these LoRA weights: {reason}") from None
