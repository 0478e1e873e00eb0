"""Arrow tables to plain records and back. Stages compute on records and hand on tables.

A record is a dict from column name to Python value; nested numeric lists become numpy arrays on the way out of a
table, and numpy arrays are accepted on the way in.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from curation.contract.schemas import SCHEMAS

Tables = dict[str, pa.Table]
"""Manifest name to table; a stage reads some of these and returns those that it writes."""


def table(manifest: str, records: Iterable[Mapping[str, Any]], schema: pa.Schema | None = None) -> pa.Table:
    """Records as a table of the manifest's exact schema; absent columns become null.

    Args:
        schema: of a manifest that is not curation's.

    Raises:
        ValueError: a record has a column that the manifest does not declare.
    """
    declared: pa.Schema = SCHEMAS[manifest] if schema is None else schema
    rows = list(records)
    for row in rows:
        unknown = row.keys() - set(declared.names)
        if unknown:
            raise ValueError(f"manifest {manifest!r} has no column {sorted(unknown)}")
    columns = [_to_arrow([row.get(field.name) for row in rows], field.type) for field in declared]
    return pa.Table.from_arrays(columns, schema=declared)


def records(data: pa.Table) -> list[dict[str, Any]]:
    """Rows of a table as dicts; lists of numbers, nested or not, come as numpy arrays (ragged ones as lists)."""
    columns = {name: _from_arrow(data.column(name)) for name in data.column_names}
    return [{name: values[i] for name, values in columns.items()} for i in range(data.num_rows)]


def as_array(scalar: pa.Scalar) -> np.ndarray | list[Any] | None:
    """A (nested) list of numbers as an array; None for null, Python lists for ragged ones. For lists inside structs."""
    return _numpy(scalar, *_nesting(scalar.type))


def _to_arrow(values: list[Any], kind: pa.DataType) -> pa.Array:
    depth, leaf = _nesting(kind)
    if depth and _is_numeric(leaf) and all(value is None or isinstance(value, np.ndarray) for value in values):
        arrays = [pa.nulls(1, kind) if value is None else _nested_array(value, depth, leaf, kind) for value in values]
        return pa.concat_arrays(arrays) if arrays else pa.array([], kind)
    return pa.array([_plain(value) for value in values], kind)


def _plain(value: Any) -> Any:
    """numpy to Python, at any depth."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _nested_array(value: np.ndarray, depth: int, leaf: pa.DataType, kind: pa.DataType) -> pa.Array:
    """One row: a [A, B, ...] array as nested lists, without a Python object per number."""
    if value.ndim != depth:
        raise ValueError(f"expected an array of {depth} dimensions, got shape {value.shape}")
    array = pa.array(np.ascontiguousarray(value).reshape(-1), leaf)
    count = value.size
    for axis in range(depth - 1, -1, -1):
        side = value.shape[axis]
        count = int(np.prod(value.shape[:axis], dtype=np.int64))
        offsets = pa.array(np.arange(count + 1, dtype=np.int32) * side)
        array = pa.ListArray.from_arrays(offsets, array)
    return array.cast(kind)


def _from_arrow(column: pa.ChunkedArray) -> list[Any]:
    depth, leaf = _nesting(column.type)
    if not depth or not _is_numeric(leaf):
        return column.to_pylist()
    return [_numpy(scalar, depth, leaf) for scalar in column]


def _numpy(scalar: pa.Scalar, depth: int, leaf: pa.DataType) -> np.ndarray | list[Any] | None:
    """A list scalar as an array of `depth` dimensions; ragged or null-holding lists stay Python lists."""
    if not scalar.is_valid:
        return None
    values = scalar.values
    shape = [len(values)]
    for _ in range(depth - 1):
        lengths = values.value_lengths()
        sides = set(lengths.to_pylist())
        if len(sides) > 1 or None in sides:
            return scalar.as_py()
        shape.append(sides.pop() if sides else 0)
        values = values.flatten()
    if values.null_count:
        return scalar.as_py()
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=leaf.to_pandas_dtype()).reshape(shape)


def _nesting(kind: pa.DataType) -> tuple[int, pa.DataType]:
    depth = 0
    while pa.types.is_list(kind):
        kind = kind.value_type
        depth += 1
    return depth, kind


def _is_numeric(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
