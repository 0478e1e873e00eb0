"""The training loop on real clips: exact resume, preemption, several processes, LoRA, EMA, what is written."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import torch
from diffusers import (
    CogVideoXImageToVideoPipeline,
    CogVideoXTransformer3DModel,
    WanImageToVideoPipeline,
    WanTransformer3DModel,
)

from curation.contract.errors import BackendUnavailableError, CurationError, UsageError
from training.config import MODELS, STAGES, load_config
from training.data.dataset import SampleDataset
from training.ema import Ema
from training.loop import PreemptedError
from training.metrics import read_metrics
from training.models.load import load_model
from training.models.tiny import save_tiny
from training.run import run_training
from training.throughput import Throughput

# Bits depend on the number of threads; the processes that tests start have one, too.
pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[1]
FAMILIES = {
    "wan2.2-5b": "wan",
    "cogvideox-5b": "cogvideox",
    "wan2.1-14b": "wan-i2v",
    "tiny-wan": "wan",
    "tiny-cogvideox": "cogvideox",
}
SMALL = (
    "data.sizes=[[32,64]]",
    "data.frames=[5]",
    "validation.every=0",
    "loop.trackers=[]",
    "optimizer.warmup_steps=4",
)


@pytest.fixture
def recipe(truth_run):
    def get(*overrides, model="tiny-wan", stage="motion"):
        shortest = ["data.frames=[9]"] if model == "tiny-cogvideox" else []
        return load_config(model, stage, [truth_run.uri], None, [*SMALL, *shortest, *overrides])

    return get


def losses(output):
    return {line["step"]: line["loss"] for line in read_metrics(output / "metrics.jsonl") if "loss" in line}


def command(run, output, *overrides, model="tiny-wan", stage="motion"):
    chosen = [argument for override in (*SMALL, *overrides) for argument in ("--set", override)]
    return ["run", "--manifest", run.uri, "--model", model, "--stage", stage, "--output", str(output), *chosen]


def launched(arguments, launcher=("-m", "training"), **variables):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | variables
    return subprocess.Popen(
        [sys.executable, *launcher, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that a signal can go to all of its processes
    )


def test_killed_and_resumed_is_as_if_nothing_had_happened(recipe, truth_run, tmp_path):
    settings = ("loop.steps=20", "loop.accumulation=2", "loop.batch_size=1", "checkpoints.every=10", "ema.decay=0.9")
    run_training(recipe(*settings), tmp_path / "straight")

    killed = launched(command(truth_run, tmp_path / "killed", *settings))
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "killed/checkpoints/step-00000010").exists() and time.monotonic() < deadline:
            assert killed.poll() is None, killed.communicate()[0]
            time.sleep(0.01)
    finally:
        killed.kill()
        killed.communicate()
    run_training(recipe(*settings), tmp_path / "killed")

    assert len(losses(tmp_path / "straight")) == 20
    assert losses(tmp_path / "killed") == losses(tmp_path / "straight")
    for weights in ("transformer", "transformer_ema"):
        files = [tmp_path / name / "checkpoints/latest" / weights for name in ("straight", "killed")]
        straight, resumed = (WanTransformer3DModel.from_pretrained(file).state_dict() for file in files)
        assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_a_signal_saves_and_stops_and_the_same_command_goes_on(recipe, tmp_path, monkeypatch):
    config = recipe("loop.steps=6", "checkpoints.keep=1", model="tiny-cogvideox", stage="inout")
    run_training(config, tmp_path / "straight")

    update = torch.optim.AdamW.step
    calls = []

    def step_then_signal(self, *arguments, **options):
        calls.append(update(self, *arguments, **options))
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGUSR1)
        return calls[-1]

    before = signal.getsignal(signal.SIGUSR1)
    with monkeypatch.context() as patched, pytest.raises(PreemptedError, match="after step 3 of 6"):
        patched.setattr(torch.optim.AdamW, "step", step_then_signal)
        run_training(config, tmp_path / "stopped")
    assert signal.getsignal(signal.SIGUSR1) is before
    run_training(config, tmp_path / "stopped")
    assert losses(tmp_path / "stopped") == losses(tmp_path / "straight")
    kept = [path.name for path in (tmp_path / "stopped/checkpoints").iterdir() if not path.is_symlink()]
    assert kept == ["step-00000006"]


def test_a_batch_system_that_signals_every_process_loses_nothing(recipe, truth_run, tmp_path):
    settings = ("loop.steps=40", "checkpoints.every=100", "ema.decay=0.9")
    run_training(recipe(*settings), tmp_path / "straight")
    running = launched(command(truth_run, tmp_path / "stopped", *settings, "loop.workers=1"))
    metrics = tmp_path / "stopped/metrics.jsonl"
    try:
        deadline = time.monotonic() + 200
        while not (metrics.exists() and len(read_metrics(metrics)) >= 3) and time.monotonic() < deadline:
            assert running.poll() is None, running.communicate()[0]
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGTERM)
        said = running.communicate(timeout=60)[0]
    finally:
        running.kill()
    assert running.returncode == 1, said
    assert "run the same command to go on" in said.splitlines()[-1]
    checkpoints = [path.name for path in (tmp_path / "stopped/checkpoints").iterdir() if not path.is_symlink()]
    steps = len(losses(tmp_path / "stopped"))
    assert 3 <= steps < 40 and checkpoints == [f"step-{steps:08d}"]

    run_training(recipe(*settings), tmp_path / "stopped")
    assert losses(tmp_path / "stopped") == losses(tmp_path / "straight")


@pytest.mark.slow
@pytest.mark.timeout(900)  # the compiler takes minutes on a busy machine
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # dynamo's own
@pytest.mark.parametrize(("model", "stage"), [("tiny-wan", "inout"), ("tiny-cogvideox", "inout")])
def test_compiled_blocks_train_as_they_are(recipe, tmp_path, model, stage):
    settings = ("loop.steps=3", "checkpoints.every=2", "ema.decay=0.9")
    run_training(recipe(*settings, model=model, stage=stage), tmp_path / "plain")
    run_training(recipe(*settings, "loop.compile=true", model=model, stage=stage), tmp_path / "compiled")
    plain, compiled = losses(tmp_path / "plain"), losses(tmp_path / "compiled")
    assert list(compiled.values()) == pytest.approx(list(plain.values()), rel=1e-5)
    stock = {"tiny-wan": WanTransformer3DModel, "tiny-cogvideox": CogVideoXTransformer3DModel}[model]
    stock.from_pretrained(tmp_path / "compiled/checkpoints/latest/transformer")


# Without GPUs too: with --cpu, accelerate starts a single process and leaves the others to MPI.
ACCELERATE = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1")
ACCELERATE += ("--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0", "-m", "training")


def by_accelerate(arguments):
    together = launched(arguments, ACCELERATE)
    said = together.communicate(timeout=120)[0]
    assert together.returncode == 0, said


def by_hand(arguments):
    """With the variables that torchrun sets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    processes = [launched(arguments, **together, RANK=rank, LOCAL_RANK=rank) for rank in ("0", "1")]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs


@pytest.mark.parametrize(("sharding", "two_processes"), [("none", by_accelerate), ("fsdp", by_hand)])
def test_two_processes_train_as_one_does(recipe, truth_run, tmp_path, sharding, two_processes):
    """The same global batch; then one process goes on from what two have saved."""
    settings = ("checkpoints.every=3", "ema.decay=0.5", f"parallel.sharding={sharding}")
    run_training(recipe("loop.steps=5", "loop.batch_size=2", *settings), tmp_path / "one")
    two_processes(command(truth_run, tmp_path / "two", "loop.steps=3", "loop.batch_size=1", *settings))
    run_training(recipe("loop.steps=5", "loop.batch_size=2", *settings), tmp_path / "two")
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert list(two.values()) == pytest.approx(list(one.values()), rel=1e-5)
    norms = [[line["grad_norm"] for line in read_metrics(tmp_path / name / "metrics.jsonl")] for name in ("one", "two")]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)


def test_ray_train_starts_anew_from_the_newest_checkpoint_when_a_worker_is_lost(recipe, truth_run, tmp_path):
    settings = ("loop.steps=12", "checkpoints.every=4")
    run_training(recipe(*settings, "loop.batch_size=2"), tmp_path / "one")
    running = launched(
        [*command(truth_run, tmp_path / "two", *settings, "loop.batch_size=1"), "--ray-workers=2"], RAY_ADDRESS=""
    )
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "two/checkpoints/step-00000004").exists() and time.monotonic() < deadline:
            assert running.poll() is None, running.communicate()[0]
            time.sleep(0.01)
        workers = [child for child in psutil.Process(running.pid).children(recursive=True) if trains(child)]
        assert len(workers) == 2
        workers[0].kill()
        said = running.communicate(timeout=150)[0]
    finally:
        running.kill()
    assert running.returncode == 0, said
    assert said.count("going on after step") >= 1
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert list(two.values()) == pytest.approx(list(one.values()), rel=1e-5)


def trains(process):
    try:
        return "RayTrainWorker" in " ".join(process.cmdline())
    except psutil.Error:  # it ended while it was looked at
        return False


@pytest.mark.parametrize(("model", "stage"), [("tiny-wan", "inout"), ("tiny-cogvideox", "motion")])
def test_stage_2_from_stage_1_and_lora_load_into_stock_pipelines(recipe, tmp_path, model, stage):
    first = recipe("loop.steps=2", model=model)
    run_training(first, tmp_path / "first")
    start = f"model.transformer={tmp_path / 'first/checkpoints/latest'}"
    adapted = recipe("loop.steps=3", "lora.rank=4", "optimizer.learning_rate=0.01", start, model=model, stage=stage)
    run_training(adapted, tmp_path / "lora")

    family = adapted.model.family
    weights = tmp_path / "first/checkpoints/latest/transformer"
    stock = {"wan": WanTransformer3DModel, "cogvideox": CogVideoXTransformer3DModel}[family].from_pretrained(weights)
    plain = {name: tensor.clone() for name, tensor in stock.state_dict().items()}
    pipelines = {"wan": WanImageToVideoPipeline, "cogvideox": CogVideoXImageToVideoPipeline}
    pipeline = pipelines[family].from_pretrained(save_tiny(family, tmp_path / "base"), transformer=stock)
    pipeline.load_lora_weights(tmp_path / "lora/checkpoints/latest/transformer")
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    changed = [name for name, tensor in stock.state_dict().items() if not torch.equal(tensor, plain[name])]
    assert changed
    assert all(".to_" in name for name in changed)

    longer = adapted.model_copy(update={"loop": adapted.loop.model_copy(update={"steps": 4})})
    run_training(longer, tmp_path / "lora")
    torch.manual_seed(99)  # LoRA's weights begin by the config's seed alone
    run_training(longer, tmp_path / "again")
    assert losses(tmp_path / "again") == losses(tmp_path / "lora")


def test_validation_has_the_same_noise_each_time_and_shows_conditions(recipe, tmp_path):
    overrides = ("validation.every=1", "loop.steps=1", "optimizer.learning_rate=1e-12", "loop.trackers=[tensorboard]")
    run_training(recipe(*overrides, stage="inout"), tmp_path)
    lines = [line for line in read_metrics(tmp_path / "metrics.jsonl") if "validation_loss" in line]
    assert [line["step"] for line in lines] == [0, 1]
    assert lines[0]["validation_loss"] == pytest.approx(lines[1]["validation_loss"], rel=1e-6)
    videos = sorted((tmp_path / "validation").glob("*.mp4"))
    assert len(videos) == 2
    with av.open(videos[1]) as video:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in video.decode(video=0)]
    assert [frame.shape for frame in frames] == [(32, 3 * 64, 3)] * 5
    source, trajectories, generated = np.split(np.mean(frames, axis=0), 3, axis=1)
    assert np.median(trajectories) > 240  # dots on white
    for picture in (source, generated):  # within the region box of the truth, a quarter in from the left, is its line
        edge = picture[8:24, 16:18].mean(axis=(0, 1))
        assert edge[0] > 180 and edge[2] < 90
    assert list((tmp_path / "logs").rglob("events.out.tfevents.*"))


def test_substitutes_for_broken_videos_are_counted(recipe, truth_run, tmp_path):
    dataset = SampleDataset(recipe().data)
    video = Path(dataset.index.read(0).video["uri"])
    whole = video.read_bytes()
    try:
        video.write_bytes(whole[: len(whole) // 2])
        run_training(recipe("loop.steps=3", "loop.batch_size=2"), tmp_path)
    finally:
        video.write_bytes(whole)  # other tests read it
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["substitutes"] for line in lines] == [1, 1, 1]  # each batch is both samples


def test_throughput_counts_samples_waiting_and_use_of_a_known_device(monkeypatch):
    clock = iter([0.0, 1.0, 2.0, 4.0, 4.0])
    monkeypatch.setattr("training.throughput.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    throughput = Throughput(torch.device("cuda"), shares=2)
    assert throughput.waited_for(iter("a")) == "a"
    throughput.count(samples=3, flops=989e12)
    rates = throughput.report()
    assert rates == {"samples_per_second": 1.5, "data_wait": 0.25, "mfu": 0.25}


def test_gradients_are_clipped_as_configured_and_accumulated(recipe, tmp_path):
    one = recipe("loop.steps=2", "loop.batch_size=2", "optimizer.max_grad_norm=0.01")
    two = recipe("loop.steps=2", "loop.batch_size=1", "loop.accumulation=2", "optimizer.max_grad_norm=0.01")
    run_training(one, tmp_path / "batch")
    run_training(two, tmp_path / "accumulated")
    assert losses(tmp_path / "accumulated") == pytest.approx(losses(tmp_path / "batch"), rel=1e-5)


def test_a_gradient_that_is_no_number_ends_the_run_before_it_spoils_the_weights(recipe, tmp_path):
    config = recipe("loop.steps=9", "optimizer.learning_rate=1e30", "optimizer.warmup_steps=0", "checkpoints.every=1")
    with pytest.raises(CurationError, match=r"step 2: the gradient is no number any more \(loss .*lower optimizer"):
        run_training(config, tmp_path)
    assert len(losses(tmp_path)) == 1


def test_the_mean_of_bfloat16_weights_moves(recipe, tmp_path):
    """By steps that bfloat16 itself would not show."""
    config = recipe("model.weights=bfloat16", "ema.decay=0.9999")
    transformer = load_model(config.model, tmp_path / "base").transformer
    ema = Ema(config.ema, transformer)
    ema.update()
    before = {name: mean.clone() for name, mean in ema.state_dict()["mean"].items()}
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter.mul_(1.01)
    ema._mean.optimization_step = 100_000  # where the mean is slow
    for _ in range(3):
        ema.update()
    after = ema.state_dict()["mean"]
    moved = torch.stack([(after[name] - before[name]).abs().sum() for name in before])
    assert all(mean.dtype == torch.float32 for mean in after.values())
    assert (moved > 0).float().mean() > 0.9


def test_a_run_without_samples_to_validate_on_says_so_before_it_loads_a_model(recipe, tmp_path):
    with pytest.raises(UsageError, match=r"validation: no sample .*not in split val; set validation.split=train"):
        run_training(recipe("validation.every=1", "model.base=nobody/nothing", "validation.split=val"), tmp_path)


def test_what_does_not_fit_is_said(recipe, tmp_path):
    with pytest.raises(UsageError, match="a LoRA cannot hold those weights"):
        run_training(recipe("lora.rank=4"), tmp_path / "a")
    with pytest.raises(BackendUnavailableError, match="pip install bitsandbytes"):
        run_training(recipe("optimizer.eight_bit=true"), tmp_path / "b")
    run_training(recipe("loop.steps=1"), tmp_path / "c")
    with pytest.raises(UsageError, match="holds a run with another model"):
        run_training(recipe(model="tiny-cogvideox"), tmp_path / "c")
    with pytest.raises(UsageError, match="another data config"):
        run_training(recipe("loop.steps=2", "data.frames=[9]"), tmp_path / "c")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stage", STAGES)
def test_recipes_are_valid(model, stage):
    config = load_config(model, stage, ["somewhere"])
    assert config.data.stage == stage
    assert config.model.family == FAMILIES[model]


def test_videos_that_do_not_fit_the_model_are_refused():
    cases = {
        "cogvideox-5b": {
            "data.frames=[49,53]": "cogvideox decodes 8N.1 frames, got 53; take 49 or 57",
            "data.sizes=[[488,720]]": "multiples of 16",
        },
        "wan2.2-5b": {
            "data.sizes=[[720,1280]]": r"sides of wan are multiples of 32, got \(720, 1280\)",
            "data.frames=[1,5]": "1 leaves nothing to predict",
        },
    }
    for model, wrong in cases.items():
        for override, said in wrong.items():
            with pytest.raises(UsageError, match=said):
                load_config(model, "motion", ["somewhere"], None, [override])
    load_config("wan2.1-14b", "motion", ["somewhere"], None, ["data.sizes=[[720,1280]]", "data.frames=[53]"])


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "sys.argv = ['training', 'run', '--help']\n"
        "from training.__main__ import app\n"
        "try:\n    app()\n"
        "except SystemExit as stop:\n    assert stop.code == 0\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'accelerate', 'polars', 'ray'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_usage_errors_are_one_line_and_code_2(tmp_path):
    cases = {
        ("--model", "tiny-wan", "--stage", "motion"): "no data: name a run of curation with --manifest",
        ("--model", "wan", "--stage", "motion"): "unknown model 'wan'; models: wan2.2-5b",
        (
            "--model",
            "tiny-wan",
            "--stage",
            "motion",
            "--manifest",
            "r",
            "--set",
            "loop.step=3",
        ): "did you mean 'loop.steps'",
    }
    for arguments, said in cases.items():
        result = subprocess.run(
            [sys.executable, "-m", "training", "run", *arguments, "--output", str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 2
        assert len(result.stderr.strip().splitlines()) == 1
        assert said in result.stderr
    assert not json.dumps(list(tmp_path.iterdir()), default=str).count("config")
