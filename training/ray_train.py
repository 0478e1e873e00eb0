"""`python -m training run --ray-workers N`: the same run in the workers of a Ray cluster, by Ray Train's TorchTrainer.

Ray places the workers, one GPU each where the cluster has GPUs, and joins them for torch.distributed. A worker that is
lost takes its group with it; Ray starts a new group, which goes on from the newest checkpoint in the output folder.
"""

from pathlib import Path
from typing import Any

from curation.contract.errors import CurationError, UsageError
from curation.engine.ray_data import connect
from curation.video.location import is_remote, local_path
from training.config import TrainingConfig

# A group is started anew so often, for as long as the run goes on.
_MAX_FAILURES = 8
_OBJECT_STORE_BYTES = 256 << 20  # nothing large goes through it here


def run_on_ray(config: TrainingConfig, output: Path, workers: int) -> None:
    """Train in `output` with `workers` processes on the cluster that RAY_ADDRESS names, else on this machine.

    Workers on other machines need `output` and the manifests at the same paths, on shared storage.

    Raises:
        UsageError: the cluster has GPUs, but fewer than workers.
        CurationError: the run failed, or its workers were lost more than 8 times.
    """
    decoders = max(1, config.loop.workers) if config.loop.feeder == "ray" else 0
    connect(workers + decoders, _OBJECT_STORE_BYTES, dashboard=True)
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    gpus = int(ray.cluster_resources().get("GPU", 0))
    if 0 < gpus < workers:
        raise UsageError(f"--ray-workers {workers}: the cluster has {gpus} GPUs, and a worker needs one")
    trainer = TorchTrainer(
        _train,
        train_loop_config={"config": _with_absolute_paths(config).model_dump(), "output": str(output.absolute())},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus > 0),
        run_config=RunConfig(
            name="ray", storage_path=str(output.absolute()), failure_config=FailureConfig(max_failures=_MAX_FAILURES)
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise CurationError(f"training on Ray failed: {error}") from error
    finally:
        ray.shutdown()


def _train(arguments: dict[str, Any]) -> None:
    """In a worker, which Ray has joined with the others."""
    from training.run import run_training

    run_training(TrainingConfig.model_validate(arguments["config"]), Path(arguments["output"]))


def _with_absolute_paths(config: TrainingConfig) -> TrainingConfig:
    """Workers do not run in the folder that the command was given in."""
    data = config.data
    manifests = tuple(manifest.model_copy(update={"run": _absolute(manifest.run)}) for manifest in data.manifests)
    cache = None if data.cache is None else _absolute(data.cache)
    return config.model_copy(update={"data": data.model_copy(update={"manifests": manifests, "cache": cache})})


def _absolute(folder: str) -> str:
    return folder if is_remote(folder) else str(Path(local_path(folder)).absolute())
