"""Processes that share the tokens of one sample compute what one process does, with ID frames and token timesteps."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from curation.contract.errors import UsageError
from inference.loading import load_model
from inference.memory import LoadConfig
from inference.metadata import recipe_of_video
from training.config import load_config
from training.metrics import read_metrics
from training.run import run_training

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("data.sizes=[[32,64]]", "data.frames=[5]", "loop.trackers=[]", "optimizer.warmup_steps=4", "loop.steps=3")
TINY_14B = (
    "model={base: tiny, revision: null, frozen_weights: float32}",
    "loop={precision: 'no', workers: 0, accumulation: 1}",
)
CHECKED = ("validation.every=3", "validation.split=train", "validation.num_inference_steps=1", "validation.draws=1")


def two_processes(*arguments):
    """Run python with these arguments twice, as torchrun would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    processes = [
        subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | together | {"RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1", "PYTHONPATH": "."},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        outputs = [process.communicate(timeout=240)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    return outputs


@pytest.mark.slow
def test_the_pipeline_gives_the_same_latents():
    two_processes("tests/context_parallel_worker.py")


@pytest.mark.slow
def test_the_command_writes_one_video(tmp_path):
    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "first.png")
    request = {
        "model": "tiny-wan",
        "first_frame": {"picture": "first.png", "width": 64, "height": 64},
        "canvas": {"left": 32},
        "objects": [{"trajectories": [{"points": [[-5, 30], [50, 30]]}]}],
        "num_inference_steps": 1,
        "num_frames": 5,
    }
    (tmp_path / "request.yaml").write_text(yaml.safe_dump(request))
    outputs = two_processes(
        "-m", "inference", "generate", tmp_path / "request.yaml", "-o", tmp_path / "out.mp4", "--context-parallel", "2"
    )
    assert "canvas:" in outputs[0] and "canvas:" not in outputs[1]
    assert recipe_of_video(tmp_path / "out.mp4").request.seed == 0


@pytest.mark.parametrize(
    ("model", "sharding"),
    [
        ("tiny-wan", "none"),
        pytest.param("tiny-wan", "fsdp", marks=pytest.mark.slow),
        pytest.param("wan2.1-14b", "fsdp", marks=pytest.mark.slow),
    ],
)
def test_training_has_the_same_losses_and_gradients(truth_run, tmp_path, model, sharding):
    settings = (*SMALL, *CHECKED, *(TINY_14B if model == "wan2.1-14b" else ()), f"parallel.sharding={sharding}")
    run_training(load_config(model, "inout", [truth_run.uri], None, list(settings)), tmp_path / "one")
    chosen = [argument for value in (*settings, "parallel.context=2") for argument in ("--set", value)]
    command = ("--manifest", truth_run.uri, "--model", model, "--stage", "inout", "--output", tmp_path / "two")
    two_processes("-m", "training", "run", *command, *chosen)
    one, two = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    for measure in ("loss", "grad_norm", "validation_loss"):
        values = [[line[measure] for line in lines if measure in line] for lines in (one, two)]
        assert len(values[0]) >= 2 and values[1] == pytest.approx(values[0], rel=1e-5), measure
    names = [sorted(path.name for path in (tmp_path / name / "validation").iterdir()) for name in ("one", "two")]
    assert names[0] == names[1]


def test_what_cannot_be_shared_is_said(truth_run, tmp_path):
    with pytest.raises(UsageError, match=r"it takes 2 processes, not 1; .*torchrun --nproc-per-node 2"):
        load_model("tiny-wan", LoadConfig(context_parallel=2))
    with pytest.raises(ValueError, match="leave out context_parallel"):
        LoadConfig(context_parallel=2, step_cache=0.1)
    recipe = load_config("tiny-wan", "motion", [truth_run.uri], None, [*SMALL, "parallel.context=2"])
    with pytest.raises(UsageError, match="1 processes were started; start a multiple of 2"):
        run_training(recipe, tmp_path / "alone")
