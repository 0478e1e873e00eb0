"""Requests become videos: frames, files, metadata; stopping, memory presets, other weights."""

from pathlib import Path

import av
import numpy as np
import pytest
import yaml
from diffusers.hooks import HookRegistry
from PIL import Image
from typer.testing import CliRunner

from curation.contract.errors import UsageError
from inference.__main__ import app
from inference.generate import GenerationCancelledError, generate
from inference.loading import load_model
from inference.memory import LoadConfig
from inference.metadata import read_metadata, recipe_of_video, write_generation
from inference.request import change_request, load_request

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("requests")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / "first.png")
    Image.fromarray(rng.integers(0, 256, (20, 30, 4), dtype=np.uint8)).save(folder / "cut.png")
    request = {
        "prompt": 'the thing; comes = in # from\nleft \\ "ö"',
        "first_frame": {"picture": "first.png", "width": 64, "height": 64},
        "canvas": {"left": 32},
        "objects": [
            {"trajectories": [{"points": [[-5, 30], [50, 30]]}], "identities": [{"picture": "cut.png"}]},
        ],
        "num_inference_steps": STEPS,
        "fps": 11.988,
    }
    for family in ("wan", "cogvideox"):
        frames = {"wan": 5, "cogvideox": 9}[family]
        own = {"model": f"tiny-{family}", "num_frames": frames}
        (folder / f"{family}.yaml").write_text(yaml.safe_dump(request | own))
    return folder


@pytest.fixture(scope="module")
def models():
    return {family: load_model(f"tiny-{family}") for family in ("wan", "cogvideox")}


@pytest.mark.parametrize("family", ["wan", "cogvideox"])
def test_a_request_becomes_the_same_video_every_time(folder, models, family):
    request = load_request(folder / f"{family}.yaml")
    steps = []
    made = generate(request, models[family], lambda done, total: steps.append((done, total)))
    assert made.frames.shape == (request.num_frames, 64, 96, 3) and made.frames.dtype == np.uint8
    assert (made.region == made.frames[:, :, 32:]).all()
    assert steps == [(1, STEPS), (2, STEPS)]
    assert made.request.guidance_scale == made.request.spec.guidance_scale
    assert (generate(request, models[family]).frames == made.frames).all()
    other = change_request(request, {"seed": 1}, "test")
    assert (generate(other, models[family]).frames != made.frames).any()


def test_options_of_one_family_reach_its_pipeline(folder, models):
    for family, changes in (("wan", {"legacy_single_timestep": True}), ("cogvideox", {"legacy_noise": True})):
        request = load_request(folder / f"{family}.yaml")
        changed = generate(change_request(request, changes, "test"), models[family])
        assert (changed.frames != generate(request, models[family]).frames).any()
    with pytest.raises(UsageError, match="legacy_noise: is for cogvideox models"):
        change_request(load_request(folder / "wan.yaml"), {"legacy_noise": True}, "test")


def test_a_stopped_generation_leaves_the_model_usable(folder, models):
    request = load_request(folder / "wan.yaml")
    before = generate(request, models["wan"]).frames
    with pytest.raises(GenerationCancelledError, match="after 1 of 2"):
        generate(request, models["wan"], cancelled=lambda: True)
    assert (generate(request, models["wan"]).frames == before).all()


def test_the_model_must_be_the_request_s(folder, models):
    with pytest.raises(UsageError, match="is for tiny-wan, but tiny-cogvideox"):
        generate(load_request(folder / "wan.yaml"), models["cogvideox"])


def test_files_say_how_to_make_them_again(folder, models, tmp_path):
    request = load_request(folder / "wan.yaml")
    made = generate(request, models["wan"])
    region = write_generation(made, tmp_path / "out.mp4")
    assert region == tmp_path / "out_region.mp4"
    for path, size in ((tmp_path / "out.mp4", (96, 64)), (region, (64, 64))):
        with av.open(path) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == size
            assert float(stream.average_rate) == pytest.approx(11.988, abs=1e-3)
            assert sum(1 for _ in container.decode(video=0)) == 5
            assert container.metadata["title"] == request.prompt
    again = recipe_of_video(tmp_path / "out.mp4").request
    assert again == made.request
    assert (generate(again, models["wan"]).frames == made.frames).all()
    told = read_metadata(tmp_path / "out.mp4")
    assert (told["model_revision"], told["load"], told["device"]) == ("random, seed 0", {}, made.model.device)
    with pytest.raises(UsageError, match="no folder"):
        write_generation(made, tmp_path / "nowhere" / "out.mp4")


def test_a_changed_picture_is_noticed(folder, models, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("first.png", "cut.png", "wan.yaml"):
        (copy / name).write_bytes((folder / name).read_bytes())
    write_generation(generate(load_request(copy / "wan.yaml"), models["wan"]), tmp_path / "out.mp4")
    Image.new("RGB", (64, 48)).save(copy / "first.png")
    with pytest.raises(UsageError, match=r"another .*first\.png"):
        recipe_of_video(tmp_path / "out.mp4")
    with pytest.raises(UsageError, match="not a video that was generated here"):
        recipe_of_video(copy / "wan.yaml")


@pytest.mark.parametrize("family", ["wan", "cogvideox"])
def test_memory_presets_give_the_same_video_or_one_close_to_it(folder, models, family):
    request = load_request(folder / f"{family}.yaml")
    plain = generate(request, models[family]).frames.astype(int)
    offloaded = load_model(f"tiny-{family}", LoadConfig(memory="16gb"))
    assert np.abs(generate(request, offloaded).frames - plain).max() <= 2
    for block in offloaded.pipeline.text_encoder.encoder.block:  # one by one, not the whole encoder at once
        assert HookRegistry.check_if_exists_or_initialize(block).get_hook("group_offloading") is not None
    eight_bit = load_model(f"tiny-{family}", LoadConfig(memory="12gb"))
    assert any("float8" in str(p.dtype) for p in eight_bit.pipeline.transformer.parameters())
    assert np.abs(generate(request, eight_bit).frames - plain).mean() < 32
    with pytest.raises(UsageError, match="no GPU"):
        load_model(f"tiny-{family}", LoadConfig(memory="24gb"))


@pytest.mark.parametrize("family", ["wan", "cogvideox"])
def test_the_vae_works_in_tiles(models, family):
    import torch

    tiled = load_model(f"tiny-{family}", LoadConfig(memory="16gb")).pipeline.vae
    whole = models[family].pipeline.vae
    pixels = torch.rand(1, 3, 1, 288, 448, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        latents = [vae.encode(pixels).latent_dist.mode() for vae in (tiled, whole)]
        assert latents[0].shape == latents[1].shape and not torch.equal(*latents)
        decoded = [vae.decode(latents[1]).sample for vae in (tiled, whole)]
    assert decoded[0].shape == decoded[1].shape == pixels.shape and not torch.equal(*decoded)


@pytest.mark.parametrize("family", ["wan", "cogvideox"])
def test_the_step_cache_skips_and_stays_close(folder, models, family):
    request = change_request(load_request(folder / f"{family}.yaml"), {"num_inference_steps": 4}, "test")
    cached = load_model(f"tiny-{family}", LoadConfig(step_cache=0.9))
    last = cached.pipeline.transformer.get_submodule("blocks.1" if family == "wan" else "transformer_blocks.1")
    calls = []
    inner = last.attn1 if hasattr(last, "attn1") else last.ff
    inner.register_forward_hook(lambda *_: calls.append(1))
    frames = generate(request, cached).frames
    assert 0 < len(calls) < 4 * (2 if family == "wan" else 1)
    assert (generate(request, cached).frames == frames).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch\\..*")
def test_compiled_blocks_give_the_same_video(folder, models):
    request = load_request(folder / "wan.yaml")
    compiled = load_model("tiny-wan", LoadConfig(compile=True))
    difference = generate(request, compiled).frames.astype(int) - generate(request, models["wan"]).frames
    assert np.abs(difference).max() <= 2


def test_lora_and_other_transformers_load(folder, models, tmp_path):
    import torch
    from diffusers import WanTransformer3DModel
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    from inference.pipelines.wan import WanFrameInOutPipeline

    request = load_request(folder / "wan.yaml")
    plain = generate(request, models["wan"])
    transformer: WanTransformer3DModel = load_model("tiny-wan").pipeline.transformer
    transformer.save_pretrained(tmp_path / "step" / "transformer")
    same = load_model("tiny-wan", LoadConfig(transformer=str(tmp_path / "step")))
    assert same.revision == str((tmp_path / "step" / "transformer").resolve())
    assert (generate(request, same).frames == plain.frames).all()

    torch.manual_seed(0)
    transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights="gaussian"))
    weights = {name: torch.randn_like(part) for name, part in get_peft_model_state_dict(transformer).items()}
    WanFrameInOutPipeline.save_lora_weights(tmp_path / "lora", transformer_lora_layers=weights)
    tuned = load_model("tiny-wan", LoadConfig(lora=Path(tmp_path / "lora")))
    changed = generate(request, tuned)
    assert (changed.frames != plain.frames).any()
    with pytest.raises(UsageError, match="LoRA"):
        load_model("tiny-wan", LoadConfig(lora=tmp_path / "nothing"))

    write_generation(changed, tmp_path / "tuned.mp4")
    assert recipe_of_video(tmp_path / "tuned.mp4").load == tuned.config
    next((tmp_path / "lora").iterdir()).write_bytes(b"others")
    with pytest.raises(UsageError, match=r"another .*lora"):
        recipe_of_video(tmp_path / "tuned.mp4")


def test_a_video_is_made_again_with_the_options_that_its_model_had(folder, tmp_path):
    config = LoadConfig(memory="12gb", step_cache=0.3)
    model = load_model("tiny-wan", config)
    request = change_request(load_request(folder / "wan.yaml"), {"num_inference_steps": 3}, "test")
    made = generate(request, model)
    write_generation(made, tmp_path / "out.mp4")
    recipe = recipe_of_video(tmp_path / "out.mp4")
    assert recipe.load == config
    assert (generate(recipe.request, load_model("tiny-wan")).frames != made.frames).any()

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    again = tmp_path / "again.mp4"
    run("generate", str(tmp_path / "out.mp4"), "-o", str(again))
    assert again.read_bytes() == (tmp_path / "out.mp4").read_bytes()
    told = yaml.safe_load(run("inspect", str(again)))
    assert told["load"] == {"memory": "12gb", "step_cache": 0.3} and told["request"]["seed"] == request.seed
    run("generate", str(again), "-o", str(tmp_path / "other.mp4"), "--memory", "16gb")
    assert recipe_of_video(tmp_path / "other.mp4").load == LoadConfig(memory="16gb")
