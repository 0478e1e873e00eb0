"""What lies in a run folder: manifests, their rows and bytes."""

from dataclasses import dataclass

import polars as pl

from curation.contract.manifest import RunFolder, scan_manifest
from curation.contract.schemas import MANIFEST_COLUMNS

_DOCS = {
    "videos": "one row per input file, readable or not",
    "shots": "one row per shot, from cut to cut",
    "clips": "one row per clip, with every score",
    "objects": "one row per object found in a clip",
    "tracks": "one row per object: its points, their visibility and its masks over time",
    "events": "one row per entry or exit, at the frame border or at a region box",
    "samples": "one row per training sample: what training and evaluation read",
    "verdicts": "one row per item of every level: kept, or dropped by which rule at what value",
}


@dataclass(frozen=True)
class ManifestFacts:
    name: str
    doc: str
    columns: int
    rows: int
    bytes: int


def list_manifests(run: RunFolder) -> list[ManifestFacts]:
    """All manifests in the order of the data, empty ones included."""
    return [
        ManifestFacts(
            name=name,
            doc=_DOCS[name],
            columns=len(columns),
            rows=scan_manifest(run.uri, name).select(pl.len()).collect().item(),
            bytes=sum(run.size(file) for file in run.files(name, ".parquet")),
        )
        for name, columns in MANIFEST_COLUMNS.items()
    ]


def human_bytes(count: int) -> str:
    """Bytes with a decimal unit, as disks are sold."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
