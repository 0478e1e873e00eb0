"""The spec as a KubeRay RayCluster, or as a RayJob that makes one, runs a command on it and takes it down.

Field names: the CRDs of KubeRay 1.5.1 and later (the first that make tokens for Ray's token authentication).
"""

import shlex
from typing import Any

import yaml

from cluster.spec import ClusterSpec, Node, Pool, ray_version

# How clouds mark spot machines: label of the node -> its value there; some taint them with the same pair as well.
_SPOT_LABELS = {
    "cloud.google.com/gke-spot": "true",
    "eks.amazonaws.com/capacityType": "SPOT",
    "karpenter.sh/capacity-type": "spot",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
_SPOT_TAINTS = ("cloud.google.com/gke-spot", "kubernetes.azure.com/scalesetpriority")
_GPU = "nvidia.com/gpu"
# So that autoscalers of nodes do not move the head to another one.
_STAYS = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
_RETRIES = 2
_KEPT_SECONDS = 600


def render_kuberay(spec: ClusterSpec, command: list[str]) -> str:
    """A manifest for `kubectl apply`: a RayJob that runs `command`, or without one a RayCluster to submit jobs to."""
    resource: dict[str, Any] = {"apiVersion": "ray.io/v1"}
    if command:
        resource |= {"kind": "RayJob", "metadata": {"name": spec.name}, "spec": _job(spec, command)}
    else:
        resource |= {"kind": "RayCluster", "metadata": {"name": spec.name}, "spec": _cluster(spec)}
    return yaml.safe_dump(resource, sort_keys=False, width=120)


def _job(spec: ClusterSpec, command: list[str]) -> dict[str, Any]:
    return {
        "entrypoint": shlex.join(command),
        # A run goes on where it stopped, so trying again on a new cluster redoes little.
        "backoffLimit": _RETRIES,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": _KEPT_SECONDS,
        "rayClusterSpec": _cluster(spec),
    }


def _cluster(spec: ClusterSpec) -> dict[str, Any]:
    return {
        "rayVersion": ray_version(),
        # Whoever reaches the dashboard can run code; with this it takes the token that KubeRay keeps in a Secret.
        "authOptions": {"mode": "token"},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"version": "v2", "idleTimeoutSeconds": 60 * spec.idle_minutes},
        "headGroupSpec": {
            "rayStartParams": {**_start_params(spec), "num-cpus": "0", "dashboard-host": "0.0.0.0"},
            "template": _pod(spec, spec.head),
        },
        "workerGroupSpecs": [
            {
                "groupName": name,
                "replicas": pool.min_nodes,
                "minReplicas": pool.min_nodes,
                "maxReplicas": pool.max_nodes,
                "rayStartParams": _start_params(spec),
                "template": _pod(spec, pool),
            }
            for name, pool in spec.pools().items()
        ],
    }


def _start_params(spec: ClusterSpec) -> dict[str, str]:
    return {"object-store-memory": str(spec.object_store_bytes)}


def _pod(spec: ClusterSpec, node: Node) -> dict[str, Any]:
    """A pod template: the head's for a plain node, else a worker's."""
    worker = isinstance(node, Pool)
    gpus = node.gpus if isinstance(node, Pool) else 0
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
    pod: dict[str, Any] = {
        "restartPolicy": "Never",  # the autoscaler replaces pods, it does not wait for them
        "affinity": {"nodeAffinity": _affinity(spot=isinstance(node, Pool) and node.spot)},
        "tolerations": _tolerations(node),
        "containers": [_container(spec, node, gpus)],
        "volumes": [{"name": "ray-logs", "emptyDir": {"sizeLimit": f"{spec.scratch_gb}Gi"}}],
    }
    if spec.kubernetes.volume_claim:
        claim = {"claimName": spec.kubernetes.volume_claim}
        pod["volumes"].append({"name": "shared", "persistentVolumeClaim": claim})
    if spec.kubernetes.service_account:
        pod["serviceAccountName"] = spec.kubernetes.service_account
    if gpus and spec.kubernetes.gpu_node_selector:
        pod["nodeSelector"] = dict(spec.kubernetes.gpu_node_selector)
    return {"metadata": {"annotations": annotations if worker else annotations | _STAYS}, "spec": pod}


def _container(spec: ClusterSpec, node: Node, gpus: int) -> dict[str, Any]:
    size: dict[str, str] = {"cpu": str(node.cpus), "memory": f"{node.memory_gb}Gi"}
    size |= {_GPU: str(gpus)} if gpus else {}
    ports = [{"containerPort": 8080, "name": "metrics"}]
    if not isinstance(node, Pool):
        ports += [{"containerPort": 6379, "name": "gcs-server"}, {"containerPort": 8265, "name": "dashboard"}]
    container: dict[str, Any] = {
        "name": "ray-worker" if isinstance(node, Pool) else "ray-head",
        "image": spec.image,
        "env": [{"name": name, "value": value} for name, value in spec.environment.items()],
        "ports": ports,
        "resources": {"requests": size, "limits": dict(size)},
        "volumeMounts": [{"name": "ray-logs", "mountPath": "/tmp/ray"}],
    }
    if spec.kubernetes.secret:
        container["envFrom"] = [{"secretRef": {"name": spec.kubernetes.secret}}]
    if spec.kubernetes.volume_claim:
        container["volumeMounts"].append({"name": "shared", "mountPath": spec.kubernetes.mount_path})
    return container


def _affinity(spot: bool) -> dict[str, Any]:
    """Spot nodes first where they will do, on others meanwhile; else never on spot nodes."""
    if spot:
        terms = [
            {"weight": 100, "preference": {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}}
            for key, value in _SPOT_LABELS.items()
        ]
        return {"preferredDuringSchedulingIgnoredDuringExecution": terms}
    never = [{"key": key, "operator": "NotIn", "values": [value]} for key, value in _SPOT_LABELS.items()]
    terms = {"nodeSelectorTerms": [{"matchExpressions": never}]}
    return {"requiredDuringSchedulingIgnoredDuringExecution": terms}


def _tolerations(node: Node) -> list[dict[str, str]]:
    if not isinstance(node, Pool):
        return []
    keys = [*(_SPOT_TAINTS if node.spot else ()), *([_GPU] if node.gpus else [])]
    return [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys]
