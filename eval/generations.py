"""Generated videos to score: a batch's manifest, or a folder of videos that another tool made."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curation.contract.errors import UsageError
from curation.contract.ids import digest
from curation.contract.manifest import RunFolder, open_run
from inference.generations import GENERATIONS, SCHEMA

_COLUMNS = ["sample_id", "run", "video_uri", "num_frames", "fps", "model", "model_revision", "fingerprint", "error"]


def read_generations(source: str, samples: str | None) -> list[dict[str, Any]]:
    """Records with sample_id, run, video_uri, num_frames, fps, model, model_revision, fingerprint, error; by sample_id.

    A folder without a manifest is taken for another tool's output: SAMPLE_ID.mp4 for every sample that it was asked
    for. Frame rate and number of frames are then null, and samples without a file have an error.

    Args:
        source: folder or URI of `python -m inference batch`, or a folder of videos.
        samples: run or benchmark with the samples; replaces what the manifest says, and is needed for a bare folder.

    Raises:
        UsageError: there are no generations, or nobody says of which samples.
    """
    folder = RunFolder(source)
    rows = folder.read(GENERATIONS, schema=SCHEMA).select(_COLUMNS).to_pylist()
    if not rows:
        return _bare_folder(Path(source), samples)
    if samples is not None:
        rows = [row | {"run": open_run(samples).uri} for row in rows]
    return sorted(rows, key=lambda row: row["sample_id"])


def work_payload(row: Mapping[str, Any]) -> str:
    """A record as a shard item carries it."""
    return json.dumps({name: row[name] for name in _COLUMNS})


def _bare_folder(folder: Path, samples: str | None) -> list[dict[str, Any]]:
    files = {file.stem: file for file in sorted(folder.glob("*.mp4"))} if folder.is_dir() else {}
    if not files:
        raise UsageError(
            f"{folder}: no generations there; name the output of `python -m inference batch`, or a folder with a "
            "SAMPLE_ID.mp4 for each sample"
        )
    if samples is None:
        raise UsageError(f"{folder}: has no manifest; say which samples the videos are of: --samples BENCH")
    run = open_run(samples)
    wanted = [
        row["sample_id"] for row in run.read("samples", ["sample_id", "split"]).to_pylist() if row["split"] == "bench"
    ]
    strange = sorted(files.keys() - set(wanted))
    if strange:
        raise UsageError(f"{files[strange[0]]}: {run.uri} has no benchmark sample of that name")
    rows = []
    for name in sorted(wanted):
        file = files.get(name)
        state = f"{file}:{file.stat().st_size}:{file.stat().st_mtime_ns}" if file else ""
        rows.append(
            dict.fromkeys(_COLUMNS)
            | {
                "sample_id": name,
                "run": run.uri,
                "video_uri": str(file.absolute()) if file else None,
                "fingerprint": digest(state),
                "error": None if file else f"no file {name}.mp4 in {folder}",
            }
        )
    return rows
