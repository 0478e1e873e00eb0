"""Curate labelled data and score the labels: manifests, table, scores.json, page."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from curation.config import RunConfig, load_config
from curation.contract.manifest import RunFolder, open_run
from curation.engine.run import run_curation
from eval.labels.dataset import read_data
from eval.labels.entry_sides import entry_side_cases
from eval.labels.labelled import LabelledClip
from eval.labels.page import render_page
from eval.labels.score import RunLabels, ScoredData, score_clip
from eval.labels.summary import Line, summarise


def run_labels(folders: Sequence[Path], output: Path, preset: str, overrides: list[str]) -> list[Line]:
    """Curate every data set (finished runs are reused), score it, print the table, write scores.json and report.html.

    Raises:
        UsageError: a folder is no labelled data, or the config is wrong.
    """
    config = load_config(preset, None, overrides)
    data = [read_data(folder) for folder in folders]
    scored = []
    for folder, clips in zip(folders, data, strict=True):
        run = output / f"run_{folder.resolve().name}"
        started = time.monotonic()
        run_curation(str(folder / "clips"), str(run), config)
        seconds = time.monotonic() - started
        scored.append(_score(folder, open_run(run), clips, config, seconds))
    lines = summarise([item.cases for item in scored])
    results = RunFolder(output)
    results.write_bytes("scores.json", _scores(scored, lines, config).encode())
    results.write_bytes("report.html", render_page(scored, lines).encode())
    _print(lines, [item.folder.name for item in scored])
    Console().print(f"scores: {output / 'scores.json'}\npage: {output / 'report.html'}", soft_wrap=True)
    return lines


def _score(folder: Path, run: RunFolder, clips: list[LabelledClip], config: RunConfig, seconds: float) -> ScoredData:
    labels = RunLabels(run)
    cases = [case for clip in clips for case in score_clip(clip, labels)]
    cases += entry_side_cases(config.region_boxes, config.seed)
    return ScoredData(folder, run, labels, clips, cases, seconds)


def _print(lines: list[Line], names: list[str]) -> None:
    table = Table(title="labels against the truth")
    table.add_column("measure")
    table.add_column("mean" if len(names) > 1 else "value", justify="right")
    if len(names) > 1:
        table.add_column("spread", justify="right")
        for name in names:
            table.add_column(name, justify="right")
    table.add_column("bar", justify="right")
    table.add_column("")
    table.add_column("cases", justify="right")
    for line in lines:
        sign = "≤" if line.measure.lower else "≥"
        bar = "" if line.measure.bar is None else f"{sign} {line.measure.bar:g}"
        verdict = {True: "[green]ok[/]", False: "[red]missed[/]", None: ""}[line.passed]
        per_set = [f"{line.spread:.3f}", *(f"{value:.3f}" for value in line.values)] if len(names) > 1 else []
        table.add_row(line.measure.name, f"{line.mean:.3f}", *per_set, bar, verdict, str(line.cases))
    Console().print(table)


def _scores(scored: list[ScoredData], lines: list[Line], config: RunConfig) -> str:
    values = json.dumps(
        {
            "config": config.fingerprint(),
            "measures": [
                {
                    "name": line.measure.name,
                    "mean": _finite(line.mean),
                    "spread": _finite(line.spread),
                    "values": [_finite(value) for value in line.values],
                    "bar": line.measure.bar,
                    "passed": line.passed,
                    "cases": line.cases,
                }
                for line in lines
            ],
            "data": [
                {
                    "folder": str(item.folder),
                    "run": item.run.uri,
                    "versions": yaml.safe_load(item.run.read_bytes("run.yaml")).get("versions"),
                    "curation_seconds": round(item.seconds, 1),
                    "cases": [case.record() for case in item.cases],
                }
                for item in scored
            ],
        },
        indent=1,
    )
    return values + "\n"


def _finite(value: float) -> Any:
    return None if value != value else round(value, 6)
