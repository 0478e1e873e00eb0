"""A model by its name, ready to generate."""

import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from huggingface_hub import try_to_load_from_cache
from torch.distributed.device_mesh import init_device_mesh

from curation.contract.errors import UsageError
from inference.memory import LoadConfig, place
from inference.models import ModelSpec, model_spec
from inference.pipelines.cogvideox import CogVideoXFrameInOutPipeline
from inference.pipelines.wan import WanFrameInOutPipeline
from inference.processes import join_processes
from inference.quantization import load_gguf, load_int8
from training.models.context_parallel import DIMENSIONS, share_tokens
from training.models.quiet import quiet_libraries
from training.models.tiny import tiny_pipeline
from training.models.weights import TRANSFORMER, fetch, transformer_folder

_PIPELINES = {"wan": WanFrameInOutPipeline, "cogvideox": CogVideoXFrameInOutPipeline}
_TRANSFORMERS = {"wan": WanTransformer3DModel, "cogvideox": CogVideoXTransformer3DModel}


@dataclass(frozen=True)
class LoadedModel:
    """A pipeline in its place.

    Attributes:
        revision: which weights these are: "repository@commit", a folder, or "random, seed 0".
        config: how it was loaded.
        device, dtype: where it computes and in what, such as "cuda" and "bfloat16".
    """

    name: str
    pipeline: Any
    revision: str
    config: LoadConfig
    device: str
    dtype: str


def load_model(name: str, config: LoadConfig | None = None) -> LoadedModel:
    """Load a model: bfloat16 on a GPU; float32 on a CPU, and tiny ones. Weights that are not here are fetched.

    Raises:
        UsageError: there is no such model, no transformer where one should be, or no context parallel for it.
        BackendUnavailableError: weights are not here and cannot be fetched, or a package is not installed.
    """
    quiet_libraries()
    config = config or LoadConfig()
    spec = model_spec(name)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.context_parallel is not None:
        device = join_processes(config.context_parallel)
    dtype = torch.bfloat16 if device.type == "cuda" and spec.base else torch.float32
    pipeline, revision = _published(spec, config, dtype) if spec.base else _tiny(spec, config, dtype)
    if config.lora is not None:
        _load_lora(pipeline, config)
    if config.context_parallel is not None:
        shape = (1, config.context_parallel)
        share_tokens(pipeline.transformer, init_device_mesh(device.type, shape, mesh_dim_names=DIMENSIONS))
    place(pipeline, config, device)
    pipeline.set_progress_bar_config(disable=True)
    return LoadedModel(name, pipeline, revision, config, device.type, str(dtype).removeprefix("torch."))


@lru_cache(maxsize=1)
def cached_model(name: str, config: LoadConfig | None = None) -> LoadedModel:
    """As `load_model`; keeps the last one, for a process that is asked again and again."""
    return load_model(name, config)


def weights_are_here(spec: ModelSpec) -> bool:
    """Whether a published model's weights are in the Hugging Face cache, so that nothing would be fetched."""
    base = try_to_load_from_cache(spec.base, "model_index.json", revision=spec.revision)
    transformer = try_to_load_from_cache(spec.transformer, "config.json")
    return isinstance(base, str) and isinstance(transformer, str)


def _published(spec: ModelSpec, config: LoadConfig, dtype: torch.dtype) -> tuple[Any, str]:
    base = fetch(spec.base, spec.revision)
    transformer, revision = _transformer(spec, config, base, dtype)
    return _PIPELINES[spec.family].from_pretrained(base, transformer=transformer, dtype=dtype), revision


def _tiny(spec: ModelSpec, config: LoadConfig, dtype: torch.dtype) -> tuple[Any, str]:
    """Random weights; the transformer is loaded by the same steps as a published one."""
    stock = tiny_pipeline(spec.family)
    with tempfile.TemporaryDirectory() as base:
        # The transformer alone: with torch.distributed, transformers writes models in the first process only.
        stock.transformer.save_pretrained(Path(base) / TRANSFORMER)
        transformer, revision = _transformer(spec, config, Path(base), dtype)
    stock.register_modules(transformer=transformer)
    components = {name: part for name, part in stock.components.items() if part is not None}
    own = {"expand_timesteps": True} if spec.family == "wan" else {}
    return _PIPELINES[spec.family](**components, **own), revision


def _transformer(spec: ModelSpec, config: LoadConfig, base: Path, dtype: torch.dtype) -> tuple[Any, str]:
    """The transformer that is asked for, or the model's own, and which one that is."""
    kind = _TRANSFORMERS[spec.family]
    if config.gguf is not None:
        return load_gguf(kind, config.gguf, base / TRANSFORMER, dtype), str(config.gguf)
    source = config.transformer or spec.transformer or str(base)
    folder = transformer_folder(source)
    random = not (config.transformer or spec.transformer)
    revision = "random, seed 0" if random else _revision(source, folder)
    if config.quantization == "int8":
        return load_int8(kind, folder, dtype), revision
    return kind.from_pretrained(folder, dtype=dtype), revision


def _revision(source: str, folder: Path) -> str:
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
