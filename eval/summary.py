"""The scores of one run, put together: every measure over all its videos, with its confidence interval."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import yaml

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder
from curation.contract.tables import records
from eval.bootstrap import mean_interval, pivotal_interval
from eval.config import ComparisonConfig
from eval.measures import MEASURES, Measure
from eval.metrics.frechet import frechet_distance
from eval.schemas import FEATURES, MARK, SCHEMAS, SCORES

KINDS = ("frame_in", "frame_out")
_SEED = 0
_ALL_BUT = 0.9  # of the samples' time: less of it is worth a word
_FRAMES_RESAMPLED = 4  # of each video
_SET_MEASURES = ("fid", "fvd")

Row = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """One measure of one run and kind.

    Attributes:
        value: nan when no video has one; low, high: 95 % interval, nan when there are too few videos.
        videos: how many have a value; missing: how many have none, of those that were scored.
        backend: what made it; "" where nothing learned is asked.
        comparable: made as the published numbers were.
    """

    measure: Measure
    value: float
    low: float
    high: float
    videos: int
    missing: int
    backend: str
    comparable: bool = False


@dataclass(frozen=True)
class RunScores:
    """Attributes: rows: of the scores manifest, by sample_id; results: by kind, in the order of `MEASURES`."""

    name: str
    uri: str
    facts: dict[str, Any]
    rows: list[Row]
    results: dict[str, list[Result]]

    def of_kind(self, kind: str) -> list[Row]:
        """Rows without an error."""
        return [row for row in self.rows if row["kind"] == kind]

    def title(self, measure: Measure, kind: str) -> str:
        """What a measure is called in this run."""
        backend = next((item.backend for item in self.results.get(kind, []) if item.measure == measure), "")
        return measure.named(backend)

    @property
    def frames(self) -> str:
        """How many frames of a video were compared: "49", or "17 to 49"."""
        counts = sorted({row["frames"] for row in self.rows if row["error"] is None})
        return " to ".join(str(count) for count in dict.fromkeys([counts[0], counts[-1]])) if counts else "no"

    @property
    def caveat(self) -> str:
        """What to know before reading the numbers; "" when there is nothing."""
        shares = [row["covered"] for row in self.rows if row["error"] is None]
        covered = float(np.mean(shares)) if shares else 1.0
        if covered >= _ALL_BUT:
            return ""
        return f"its videos end after {covered:.0%} of the samples' time; what happens later is not compared"

    @property
    def failed(self) -> list[Row]:
        return [row for row in self.rows if row["error"] is not None]

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(sample_id, one line) of every row with an error, and of every row that has scores but no answer."""
        found = [(row["sample_id"], row["error"]) for row in self.failed]
        return found + [(row["sample_id"], f"only VLM: {row['vlm_error']}") for row in self.rows if row["vlm_error"]]


def read_scores(uri: str) -> RunScores:
    """Read and summarise an output of `python -m eval run`.

    Raises:
        UsageError: there are no scores, or they lack what this version writes.
    """
    folder = RunFolder(uri)
    if not folder.exists(MARK):
        raise UsageError(f"{folder.uri}: no scores there (no {MARK}); make some with `python -m eval run`")
    facts = yaml.safe_load(folder.read_bytes(MARK))
    scores = folder.read(SCORES, schema=SCHEMAS[SCORES])
    if missing := set(SCHEMAS[SCORES].names) - set(scores.schema.names):
        raise UsageError(
            f"{folder.uri}: scores of another version, without {', '.join(sorted(missing))}; run `python -m eval run` "
            "on it again"
        )
    rows = sorted(records(scores), key=lambda row: row["sample_id"])
    if not rows:
        raise UsageError(f"{folder.uri}: no video has been scored yet; go on with `python -m eval run`")
    features = sorted(records(folder.read(FEATURES, schema=SCHEMAS[FEATURES])), key=lambda row: row["sample_id"])
    results = {}
    comparison = ComparisonConfig.model_validate(facts["config"]["comparison"])
    for kind in KINDS:
        of_kind = [row for row in rows if row["kind"] == kind]
        if of_kind:
            found = _results(of_kind, [row for row in features if row["kind"] == kind])
            published = comparison.is_published(kind)
            results[kind] = [replace(item, comparable=published and _is_papers(item)) for item in found]
    return RunScores(facts["name"], folder.uri, facts, rows, results)


def _results(rows: Sequence[Row], features: Sequence[Row]) -> list[Result]:
    found = []
    for measure in MEASURES:
        if measure.key in _SET_MEASURES:
            backends = sorted({row["backend"] for row in features if row["metric"] == measure.key})
            found += [
                _frechet(measure, [row for row in features if row["metric"] == measure.key and row["backend"] == name])
                for name in backends
            ]
        else:
            found.append(_mean(measure, rows))
    return [result for result in found if result.videos or _is_asked(result)]


def _is_asked(result: Result) -> bool:
    """Frame Out has no ID reference to be like; a run without a VLM has no answers."""
    return result.measure.key != "relative_similarity" and not (result.measure.backend and not result.backend)


def _mean(measure: Measure, rows: Sequence[Row]) -> Result:
    values = np.array([row[measure.key] for row in rows if row[measure.key] is not None], np.float64)
    backend = ", ".join(sorted({row[measure.backend] or "" for row in rows})) if measure.backend else ""
    low, high = mean_interval(values, _SEED)
    value = float(values.mean()) if values.size else float("nan")
    return Result(measure, value, low, high, len(values), len(rows) - len(values), backend)


def _frechet(measure: Measure, rows: Sequence[Row]) -> Result:
    """Over the frames (FID) or videos (FVD) of all rows, which are of one backend.

    The interval is that of a few frames of each video, moved to where the value is: frames of a video are nearly
    copies of one another, and distances between thousands of frames would take hours to resample.
    """
    own, truth = ([np.reshape(row[name], tuple(row["shape"])) for row in rows] for name in ("values", "true_values"))
    count, backend = len(rows), rows[0]["backend"]
    if sum(map(len, own)) < 2:
        return Result(measure, float("nan"), float("nan"), float("nan"), 0, count, backend)
    value = frechet_distance(np.concatenate(own), np.concatenate(truth))
    few, few_true = (
        [part[np.linspace(0, len(part) - 1, min(len(part), _FRAMES_RESAMPLED)).round().astype(int)] for part in parts]
        for parts in (own, truth)
    )

    def distance(videos: np.ndarray) -> float:
        return frechet_distance(
            np.concatenate([few[index] for index in videos]), np.concatenate([few_true[index] for index in videos])
        )

    of_few = distance(np.arange(count)) if sum(map(len, few)) > 1 else value
    low, high = (
        float(np.maximum(0.0, value + end - of_few)) for end in pivotal_interval(distance, count, of_few, _SEED)
    )
    return Result(measure, value, low, high, count, 0, backend)


def _is_papers(result: Result) -> bool:
    """Made by the backend and with the weights of the published numbers, as far as their names say."""
    wanted = result.measure.paper
    return bool(wanted) and all(part in result.backend for part in wanted)
