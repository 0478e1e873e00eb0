"""What workers count, as Ray metrics: exported for Prometheus on every node that runs Ray's metrics agent.

`cluster/dashboards/curation.json` shows them in Grafana. Ray puts `ray_` before each name.
"""

from functools import cache
from typing import Any

from curation.engine.shards import BAD, ShardReport, pass_of

_SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)

COUNTERS = {
    "curation_items": ("items committed, by their state", ("run", "pass_name", "state")),
    "curation_failures": ("items that failed, were quarantined or could not be read", ("run", "pass_name")),
    "curation_decoded_frames": ("frames decoded", ("run", "pass_name")),
    "curation_bytes": ("bytes of the files worked on", ("run", "pass_name")),
    "curation_stage_seconds": (
        "seconds of work by stage; decode: the rest",
        ("run", "pass_name", "stage"),
    ),
    "curation_stage_items": ("items that a stage worked on", ("run", "pass_name", "stage")),
}
HISTOGRAMS = {"curation_item_seconds": ("seconds from the start of an item to its end", ("run", "pass_name"))}


def record(report: ShardReport, run: str) -> None:
    """Count what one shard came to, in a worker of Ray."""
    for item in report.items:
        if item.fingerprint:  # it only shared its shard with others
            continue
        tags = {"run": run, "pass_name": pass_of(report.name)}
        _metric("curation_items").inc(1, tags | {"state": item.state})
        _metric("curation_item_seconds").observe(item.seconds, tags)
        if item.state in BAD:
            _metric("curation_failures").inc(1, tags)
        stages = {**item.stage_seconds, "decode": max(0.0, item.seconds - sum(item.stage_seconds.values()))}
        amounts = {"curation_decoded_frames": item.decoded_frames, "curation_bytes": item.bytes}
        for name, amount in amounts.items():
            if amount:
                _metric(name).inc(amount, tags)
        for stage, seconds in stages.items():
            of_stage = tags | {"stage": stage}
            _metric("curation_stage_items").inc(1, of_stage)
            if seconds > 0:
                _metric("curation_stage_seconds").inc(seconds, of_stage)


@cache
def _metric(name: str) -> Any:
    from ray.util.metrics import Counter, Histogram

    if name in HISTOGRAMS:
        description, tags = HISTOGRAMS[name]
        return Histogram(name, description, boundaries=list(_SECONDS), tag_keys=tags)
    description, tags = COUNTERS[name]
    return Counter(name, description, tag_keys=tags)
