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
from curation.contract.ids import digest
from curation.contract.manifest import RunFolder, open_run
from curation.engine.run import run_curation
from eval.labels.by_clip import HEADER, ClipLine, by_clip
from eval.labels.dataset import read_data
from eval.labels.entry_sides import entry_side_cases
from eval.labels.labelled import LabelledClip
from eval.labels.page import render_page
from eval.labels.score import RunLabels, ScoredData, score_clip
from eval.labels.summary import BY_HAND, RENDERED, Summary, summarise


def run_labels(folders: Sequence[Path], output: Path, preset: str, overrides: list[str]) -> list[Summary]:
    """Curate every data set (finished runs are reused), score it, print tables, write scores.json and report.html.

    Returns:
        one summary for the rendered data sets and one for those labelled by hand, whichever there are.

    Raises:
        UsageError: a folder is no labelled data, or the config is wrong.
    """
    config = load_config(preset, None, overrides)
    data = [read_data(folder) for folder in folders]
    scored = []
    for folder, clips in zip(folders, data, strict=True):
        run = run_folder(output, folder)
        started = time.monotonic()
        run_curation(str(folder / "clips"), str(run), config)
        scored.append(_score(folder, open_run(run), clips, config, time.monotonic() - started))
    summaries = _summaries(scored)
    clip_lines = {id(item): _by_clip(item) for item in scored if item.by_hand}
    results = RunFolder(output)
    results.write_bytes("scores.json", _scores(scored, summaries, clip_lines, config).encode())
    results.write_bytes("report.html", render_page(scored, summaries, list(clip_lines.values())).encode())
    console = Console()
    for summary in summaries:
        console.print(_table(summary))
    for lines in clip_lines.values():
        console.print(_clip_table(lines))
    console.print(f"scores: {output / 'scores.json'}\npage: {output / 'report.html'}", soft_wrap=True)
    return summaries


def run_folder(output: Path, data: Path) -> Path:
    """Where the run over a data set lies: by its whole path, since folders of the same name must not share a run."""
    return output / f"run_{data.resolve().name}_{digest(str(data.resolve()))[:6]}"


def _score(folder: Path, run: RunFolder, clips: list[LabelledClip], config: RunConfig, seconds: float) -> ScoredData:
    labels = RunLabels(run)
    cases = [case for clip in clips for case in score_clip(clip, labels)]
    cases += entry_side_cases(config.region_boxes, config.seed)
    return ScoredData(folder, run, labels, clips, cases, seconds)


def _summaries(scored: Sequence[ScoredData]) -> list[Summary]:
    found = []
    for by_hand, measures in ((False, RENDERED), (True, BY_HAND)):
        if chosen := [item for item in scored if item.by_hand == by_hand]:
            names = tuple(item.folder.resolve().name for item in chosen)
            found.append(Summary(by_hand, names, tuple(summarise([item.cases for item in chosen], measures))))
    return found


def _by_clip(item: ScoredData) -> list[ClipLine]:
    said = {
        name: [clip["camera_label"] for clip in item.labels.clips[video["video_id"]]]
        for name, video in item.labels.videos.items()
    }
    return by_clip(item.clips, item.cases, said)


def _table(summary: Summary) -> Table:
    table = Table(title=f"labels against the truth: {summary.title}")
    table.add_column("measure")
    several = len(summary.names) > 1
    table.add_column("mean" if several else "value", justify="right")
    if several:
        table.add_column("spread", justify="right")
        for name in summary.names:
            table.add_column(name, justify="right")
    table.add_column("bar", justify="right")
    table.add_column("")
    table.add_column("cases", justify="right")
    for line in summary.lines:
        sign = "≤" if line.measure.lower else "≥"
        bar = "" if line.measure.bar is None else f"{sign} {line.measure.bar:g}"
        verdict = {True: "[green]ok[/]", False: "[red]missed[/]", None: ""}[line.passed]
        per_set = [f"{line.spread:.3f}", *(f"{value:.3f}" for value in line.values)] if several else []
        table.add_row(line.measure.name, f"{line.mean:.3f}", *per_set, bar, verdict, str(line.cases))
    return table


def _clip_table(lines: list[ClipLine]) -> Table:
    table = Table(title="clip by clip")
    for name in HEADER:
        table.add_column(name)
    for line in lines:
        table.add_row(*line.cells())
    return table


def _scores(
    scored: list[ScoredData], summaries: list[Summary], clip_lines: dict[int, list[ClipLine]], config: RunConfig
) -> str:
    values = json.dumps(
        {
            "config": config.fingerprint(),
            "measures": [
                {
                    "data": summary.title,
                    "name": line.measure.name,
                    "mean": _finite(line.mean),
                    "spread": _finite(line.spread),
                    "values": [_finite(value) for value in line.values],
                    "bar": line.measure.bar,
                    "passed": line.passed,
                    "cases": line.cases,
                }
                for summary in summaries
                for line in summary.lines
            ],
            "data": [
                {
                    "folder": str(item.folder),
                    "run": item.run.uri,
                    "versions": yaml.safe_load(item.run.read_bytes("run.yaml")).get("versions"),
                    "curation_seconds": round(item.seconds, 1),
                    "by_clip": [line.record() for line in clip_lines.get(id(item), [])],
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
