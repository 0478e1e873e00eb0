"""`python -m training run`: from a config to a training run in this process, one of many or the only one."""

import logging
from pathlib import Path

import yaml

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder
from curation.models.packages import require_package
from training.cache.settings import cache_settings, check_cache
from training.config import TrainingConfig, dump_config
from training.data.config import DataConfig
from training.data.dataset import SampleDataset
from training.data.feeder import Feeder, WorkerFeeder
from training.data.schedule import Share
from training.data.stream import RayFeeder
from training.loop import train
from training.models.quiet import quiet_libraries

_SAME_RUN = ("model", "lora")


def run_training(config: TrainingConfig, output: Path) -> None:
    """Train in `output`, or go on there. `output`/config.yaml holds the resolved config.

    Raises:
        UsageError: `output` holds the run of another model, or the cache is stale.
        BackendUnavailableError: a tracker is not installed.
        CurationError: see `loop.train`.
    """
    quiet_libraries()
    logging.getLogger("training").setLevel(logging.INFO)  # progress is what one runs this for
    for tracker in config.loop.trackers:
        require_package(tracker, tracker, tracker)
    _check_output(config, output)

    if config.data.cache:
        check_cache(RunFolder(config.data.cache), cache_settings(config))

    def make_feeder(data: DataConfig, share: Share) -> Feeder:
        dataset = SampleDataset(data)
        if config.loop.feeder == "ray":
            return RayFeeder(dataset, share, workers=max(1, config.loop.workers))
        return WorkerFeeder(dataset, share, workers=config.loop.workers)

    train(config, make_feeder, output)


def _check_output(config: TrainingConfig, output: Path) -> None:
    """Refuse to mix two models' runs, then write the config."""
    path = output / "config.yaml"
    if path.exists():
        before = yaml.safe_load(path.read_text())
        now = config.model_dump(mode="json")
        changed = [section for section in _SAME_RUN if before[section] != now[section]]
        if changed and any((output / "checkpoints").glob("step-*")):
            raise UsageError(f"{output} holds a run with another {' and '.join(changed)}; choose another --output")
    output.mkdir(parents=True, exist_ok=True)
    path.write_text(dump_config(config))
