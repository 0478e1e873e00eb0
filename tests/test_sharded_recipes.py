"""Wan 14B: shards of its real shapes, and its recipe from clips to stock diffusers on a narrow transformer."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed
from diffusers import WanTransformer3DModel
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from curation.contract.errors import UsageError
from training.config import OptimizerConfig, load_config
from training.memory import TrainingMemory, memory_table
from training.metrics import read_metrics
from training.models.tiny import tiny_pipeline
from training.models.wan_i2v import CONFIG_14B, TEXT_LENGTH, WanI2V
from training.optimizer import build_optimizer
from training.parallel import shard
from training.run import run_training

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[1]
NARROW = {
    "in_channels": 36,
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "ffn_dim": 32,
    "text_dim": 32,
    "freq_dim": 32,
    "image_dim": 32,
    "added_kv_proj_dim": 24,
}
SMALL = ("data.sizes=[[32,64]]", "data.frames=[5]", "loop.trackers=[]", "loop.workers=0", "optimizer.warmup_steps=4")
CHECKED = ("validation.every=2", "validation.split=train", "validation.num_inference_steps=1", "validation.draws=1")


@pytest.fixture
def eight_processes():
    """As process 0 of eight, without the others."""
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=8)
    yield init_device_mesh("cpu", (8,))
    torch.distributed.destroy_process_group()


def test_each_of_eight_processes_keeps_an_eighth_of_every_14b_block(eight_processes):
    with torch.device("meta"):
        transformer = WanTransformer3DModel(**CONFIG_14B)
    whole = {name: parameter.numel() for name, parameter in transformer.named_parameters()}
    shard(WanI2V(None, None, None, transformer), eight_processes, bf16=True, reshard_after_forward=True)
    assert all(isinstance(block, FSDPModule) for block in (transformer, *transformer.blocks))
    assert len(transformer.blocks) == 40
    parts = dict(transformer.named_parameters())
    assert whole.keys() == parts.keys()
    assert all(isinstance(part, DTensor) and part.dtype == torch.float32 for part in parts.values())
    kept = sum(part.to_local().numel() for part in parts.values())
    # Process 0 has all of what has fewer rows than there are processes.
    assert kept == pytest.approx(sum(whole.values()) / 8, rel=1e-3)
    assert TrainingMemory(sum(whole.values()), 0, 0).state(8, ema=True) == pytest.approx(kept * 5 * 4, rel=1e-3)


def test_eight_bit_moments_are_refused_on_shards(eight_processes):
    transformer = tiny_pipeline("wan-i2v").transformer
    shard(WanI2V(None, None, None, transformer), eight_processes, bf16=False, reshard_after_forward=True)
    config = OptimizerConfig(learning_rate=1e-4, eight_bit=True)
    with pytest.raises(UsageError, match=r"cannot update shards; set parallel.sharding=none"):
        build_optimizer(config, transformer.parameters())


def save_base(folder, num_layers):
    """A Wan 14B I2V base model in diffusers' layout, narrow."""
    pipeline = tiny_pipeline("wan-i2v")
    torch.manual_seed(0)
    pipeline.register_modules(transformer=WanTransformer3DModel(**(CONFIG_14B | NARROW | {"num_layers": num_layers})))
    pipeline.save_pretrained(folder)
    return folder


def together(processes, arguments):
    """Run the training command in so many processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        group = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    environment = os.environ | group | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "training", "run", *map(str, arguments)],
            cwd=ROOT,
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(processes)
    ]
    try:
        said = [process.communicate(timeout=240)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0] * processes, said


@pytest.mark.parametrize(
    ("num_layers", "stops"),
    [(3, [2]), pytest.param(40, [2, 4], marks=pytest.mark.slow)],  # the real one has 40
)
def test_the_14b_recipe_trains_in_shards_resumes_and_loads_into_stock_diffusers(truth_run, tmp_path, num_layers, stops):
    """Its own switches: bfloat16, gradient checkpointing, two accumulated batches, frozen models in bfloat16."""
    base = save_base(tmp_path / "base", num_layers)
    settings = [*SMALL, *CHECKED, f"model.base={base}", "model.revision=null", "ema.decay=0.5"]
    config = load_config("wan2.1-14b", "inout", [truth_run.uri], None, settings)
    assert config.parallel.sharding == "fsdp" and config.loop.precision == "bf16"
    assert config.loop.gradient_checkpointing and config.loop.accumulation == 2
    output = tmp_path / "run"
    command = ["--manifest", truth_run.uri, "--model", "wan2.1-14b", "--stage", "inout", "--output", output]
    for steps in stops:
        chosen = [*settings, f"loop.steps={steps}"]
        together(2, [*command, *(part for value in chosen for part in ("--set", value))])

    lines = read_metrics(output / "metrics.jsonl")
    assert [line["step"] for line in lines if "loss" in line] == [*range(1, stops[-1] + 1)]
    assert [line["step"] for line in lines if "validation_loss" in line] == [0, *stops]
    latest = output / "checkpoints/latest"
    stock, mean = (WanTransformer3DModel.from_pretrained(latest / name) for name in ("transformer", "transformer_ema"))
    assert stock.config.in_channels == 52 and len(stock.blocks) == num_layers
    assert stock.patch_embedding.weight[:, 36:].abs().max() > 0
    assert not torch.equal(stock.patch_embedding.weight, mean.patch_embedding.weight)
    text, image = torch.randn(1, TEXT_LENGTH, 32), torch.randn(1, 5, 32)
    with torch.no_grad():
        predicted = stock(torch.randn(1, 52, 2, 4, 8), torch.tensor([500]), text, image).sample
    assert predicted.shape == (1, 16, 2, 4, 8) and predicted.isfinite().all()


@pytest.mark.slow
def test_the_guides_table_is_what_the_shapes_give():
    assert memory_table() in (ROOT / "docs/guides/training.md").read_text()


@pytest.mark.slow
def test_lora_in_shards_trains_and_resumes_as_in_one_process(truth_run, tmp_path):
    small = [*SMALL, "validation.every=0"]
    run_training(load_config("tiny-wan", "motion", [truth_run.uri], None, [*small, "loop.steps=1"]), tmp_path / "first")
    start = f"model.transformer={tmp_path / 'first/checkpoints/latest'}"
    settings = [*small, start, "lora.rank=4", "ema.decay=0.5", "parallel.sharding=fsdp"]
    whole = ["loop.steps=4", "loop.batch_size=2"]
    run_training(load_config("tiny-wan", "motion", [truth_run.uri], None, [*settings, *whole]), tmp_path / "one")
    command = ["--manifest", truth_run.uri, "--model", "tiny-wan", "--stage", "motion", "--output", tmp_path / "two"]
    for steps in (2, 4):
        chosen = [*settings, f"loop.steps={steps}"]
        together(2, [*command, *(part for value in chosen for part in ("--set", value))])
    one, two = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    for measure in ("loss", "grad_norm"):
        assert [line[measure] for line in two] == pytest.approx([line[measure] for line in one], rel=1e-5)
