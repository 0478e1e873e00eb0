"""How the work is spread over processes and machines."""

import math
from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.engine.bounds import Bounds
from curation.stages.stage import Resources

OnError = Literal["drop", "stop"]


class EngineConfig(Config):
    """Nothing in here changes the manifests of a run that comes to its end without errors."""

    name: Literal["ray", "inline"] = Field(default="ray", description="inline: one after the other in this process")
    workers: int | None = Field(
        default=None, ge=1, description="workers at most; null for as many as there is room for"
    )
    shard_items: int | None = Field(
        default=None, ge=1, description="videos that are committed together; null: by their number"
    )
    item_deadline_s: float = Field(
        default=3600,
        gt=0,
        description="a worker that is busy with one video for longer is taken for hung and killed, s",
    )
    on_error: OnError = Field(
        default="drop",
        description="when a model fails on an item (out of memory, a caption server in trouble): drop marks the item, "
        "and the next run tries it again; stop ends the run",
    )
    worker_cpus: float = Field(default=1, gt=0, description="CPUs per worker; one core is the fastest for its cost")
    worker_gpus: float | None = Field(
        default=None,
        ge=0,
        description="GPUs per worker, fractions share one; null: what its backends ask for, if there are GPUs",
    )
    # Measured: 1.9 GB for 397 frames of 768x576 with 24 objects.
    worker_memory_mb: int = Field(default=2048, gt=0, description="memory per worker; fewer run where it is short")

    worker_memory_limit: float = Field(
        default=3.0, ge=1, description="a worker that holds more than so many times worker_memory_mb is killed"
    )
    max_failed: str | None = Field(
        default=None,
        pattern=r"^\d+(\.\d+)?%$|^\d+$",
        description="stop when more items than this fail: a share (5%) or a number; null: never",
    )

    def bounds(self, session: str) -> Bounds:
        """What one item may take. Inline, the process is the user's own, and is not killed."""
        if self.name == "inline":
            return Bounds()
        memory = int(self.worker_memory_mb * self.worker_memory_limit) << 20
        return Bounds(self.item_deadline_s, memory, session)

    def resources(self, asked_gpus: float = 0.0) -> Resources:
        """What a worker needs. `asked_gpus` counts only where `worker_gpus` says nothing."""
        gpus = asked_gpus if self.worker_gpus is None else self.worker_gpus
        # Ray shares out parts of one GPU, or whole ones.
        return Resources(self.worker_cpus, math.ceil(gpus) if gpus > 1 else gpus, self.worker_memory_mb)
