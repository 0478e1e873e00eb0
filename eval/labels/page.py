"""The page of a scoring: the table, and the worst cases of every measure pictured."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eval.labels.summary import Line

if TYPE_CHECKING:
    from eval.labels.run import ScoredData


def write_page(path: Path, scored: Sequence["ScoredData"], lines: list[Line]) -> Path:
    return path
