"""Log lines that say where they belong."""

import json
import logging
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PROGRAM = """
import logging, os, sys
from curation.contract.logs import LogSetup, apply_logging, current_logging, log_context, start_logging
start_logging(logging.INFO)
apply_logging(current_logging())
logger = logging.getLogger("work")
with log_context(run="/runs/a", stage="label.tracks", item="v1"):
    logger.warning("three\\nlines")
with log_context(run="/runs/a"):
    logger.info("done", extra={"item": "v2"})
try:
    1 / 0
except ZeroDivisionError:
    logger.exception("broken")
"""


def said(environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return done.stderr.splitlines()


def test_json_lines_carry_run_stage_and_item():
    lines = [json.loads(line) for line in said({"LOG_FORMAT": "json"})]
    assert len(lines) == 3  # one each, although the handler was put there twice
    assert {key: lines[0][key] for key in ("level", "logger", "run", "stage", "item", "message")} == {
        "level": "WARNING",
        "logger": "work",
        "run": "/runs/a",
        "stage": "label.tracks",
        "item": "v1",
        "message": "three\nlines",
    }
    assert lines[1]["item"] == "v2"
    assert "stage" not in lines[1]
    assert "ZeroDivisionError" in lines[2]["traceback"]


def test_text_is_short():
    lines = said({})
    assert lines[:2] == ["WARNING work: three", "lines [stage=label.tracks item=v1]"]
    assert lines[2] == "INFO work: done [item=v2]"


def test_pytest_sees_records_as_ever(caplog):
    logging.getLogger("work").warning("seen")
    assert "seen" in caplog.text
