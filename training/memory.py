"""`python -m training.memory`: what training takes of each GPU under FSDP2, computed from the models' shapes.

Nothing is allocated: parameters are counted, and a training step runs on tensors that have a shape and no content.
The table in docs/guides/training.md is what this prints.
"""

from dataclasses import dataclass
from typing import Any

import torch
import typer
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from curation.contract.command_line import run_command
from training.models.alive import Alive
from training.models.cogvideox import CONFIG_5B as COGVIDEOX_5B
from training.models.cogvideox import CogVideoX
from training.models.conditions import Conditions
from training.models.protocol import VideoModel
from training.models.wan import CONFIG_5B as WAN_5B
from training.models.wan import Wan
from training.models.wan_i2v import CONFIG_14B as WAN_14B
from training.models.wan_i2v import WanI2V
from training.models.weights import cast_parameters

GPUS = (2, 4, 8, 16)
_STATE = 4 + 4 + 8  # bytes of a parameter, float32: itself, its gradient, AdamW's two moments
_EMA = 4


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of one GPU.

    Attributes:
        parameters: of the transformer; their number.
        blocks: of whole blocks: the one at work and the next in bfloat16; gradients of one in that and in float32.
        activations: the most that lives at once in a step of one sample, with gradient checkpointing.
    """

    parameters: int
    blocks: int
    activations: int

    def state(self, gpus: int, ema: bool) -> float:
        """Weights, gradients and moments in float32, and the mean weights, in shards."""
        return self.parameters * (_STATE + (_EMA if ema else 0)) / gpus


def training_memory(name: str) -> TrainingMemory:
    """Of a model at the canvas and the most frames of its recipe, with an ID."""
    with FakeTensorMode(), torch.device("cpu"):
        model, shape, text, image = _model(name)
        transformer = model.transformer
        cast_parameters(transformer, torch.bfloat16)  # as shards are gathered
        parameters = _count(transformer)
        block = max(_count(block) for block in model.blocks)
        transformer.train().enable_gradient_checkpointing()
        return TrainingMemory(parameters, block * (2 * 2 + 2 + 4), _activations(model, shape, text, image))


def _model(name: str) -> tuple[VideoModel, tuple[int, ...], tuple[int, int], tuple[int, int] | None]:
    """The model, its latents' shape, and tokens and width of text and image."""
    if name == "wan2.2-5b":
        return Wan(None, None, None, WanTransformer3DModel(**WAN_5B)), (48, 21, 44, 80), (512, 4096), None
    if name == "cogvideox-5b":
        transformer = CogVideoXTransformer3DModel(**COGVIDEOX_5B)
        return CogVideoX(None, None, None, transformer), (16, 13, 60, 90), (226, 4096), None
    return WanI2V(None, None, None, WanTransformer3DModel(**WAN_14B)), (16, 21, 60, 104), (512, 4096), (257, 1280)


def _activations(
    model: VideoModel, shape: tuple[int, ...], text: tuple[int, int], image: tuple[int, int] | None
) -> int:
    channels, frames, height, width = shape
    first = (channels + 4, frames) if model.first_frame_as == "video" else (channels, 1)
    conditions = Conditions(
        text=torch.zeros(1, *text, dtype=torch.bfloat16),
        first_frame=torch.zeros(1, *first, height, width),
        trajectory=torch.zeros(1, *shape),
        identity=torch.zeros(1, channels, 1, height, width),
        image=torch.zeros(1, *image, dtype=torch.bfloat16) if image else None,
    )
    noisy = torch.zeros(1, *shape)
    timesteps = torch.zeros(1, frames) if model.first_frame_as == "frame" else torch.zeros(1)

    def forget(parameter: Any) -> None:
        parameter.grad = None  # it goes to its shard; `TrainingMemory.blocks` has room for one block's

    for parameter in model.transformer.parameters():
        parameter.register_post_accumulate_grad_hook(forget)
    alive = Alive(model.transformer)
    with alive, torch.autocast("cpu", torch.bfloat16):
        model.predict(model.transformer, noisy, conditions, timesteps).float().square().mean().backward()
    return alive.most


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def memory_table() -> str:
    """Markdown: GiB of one GPU for each model and number of GPUs, without and with EMA."""
    rows = [["model", "parameters", "activations", "blocks at work", *(f"{gpus} GPUs" for gpus in GPUS)]]
    rows.append(["---"] * len(rows[0]))
    for name in ("wan2.2-5b", "cogvideox-5b", "wan2.1-14b"):
        need = training_memory(name)
        work = need.activations + need.blocks
        sums = [[_gib(need.state(gpus, ema) + work) for ema in (False, True)] for gpus in GPUS]
        cells = [f"{plain:.0f} / {with_ema:.0f}" for plain, with_ema in sums]
        parts = [f"{_gib(need.activations):.1f}", f"{_gib(need.blocks):.1f}"]
        rows.append([name, f"{need.parameters / 1e9:.1f} billion", *parts, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _gib(size: float) -> float:
    return size / 2**30


def main() -> None:
    """Print the table."""
    typer.echo(memory_table())


if __name__ == "__main__":
    run_command(lambda: typer.run(main))
