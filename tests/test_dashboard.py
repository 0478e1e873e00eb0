"""The Grafana dashboard asks for metrics that curation's workers export, by the names that Prometheus sees."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from curation.engine.metrics import COUNTERS, HISTOGRAMS

ROOT = Path(__file__).resolve().parents[1]
DASHBOARD = json.loads((ROOT / "cluster/dashboards/curation.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
LISTS = [variable["definition"] for variable in DASHBOARD["templating"]["list"] if "definition" in variable]
ASKED = set(re.findall(r"ray_\w+", " ".join(QUERIES + LISTS)))
EXPORTED = {f"ray_{name}_total" for name in COUNTERS} | {f"ray_{name}_bucket" for name in HISTOGRAMS}

# A done and a failed item, counted in a worker; then Prometheus' part, until the numbers are out.
PROGRAM = """
import sys, time, ray
from curation.engine import metrics
from curation.engine.shards import ItemReport, ShardReport
ray.init(address="local", num_cpus=1, _metrics_export_port=int(sys.argv[1]), object_store_memory=100_000_000)
items = [ItemReport("a", "a.mp4", 7, decoded_frames=24, seconds=2.0, stage_seconds={"shots": 1.5})]
items.append(ItemReport("b", "b.mp4", 7, state="failed", seconds=1.0))
@ray.remote
class Worker:
    def work(self):
        metrics.record(ShardReport("analyse-0", items), "s3://bucket/run")
worker = Worker.remote()
ray.get(worker.work.remote())
print("counted", flush=True)
sys.stdin.read()
"""


def test_every_metric_is_asked_for_and_none_besides():
    assert ASKED == EXPORTED


def test_every_label_is_one_that_the_metric_has():
    tags = {f"ray_{name}_total": set(keys) for name, (_, keys) in COUNTERS.items()}
    tags |= {f"ray_{name}_bucket": {*keys, "le"} for name, (_, keys) in HISTOGRAMS.items()}
    for query in QUERIES:
        used = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")}
        used |= set(re.findall(r"(\w+)=~", query))
        for metric in re.findall(r"ray_\w+", query):
            assert used <= tags[metric], query


def test_panels_have_room_and_names_of_their_own():
    places = {(x, y) for panel in DASHBOARD["panels"] for x, y in cells(panel["gridPos"])}
    assert len(places) == sum(len(cells(panel["gridPos"])) for panel in DASHBOARD["panels"])
    assert max(x for x, _ in places) < 24
    for key in ("id", "title"):
        assert len({panel[key] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def cells(grid):
    columns, rows = range(grid["x"], grid["x"] + grid["w"]), range(grid["y"], grid["y"] + grid["h"])
    return [(x, y) for x in columns for y in rows]


@pytest.mark.slow
def test_ray_exports_what_the_dashboard_asks_for():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(port)],
        cwd=ROOT,
        env=os.environ | {"RAY_AUTH_MODE": "disabled"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert "counted\n" in iter(program.stdout.readline, "")
        deadline, seen = time.monotonic() + 120, ""
        while not all(f"{name}{{" in seen for name in ASKED) and time.monotonic() < deadline:
            time.sleep(1)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                    seen = answer.read().decode()
            except urllib.error.URLError:
                continue
        program.stdin.close()
    lines = [line for line in seen.splitlines() if line.startswith("ray_curation_")]
    assert {re.split(r"[{ ]", line)[0] for line in lines} >= ASKED
    (failures,) = [line for line in lines if line.startswith("ray_curation_failures_total{")]
    assert 'run="s3://bucket/run"' in failures
    assert failures.endswith(" 1.0")
