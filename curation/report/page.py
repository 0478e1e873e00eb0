"""The report: one self-contained HTML page about a run, for a person who decides on thresholds."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder, open_run, scan_manifest
from curation.contract.schemas import MANIFEST_COLUMNS
from curation.report.cards import drop_groups, sample_cards
from curation.report.histogram import HEIGHT, WIDTH, Histogram, make_histogram, number
from curation.report.manifests import human_bytes, list_manifests
from curation.selection.funnel import funnel
from curation.selection.measures import measures
from curation.selection.rules import Level
from curation.selection.thresholds import Threshold, read_thresholds

_TEMPLATES = Path(__file__).parent / "templates"
_SAMPLES = 24
_PROBLEM_FILES = 200

# Scores with a histogram, in the order of the data: level, column of `measures`, title.
_SCORES: tuple[tuple[Level, str, str], ...] = (
    ("clip", "duration", "Duration"),
    ("clip", "text_area", "Text area"),
    ("clip", "image_quality", "Image quality"),
    ("clip", "aesthetic", "Aesthetic"),
    ("clip", "complexity", "Complexity"),
    ("clip", "clarity", "Clarity"),
    ("clip", "classical_quality", "Classical quality"),
    ("clip", "colourfulness", "Colourfulness"),
    ("clip", "edge_complexity", "Edge complexity"),
    ("clip", "camera_rotation_deg", "Camera rotation"),
    ("clip", "camera_translation", "Camera translation"),
    ("clip", "camera_focal", "Camera zoom"),
    ("object", "mask_area", "Mask area"),
    ("object", "speed", "Speed"),
    ("object", "points", "Tracked points"),
    ("object", "cycle_lost", "Points lost on the way back"),
    ("object", "mask_lost", "Points that left the mask"),
)
# Of measures that are no column of a manifest: doc and unit.
_DERIVED = {
    "duration": ("length of the clip", "s"),
    "points": ("points left on the object", "points"),
}


@dataclass(frozen=True)
class _Score:
    level: str
    title: str
    doc: str
    unit: str
    rule: str
    source: str
    histogram: Histogram


@dataclass(frozen=True)
class _Lost:
    """What one rule dropped at one level; x and width place it in the level's bar, in percent."""

    rule: str
    limit: str
    count: int
    share: float
    x: float
    tint: int


@dataclass(frozen=True)
class _Level:
    name: str
    into: int
    kept: int
    share: float
    lost: Sequence[_Lost]


def write_report(run: str, output: Path | None = None) -> Path:
    """Write the page and return where it is.

    Videos are opened for a few frames each; one that is missing or unreadable is said so on its cards.

    Args:
        output: HTML file; None for RUN/report.html, which only a run on this machine's file system has.

    Raises:
        UsageError: no such run, or nowhere to write to.
    """
    folder = open_run(run)
    if output is None:
        if "://" in folder.uri:
            raise UsageError(f"{folder.uri}: is not on this machine; say where to write the page with -o report.html")
        output = Path(folder.path("report.html"))
    if not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.absolute().parent}; make it first")
    # Paths may hold bytes that are no UTF-8; they must not keep the page from being written.
    data = render_page(folder).encode("utf-8", "replace")
    try:
        output.write_bytes(data)
    except OSError as error:
        raise UsageError(
            f"{output}: cannot write the page there: {error.strerror}; name another place with -o"
        ) from None
    return output


def render_page(run: RunFolder) -> str:
    """The page as HTML. The same run gives the same page."""
    facts: dict[str, Any] = yaml.safe_load(run.read_bytes("run.yaml")) or {}
    summary: dict[str, Any] = json.loads(run.read_bytes("summary.json")) if run.exists("summary.json") else {}
    thresholds = read_thresholds(run)
    verdicts = scan_manifest(run.uri, "verdicts").collect()
    samples = scan_manifest(run.uri, "samples").select("kinds", "video_id").collect()
    script = (_TEMPLATES / "copy.js").read_text(encoding="utf-8")
    page = _environment().get_template("page.html")
    return page.render(
        run=run.uri,
        facts=facts,
        summary=summary,
        totals=_totals(run, samples),
        levels=_levels(verdicts, thresholds, facts),
        scores=_scores(run, thresholds),
        histogram_size=(WIDTH, HEIGHT),
        cards=sample_cards(run, _SAMPLES),
        sample_count=samples.height,
        drops=drop_groups(run, verdicts),
        problems=_problem_files(run),
        manifests=list_manifests(run),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def _environment() -> Environment:
    # File names, captions and labels are other people's text: everything is escaped, unless the template says "safe".
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["bytes"] = human_bytes
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["moment"] = lambda value: str(value).replace("T", " ").replace("+00:00", " UTC")
    environment.filters["clock"] = _clock
    environment.filters["pythonic"] = repr
    return environment


def _totals(run: RunFolder, samples: pl.DataFrame) -> dict[str, Any]:
    videos = scan_manifest(run.uri, "videos").select("duration_s", "error", "damage").collect()
    kinds = samples.group_by("kinds").len().sort("kinds")
    return {
        "videos": videos.height,
        "seconds": float(videos["duration_s"].sum() or 0),
        "failed": int(videos["error"].is_not_null().sum()),
        "damaged": int(videos["damage"].is_not_null().sum()),
        "samples": samples.height,
        "videos_with_samples": samples["video_id"].n_unique(),
        "kinds": [((kind or "unknown").replace("_", " "), count) for kind, count in kinds.iter_rows()],
    }


def _levels(verdicts: pl.DataFrame, thresholds: Mapping[str, Threshold], facts: Mapping[str, Any]) -> list[_Level]:
    levels = []
    for row in funnel(verdicts):
        into = max(1, row["into"])
        lost, x = [], 100 * row["kept"] / into
        for tint, (rule, count) in enumerate(row["dropped"].items()):
            share = count / into
            lost.append(_Lost(rule, _limit(rule, thresholds, facts), count, share, x, tint % 8))
            x += 100 * share
        levels.append(_Level(row["level"], row["into"], row["kept"], row["kept"] / into, lost))
    return levels


def _limit(rule: str, thresholds: Mapping[str, Threshold], facts: Mapping[str, Any]) -> str:
    """What a rule asks for, as a person would write it; empty for rules without a setting."""
    if rule in thresholds:
        limits = thresholds[rule]
        parts = [
            f"{name} {number(limit)}" for name, limit in (("min", limits.min), ("max", limits.max)) if limit is not None
        ]
        return ", ".join(parts) + (" (by rank)" if limits.source == "rank" else "")
    setting = ((facts.get("config") or {}).get("rules") or {}).get(rule)
    allowed = setting.get("allowed") if isinstance(setting, dict) else None
    return "one of " + ", ".join(allowed) if allowed else ""


def _scores(run: RunFolder, thresholds: Mapping[str, Threshold]) -> list[_Score]:
    """One histogram for every score that was measured at all."""
    manifests = {name: scan_manifest(run.uri, name) for name in ("videos", "clips", "objects", "tracks")}
    documented = {
        column.name: (column.doc, column.unit)
        for name in ("clips", "objects", "tracks")
        for column in MANIFEST_COLUMNS[name]
    }
    frames = {level: measures(level, manifests).collect() for level in ("clip", "object")}
    scores = []
    for level, column, title in _SCORES:
        values = frames[level][column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        rule, limits = _threshold_on(level, column, thresholds)
        histogram = make_histogram(np.asarray(values, np.float64), limits and limits.min, limits and limits.max)
        if histogram is not None:
            doc, unit = _DERIVED.get(column) or documented[column]
            source = limits.source if limits and histogram.marks else ""
            scores.append(_Score(level, title, doc, unit, rule, source, histogram))
    return scores


def _threshold_on(level: str, column: str, thresholds: Mapping[str, Threshold]) -> tuple[str, Threshold | None]:
    for rule, limits in thresholds.items():
        if limits.level == level and limits.column == column:
            return rule, limits
    return "", None


def _problem_files(run: RunFolder) -> list[dict[str, Any]]:
    """Files that could not be read, then damaged ones."""
    videos = scan_manifest(run.uri, "videos").select("uri", "bytes", "frames", "error", "damage")
    found = videos.filter(pl.col("error").is_not_null() | pl.col("damage").is_not_null())
    return found.sort(pl.col("error").is_null(), "uri").head(_PROBLEM_FILES).collect().to_dicts()


def _clock(seconds: float) -> str:
    """A duration with its two largest units."""
    if seconds < 60:
        return f"{number(round(seconds, 1))} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"
