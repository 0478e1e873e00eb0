"""`python -m eval run`: score generated videos on Ray, one row for each, whatever happens on the way."""

import logging
import sys
from typing import Any

import yaml

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder, open_run
from curation.engine.engine import Engine
from curation.engine.ledger import Ledger
from curation.engine.shards import Item
from eval.config import EvalConfig
from eval.generations import read_generations, work_payload
from eval.schemas import DATASETS, MARK
from eval.worker import PASS, EvaluateSpec, item_fingerprint

logger = logging.getLogger(__name__)


def run_evaluation(generations: str, output: str, config: EvalConfig, name: str | None, samples: str | None) -> int:
    """Score every generation that has no score yet; what failed before is tried again.

    Args:
        generations: folder or URI of `python -m inference batch`, or a folder of videos.
        output: folder or URI for scores; a rerun goes on there.
        name: of these generations in reports; None for the output folder's.
        samples: see `read_generations`.

    Returns:
        How many generations have a row with an error, or without an answer of the vision-language model.

    Raises:
        UsageError: no generations, no samples, or the output holds other things.
        BackendUnavailableError: a backend of the config cannot run here.
    """
    rows = read_generations(generations, samples)
    for run in {row["run"] for row in rows}:
        open_run(run)
    folder = RunFolder(output)
    _claim(folder, RunFolder(generations).uri, samples, name, config, rows)

    ledger = Ledger(folder, PASS, DATASETS)
    swept = ledger.sweep()
    if swept:
        logger.info("removed %d files that an interrupted run left uncommitted", swept)
    wanted = {row["sample_id"]: work_payload(row) for row in rows}
    fingerprints = {sample: item_fingerprint(config, payload) for sample, payload in wanted.items()}
    done = _done(ledger, fingerprints)
    pending = [
        Item(row["sample_id"], row["video_uri"] or "", 0, payload=wanted[row["sample_id"]])
        for row in rows
        if row["sample_id"] not in done
    ]
    _say(f"{len(rows)} generations, {len(pending)} to score")
    spec = EvaluateSpec(folder.uri, config.model_dump_json())
    with Engine(config.engine) as engine:
        engine.run(PASS, pending, spec, "videos")
    failed = len(rows) - len(_done(ledger, fingerprints))
    _say(
        f"scores: {folder.path('scores')}"
        + (f"; {failed} with the reason in `error` or `vlm_error`, to be tried again by the next run" if failed else "")
    )
    return failed


def _done(ledger: Ledger, fingerprints: dict[str, str]) -> set[str]:
    """Samples with a whole score as it would be made now. Rows of samples that are no longer asked for are removed."""
    done, stale = set(), []
    for shard, entries in ledger.entries().items():
        for entry in entries:
            if entry["item_id"] not in fingerprints:
                stale.append(shard)
            elif (
                entry["state"] == "done"
                and not entry["model_error"]
                and entry["fingerprint"] == fingerprints[entry["item_id"]]
            ):
                done.add(entry["item_id"])
    ledger.retire(stale)
    return done


def _claim(
    folder: RunFolder,
    generations: str,
    samples: str | None,
    name: str | None,
    config: EvalConfig,
    rows: list[dict[str, Any]],
) -> None:
    """Write down what is scored and how; refuse a folder that holds other things."""
    if folder.exists(MARK):
        known = yaml.safe_load(folder.read_bytes(MARK))
        if known["generations"] != generations:
            raise UsageError(f"{folder.uri}: holds scores of {known['generations']}; name another --output")
    elif not folder.is_free():
        raise UsageError(f"{folder.uri}: not empty, and no scores of ours; name another --output")
    facts = {
        "name": name or folder.uri.rstrip("/").rsplit("/", 1)[-1],
        "generations": generations,
        "samples": samples,
        "models": sorted({f"{row['model']} ({row['model_revision']})" for row in rows if row["model_revision"]}),
        "config": config.model_dump(mode="json"),
    }
    folder.write_bytes(MARK, yaml.safe_dump(facts, sort_keys=False).encode())


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
