"""`python -m inference doctor`: which published models fit into a GPU, with which options, and what is missing here."""

import sys
from importlib.util import find_spec
from typing import get_args

import torch
from rich.console import Console
from rich.text import Text

from curation.doctor import Finding, device_for_networks, finding_table
from curation.plain_table import plain_table
from inference.footprint import Footprint, footprint
from inference.loading import weights_are_here
from inference.memory import LoadConfig, Memory
from inference.models import MODELS, ModelSpec
from training.models.quiet import quiet_libraries

_GIB = 2**30
_FILLED = 0.8
"""Of a GPU, by what is computed. The rest is for CUDA's context, kernels' workspaces and fragments: not measured."""

_PRESETS: tuple[Memory | None, ...] = (None, *get_args(Memory))  # the fastest first


def doctor(vram: float | None = None, console: Console | None = None) -> int:
    """Print what fits and what is here.

    Args:
        vram: GiB of a GPU to look at; None for the one that is here.

    Returns:
        The exit code: 1 if there is a GPU, here or given, and no published model fits into it.
    """
    quiet_libraries()
    console = console or Console(file=sys.stdout)
    here = torch.cuda.get_device_properties(0).total_memory / _GIB if torch.cuda.is_available() else None
    size = vram or here
    published = {name: spec for name, spec in MODELS.items() if spec.base}
    families = {spec.family: (spec, footprint(spec)) for spec in published.values()}
    _print_sizes(console, families, size)
    fits = [_print_advice(console, name, families[spec.family][1], size) for name, spec in published.items()]
    if size is None:
        console.print(
            "There is no GPU here: published models would take hours for each video, tiny-wan and tiny-cogvideox run. "
            "--vram 24 says what fits into a GPU of 24 GiB.",
            soft_wrap=True,
        )
    console.print(finding_table("What is here", [device_for_networks(), *_packages(), *_weights(published)]))
    for name, spec in published.items():
        if not weights_are_here(spec):
            fetch = f"hf download {spec.base} --revision {spec.revision} && hf download {spec.transformer}"
            console.print(Text(f"  {name}: {fetch}"), soft_wrap=True)
    return 1 if size is not None and not any(fits) else 0


def _print_sizes(console: Console, families: dict[str, tuple[ModelSpec, Footprint]], size: float | None) -> None:
    of = f", of {size:.1f}" if size else ""
    table = plain_table(
        f"GPU memory for one video as the model was trained, GiB{of}", "", "options", "bfloat16", "8 bit"
    )
    for family, (spec, need) in families.items():
        name = f"{family}, {spec.width}x{spec.height}, {spec.num_frames} frames"
        for memory in _PRESETS:
            plain = LoadConfig(memory=memory)
            cells = [_cell(need.gpu(config), size) for config in (plain, LoadConfig(memory=memory, quantization="fp8"))]
            if plain.in_fp8:
                cells[0] = Text("-")
            table.add_row(name, f"--memory {memory}" if memory else "none", *cells)
            name = ""
    console.print(table)
    host = ", ".join(f"{family} {need.host / _GIB:.1f}" for family, (_, need) in families.items())
    console.print(
        "8 bit: --quantization fp8 or int8. Computed from the models' shapes, not measured on a GPU; "
        f"yes: at most {_FILLED:.0%} of the GPU, tight: all of it.\n"
        f"Weights go through the machine's own memory, and stay there with --memory; in bfloat16, GiB: {host}.",
        soft_wrap=True,
    )


def _cell(need: int, size: float | None) -> Text:
    text = f"{need / _GIB:.1f}"
    if size is None:
        return Text(text)
    if need <= _FILLED * size * _GIB:
        return Text(f"{text} yes", "green")
    return Text(f"{text} tight", "yellow") if need <= size * _GIB else Text(f"{text} no", "red")


def _print_advice(console: Console, name: str, need: Footprint, size: float | None) -> bool:
    """The fastest preset that fits, in one line; whether there is one."""
    if size is None:
        return False
    for memory in _PRESETS:
        taken = need.gpu(LoadConfig(memory=memory))
        if taken <= _FILLED * size * _GIB:
            options = f"--memory {memory}" if memory else "no options"
            console.print(Text(f"  {name}: {options} ({taken / _GIB:.1f} of {size:.1f} GiB)"), soft_wrap=True)
            return True
    console.print(Text(f"  {name}: does not fit into {size:.1f} GiB with any preset", "red"), soft_wrap=True)
    return False


def _packages() -> list[Finding]:
    findings = []
    for option, package in (("--quantization int8", "torchao"), ("--transformer FILE.gguf", "gguf")):
        there = find_spec(package) is not None
        found = package if there else f"{package} is not installed"
        findings.append(Finding(option, found, there, f"pip install {package}"))
    return findings


def _weights(published: dict[str, ModelSpec]) -> list[Finding]:
    return [
        Finding(
            f"weights of {name}",
            "in the Hugging Face cache" if weights_are_here(spec) else "not in the Hugging Face cache",
            weights_are_here(spec),
            "fetched when first used, or by the command below",
        )
        for name, spec in published.items()
    ]
