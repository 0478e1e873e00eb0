"""What a cluster consists of, whoever provides it: one typed spec, rendered for KubeRay, `ray up` or Slurm.

`cluster/cluster.yaml` holds every default with a comment: copy it, or change single values by `--set`.
"""

import re
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from curation.contract.config import Config, parse_config
from curation.contract.config_layers import merge, parse_override, read_yaml

# Of a node's memory, what Ray hands out to workers; the rest is for its object store, its own processes and the system.
_WORKER_SHARE = 0.8
_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_RAY_TAG = re.compile(r"(?:rayproject/ray[a-z-]*:|ray-?)(\d+\.\d+\.\d+)")


def ray_version() -> str:
    """The Ray of this environment; every node has to run the same."""
    return version("ray")


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("has to be one line without control characters")
    return value


Line = Annotated[str, AfterValidator(_one_line)]


class Node(Config):
    """One machine.

    Attributes:
        cpus: cores. memory_gb: GiB.
    """

    cpus: int = Field(ge=1)
    memory_gb: int = Field(ge=2)


class Pool(Node):
    """Worker nodes of one kind.

    Attributes:
        min_nodes, max_nodes: the autoscaler stays between them; without one (Slurm), a run starts at min_nodes.
        gpus: per node.
        spot: on machines that may be taken away: what was under way there is done again elsewhere.
    """

    min_nodes: int = Field(default=0, ge=0)
    max_nodes: int = Field(ge=0)
    gpus: int = Field(default=0, ge=0)
    spot: bool = True

    @model_validator(mode="after")
    def _ordered(self) -> "Pool":
        if self.min_nodes > self.max_nodes:
            raise ValueError(f"min_nodes ({self.min_nodes}) is above max_nodes ({self.max_nodes})")
        return self


class KubernetesConfig(Config):
    """What only KubeRay needs.

    Attributes:
        secret: a Secret whose keys become environment variables, e.g. the credentials of object storage.
        service_account: with rights on object storage, where the cloud gives them that way.
        volume_claim: a ReadWriteMany PersistentVolumeClaim, mounted on every node at mount_path.
        gpu_node_selector: labels of the nodes that have the wanted GPU.
    """

    secret: str | None = None
    service_account: str | None = None
    volume_claim: str | None = None
    mount_path: str = Field(default="/data", pattern="^/")
    gpu_node_selector: dict[str, str] = Field(default_factory=dict)


class CloudConfig(Config):
    """What only `ray up` needs.

    Attributes:
        zone, project: of GCP.
        machine_image: AMI or source image of every machine, with Docker and, for a GPU pool, NVIDIA's driver.
        head_machine, cpu_machine, gpu_machine: instance types; their sizes are those of head and pools.
        gpu_type: accelerator of GCP's GPU machines, where the machine type does not imply it.
        identity: ARN of an AWS instance profile or e-mail of a GCP service account, with rights on object storage and
            on starting machines; none for what Ray makes, which has only the latter.
    """

    provider: Literal["aws", "gcp"] = "aws"
    region: str = "us-west-2"
    zone: str | None = None
    project: str | None = None
    machine_image: str | None = None
    head_machine: str = "m7i.xlarge"
    cpu_machine: str = "m7i.4xlarge"
    gpu_machine: str = "g6e.4xlarge"
    gpu_type: str | None = None
    identity: str | None = None


class SlurmConfig(Config):
    """What only Slurm needs.

    Attributes:
        account: whom the time is charged to.
        head_partition, cpu_partition, gpu_partition: none for the site's default.
        time: limit of the whole run, as sbatch takes it.
        setup: shell lines that each node runs first, e.g. "module load cuda".
    """

    account: Line | None = None
    head_partition: Line | None = None
    cpu_partition: Line | None = None
    gpu_partition: Line | None = None
    time: str = Field(default="24:00:00", pattern=r"^(\d+-)?\d+(:\d+){0,2}$")
    setup: tuple[Line, ...] = ()


class ClusterSpec(Config):
    """
    Attributes:
        name: of the cluster and of what is made for it.
        image: container image with this project and its dependencies (cluster/Dockerfile); none on Slurm.
        head: never on spot machines: when it goes, all that is under way goes. Runs the command, and no tasks.
        cpu_pool: decodes and analyses. gpu_pool: runs the models of presets that want GPUs.
        idle_minutes: a node without work goes after so long, down to min_nodes.
        object_store_gb: GiB of shared memory on each node; frames never go there, so little is enough.
        scratch_gb: GiB of local disk on each node, for Ray's logs and uploaded code.
        environment: variables on every node. No secrets: they would stand in the file.
    """

    name: Annotated[str, StringConstraints(pattern=_NAME, max_length=40)] = "frame-in-out"
    image: Line = Field(default_factory=lambda: f"frame-in-out:ray{ray_version()}")
    head: Node = Node(cpus=4, memory_gb=16)
    cpu_pool: Pool = Pool(max_nodes=8, cpus=16, memory_gb=64)
    gpu_pool: Pool = Pool(max_nodes=2, cpus=16, memory_gb=128, gpus=1)
    idle_minutes: int = Field(default=5, ge=1)
    object_store_gb: int = Field(default=2, ge=1)
    scratch_gb: int = Field(default=100, ge=10)
    environment: dict[Annotated[str, StringConstraints(pattern=_VARIABLE)], Line] = Field(default_factory=dict)
    kubernetes: KubernetesConfig = KubernetesConfig()
    cloud: CloudConfig = CloudConfig()
    slurm: SlurmConfig = SlurmConfig()

    @field_validator("image")
    @classmethod
    def _same_ray(cls, image: str) -> str:
        said = _RAY_TAG.search(image)
        if said and said[1] != ray_version():
            raise ValueError(
                f"{image} holds Ray {said[1]}, and this environment Ray {ray_version()}: build it anew from "
                "cluster/Dockerfile"
            )
        return image

    @model_validator(mode="after")
    def _can_work(self) -> "ClusterSpec":
        if not self.pools():
            raise ValueError("cpu_pool.max_nodes and gpu_pool.max_nodes are both 0: nothing could run")
        for name, node in {"head": self.head, **self.pools()}.items():
            if self.worker_bytes(node) <= 0:
                raise ValueError(f"object_store_gb ({self.object_store_gb}) leaves no memory on {name}")
        return self

    def pools(self) -> dict[str, Pool]:
        """Name -> pool, of those that may have nodes."""
        pools = {"cpu-pool": self.cpu_pool, "gpu-pool": self.gpu_pool}
        return {name: pool for name, pool in pools.items() if pool.max_nodes}

    def worker_bytes(self, node: Node) -> int:
        """Memory of a node that Ray hands out to workers."""
        return int(node.memory_gb * 2**30 * _WORKER_SHARE) - self.object_store_bytes

    @property
    def object_store_bytes(self) -> int:
        return self.object_store_gb * 2**30


def read_spec(config: Path | None, overrides: list[str]) -> ClusterSpec:
    """The defaults, a YAML file over them, and `a.b=c` over that.

    Raises:
        UsageError: a key is unknown or a value cannot be.
    """
    data = ClusterSpec().model_dump(mode="json")
    data = merge(data, read_yaml(config)) if config else data
    for override in overrides:
        data = merge(data, parse_override(override))
    return parse_config(ClusterSpec, data, f"{config or 'the default cluster'}{' with --set' if overrides else ''}")
