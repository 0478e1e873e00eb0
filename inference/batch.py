"""A manifest of samples generated again, on Ray: resumable, with one row for each.

A sample's files get their final names when they are whole, and its row is written after them in a file of its own,
named by the sample. So a batch that was killed has no half row and no second one, and goes on with what has none.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from curation.contract import ids
from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder, open_run
from curation.contract.tables import table
from curation.engine import inline, ray_data
from curation.engine.attempts import guarded
from curation.engine.bounds import Bounds
from curation.engine.progress import progress
from curation.engine.shards import Item, ItemReport, Shard, ShardReport, ShardWorker, make_shards
from curation.stages.stage import Resources
from inference.from_sample import read_sample, request_from_sample
from inference.generations import GENERATIONS, SCHEMA
from inference.memory import LoadConfig
from inference.models import model_spec
from inference.request import save_request

_PASS = "generate"
_MARK = "batch.json"


@dataclass(frozen=True)
class BatchSpec:
    """A batch as it travels to other processes; called there, it makes the worker.

    Attributes:
        run, output: absolute paths or URIs.
        load: a `LoadConfig` as JSON.
    """

    run: str
    output: str
    model: str
    seed: int
    num_inference_steps: int | None
    load: str

    @property
    def fingerprint(self) -> str:
        return ids.digest(self.run, self.model, str(self.seed), str(self.num_inference_steps), self.load)

    def __call__(self) -> ShardWorker:
        return SampleGenerator(self)


def run_batch(
    spec: BatchSpec,
    split: str,
    engine: Literal["ray", "inline"] = "ray",
    workers: int | None = None,
    gpus: float | None = None,
) -> int:
    """Generate every sample of a split that has no video yet; what failed before is tried again.

    Args:
        split: train, val or bench.
        workers: at most; None for as many as there is room for.
        gpus: per worker; None for one, and none for tiny models.

    Returns:
        How many samples of the split have no video now.

    Raises:
        UsageError: the run has no such samples, or the output holds other things.
    """
    model = model_spec(spec.model)
    run = open_run(spec.run)
    output = RunFolder(spec.output)
    wanted = [
        row["sample_id"] for row in run.read("samples", ["sample_id", "split"]).to_pylist() if row["split"] == split
    ]
    if not wanted:
        raise UsageError(f"{run.uri}: no samples in split {split!r}; look at `python -m curation inspect` for those")
    _claim(output, spec)
    done = _done(output, spec.fingerprint)
    pending = [Item(name, run.uri, 0) for name in sorted(wanted) if name not in done]
    sys.stdout.write(f"{len(wanted)} samples in split {split}, {len(pending)} to generate\n")
    if pending:
        shards = make_shards(_PASS, pending, 1)
        resources = Resources(1, gpus if gpus is not None else float(bool(model.base)), 2048)
        with progress(_PASS, len(pending), "samples") as shown:
            for report in _reports(spec, shards, resources, engine, workers):
                for item in report.items:
                    shown.advance(1, f"{item.item_id}: {item.detail}" if item.state == "failed" else item.item_id)
    missing = len(set(wanted) - _done(output, spec.fingerprint))
    sys.stdout.write(f"{len(wanted) - missing} videos, {missing} failed: {output.path(GENERATIONS)}\n")
    return missing


def _reports(
    spec: BatchSpec, shards: list[Shard], resources: Resources, engine: str, workers: int | None
) -> Iterator[ShardReport]:
    if engine == "inline":
        yield from inline.run_shards(spec, shards)
        return
    try:
        yield from ray_data.run_shards(spec, shards, resources, workers)
    finally:
        ray_data.shut_down()


def _claim(output: RunFolder, spec: BatchSpec) -> None:
    """Refuse a folder that holds other things than a batch of this run."""
    content = {"run": open_run(spec.run).uri}
    if output.exists(_MARK):
        known = json.loads(output.read_bytes(_MARK))
        if known != content:
            raise UsageError(f"{output.uri}: holds generations of {known['run']}; name another --output")
        return
    if "://" not in output.uri and Path(output.uri).exists():
        if not Path(output.uri).is_dir():
            raise UsageError(f"{output.uri}: is a file; --output names a folder")
        if any(Path(output.uri).iterdir()):
            raise UsageError(f"{output.uri}: not empty, and no batch of ours; name another --output")
    output.write_bytes(_MARK, json.dumps(content).encode())


def _done(output: RunFolder, fingerprint: str) -> set[str]:
    rows = output.read(GENERATIONS, ["sample_id", "fingerprint", "error"], SCHEMA).to_pylist()
    return {row["sample_id"] for row in rows if row["fingerprint"] == fingerprint and row["error"] is None}


class SampleGenerator:
    """Worker of a batch: samples in; requests, videos and rows out. Loads its model when it is made."""

    def __init__(self, spec: BatchSpec) -> None:
        from inference.loading import load_model

        self.spec = spec
        self.run = open_run(spec.run)
        self.output = RunFolder(spec.output)
        self.model = load_model(spec.model, LoadConfig.model_validate_json(spec.load))

    def __call__(self, shard: Shard) -> ShardReport:
        reports = []
        for item in shard.items:
            report = ItemReport(item.item_id, item.uri, item.bytes)
            seed = int(ids.generator(self.spec.seed, item.item_id).integers(2**31))
            row: dict[str, Any] = {
                "sample_id": item.item_id,
                "run": self.run.uri,
                "model": self.spec.model,
                "seed": seed,
                "fingerprint": self.spec.fingerprint,
            }
            made = guarded(self.output, _PASS, report, Bounds(), lambda row=row: self._generate(row))
            row |= made or {"error": report.detail}
            self.output.write_shard(GENERATIONS, shard.name, table(GENERATIONS, [row], SCHEMA))
            reports.append(report)
        return ShardReport(shard.name, reports)

    def _generate(self, row: dict[str, Any]) -> dict[str, Any]:
        """Write one sample's request and videos; returns what the row says of them."""
        from inference.generate import generate
        from inference.metadata import write_generation

        name = row["sample_id"]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / name
            sample = read_sample(self.run, name)
            request = request_from_sample(self.run, sample, self.spec.model, folder, row["seed"])
            if self.spec.num_inference_steps is not None:
                request = request.model_copy(update={"num_inference_steps": self.spec.num_inference_steps})
                save_request(request, folder / "request.yaml")
            generation = generate(request, self.model)
            video = folder / "canvas.mp4"
            region = write_generation(generation, video)
            for file in sorted(folder.iterdir()):
                self.output.write_bytes(f"samples/{name}/{file.name}", file.read_bytes())
        full = generation.request
        return {
            "video_uri": self.output.path(f"samples/{name}/{video.name}"),
            "region_uri": self.output.path(f"samples/{name}/{region.name}"),
            "request_uri": self.output.path(f"samples/{name}/request.yaml"),
            "model_revision": generation.model.revision,
            "width": full.size[0],
            "height": full.size[1],
            "num_frames": full.num_frames,
            "fps": full.fps,
            "region_box": list(full.region_box),
            "num_inference_steps": full.num_inference_steps,
            "guidance_scale": full.guidance_scale,
            "seconds": generation.seconds,
        }
