"""`python -m eval build-benchmark`: choose samples, cut their clips, and write down how."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml

from curation.contract.errors import UsageError, VideoError
from curation.contract.manifest import RunFolder
from curation.contract.tables import records
from curation.engine.progress import progress
from eval.benchmark.card import write_card
from eval.benchmark.from_run import RunSource
from eval.benchmark.plan import Source
from eval.benchmark.published import PublishedSource, is_published
from eval.benchmark.schemas import BENCHMARK, SCHEMA
from eval.benchmark.write import DATASETS, write_clip

_MARK = "benchmark.json"


def build_benchmark(source: str, output: str, per_kind: int, size: tuple[int, int], num_frames: int, seed: int) -> int:
    """Write a benchmark; a rerun goes on where it was stopped.

    Args:
        source: run folder of curation, or the published files.
        per_kind: at most so many Frame In and so many Frame Out samples; published files are taken whole.
        size: (height, width) of the canvas, px.
        num_frames: frames of a clip, at about 12 per second.

    Returns:
        How many samples there are.

    Raises:
        UsageError: there is nothing to build from, or the output holds other things.
    """
    place = Path(source).expanduser()
    found: Source = (
        PublishedSource(place, num_frames) if is_published(place) else RunSource(source, per_kind, num_frames, seed)
    )
    folder = RunFolder(output)
    settings = {"source": found.uri, "size": list(size), "num_frames": num_frames, "seed": seed, "per_kind": per_kind}
    _claim(folder, settings)
    _sweep(folder, set(found.names))
    done = set(folder.read(BENCHMARK, ["sample_id"], SCHEMA)["sample_id"].to_pylist())
    with progress("benchmark", len(found.names), "clips") as shown:
        shown.advance(len(done))
        for plan in found.plans(done):
            try:
                write_clip(folder, plan, size, found.uri)
            except VideoError as error:
                found.left_out[f"cannot be read: {error}"] = 1
                continue
            shown.advance(1, plan.sample_id)
    rows = records(folder.read(BENCHMARK, schema=SCHEMA))
    if not rows:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in found.left_out.items()) or "there is none"
        raise UsageError(f"{found.uri}: no sample fits a benchmark ({reasons})")
    facts = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "benchmark": settings}
    folder.write_bytes("run.yaml", yaml.safe_dump(facts, sort_keys=False).encode())
    folder.write_bytes("card.md", write_card(rows, found, settings).encode())
    kinds = [row["kind"] for row in rows]
    sys.stdout.write(
        f"{kinds.count('frame_in')} Frame In, {kinds.count('frame_out')} Frame Out: {folder.uri}\n"
        + (f"{sum(found.left_out.values())} left out, with the reasons in the card\n" if found.left_out else "")
        + f"how it was made: {folder.path('card.md')}\n"
    )
    return len(rows)


def _claim(folder: RunFolder, settings: dict) -> None:
    """Refuse a folder that holds other things than this benchmark."""
    if folder.exists(_MARK):
        known = json.loads(folder.read_bytes(_MARK))
        if known != settings:
            different = ", ".join(f"{key} {known.get(key)}" for key in settings if known.get(key) != settings[key])
            raise UsageError(f"{folder.uri}: holds a benchmark made with {different}; name another --output")
        return
    if not folder.is_free():
        raise UsageError(f"{folder.uri}: not empty, and no benchmark of ours; name another --output")
    folder.write_bytes(_MARK, json.dumps(settings).encode())


def _sweep(folder: RunFolder, chosen: set[str]) -> None:
    """Remove rows of clips that were being written when an earlier build was stopped, or that the source, having
    grown since, does not give any more.
    """
    kept = set(folder.shards(BENCHMARK)) & chosen
    for dataset in DATASETS:
        for shard in set(folder.shards(dataset)) - kept:
            folder.delete(f"{dataset}/{shard}.parquet")
