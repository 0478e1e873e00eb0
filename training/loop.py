"""The training loop. `train` reads top to bottom: load, spread, restore, then one optimiser step after another."""

import json
import logging
import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, ProjectConfiguration
from torch import nn
from torch.distributed.tensor import DTensor

from curation.contract.errors import CurationError, UsageError
from training.checkpoint import Checkpoints, Progress
from training.config import TrainingConfig
from training.data.config import DataConfig
from training.data.feeder import Feeder
from training.data.schedule import Share
from training.ema import Ema
from training.encode import Batch, encode_batch
from training.lora import add_lora, load_lora
from training.metrics import MetricsFile
from training.models.load import load_model
from training.models.protocol import VideoModel
from training.models.weights import TRANSFORMER
from training.objectives.build import build_objective
from training.optimizer import build_optimizer, set_learning_rate
from training.parallel import data_share, distribute
from training.preemption import Preemption
from training.randomness import StepRandomness
from training.throughput import Throughput, transformer_flops
from training.validation import Validation

logger = logging.getLogger(__name__)

MakeFeeder = Callable[[DataConfig, Share], Feeder]

# Processes wait for the main one while it writes a checkpoint, of 14B and its mean 131 GB; torch gives up after 10
# minutes.
_PATIENCE = timedelta(hours=2)


class PreemptedError(CurationError):
    """A signal asked for a stop; a checkpoint is written, and the same command goes on from it."""


def train(config: TrainingConfig, make_feeder: MakeFeeder, output: Path) -> None:
    """Train until `config.loop.steps`, from the newest checkpoint in `output` if there is one.

    Every process calls this. Metrics go to `output`/metrics.jsonl and to the trackers, checkpoints to
    `output`/checkpoints, validation videos to `output`/validation. The metric `substitutes` counts the samples of a
    step that stand in for broken ones, in all processes.

    Args:
        make_feeder: the feeder of some data for this process's share.

    Raises:
        PreemptedError: SIGTERM or SIGUSR1 came; the present step was finished and saved.
        CurationError: the gradient is infinite or no number.
        UsageError, BackendUnavailableError: the config does not fit the data, the machine or the checkpoint.
    """
    # 1. Where this process runs, and what it goes on from.
    loop = config.loop
    accelerator = Accelerator(
        cpu=not torch.accelerator.is_available(),  # without it, processes on CPUs would not find each other
        mixed_precision=loop.precision,
        gradient_accumulation_steps=loop.accumulation,
        log_with=list(loop.trackers) or None,
        project_config=ProjectConfiguration(project_dir=str(output), logging_dir=str(output / "logs")),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
    )
    checkpoints = Checkpoints(output, config.checkpoints, accelerator)
    newest = checkpoints.newest()
    share = data_share(loop, config.parallel, accelerator)
    feeder = make_feeder(config.data, share)
    held_out = _held_out(config, make_feeder, share) if config.validation.every else []

    # 2. The model: the checkpoint's weights if there is one, then spread over the processes.
    model = _load(config, newest, output, accelerator)
    transformer = distribute(model, config.parallel, accelerator)
    parameters = [parameter for parameter in model.transformer.parameters() if parameter.requires_grad]
    optimizer = build_optimizer(config.optimizer, parameters)
    ema = Ema(config.ema, model.transformer) if config.ema.decay else None
    objective = build_objective(config.model.family, config.objective)

    # 3. Where it stands.
    progress = Progress(step=0, data=feeder.state_dict())
    if newest is not None:
        progress = checkpoints.restore(newest, model, optimizer, ema)
        feeder.load_state_dict(progress.data)
        _say(accelerator, f"going on after step {progress.step}, from {newest}")
    step, batches = progress.step, _endless(feeder)
    metrics = MetricsFile(output / "metrics.jsonl", accelerator, step)
    accelerator.init_trackers("frame-in-out", config=_flat(config.model_dump(mode="json")))
    validation = None
    if config.validation.every:
        validation = Validation(config, model, objective, held_out, accelerator, output / "validation")
        if step == 0:
            _validate(validation, transformer, ema, metrics, step)

    # 4. Step after step.
    throughput = Throughput(accelerator.device, share.ranks)
    with Preemption() as preemption:
        while step < loop.steps:
            rate = set_learning_rate(optimizer, config.optimizer, step)
            loss, substitutes = torch.zeros((), device=accelerator.device), 0
            for _ in range(loop.accumulation):
                batch = throughput.waited_for(batches)
                substitutes += sum(bool(name) for name in batch["replaces"])
                randomness = StepRandomness(loop.seed, step, batch["sample_id"], accelerator.device)
                with accelerator.accumulate(transformer), accelerator.autocast():
                    latents = encode_batch(
                        model,
                        batch,
                        config.objective.dropout,
                        randomness,
                        config.data.stage == "inout",
                        accelerator.device,
                    )
                    part = objective(model, transformer, latents, randomness).mean()
                    accelerator.backward(part * config.parallel.context)
                loss += part.detach() / loop.accumulation
                flops = loop.batch_size * _flops(model, latents.video) / config.parallel.context
                throughput.count(loop.batch_size, flops)
            norm = float(_whole(accelerator.clip_grad_norm_(parameters, config.optimizer.max_grad_norm)))
            if not math.isfinite(norm):
                raise CurationError(
                    f"step {step + 1}: the gradient is no number any more (loss {float(loss):.4g}); nothing of it is "
                    "saved. Go on from the newest checkpoint with a lower optimizer.learning_rate or max_grad_norm"
                )
            optimizer.step()
            optimizer.zero_grad()
            if ema is not None:
                ema.update()
            step += 1

            # What all processes have to say in one exchange, so that all stop after the same step.
            said = torch.stack([loss, *loss.new_tensor([substitutes, preemption.notice is not None])])
            mean_loss, replaced, notices = accelerator.reduce(said, reduction="mean").tolist()  # pyright: ignore[reportAttributeAccessIssue]
            values = {"loss": mean_loss, "grad_norm": norm, "learning_rate": rate}
            values["substitutes"] = round(replaced * share.ranks)
            metrics.write(step, values)
            if step % loop.log_every == 0 or step == loop.steps:
                metrics.report(step, loop.steps, mean_loss, norm, rate, throughput.report())
            if validation is not None and (step % config.validation.every == 0 or step == loop.steps):
                _validate(validation, transformer, ema, metrics, step)
            if notices or step % config.checkpoints.every == 0 or step == loop.steps:
                progress = Progress(step, feeder.state_dict())
                written = checkpoints.save(progress, model, optimizer, ema, lora=bool(config.lora.rank))
                _say(accelerator, f"saved {written}")
            if notices and step < loop.steps:
                accelerator.end_training()
                raise PreemptedError(
                    f"stopped by a signal after step {step} of {loop.steps}; run the same command to go on"
                )
    accelerator.end_training()


def _load(config: TrainingConfig, newest: Path | None, output: Path, accelerator: Accelerator) -> VideoModel:
    """The model on its device, but for the transformer, which `distribute` places."""
    source = config.model
    if newest is not None and not config.lora.rank:
        source = source.model_copy(update={"transformer": str(newest)})
    with accelerator.main_process_first():  # one fetches or builds what the others then find
        model = load_model(source, output / "base")
    if config.lora.rank:
        add_lora(model, config.lora, config.model.transformer, config.loop.seed)
        if newest is not None:
            load_lora(model, newest / TRANSFORMER)
    for part in model.frozen_parts():
        part.to(accelerator.device)
    if config.loop.gradient_checkpointing:
        model.transformer.enable_gradient_checkpointing()
    if config.loop.compile:
        for block in model.blocks:  # in place, so names stay; diffusers' own call knows no blocks of CogVideoX
            block.compile()
    return model


def _held_out(config: TrainingConfig, make_feeder: MakeFeeder, share: Share) -> list[Batch]:
    """The batches of every validation. Their feeder, and the processes it may have, end with this call.

    Without the cache: the videos show the source, and the split is another one.
    """
    data = config.data.model_copy(update={"split": config.validation.split, "cache": None})
    try:
        batches = _endless(make_feeder(data, share))
    except UsageError as error:
        raise UsageError(f"validation: {error}; set validation.split=train, or validation.every=0 for none") from None
    return [next(batches) for _ in range(config.validation.batches)]


def _validate(
    validation: Validation, transformer: nn.Module, ema: Ema | None, metrics: "MetricsFile", step: int
) -> None:
    """Loss and videos of the weights that would be used: the mean ones if there is a mean."""
    if ema is not None and step > 0:
        with ema.applied():
            loss = validation.loss(transformer)
            validation.write_videos(transformer, step)
    else:
        loss = validation.loss(transformer)
        validation.write_videos(transformer, step)
    metrics.write(step, {"validation_loss": loss})


def _endless(feeder: Feeder) -> Iterator[Batch]:
    while True:
        yield from feeder


def _flops(model: VideoModel, video: torch.Tensor) -> float:
    """Of one sample's forward and backward passes."""
    _, patch_height, patch_width = (1, 2, 2)
    tokens = video.shape[2] * (video.shape[3] // patch_height) * (video.shape[4] // patch_width)
    return transformer_flops(model.transformer, tokens)


def _whole(norm: Any) -> torch.Tensor:
    """A norm over shards is itself in parts."""
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Trackers want scalars: {"loop.steps": 3}."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value if isinstance(value, int | float | bool | str) else json.dumps(value)
    return flat


def _say(accelerator: Accelerator, text: str) -> None:
    if accelerator.is_main_process:
        logger.info(text)
