"""`python -m cluster render`: what is rendered holds against schemas, and the Slurm script runs on real Ray."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from cluster.render.kuberay import render_kuberay
from cluster.render.ray_up import render_ray_up
from cluster.render.slurm import render_slurm
from cluster.spec import ClusterSpec, ray_version, read_spec
from curation.contract.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]
KUBERAY = json.loads(Path(__file__).with_name("kuberay_schema.json").read_text())
COMMAND = ["python", "-m", "curation", "run", "--input", "s3://b/in", "--set", "a.b=[1, 2]"]
AWS = ["cloud.machine_image=ami-0123"]
GCP = ["cloud.provider=gcp", "cloud.zone=us-west1-a", "cloud.project=p", "cloud.gpu_type=nvidia-l4", *AWS]
EVERYTHING = [
    "kubernetes={secret: keys, service_account: curator, volume_claim: nfs, gpu_node_selector: {gpu: l4}}",
    "environment={HF_HUB_CACHE: /data/weights, SAID: it's $HOME}",
    "cpu_pool={min_nodes: 1, spot: false}",
]


def spec(*overrides):
    return read_spec(None, list(overrides))


def rendered(*overrides, command=COMMAND):
    resource = yaml.safe_load(render_kuberay(spec(*overrides), command))
    jsonschema.validate(resource, KUBERAY)
    return resource


def test_the_file_of_defaults_says_what_the_defaults_are():
    said = yaml.safe_load((ROOT / "cluster/cluster.yaml").read_text())
    held = ClusterSpec().model_dump(mode="json", exclude={"image"})
    assert said == held


def test_mistakes_in_a_spec_are_named():
    for override, expected in (
        ("gpu_pol.max_nodes=1", "did you mean 'gpu_pool'"),
        ("gpu_pool.min_nodes=3", "min_nodes (3) is above max_nodes (2)"),
        ("image=rayproject/ray:2.9.0-gpu", f"this environment Ray {ray_version()}"),
        ("environment={A B: c}", "environment.A B"),
        ("name=Frame_In", "name"),
        ("object_store_gb=20", "leaves no memory on head"),
    ):
        with pytest.raises(UsageError, match=re.escape(expected)):
            spec(override)
    with pytest.raises(UsageError, match="both 0"):
        spec("cpu_pool.max_nodes=0", "gpu_pool.max_nodes=0")


def test_the_image_is_built_on_the_ray_that_is_pinned_here():
    dockerfile = (ROOT / "cluster/Dockerfile").read_text()
    assert f"FROM rayproject/ray:{ray_version()}-py311" in dockerfile
    assert ClusterSpec().image in dockerfile
    assert f"ray=={ray_version()}" in (ROOT / "constraints.txt").read_text().splitlines()


@pytest.mark.parametrize("overrides", [[], EVERYTHING, ["gpu_pool.max_nodes=0"]])
def test_kuberay_holds_against_the_schema_of_its_resources(overrides):
    job = rendered(*overrides)
    assert job["kind"] == "RayJob"
    assert shlex.split(job["spec"]["entrypoint"]) == COMMAND
    cluster = rendered(*overrides, command=[])
    assert cluster["kind"] == "RayCluster"
    assert cluster["spec"] == job["spec"]["rayClusterSpec"]
    assert cluster["spec"]["rayVersion"] == ray_version()


def test_the_schema_refuses_what_kuberay_would():
    job = rendered()
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplica"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(job, KUBERAY)


def test_on_kubernetes_the_head_is_kept_off_spot_nodes_and_workers_bear_them():
    cluster = rendered("gpu_pool.spot=false", command=[])["spec"]
    head, (cpus, gpus) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    for never in (head, gpus):
        rules = never["template"]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        (term,) = rules["nodeSelectorTerms"]
        assert {"NotIn"} == {each["operator"] for each in term["matchExpressions"]}
    assert "nvidia.com/gpu" in [each["key"] for each in gpus["template"]["spec"]["tolerations"]]
    assert "cloud.google.com/gke-spot" in [each["key"] for each in cpus["template"]["spec"]["tolerations"]]
    assert head["template"]["spec"]["tolerations"] == []
    assert head["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.parametrize("cloud", [AWS, GCP])
@pytest.mark.parametrize("overrides", [[], EVERYTHING])
def test_a_cluster_file_holds_against_rays_own_schema(cloud, overrides):
    config = yaml.safe_load(render_ray_up(spec(*cloud, *overrides)))
    validate_config(prepare_config(config))
    types = config["available_node_types"]
    spot = {"InstanceMarketOptions", "scheduling"}
    assert not spot & types["head"]["node_config"].keys()
    assert spot & types["gpu-pool"]["node_config"].keys()
    assert types["head"]["max_workers"] == 0
    assert config["max_workers"] == types["cpu-pool"]["max_workers"] + types["gpu-pool"]["max_workers"]


def test_a_cloud_says_what_it_needs_to_know():
    with pytest.raises(UsageError, match=r"gcp needs cloud.machine_image, cloud.zone, cloud.project"):
        render_ray_up(spec("cloud.provider=gcp"))


@pytest.mark.parametrize(
    "overrides", [[], EVERYTHING, ["slurm={account: a, gpu_partition: g, setup: [module load x]}"]]
)
def test_a_slurm_script_parses_and_asks_for_what_the_spec_says(overrides):
    script = render_slurm(spec(*overrides), COMMAND)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    head = re.findall(r"^#SBATCH (--\S+)$", script, re.MULTILINE)
    assert {"--nodes=1", "--cpus-per-task=4", "--mem=16G", "--requeue"} <= set(head)
    assert "--array=1-8 --nodes=1 --ntasks=1 --cpus-per-task=16 --mem=64G" in script
    assert "--gres=gpu:1" in script
    assert script.rstrip().endswith(shlex.join(COMMAND))


# Stands for Slurm: the elements of an array are processes of this machine, each with a job id of its own.
SBATCH = """#!/bin/bash
script=$(mktemp -p "$STUB"); cat >"$script"
for word in "$@"; do case $word in --array=1-*) count=${word#--array=1-};; esac; done
first=$((SLURM_JOB_ID + 1 + $(ls "$STUB"/*.pid 2>/dev/null | wc -l)))
for ((i = 0; i < count; i++)); do
    SLURM_JOB_ID=$((first + i)) setsid bash "$script" >"$STUB/$((first + i)).log" 2>&1 </dev/null &
    echo $! >"$STUB/$((first + i)).pid"
    echo $((first + i)) >>"$STUB/array-$first"
done
echo "$first;stub"
"""
SCANCEL = """#!/bin/bash
for array in "$@"; do
    for job in $(cat "$STUB/array-$array"); do kill -TERM "$(cat "$STUB/$job.pid")"; done
    echo "$array" >>"$STUB/cancelled"
done
"""


@pytest.mark.slow
def test_the_slurm_script_starts_ray_runs_the_command_and_takes_everything_down(tmp_path):
    stub, work = Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp")), tmp_path / "project"
    work.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (stub / name).write_text(text)
        (stub / name).chmod(0o755)
    program = (
        "import os, ray; ray.init(logging_level='ERROR'); "
        "print('RESOURCES', ray.cluster_resources().get('CPU'), ray.cluster_resources().get('GPU')); "
        "print('SAID', ray.get(ray.remote(lambda: os.environ['SAID']).remote())); raise SystemExit(7)"
    )
    small = ["head={cpus: 1, memory_gb: 2}", "cpu_pool={min_nodes: 1, max_nodes: 1, cpus: 2, memory_gb: 4}"]
    small += ["gpu_pool={min_nodes: 1, max_nodes: 1, cpus: 1, memory_gb: 4}", "object_store_gb=1"]
    script = render_slurm(spec(*small, "environment={SAID: it's $HOME}"), [sys.executable, "-c", program])
    path = f"{stub}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    job = str(os.getpid() * 3)
    run = subprocess.Popen(
        ["bash", "-s"],
        cwd=work,
        env=os.environ | {"PATH": path, "STUB": str(stub), "SLURM_JOB_ID": job, "SLURM_SUBMIT_DIR": str(work)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = run.communicate(script, timeout=240)
        logs = "".join(file.read_text() for file in [*work.glob("*.log"), *stub.glob("*.log")])
        assert "RESOURCES 3.0 1.0" in said, said + logs
        assert "SAID it's $HOME" in said
        assert run.returncode == 7
        assert len((stub / "cancelled").read_text().split()) == 2
        assert not Path(f"/tmp/ray-{job}").exists()
    finally:
        for group in (run.pid, *(int(file.read_text()) for file in stub.glob("*.pid"))):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        shutil.rmtree(stub)


@pytest.mark.parametrize("target", ["kuberay", "slurm"])
def test_the_command_writes_what_it_is_told_to(target, tmp_path):
    file = tmp_path / "out"
    words = ["render", target, "--set", "gpu_pool.max_nodes=0", "-o", str(file), "--", *COMMAND]
    subprocess.run([sys.executable, "-m", "cluster", *words], cwd=ROOT, check=True)
    assert shlex.join(COMMAND) in file.read_text().replace("\n  ", " ")
