"""The whole configuration of a training run. It imports no torch, so that a mistake in it shows at once.

Recipes are YAML files in training/configs/. What is given later wins, key by key:
defaults < recipe < config file < --set.
"""

from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import Field, model_validator

from curation.contract.config import Config, parse_config
from curation.contract.config_layers import merge, parse_override, read_yaml
from curation.contract.errors import UsageError
from curation.engine.config import EngineConfig
from training.data.config import DataConfig
from training.models.config import Family, ModelConfig
from training.objectives.config import ObjectiveConfig

Stage = Literal["motion", "inout"]
MODELS = ("wan2.2-5b", "cogvideox-5b", "wan2.1-14b", "tiny-wan", "tiny-cogvideox")
STAGES: tuple[Stage, ...] = ("motion", "inout")
_RECIPES = Path(__file__).parent / "configs"

# Of canvas sides, px: a latent cell times the transformer's patch; and of frames after the first. CogVideoX's VAE
# encodes 4N+1 frames, but decodes an even number of latent frames into too many.
_MULTIPLES: dict[Family, tuple[int, int]] = {"wan": (32, 4), "wan-i2v": (16, 4), "cogvideox": (16, 8)}


class OptimizerConfig(Config):
    """AdamW."""

    learning_rate: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup_steps: int = Field(default=100, ge=0, description="the rate rises linearly over them, then stays")
    max_grad_norm: float = Field(default=1.0, gt=0, description="gradients are scaled down to this norm")
    eight_bit: bool = Field(default=False, description="keep AdamW's moments in 8 bits (bitsandbytes); not with shards")


class ParallelConfig(Config):
    sharding: Literal["none", "fsdp"] = Field(
        default="none", description="none: a copy in each process (DDP); fsdp: weights, gradients, moments in shards"
    )
    reshard_after_forward: bool = Field(default=True, description="fsdp: less memory for one more gathering a step")
    context: int = Field(
        default=1, ge=1, description="processes that share the tokens of each sample, for long videos (Wan)"
    )


class LoraConfig(Config):
    rank: int = Field(default=0, ge=0, description="0: no LoRA, all weights are trained")
    alpha: int = Field(default=64, gt=0, description="the extra weights count alpha / rank times")


class EmaConfig(Config):
    decay: float = Field(default=0.0, ge=0, lt=1, description="0: no mean; .9999: over about the last 10,000 steps")


class CheckpointConfig(Config):
    every: int = Field(default=2000, ge=1, description="steps; the last step is always kept")
    keep: int = Field(default=8, ge=1, description="newest checkpoints that stay")


class ValidationConfig(Config):
    every: int = Field(default=2000, ge=0, description="steps between validations, the first before training; 0: none")
    split: Literal["train", "val", "bench"] = "val"
    batches: int = Field(default=1, ge=1, description="batches per process for the loss")
    draws: int = Field(default=4, ge=1, description="noise levels per sample; the same in every validation")
    videos: int = Field(default=1, ge=0, description="videos per process, with their conditions drawn")
    num_inference_steps: int = Field(default=50, ge=1)
    guidance_scale: float = Field(default=5.0, ge=1)


class LoopConfig(Config):
    steps: int = Field(ge=1, description="optimiser steps of the whole run")
    batch_size: int = Field(default=1, ge=1, description="samples per process and accumulated batch")
    accumulation: int = Field(default=1, ge=1, description="batches per optimiser step")
    workers: int = Field(default=4, ge=0, description="decoding processes per training process; 0: decode in it")
    feeder: Literal["workers", "ray"] = Field(
        default="workers",
        description="who decodes: `workers` processes here, or Ray Data on the CPUs of the cluster (RAY_ADDRESS)",
    )
    precision: Literal["no", "bf16"] = Field(default="bf16", description="of computing; bf16: autocast")
    gradient_checkpointing: bool = Field(default=True, description="compute activations twice to keep fewer")
    compile: bool = Field(default=False, description="torch.compile the transformer's blocks")
    seed: int = Field(default=0, ge=0)
    log_every: int = Field(default=10, ge=1, description="steps between lines in the log")
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ("tensorboard",)


class TrainingConfig(Config):
    model: ModelConfig
    data: DataConfig
    objective: ObjectiveConfig = ObjectiveConfig()
    optimizer: OptimizerConfig
    loop: LoopConfig
    parallel: ParallelConfig = ParallelConfig()
    lora: LoraConfig = LoraConfig()
    ema: EmaConfig = EmaConfig()
    checkpoints: CheckpointConfig = CheckpointConfig()
    validation: ValidationConfig = ValidationConfig()
    engine: EngineConfig = Field(
        default=EngineConfig(), description="how `precompute` is spread; nothing in it changes a value"
    )

    @model_validator(mode="after")
    def _videos_fit_the_model(self) -> Self:
        side, step = _MULTIPLES[self.model.family]
        for size in self.data.sizes:
            if size[0] % side or size[1] % side:
                raise ValueError(f"data.sizes: canvas sides of {self.model.family} are multiples of {side}, got {size}")
        if self.model.family == "wan" and 1 in self.data.frames:
            raise ValueError("data.frames: wan is given the first frame, so that 1 leaves nothing to predict")
        for count in self.data.frames:
            if count % step != 1:
                low = (count - 1) // step * step + 1
                remedy = f"take {low} or {low + step}"
                raise ValueError(f"data.frames: {self.model.family} decodes {step}N+1 frames, got {count}; {remedy}")
        return self


def load_config(
    model: str,
    stage: str,
    manifests: list[str],
    config_file: Path | None = None,
    overrides: list[str] | None = None,
) -> TrainingConfig:
    """The config of a recipe with a file's and the command line's changes; folders of weights are absolute in it.

    Args:
        model, stage: of MODELS and STAGES; they name the recipe.
        manifests: run folders of curation; they replace those of the file.
        overrides: `a.b=c`, c in YAML.

    Raises:
        UsageError: one line that names the key or the file, what is wrong, and what was probably meant.
    """
    if model not in MODELS:
        raise UsageError(f"unknown model {model!r}; models: {', '.join(MODELS)}")
    if stage not in STAGES:
        raise UsageError(f"unknown stage {stage!r}; stages: {', '.join(STAGES)}")
    data = read_yaml(_RECIPES / f"{model}-{stage}.yaml")
    if manifests:
        data = merge(data, {"data": {"manifests": [{"run": run} for run in manifests]}})
    origin = "--set"
    if config_file:
        origin = str(config_file)
        data = merge(data, read_yaml(config_file))
    for override in overrides or []:
        data = merge(data, parse_override(override))
    if not data["data"].get("manifests"):
        raise UsageError(
            "no data: name a run of curation with --manifest RUN (repeatable), or data.manifests in a file"
        )
    config = parse_config(TrainingConfig, data, origin)
    if config.data.stage != stage:
        raise UsageError(f"data.stage={config.data.stage}: a stage is chosen by --stage {config.data.stage}")
    return config.model_copy(update={"model": config.model.with_absolute_folders()})


def dump_config(config: TrainingConfig) -> str:
    """YAML that `load_config` reads back as the same config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
