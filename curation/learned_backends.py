"""What the doctor says of the backends that a config chooses, and of other weights for them."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from curation.backend_check import check
from curation.backends import ALTERNATIVES, Choice, chosen, licence
from curation.config import load_config
from curation.models.model_config import DeviceConfig, ModelConfig
from curation.models.weights import is_hub_name
from curation.plain_table import plain_table


def print_learned(
    console: Console, preset: str | None, config_file: Path | None, overrides: Sequence[str], device: str
) -> None:
    """Two tables, and below each what is missing, not pinned or not free. `device`: where networks run here.

    Raises:
        UsageError: there is no such config.
    """
    config = load_config(preset, config_file, list(overrides))
    choices = chosen(config)
    _print_choices(console, f"Backends of this config (preset {config.preset})", choices, device)
    others = [choice for choice in ALTERNATIVES if choice not in choices]
    _print_choices(console, "Other weights for them", others, device)


def _print_choices(console: Console, title: str, choices: Sequence[Choice], device: str) -> None:
    """A table, and below it what is missing, what is not pinned and what is not free, line by line."""
    table = plain_table(title, "capability", "backend", "works", "weights", "licence", "device")
    checks = [check(choice) for choice in choices]
    notes = []
    for choice, found in zip(choices, checks, strict=True):
        terms = licence(choice)
        table.add_row(
            choice.capability,
            _title(choice),
            Text("no", "red") if found.problem else Text("yes", "green"),
            found.weights,
            Text(
                terms.name if terms.commercial else f"{terms.name} (non-commercial)",
                "" if terms.commercial else "yellow",
            ),
            _device_of(choice, device),
        )
        if found.problem:
            notes.append(f"{_title(choice)}: {found.problem}")
        settings = choice.config
        if isinstance(settings, ModelConfig) and is_hub_name(settings.weights) and not settings.revision:
            notes.append(f"{_title(choice)}: not pinned to a revision, so a run with it cannot be repeated for sure")
    console.print(table)
    restricted = dict.fromkeys(_title(choice) for choice in choices if not licence(choice).commercial)
    if restricted:
        notes.append(f"NOT FREE FOR COMMERCIAL USE: {'; '.join(restricted)}")
    for note in dict.fromkeys(notes):
        console.print(Text(f"  {note}"), soft_wrap=True)


def _title(choice: Choice) -> str:
    return f"{choice.backend} {choice.config.weights}" if isinstance(choice.config, ModelConfig) else choice.backend


def _device_of(choice: Choice, device: str) -> str:
    settings = choice.config
    if not isinstance(settings, DeviceConfig):
        return "cpu"
    if choice.backend == "server":
        return "the server's"
    return device if settings.device == "auto" else settings.device
