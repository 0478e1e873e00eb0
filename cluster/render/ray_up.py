"""The spec as a cluster file of Ray's own launcher, for machines of AWS or Google Cloud.

Field names: ray/autoscaler/ray-schema.json, and for a node's config the calls that create instances there.
"""

import shlex
from typing import Any

import yaml

from cluster.spec import ClusterSpec, Node, Pool
from curation.contract.errors import UsageError

_HEAD = "head"
_GCP_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def render_ray_up(spec: ClusterSpec) -> str:
    """A file for `ray up`.

    Raises:
        UsageError: the cloud needs to be told more.
    """
    needed = ("machine_image", "zone", "project") if spec.cloud.provider == "gcp" else ("machine_image",)
    missing = [f"cloud.{name}" for name in needed if getattr(spec.cloud, name) is None]
    if missing:
        # Ray has an AMI of its own, of Ubuntu 18.04: its driver is too old for this PyTorch.
        raise UsageError(f"render ray-up: {spec.cloud.provider} needs {', '.join(missing)}; see docs/guides/ray-up.md")
    start = f"ray start --disable-usage-stats --object-store-memory={spec.object_store_bytes}"
    listens = "--port=6379 --dashboard-host=127.0.0.1 --autoscaling-config=~/ray_bootstrap_config.yaml"
    result = {
        "cluster_name": spec.name,
        "max_workers": sum(pool.max_nodes for pool in spec.pools().values()),
        "idle_timeout_minutes": spec.idle_minutes,
        "provider": _provider(spec),
        "auth": {"ssh_user": "ubuntu"},
        "docker": {"image": spec.image, "container_name": spec.name, "run_options": _run_options(spec)},
        "head_node_type": _HEAD,
        "available_node_types": {_HEAD: _node_type(spec, spec.head)}
        | {name: _node_type(spec, pool) for name, pool in spec.pools().items()},
        "head_start_ray_commands": ["ray stop", f"ulimit -n 65536; {start} --head {listens}"],
        "worker_start_ray_commands": ["ray stop", f"ulimit -n 65536; {start} --address=$RAY_HEAD_IP:6379"],
    }
    return yaml.safe_dump(result, sort_keys=False, width=120)


def _provider(spec: ClusterSpec) -> dict[str, Any]:
    cloud = spec.cloud
    provider: dict[str, Any] = {"type": cloud.provider, "region": cloud.region}
    if cloud.provider == "aws":
        return provider | {"cache_stopped_nodes": False}  # terminated: stopped ones go on costing their disks
    return provider | {"availability_zone": cloud.zone, "project_id": cloud.project}


def _run_options(spec: ClusterSpec) -> list[str]:
    variables = [shlex.quote(f"--env={name}={value}") for name, value in spec.environment.items()]
    return ["--ulimit nofile=65536:65536", *variables]


def _node_type(spec: ClusterSpec, node: Node) -> dict[str, Any]:
    """The head runs no tasks, so it claims no CPUs."""
    config = (_aws if spec.cloud.provider == "aws" else _gcp)(spec, node)
    if not isinstance(node, Pool):
        return {"node_config": config, "resources": {"CPU": 0, "GPU": 0}, "max_workers": 0}
    # Named, so that the autoscaler knows what a node will bring before it has started one.
    resources = {"CPU": node.cpus, "GPU": node.gpus, "memory": spec.worker_bytes(node)}
    return {
        "node_config": config,
        "resources": resources,
        "min_workers": node.min_nodes,
        "max_workers": node.max_nodes,
    }


def _machine(spec: ClusterSpec, node: Node) -> str:
    if not isinstance(node, Pool):
        return spec.cloud.head_machine
    return spec.cloud.gpu_machine if node.gpus else spec.cloud.cpu_machine


def _aws(spec: ClusterSpec, node: Node) -> dict[str, Any]:
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": spec.scratch_gb, "VolumeType": "gp3"}}
    config: dict[str, Any] = {"InstanceType": _machine(spec, node), "BlockDeviceMappings": [disk]}
    config["ImageId"] = spec.cloud.machine_image
    if spec.cloud.identity:
        config["IamInstanceProfile"] = {"Arn": spec.cloud.identity}
    if isinstance(node, Pool) and node.spot:
        config["InstanceMarketOptions"] = {"MarketType": "spot"}
    return config


def _gcp(spec: ClusterSpec, node: Node) -> dict[str, Any]:
    disk = {"diskSizeGb": spec.scratch_gb, "sourceImage": spec.cloud.machine_image}
    config: dict[str, Any] = {
        "machineType": _machine(spec, node),
        "disks": [{"boot": True, "autoDelete": True, "type": "PERSISTENT", "initializeParams": disk}],
    }
    if spec.cloud.identity:
        config["serviceAccounts"] = [{"email": spec.cloud.identity, "scopes": [_GCP_SCOPE]}]
    scheduling: list[dict[str, Any]] = []
    if isinstance(node, Pool) and node.gpus:
        scheduling.append({"onHostMaintenance": "TERMINATE"})  # machines with GPUs cannot be moved
        if spec.cloud.gpu_type:
            config["guestAccelerators"] = [{"acceleratorType": spec.cloud.gpu_type, "acceleratorCount": node.gpus}]
    if isinstance(node, Pool) and node.spot:
        scheduling.append({"preemptible": True})
    return config | ({"scheduling": scheduling} if scheduling else {})
