"""`python -m inference`: the command line. Heavy modules are imported inside the commands, so --help is instant."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.contract.command_line import VerboseOption, command_app, run_command, set_up_logging

if TYPE_CHECKING:
    from inference.memory import LoadConfig

app = command_app("inference", "Videos whose objects enter and leave the frame, from a picture and some drawn lines.")

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Run folder of curation: a path or s3:// / gs:// URI.")]
MemoryOption = Annotated[
    str | None, typer.Option(metavar="24gb|16gb|12gb", help="Fit into a GPU of that size; `doctor` says which do.")
]
StepCacheOption = Annotated[
    float | None, typer.Option(help="First-block cache: skip steps that change less than this share, e.g. 0.1.")
]
TransformerOption = Annotated[
    str | None,
    typer.Option(metavar="WEIGHTS", help="Others: a checkpoint, a published folder or repository, a .gguf file."),
]
QuantizationOption = Annotated[
    str | None, typer.Option(metavar="fp8|int8", help="Keep the transformer's weights in 8 bits; int8 needs torchao.")
]
CompileOption = Annotated[bool, typer.Option("--compile", help="torch.compile: minutes once, faster steps after.")]
ContextOption = Annotated[
    int | None,
    typer.Option(min=2, metavar="N", help="N GPUs share one video's tokens (Wan). Start: torchrun --nproc-per-node N."),
]
LoraOption = Annotated[Path | None, typer.Option(metavar="FILE", help="LoRA weights in diffusers' layout.")]


@app.command()
def generate(
    request: Annotated[Path, typer.Argument(metavar="REQUEST", help="YAML or JSON, or a video generated before.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.mp4", help="Canvas; OUT_region.mp4 beside it.")
    ],
    model: Annotated[str | None, typer.Option(help="Instead of the request's; tiny-wan runs anywhere.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the request's.")] = None,
    memory: MemoryOption = None,
    quantization: QuantizationOption = None,
    step_cache: StepCacheOption = None,
    compile: CompileOption = False,
    transformer: TransformerOption = None,
    lora: LoraOption = None,
    context_parallel: ContextOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Generate one video."""
    set_up_logging(verbose)
    from inference.request import change_request, load_request

    load = _load_config(memory, quantization, step_cache, compile, transformer, lora, context_parallel)
    if request.suffix == ".mp4":
        from inference.metadata import recipe_of_video

        made = recipe_of_video(request)
        asked, load = made.request, load if load.model_dump(exclude_defaults=True) else made.load
    else:
        asked = load_request(request)
    asked = change_request(asked, {"model": model, "seed": seed}, str(request))
    if not output.absolute().parent.is_dir():
        from curation.contract.errors import UsageError

        raise UsageError(f"{output}: there is no folder {output.absolute().parent}; make it first")

    from curation.engine.progress import progress
    from inference.conditions import preview_conditions
    from inference.generate import generate as run
    from inference.loading import load_model
    from inference.metadata import write_generation
    from inference.processes import is_first_process

    preview_conditions(asked)  # whatever is wrong with the pictures shows before minutes of loading
    loaded = load_model(asked.model, load)
    if not is_first_process():
        run(asked, loaded)  # its part of the work; the first one has the whole video too
        return
    with progress("generate", asked.resolved().num_inference_steps or 1, "steps") as shown:
        made = run(asked, loaded, lambda *_: shown.advance(1))
    region = write_generation(made, output)
    typer.echo(f"canvas: {output}\nregion: {region}\n{made.seconds:.1f} s, {made.model.revision}")


@app.command()
def batch(
    manifest: Annotated[str, typer.Option(metavar="RUN", help="Run folder of curation with the samples.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="GEN", help="Folder to make, or to go on with.")],
    split: Annotated[str, typer.Option(help="train, val or bench.")] = "bench",
    model: Annotated[str, typer.Option(help="The model to generate with.")] = "wan2.2-5b-inout",
    seed: Annotated[int, typer.Option(min=0, help="Every sample gets its own seed from this one.")] = 0,
    num_inference_steps: Annotated[int | None, typer.Option(min=1, help="Default: the model's.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Default: as many as there is room for.")] = None,
    gpus: Annotated[float | None, typer.Option(min=0, help="Per worker. Default: 1, for tiny models 0.")] = None,
    engine: Annotated[str, typer.Option(metavar="ray|inline", help="inline: one after the other, here.")] = "ray",
    memory: MemoryOption = None,
    quantization: QuantizationOption = None,
    step_cache: StepCacheOption = None,
    compile: CompileOption = False,
    transformer: TransformerOption = None,
    lora: LoraOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Generate all samples of a split on Ray. Run it again to go on where it was stopped."""
    set_up_logging(verbose)
    from curation.contract.errors import UsageError
    from curation.contract.manifest import RunFolder
    from inference.batch import BatchSpec, run_batch

    if engine not in ("ray", "inline"):
        raise UsageError(f"--engine {engine}: ray or inline")
    load = _load_config(memory, quantization, step_cache, compile, transformer, lora).model_dump_json()
    spec = BatchSpec(RunFolder(manifest).uri, RunFolder(output).uri, model, seed, num_inference_steps, load)
    raise typer.Exit(1 if run_batch(spec, split, engine, workers, gpus) else 0)


@app.command("app")
def serve_page(
    host: Annotated[str, typer.Option(help="0.0.0.0 lets others in; anybody who reaches it can use it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 7860,
    model: Annotated[
        str | None, typer.Option(help="Default: a published one whose weights are here, with a GPU; else tiny-wan.")
    ] = None,
    memory: MemoryOption = None,
    quantization: QuantizationOption = None,
    step_cache: StepCacheOption = None,
    compile: CompileOption = False,
    transformer: TransformerOption = None,
    lora: LoraOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Open the web page: draw a request, generate it, look at the result."""
    set_up_logging(verbose)
    from inference.app.server import serve

    serve(model, _load_config(memory, quantization, step_cache, compile, transformer, lora), host, port)


def _load_config(
    memory: str | None,
    quantization: str | None,
    step_cache: float | None,
    compile: bool,
    transformer: str | None,
    lora: Path | None,
    context_parallel: int | None = None,
) -> "LoadConfig":
    from curation.contract.config import parse_config
    from inference.memory import LoadConfig

    data = {
        "memory": memory,
        "quantization": quantization,
        "step_cache": step_cache,
        "compile": compile,
        "transformer": transformer,
        "lora": lora,
        "context_parallel": context_parallel,
    }
    return parse_config(LoadConfig, data, "options")


@app.command("from-sample")
def from_sample(
    run: RunArgument,
    sample_id: Annotated[str, typer.Argument(metavar="SAMPLE_ID")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="For request.yaml and pictures.")],
    model: Annotated[str, typer.Option(help="The model that the request is for.")] = "wan2.2-5b-inout",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generation.")] = 0,
    verbose: VerboseOption = False,
) -> None:
    """Make a request out of a curated sample: what its object did, to be generated again."""
    set_up_logging(verbose)
    from curation.contract.manifest import open_run
    from inference.from_sample import read_sample, request_from_sample

    folder = open_run(run)
    request_from_sample(folder, read_sample(folder, sample_id), model, output, seed)
    typer.echo(f"request: {output / 'request.yaml'}")


@app.command("inspect")
def inspect_video(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="An mp4 that was generated here.")],
    verbose: VerboseOption = False,
) -> None:
    """Print what a video was made from: request, options, weights, versions."""
    set_up_logging(verbose)
    import yaml

    from inference.metadata import read_metadata

    typer.echo(yaml.safe_dump(read_metadata(video), sort_keys=False, allow_unicode=True, width=120).rstrip())


@app.command()
def doctor(
    vram: Annotated[
        float | None, typer.Option(min=1, metavar="GIB", help="Of a GPU that is not here, such as 24.")
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Say which published models fit into a GPU, with which options, and what is missing here to run them."""
    set_up_logging(verbose)
    from inference.doctor import doctor as examine

    raise typer.Exit(examine(vram))


def main() -> None:
    run_command(app)


if __name__ == "__main__":
    main()
