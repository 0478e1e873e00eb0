"""Laying settings over one another: presets, config files, `--set a.b=c`. What is given later wins, key by key."""

from pathlib import Path
from typing import Any

import yaml

from curation.contract.errors import UsageError


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above` laid over it, section by section; lists are replaced as a whole."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def parse_override(text: str) -> dict[str, Any]:
    """The nested dict that `a.b=c` means; c is YAML.

    Raises:
        UsageError: there is no key, no `=`, or c is not YAML.
    """
    path, equals, value = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise UsageError(f"--set {text!r}: expected a.b=value, e.g. --set rules.text_area.max=0.2")
    try:
        result: Any = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {text!r}: the value is not YAML ({_one_line(error)})") from None
    for key in reversed(keys):
        result = {key: result}
    return result


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's sections; an empty file has none.

    Raises:
        UsageError: the file cannot be read, is not YAML, or holds something else than sections.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{path}: cannot read this config file: {reason}") from None
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML ({_one_line(error)})") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise UsageError(f"{path}: expected sections such as 'rules:', found {type(data).__name__}")
    return data


def _one_line(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())
