"""The manifests as Markdown, for the README: `python -m curation.contract.manifest_table`."""

import sys

import pyarrow as pa

from curation.contract.schemas import MANIFEST_COLUMNS, SCHEMAS


def manifest_table() -> str:
    """One table per manifest: column, type, unit and meaning of each."""
    parts = []
    for name in MANIFEST_COLUMNS:
        lines = [f"**{name}**", "", "| column | type | unit | meaning |", "| --- | --- | --- | --- |"]
        for field in SCHEMAS[name]:
            doc, unit = described(field)
            cells = (f"`{field.name}`", _type(field.type), unit, doc)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def described(field: pa.Field) -> tuple[str, str]:
    """(doc, unit) of a manifest's field."""
    metadata = field.metadata or {}
    return metadata[b"doc"].decode(), metadata[b"unit"].decode()


def _type(kind: pa.DataType) -> str:
    """Short form: list<item: float> becomes [float32], a struct {name, name}."""
    if pa.types.is_list(kind):
        return f"[{_type(kind.value_type)}]"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(kind.field(i).name for i in range(kind.num_fields)) + "}"
    return {"float": "float32", "double": "float64"}.get(str(kind), str(kind))


if __name__ == "__main__":
    sys.stdout.write(manifest_table() + "\n")
