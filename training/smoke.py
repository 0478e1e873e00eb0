"""`python -m training.smoke`: train both tiny models through both stages on curated clips, and see that it works.

Each stage is stopped half way and resumed; its loss, at noise that stays the same, must be lower at the end; the result
must load into stock diffusers classes and denoise a clip.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

from curation.contract.command_line import run_command, set_up_logging
from curation.contract.errors import CurationError
from training.config import TrainingConfig, load_config
from training.data.collate import collate
from training.data.dataset import SampleDataset
from training.data.schedule import Draw
from training.encode import encode_batch
from training.metrics import read_metrics
from training.models.cogvideox import CogVideoX
from training.models.load import load_model
from training.models.protocol import VideoModel
from training.models.wan import Wan
from training.models.weights import TRANSFORMER
from training.objectives.config import DropoutConfig
from training.randomness import StepRandomness
from training.run import run_training
from training.sampling import denoise


def main(
    manifest: Annotated[str, typer.Option(metavar="RUN", help="Run folder of curation.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the runs; must not hold any yet.")],
) -> None:
    """Train, stop, resume, reload and sample with tiny-wan and tiny-cogvideox."""
    set_up_logging(False)
    torch.set_num_threads(1)  # the tensors are tiny: more threads wait for one another, long where other programs run
    for model in ("tiny-wan", "tiny-cogvideox"):
        motion, inout = output / f"{model}-motion", output / f"{model}-inout"
        _report(load_config(model, "motion", [manifest]), motion)
        second = load_config(model, "inout", [manifest], None, [f"model.transformer={motion / 'checkpoints/latest'}"])
        _report(second, inout)
        clip = sample(second, inout)
        typer.echo(f"{model}: stock diffusers denoised a clip {tuple(clip.shape)}")


def _report(config: TrainingConfig, output: Path) -> None:
    first, last = train_in_two_parts(config, output)
    typer.echo(f"{output.name}: validation loss {first:.4f} -> {last:.4f}")


def train_in_two_parts(config: TrainingConfig, output: Path) -> tuple[float, float]:
    """Train to half the steps and stop, then resume; returns the validation loss before and after.

    Raises:
        CurationError: the loss is no lower after than before.
    """
    half = config.loop.model_copy(update={"steps": config.loop.steps // 2})
    run_training(config.model_copy(update={"loop": half}), output)
    run_training(config, output)
    losses = [line["validation_loss"] for line in read_metrics(output / "metrics.jsonl") if "validation_loss" in line]
    if not losses[-1] < losses[0]:
        raise CurationError(f"{output}: the validation loss went from {losses[0]:.4f} to {losses[-1]:.4f}")
    return losses[0], losses[-1]


def sample(config: TrainingConfig, output: Path) -> torch.Tensor:
    """Denoise a clip with the newest checkpoint, loaded by stock classes; float32 [1, 3, F, H, W] in -1..1.

    Raises:
        CurationError: there is something in it that is no number.
    """
    stock = WanTransformer3DModel if config.model.family == "wan" else CogVideoXTransformer3DModel
    base = config.model.model_copy(update={"transformer": None})
    frozen = load_model(base, output / "base")
    transformer = stock.from_pretrained(output / "checkpoints/latest" / TRANSFORMER)
    build = Wan if config.model.family == "wan" else CogVideoX
    model: VideoModel = build(frozen.tokenizer, frozen.text_encoder, frozen.vae, transformer, config.model.text_length)
    batch = collate([SampleDataset(config.data)[Draw(epoch=0, index=0, row=0)]])
    device = torch.device("cpu")
    randomness = StepRandomness(0, 0, batch["sample_id"], device)
    latents = encode_batch(model, batch, DropoutConfig(), randomness, with_identity=True, device=device)
    noise = randomness.normal(*latents.video.shape[1:])
    made = denoise(
        model, model.transformer, config.model.family, latents.conditions, noise, config.objective, 4, guidance_scale=2
    )
    clip = model.decode_latents(made)
    if not torch.isfinite(clip).all():
        raise CurationError(f"{output}: the denoised clip holds values that are no numbers")
    return clip


if __name__ == "__main__":
    run_command(lambda: typer.run(main))
