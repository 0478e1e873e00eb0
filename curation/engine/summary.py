"""RUN/summary.json and what a person sees at the end of a run: the funnel, and what it cost."""

import json
import sys
from collections import defaultdict
from typing import Any

from curation.contract.manifest import RunFolder
from curation.engine import analyse, label
from curation.engine.ledger import Ledger
from curation.models.usage import LOADS
from curation.selection.funnel import funnel, funnel_table


def write_summary(run: RunFolder, selection: str, wall_seconds: float) -> dict[str, Any]:
    """Count everything up from the ledgers and manifests, over all runs into this folder, and write it down."""
    earlier = json.loads(run.read_bytes("summary.json"))["runs"] if run.exists("summary.json") else []
    videos = run.read("videos", ["error", "damage", "frames"]).to_pylist()
    samples = run.read("samples", ["kinds", "video_id"]).to_pylist()
    kinds: dict[str, int] = defaultdict(int)
    for sample in samples:
        kinds[sample["kinds"]] += 1
    summary = {
        "selection": selection,
        "wall_seconds": round(wall_seconds, 1),
        "runs": [*earlier, round(wall_seconds, 1)],
        "videos": len(videos),
        "failed": sum(video["error"] is not None for video in videos),
        "damaged": sum(video["damage"] is not None for video in videos),
        "samples": len(samples),
        "samples_by_kind": dict(sorted(kinds.items())),
        "videos_with_samples": len({sample["video_id"] for sample in samples}),
        "decode": _decode_cost(run),
        "stages": _stage_cost(run),
        **_backend_counts(run),
        "funnel": funnel(run.read("verdicts")),
    }
    run.write_bytes("summary.json", json.dumps(summary, indent=1).encode())
    return summary


def print_summary(run: RunFolder, summary: dict[str, Any]) -> None:
    """The funnel, the cost per stage and where to look next, on stdout."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=sys.stdout)
    console.print(funnel_table(summary["funnel"]))
    costs = Table(title="Cost", title_justify="left")
    for column in ("stage", "items", "seconds", "decoded frames"):
        costs.add_column(column, justify="left" if column == "stage" else "right")
    for stage in summary["stages"]:
        decoded = f"{stage['decoded_frames']:,}" if stage["decoded_frames"] else ""
        costs.add_row(stage["name"], f"{stage['items']:,}", f"{stage['seconds']:.1f}", decoded)
    console.print(costs)
    decode = summary["decode"]
    lines = [*_told(summary)]
    lines += [
        f"{summary['videos']} videos, {summary['failed']} could not be read, {summary['damaged']} damaged",
        f"{summary['samples']} samples from {summary['videos_with_samples']} videos: "
        + (", ".join(f"{count} {kind}" for kind, count in summary["samples_by_kind"].items()) or "none"),
        f"decoded {decode['decoded_frames']:,} frames for {decode['source_frames']:,} of source: "
        f"ratio {decode['ratio']:.2f} (worst rejected file {decode['worst_rejected']:.2f}, "
        f"worst surviving file {decode['worst_survivor']:.2f})",
        f"wall time {summary['wall_seconds']:.0f} s",
        f"manifests: {run.uri}   look at them: python -m curation report {run.uri}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _told(summary: dict[str, Any]) -> list[str]:
    """Models and captions in words; nothing where there were none."""
    lines = [
        f"model {name}: loads: {loads}, workers: {workers}"
        for name, (loads, workers) in summary.get("model_loads", {}).items()  # runs of earlier versions have none
    ]
    lines += [f"{what}: {amount:,.4f}".rstrip("0").rstrip(".") for what, amount in summary.get("counts", {}).items()]
    if summary.get("model_errors"):
        lines.append(f"{summary['model_errors']} items met errors of models; the next run tries them again")
    return lines


def _backend_counts(run: RunFolder) -> dict[str, Any]:
    """What backends counted: how often each model was loaded and by how many workers; tokens, cost and the like."""
    loads: dict[str, float] = defaultdict(float)
    workers: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, float] = defaultdict(float)
    errors = 0
    for name, datasets in ((analyse.PASS, analyse.DATASETS), (label.PASS, label.DATASETS)):
        for rows in Ledger(run, name, datasets).entries().values():
            for row in rows:
                errors += row.get("model_error") is not None
                for what, amount in row["counts"].items():
                    if what.startswith(LOADS):
                        loads[what.removeprefix(LOADS)] += amount
                        workers[what.removeprefix(LOADS)].add(row["worker"])
                    else:
                        counts[what] += amount
    return {
        "model_loads": {name: [round(loads[name]), len(workers[name])] for name in sorted(loads)},
        "counts": {what: round(amount, 6) for what, amount in sorted(counts.items())},
        "model_errors": errors,
    }


def _decode_cost(run: RunFolder) -> dict[str, Any]:
    """Decoded frames against source frames; survivors are the files that the labelling pass opened."""
    source: dict[str, int] = {}
    decoded: dict[str, int] = defaultdict(int)
    survivors = set()
    for name, datasets in ((analyse.PASS, analyse.DATASETS), (label.PASS, label.DATASETS)):
        for rows in Ledger(run, name, datasets).entries().values():
            for row in rows:
                source.setdefault(row["item_id"], row["source_frames"])
                decoded[row["item_id"]] += row["decoded_frames"]
                if name == label.PASS:
                    survivors.add(row["item_id"])
    ratios = {item: decoded[item] / frames for item, frames in source.items() if frames}
    total = sum(source.values())
    return {
        "source_frames": total,
        "decoded_frames": sum(decoded.values()),
        "ratio": round(sum(decoded.values()) / total, 3) if total else 0.0,
        "worst_rejected": round(max((ratio for item, ratio in ratios.items() if item not in survivors), default=0), 3),
        "worst_survivor": round(max((ratio for item, ratio in ratios.items() if item in survivors), default=0), 3),
    }


def _stage_cost(run: RunFolder) -> list[dict[str, Any]]:
    """Seconds by stage over all workers. Decoding is what a pass took beyond its stages."""
    result = []
    for name, datasets in ((analyse.PASS, analyse.DATASETS), (label.PASS, label.DATASETS)):
        rows = [row for rows in Ledger(run, name, datasets).entries().values() for row in rows]
        seconds: dict[str, float] = defaultdict(float)
        for row in rows:
            for stage, spent in row["stage_seconds"].items():
                seconds[stage] += spent
        rest = sum(row["seconds"] for row in rows) - sum(seconds.values())
        frames = sum(row["decoded_frames"] for row in rows)
        result.append({"name": f"{name}: decode", "items": len(rows), "seconds": rest, "decoded_frames": frames})
        for stage, spent in seconds.items():
            items = sum(stage in row["stage_seconds"] for row in rows)
            result.append({"name": f"{name}: {stage}", "items": items, "seconds": spent, "decoded_frames": 0})
    return [entry | {"seconds": round(entry["seconds"], 2)} for entry in result]
