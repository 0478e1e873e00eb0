"""Manifests as tables in the terminal."""

import difflib
import sys
from typing import Any

import polars as pl
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder, open_run, scan_manifest
from curation.contract.schemas import MANIFEST_COLUMNS, SCHEMAS
from curation.report.manifests import human_bytes, list_manifests

_LONGEST_TEXT = 60
_SHOWN_ITEMS = 4
_LOG_WIDTH = 160  # characters of a line in a log or a pipe before rows are laid out one below the other


def inspect(run: str, manifest: str | None = None, rows: int = 20, columns: bool = False) -> None:
    """Print what a run folder holds: all manifests, or one's first rows with nested columns abbreviated.

    Args:
        rows: how many rows of the manifest.
        columns: print what each column means instead of rows; of all manifests when none is named.

    Raises:
        UsageError: no such run or manifest.
    """
    folder = open_run(run)
    # In a log or a pipe there is no width to fit: nothing is cut.
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 10_000)
    if manifest is not None and manifest not in SCHEMAS:
        close = difflib.get_close_matches(manifest, SCHEMAS, n=1)
        guess = f", did you mean {close[0]!r}" if close else ""
        raise UsageError(f"{folder.uri}: no manifest {manifest!r}{guess}; manifests: {', '.join(SCHEMAS)}")
    if columns:
        for name in [manifest] if manifest else SCHEMAS:
            console.print(_columns_table(name))
    elif manifest is None:
        console.print(_overview(folder))
    else:
        console.print(_rows_table(folder, manifest, rows, console.width if sys.stdout.isatty() else _LOG_WIDTH))


def abbreviate(value: Any) -> str:
    """A cell's value on one line: sizes of nested lists, bytes and masks instead of their contents."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}"
    if isinstance(value, bytes):
        return f"<{human_bytes(len(value))}>"
    if isinstance(value, dict):
        return _abbreviate_struct(value)
    if isinstance(value, list):
        return _abbreviate_list(value)
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _abbreviate_struct(value: dict[str, Any]) -> str:
    if value.keys() == {"size", "counts"}:
        height, width = value["size"]
        return f"<mask {width}x{height}>"
    if value.keys() == {"bytes", "path"}:
        return f"<image {human_bytes(len(value['bytes'] or b''))}>"
    return "{" + ", ".join(f"{key}: {abbreviate(item)}" for key, item in value.items()) + "}"


def _abbreviate_list(value: list[Any]) -> str:
    """Short flat lists as they are; of others the length, with the first struct or the inner lengths if all equal."""
    flat = not any(isinstance(item, list | dict) for item in value)
    if flat and len(value) <= _SHOWN_ITEMS:
        return "[" + ", ".join(abbreviate(item) for item in value) + "]"
    if len(value) == 1:
        return f"[1] {abbreviate(value[0])}"
    first = next((item for item in value if item is not None), None)
    if isinstance(first, dict):
        return f"[{len(value)}] {abbreviate(first)}, …"
    return "".join(_sides(value))


def _sides(value: list[Any]) -> list[str]:
    inner = [item for item in value if item is not None]
    if not inner or not all(isinstance(item, list) for item in inner):
        return [f"[{len(value)}]"]
    below = [_sides(item) for item in inner]
    return [f"[{len(value)}]", *(below[0] if all(sides == below[0] for sides in below) else ["[…]"])]


def _overview(run: RunFolder) -> Table:
    table = Table("manifest", "rows", "size", "columns", "what it holds", title=Text(run.uri), title_justify="left")
    for index in (1, 2, 3):
        table.columns[index].justify = "right"
    for facts in list_manifests(run):
        table.add_row(facts.name, f"{facts.rows:,}", human_bytes(facts.bytes), str(facts.columns), facts.doc)
    return table


def _columns_table(manifest: str) -> Table:
    table = Table("column", "type", "unit", "what it is", title=manifest, title_justify="left")
    for column in MANIFEST_COLUMNS[manifest]:
        table.add_row(*map(Text, (column.name, _type_name(column.type), column.unit, column.doc)))
    return table


def _type_name(kind: pa.DataType) -> str:
    """An Arrow type as a person would write it: `list[list[float]]`, `{x, y}`."""
    if pa.types.is_list(kind):
        return f"list[{_type_name(kind.value_type)}]"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(kind.field(i).name for i in range(kind.num_fields)) + "}"
    return str(kind)


def _rows_table(run: RunFolder, manifest: str, rows: int, width: int) -> Table:
    """Rows across while they fit; where they do not, one row is a column: nothing is squeezed to a letter."""
    head = scan_manifest(run.uri, manifest).head(rows).collect()
    total = scan_manifest(run.uri, manifest).select(pl.len()).collect().item()
    cells = [[abbreviate(value) for value in row] for row in head.iter_rows()]
    title = Text(f"{manifest}: {len(cells)} of {total:,} rows")
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(head.columns)]
    if not cells or sum(widths) + 3 * len(widths) < width:
        table = Table(*head.columns, title=title, title_justify="left")
        for row in cells:
            table.add_row(*map(Text, row))
        return table
    table = Table("row", "column", "value", title=title, title_justify="left")
    for index, row in enumerate(cells):
        shown = [(name, cell) for name, cell in zip(head.columns, row, strict=True) if cell]
        for place, (name, cell) in enumerate(shown):
            table.add_row(str(index) if place == 0 else "", name, Text(cell), end_section=place == len(shown) - 1)
    return table
