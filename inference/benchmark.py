"""What the pipelines cost over the stock ones: `python -m inference.benchmark`.

Both make the same number of tokens: the stock video is longer by four frames (one of latents) for each ID reference.
Measured is the time from the end of the first step to the end of the last, in alternating runs; the result is the
median over pairs of runs. What is done once for each video, encoding trajectories and IDs, is given apart, as a share
of a video of 50 steps. On a CPU it is CPU time of one thread, so that other work on the machine does not count.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import torch
import typer
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from diffusers.pipelines.cogvideo.pipeline_cogvideox_image2video import CogVideoXImageToVideoPipeline
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.wan.pipeline_wan_i2v import WanImageToVideoPipeline

from curation.contract.command_line import command_app, run_command
from curation.contract.errors import UsageError
from inference.pipelines.cogvideox import CogVideoXFrameInOutPipeline
from inference.pipelines.wan import WanFrameInOutPipeline
from training.models.tiny import TEXT_DIM, tiny_pipeline

_HEIGHT, _WIDTH, _FRAMES = 128, 192, 17
_USUAL_STEPS = 50

app = command_app("inference.benchmark", "Cost of trajectories and ID references over the stock pipelines.")


@app.command()
def benchmark(
    family: Annotated[str, typer.Option(help="wan or cogvideox.")] = "wan",
    identities: Annotated[int, typer.Option(min=0, help="ID references.")] = 1,
    runs: Annotated[int, typer.Option(min=1, help="Pairs of runs.")] = 9,
    steps: Annotated[int, typer.Option(min=2, help="Denoising steps of a run.")] = 6,
) -> None:
    """Print the overhead per step, and the share of what is done once."""
    if family not in ("wan", "cogvideox"):
        raise UsageError(f"--family {family}: wan or cogvideox")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    stock, ours = (_wan if family == "wan" else _cogvideox)(identities)
    for pipeline in (stock, ours):
        pipeline.to(device).set_progress_bar_config(disable=True)
    longer = _FRAMES + 4 * identities
    pairs = []
    for _ in range(runs + 1):
        plain, _ = _time(stock, device, steps, longer)
        told, once = _time(ours, device, steps, _FRAMES, **_conditions(identities))
        pairs.append((plain, told, once))
    pairs = pairs[1:]  # the first one warms up
    ratios = sorted(told / plain for plain, told, _ in pairs)
    plain, told, once = (statistics.median(values) for values in zip(*pairs, strict=True))
    sys.stdout.write(
        f"{family} on {device.type}, {identities} ID references, canvas {_WIDTH}x{_HEIGHT}, {_FRAMES} frames\n"
        f"step: stock {plain:.4f} s, ours {told:.4f} s; "
        f"overhead {100 * (statistics.median(ratios) - 1):+.1f} % (median of {runs} pairs, "
        f"{100 * (ratios[0] - 1):+.1f} to {100 * (ratios[-1] - 1):+.1f})\n"
        f"once per video: {once:.3f} s to encode conditions, "
        f"{100 * once / (once + _USUAL_STEPS * told):.1f} % of a video of {_USUAL_STEPS} steps\n"
    )


def _time(pipeline: Any, device: torch.device, steps: int, frames: int, **conditions: Any) -> tuple[float, float]:
    """(time per step, time before the stock call begins), s."""
    ends: list[float] = []

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def after_step(*arguments: Any) -> dict[str, Any]:
        ends.append(now())
        return arguments[3]

    image = torch.rand(1, 3, _HEIGHT, _WIDTH, generator=torch.Generator().manual_seed(0))
    encoding = _Stopwatch(pipeline, now) if conditions else None
    pipeline(
        image,
        prompt="the thing comes in",
        height=_HEIGHT,
        width=_WIDTH,
        num_frames=frames,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
        callback_on_step_end=after_step,
        **conditions,
    )
    return (ends[-1] - ends[0]) / (steps - 1), encoding.seconds if encoding else 0.0


class _Stopwatch:
    """Adds up the time that a pipeline of ours spends in `_encode`."""

    def __init__(self, pipeline: Any, now: Callable[[], float]) -> None:
        self.seconds = 0.0
        inner = type(pipeline)._encode

        def timed(*arguments: Any) -> torch.Tensor:
            started = now()
            result = inner(pipeline, *arguments)
            self.seconds += now() - started
            return result

        pipeline._encode = timed


def _conditions(identities: int) -> dict[str, Any]:
    """White trajectory video and black ID references: their content costs nothing."""
    return {
        "trajectory_video": torch.ones(1, 3, _FRAMES, _HEIGHT, _WIDTH),
        "identity_images": -torch.ones(1, identities, 3, _HEIGHT, _WIDTH) if identities else None,
    }


def _without_transformer(pipeline: Any) -> dict[str, Any]:
    return {name: part for name, part in pipeline.components.items() if part is not None and name != "transformer"}


def _wan(identities: int) -> tuple[DiffusionPipeline, DiffusionPipeline]:
    """Stock and ours, of random weights: large enough that a step is mostly arithmetic, as in the real ones."""
    parts = _without_transformer(tiny_pipeline("wan"))

    def transformer() -> WanTransformer3DModel:
        torch.manual_seed(0)
        return WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=8,
            attention_head_dim=48,
            in_channels=48,
            out_channels=48,
            text_dim=TEXT_DIM,
            freq_dim=32,
            ffn_dim=1024,
            num_layers=4,
            rope_max_seq_len=64,
        ).eval()

    parts["expand_timesteps"] = True
    stock = WanImageToVideoPipeline(transformer=transformer(), **parts)
    return stock, WanFrameInOutPipeline(transformer=transformer(), **parts)


def _cogvideox(identities: int) -> tuple[DiffusionPipeline, DiffusionPipeline]:
    """See `_wan`. Each transformer has learned positions for just the frames that it is asked for."""
    parts = _without_transformer(tiny_pipeline("cogvideox"))

    def transformer(frames: int) -> CogVideoXTransformer3DModel:
        torch.manual_seed(0)
        return CogVideoXTransformer3DModel(
            num_attention_heads=6,
            attention_head_dim=64,
            in_channels=32,
            out_channels=16,
            time_embed_dim=64,
            text_embed_dim=TEXT_DIM,
            num_layers=4,
            sample_width=_WIDTH // 8,
            sample_height=_HEIGHT // 8,
            sample_frames=frames,
            max_text_seq_length=226,
            use_rotary_positional_embeddings=True,
            use_learned_positional_embeddings=True,
        ).eval()

    stock = CogVideoXImageToVideoPipeline(transformer=transformer(_FRAMES + 4 * identities), **parts)
    return stock, CogVideoXFrameInOutPipeline(transformer=transformer(_FRAMES), **parts)


if __name__ == "__main__":
    run_command(app)
