"""`python -m training.benchmark`: what our training step costs on top of the stock transformer, side by side.

Both sides run forward and backward at the same shapes, in turns, in one process and one thread. Ours also draws noise
and timesteps, puts the conditions together, and weighs the loss; encoders and the optimiser are on neither side. The
clock on the wall also counts what else the machine does, seconds of CPU do not.
"""

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import torch
import typer
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

from training.models.cogvideox import CogVideoX
from training.models.conditions import Conditions, TrainingLatents
from training.models.config import Family
from training.models.identity_positions import rotary_embedding
from training.models.protocol import VideoModel
from training.models.wan import Wan
from training.objectives.build import build_objective
from training.objectives.config import ObjectiveConfig
from training.randomness import StepRandomness

_FRAMES, _HEIGHT, _WIDTH, _TEXT = 5, 16, 24, 64  # latent sizes, tokens


def main(
    family: Annotated[str, typer.Option(help="wan or cogvideox.")] = "wan",
    rounds: Annotated[int, typer.Option(min=3, help="How often each side runs; medians are compared.")] = 15,
) -> None:
    """Print the medians of both sides and the overhead."""
    torch.set_num_threads(1)  # so that CPU seconds are the work done, however busy the machine is
    ours, stock, parameters = _sides("wan" if family == "wan" else "cogvideox")
    ours()  # warm up
    stock()
    clocks: dict[str, Callable[[], float]] = {"CPU": time.process_time, "wall": time.perf_counter}
    times = {clock: {"ours": [], "stock": []} for clock in clocks}
    for number in range(rounds):
        sides = [("ours", ours), ("stock", stock)]
        for side, run in sides if number % 2 else reversed(sides):
            started = {clock: read() for clock, read in clocks.items()}
            run()
            for clock, read in clocks.items():
                times[clock][side].append(read() - started[clock])
    typer.echo(f"{family}, {parameters / 1e6:.0f} M parameters, medians of {rounds} rounds:")
    for clock, spent in times.items():
        medians = {side: statistics.median(values) for side, values in spent.items()}
        ratio = statistics.median(a / b for a, b in zip(spent["ours"], spent["stock"], strict=True))
        typer.echo(
            f"  {clock} seconds: ours {medians['ours']:.3f}, stock {medians['stock']:.3f}, overhead {ratio - 1:+.1%}"
        )


def _sides(family: Family) -> tuple[Callable[[], None], Callable[[], None], int]:
    """Our step, the stock one, and the number of parameters."""
    torch.manual_seed(0)
    model = _model(family)
    transformer = model.transformer
    channels = transformer.config.out_channels
    wide, identity = transformer.config.in_channels, 1

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(1, *shape)

    text = draw(_TEXT, 512)
    size = (_HEIGHT, _WIDTH)
    latents = TrainingLatents(
        video=draw(channels, _FRAMES, *size),
        conditions=Conditions(
            text, draw(channels, 1, *size), draw(channels, _FRAMES, *size), draw(channels, identity, *size)
        ),
        region=torch.ones(1, 1, 1, *size),
        keep_first_frame=torch.tensor([True]),
    )
    objective = build_objective(family, ObjectiveConfig())

    def ours() -> None:
        objective(model, transformer, latents, StepRandomness(0, 0, ["sample"], text.device)).mean().backward()
        transformer.zero_grad()

    frames = _FRAMES + identity
    if family == "wan":
        tokens = frames * (_HEIGHT // 2) * (_WIDTH // 2)
        call = {"hidden_states": draw(wide, frames, *size), "timestep": torch.full((1, tokens), 500.0)}
    else:
        rotary = rotary_embedding(transformer, _FRAMES, *size, identity, text.device)
        call = {"hidden_states": draw(frames, wide, *size), "timestep": torch.tensor([500]), "image_rotary_emb": rotary}

    def stock() -> None:
        transformer(**call, encoder_hidden_states=text).sample.square().mean().backward()
        transformer.zero_grad()

    return ours, stock, sum(parameter.numel() for parameter in transformer.parameters())


def _model(family: Family) -> VideoModel:
    """The tiny model's shape, scaled to more than 50 M parameters. Encoders are not used."""
    if family == "wan":
        transformer = WanTransformer3DModel(
            num_attention_heads=16, attention_head_dim=48, in_channels=96, out_channels=48, text_dim=512, ffn_dim=3072,
            num_layers=6,
        )  # fmt: skip
        return Wan(None, None, None, transformer)
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=12, attention_head_dim=64, in_channels=48, out_channels=16, text_embed_dim=512,
        num_layers=6, sample_width=_WIDTH, sample_height=_HEIGHT, sample_frames=4 * _FRAMES - 3,
        max_text_seq_length=_TEXT, use_rotary_positional_embeddings=True, use_learned_positional_embeddings=True,
    )  # fmt: skip
    return CogVideoX(None, None, None, transformer)


if __name__ == "__main__":
    typer.run(main)
