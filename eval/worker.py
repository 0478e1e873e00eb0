"""A worker of `python -m eval run`: generations in, scores and features out. Builds its backends when it is made."""

import json
import time
from dataclasses import dataclass
from typing import Any

import cv2

from curation.contract.errors import ModelError
from curation.contract.ids import digest
from curation.contract.manifest import RunFolder
from curation.contract.tables import Tables, table
from curation.engine.attempts import guarded, note_model_error
from curation.engine.bounds import Bounds
from curation.engine.committer import commit_shard
from curation.engine.shards import Item, ItemReport, Shard, ShardReport, ShardWorker
from eval.backends import build_backends
from eval.config import EvalConfig
from eval.pair import read_pair
from eval.schemas import DATASETS, FEATURES, SCHEMAS, SCORES
from eval.score import score_pair

PASS = "evaluate"
_VERSION = "2"  # of the measures: raise it when one changes, and old scores are made anew


@dataclass(frozen=True)
class EvaluateSpec:
    """The worker as it travels to other processes; called there, it makes the worker.

    Attributes:
        output: absolute path or URI.
        config: an `EvalConfig` as JSON.
    """

    output: str
    config: str

    def __call__(self) -> ShardWorker:
        return Evaluator(self)


def item_fingerprint(config: EvalConfig, payload: str) -> str:
    """Changes when the score of a generation could."""
    return digest(_VERSION, config.values_fingerprint(), payload)


class Evaluator:
    def __init__(self, spec: EvaluateSpec) -> None:
        cv2.setNumThreads(1)  # one process per core
        self.output = RunFolder(spec.output)
        self.config = EvalConfig.model_validate_json(spec.config)
        self.backends = build_backends(self.config)

    def __call__(self, shard: Shard) -> ShardReport:
        (item,) = shard.items  # seconds to minutes each, and each has its own fingerprint
        report = ItemReport(item.item_id, item.uri, item.bytes)
        result = self._item(item, report)
        fingerprint = item_fingerprint(self.config, item.payload)
        return commit_shard(self.output, PASS, DATASETS, shard.name, fingerprint, [(result, report)], SCHEMAS)

    def _item(self, item: Item, report: ItemReport) -> Tables:
        generation: dict[str, Any] = json.loads(item.payload)
        deadline = Bounds(self.config.engine.item_deadline_s) if self.config.engine.name == "ray" else Bounds()
        started = time.monotonic()
        on_error = self.config.engine.on_error
        made = guarded(self.output, PASS, report, deadline, lambda: self._score(generation), on_error)
        made = made or {SCORES: [{"error": " ".join(str(report.detail).split())}], FEATURES: []}
        if problem := made[SCORES][0].get("vlm_error"):
            note_model_error(report, ModelError(problem), on_error)
        known = {"sample_id": item.item_id}
        about = known | {"run": generation["run"], "video_uri": generation["video_uri"]}
        about |= {"seconds": time.monotonic() - started}
        return {
            SCORES: table(SCORES, [row | about for row in made[SCORES]], SCHEMAS[SCORES]),
            FEATURES: table(FEATURES, [row | known for row in made[FEATURES]], SCHEMAS[FEATURES]),
        }

    def _score(self, generation: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        pair = read_pair(RunFolder(generation["run"]), generation, self.config.comparison)
        return score_pair(pair, self.backends, self.config.comparison)
