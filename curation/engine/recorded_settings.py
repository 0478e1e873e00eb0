"""Which settings stand behind a fingerprint: kept beside the ledger, so that a run can say why it redoes a stage.

Not in run.yaml, which holds those of the last run: rows of several runs may lie in one folder, and a run may be cut
short when it has redone a part.
"""

import json
from collections.abc import Iterable

from curation.config import RunConfig
from curation.contract.ids import digest
from curation.contract.manifest import RunFolder
from curation.engine.redo import changed_settings

_SECTIONS = {"tracks": ("tracks", "tracking")}  # of the config, where a stage has others than the one of its name


def record_settings(run: RunFolder, fingerprint: str, config: RunConfig) -> None:
    """Keep the settings that rows with this fingerprint are made with."""
    name = _name(fingerprint)
    if not run.exists(name):
        run.write_bytes(name, config.model_dump_json().encode())


def settings_changed_since(run: RunFolder, fingerprint: str, config: RunConfig, stages: Iterable[str]) -> list[str]:
    """`key: old -> new` for the settings of these stages, and the seed, that differ from those behind a fingerprint.

    Empty when all are the same, and where an earlier version kept none: rows are then of another version.
    """
    name = _name(fingerprint)
    if not run.exists(name):
        return []
    before, now = json.loads(run.read_bytes(name)), config.model_dump(mode="json")
    lines = changed_settings({"seed": before["seed"]}, {"seed": now["seed"]})
    for stage in stages:
        for section in _SECTIONS.get(stage, (stage,)):
            lines += changed_settings(before.get(section, {}), now[section], f"{section}.")
    return lines


def _name(fingerprint: str) -> str:
    return f"ledger/settings/{digest(fingerprint)}.json"
