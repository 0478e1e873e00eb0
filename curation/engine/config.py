"""How the work is spread over processes and machines."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.stages.stage import Resources


class EngineConfig(Config):
    """Nothing in here changes a manifest."""

    name: Literal["ray", "inline"] = Field(default="ray", description="inline: one after the other in this process")
    workers: int | None = Field(
        default=None, ge=1, description="workers at most; null for as many as there is room for"
    )
    shard_items: int | None = Field(
        default=None, ge=1, description="videos that are committed together; null: by their number"
    )
    item_deadline_s: float = Field(
        default=3600, gt=0, description="a worker that is busy with one video for longer is taken for hung and killed"
    )
    worker_cpus: float = Field(default=1, gt=0, description="CPUs per worker; one core is the fastest for its cost")
    worker_gpus: float = Field(default=0, ge=0, description="GPUs per worker, fractions share one")
    # Measured: 1.9 GB for 397 frames of 768x576 with 24 objects.
    worker_memory_mb: int = Field(default=2048, gt=0, description="memory per worker; fewer run where it is short")

    @property
    def resources(self) -> Resources:
        return Resources(self.worker_cpus, self.worker_gpus, self.worker_memory_mb)
