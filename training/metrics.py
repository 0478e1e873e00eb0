"""What a run measures: a line per step in metrics.jsonl, the trackers, and a line in the log now and then."""

import json
import logging
from pathlib import Path

from accelerate import Accelerator

logger = logging.getLogger(__name__)


class MetricsFile:
    """Metrics of all processes together, written by the main one."""

    def __init__(self, path: Path, accelerator: Accelerator, step: int) -> None:
        """Go on after `step`: lines of later steps, which were not saved, are dropped, and one that was cut off."""
        self._path, self._accelerator = path, accelerator
        if accelerator.is_main_process and path.exists():
            lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            path.write_text("".join(line for line in lines if json.loads(line)["step"] <= step))

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add a line and tell the trackers."""
        if self._accelerator.is_main_process:
            with self._path.open("a") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
        self._accelerator.log(values, step=step)

    def report(
        self, step: int, steps: int, loss: float, norm: float, learning_rate: float, rates: dict[str, float]
    ) -> None:
        """One line for people: progress, speed, the share of time that waits for data, use of the hardware."""
        self._accelerator.log(rates, step=step)
        if not self._accelerator.is_main_process:
            return
        mfu = f", MFU {rates['mfu']:.0%}" if "mfu" in rates else ""
        logger.info(
            "step %d/%d: loss %.4f, gradient norm %.3g, learning rate %.3g; %.3g samples/s, waiting for data %.0f %%%s",
            step,
            steps,
            loss,
            norm,
            learning_rate,
            rates["samples_per_second"],
            100 * rates["data_wait"],
            mfu,
        )


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a metrics.jsonl."""
    return [json.loads(line) for line in path.read_text().splitlines()]
