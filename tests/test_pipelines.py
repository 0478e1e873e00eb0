"""Pipelines against plain loops that write every concatenation out, on tiny random models of the real classes."""

import numpy as np
import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanTransformer3DModel,
)
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox_image2video import get_resize_crop_region_for_grid

from inference.pipelines.cogvideox import CogVideoXFrameInOutPipeline
from inference.pipelines.wan import WanFrameInOutPipeline
from training.models.tiny import save_tiny

pytestmark = pytest.mark.usefixtures("one_thread")

HEIGHT, WIDTH, FRAMES, STEPS = 64, 96, 5, 2
PROMPTS = ["the thing comes in from left", "an object goes out right"]
CLOSE = {"rtol": 0, "atol": 1e-5}


def load(pipeline, family, tmp_path_factory):
    loaded = pipeline.from_pretrained(save_tiny(family, tmp_path_factory.mktemp("models") / family))
    loaded.set_progress_bar_config(disable=True)
    torch.manual_seed(1)
    for parameter in loaded.transformer.parameters():  # zeros of the widening and all-alike norms would hide mistakes
        parameter.data += 0.1 * torch.randn_like(parameter)
    return loaded


@pytest.fixture(scope="module")
def wan(tmp_path_factory):
    return load(WanFrameInOutPipeline, "wan", tmp_path_factory)


@pytest.fixture(scope="module")
def cogvideox(tmp_path_factory):
    return load(CogVideoXFrameInOutPipeline, "cogvideox", tmp_path_factory)


def inputs(identities, batch=2, seed=0):
    """Conditions in the ranges that pipelines take, and the same as tensors in -1..1 for the plain loops."""
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.random((batch, 3, HEIGHT, WIDTH), dtype=np.float32))
    trajectory = rng.integers(0, 256, (batch, FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    pictures = rng.integers(0, 256, (batch, identities, HEIGHT, WIDTH, 3), dtype=np.uint8)
    noise = torch.from_numpy(rng.standard_normal((batch, 48, 2, HEIGHT // 16, WIDTH // 16), dtype=np.float32))
    return image, trajectory, pictures, noise


def signed(pixels):
    """uint8 [..., H, W, 3] as float [..., 3, H, W] in -1..1."""
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).movedim(-1, -3)


def wan_latents(vae, pixels):
    """[B, 3, F, H, W] one after the other, in the scale of the VAE's own statistics."""
    mean, std = (
        torch.tensor(values).view(1, -1, 1, 1, 1) for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    return (torch.cat([vae.encode(video[None]).latent_dist.mode() for video in pixels]) - mean) / std


@torch.no_grad()
def plain_wan(pipe, image, trajectory, pictures, noise, guidance, single_timestep=False):
    transformer, scheduler = pipe.transformer, pipe.scheduler
    first = wan_latents(pipe.vae, (image * 2 - 1)[:, :, None])
    lines = wan_latents(pipe.vae, signed(trajectory).transpose(1, 2))
    ids = [wan_latents(pipe.vae, signed(pictures[:, i])[:, :, None]) for i in range(pictures.shape[1])]
    text, empty = pipe.encode_prompt(PROMPTS[: len(image)], None, True, max_sequence_length=512)
    batch, _, frames, rows, columns = noise.shape
    per_frame = (rows // 2) * (columns // 2)
    scheduler.set_timesteps(STEPS)
    latents = noise.clone()
    for t in scheduler.timesteps:
        latents[:, :, 0] = first[:, :, 0]
        upper = torch.cat([latents, *ids], dim=2)
        lower = torch.zeros(batch, 48, frames + len(ids), rows, columns)
        lower[:, :, :frames] = lines
        hidden = torch.cat([upper, lower], dim=1)
        times = torch.full((batch, (frames + len(ids)) * per_frame), float(t))
        times[:, :per_frame] = 0
        if single_timestep:
            times = torch.full((batch,), float(t))
        call = {"hidden_states": hidden, "timestep": times}
        output = transformer(encoder_hidden_states=text, **call).sample[:, :, :frames]
        if guidance > 1:
            without = transformer(encoder_hidden_states=empty, **call).sample[:, :, :frames]
            output = without + guidance * (output - without)
        latents = scheduler.step(output, t, latents, return_dict=False)[0]
    latents[:, :, 0] = first[:, :, 0]
    return latents


def run_wan(pipe, image, trajectory, pictures, noise, guidance, **more):
    return pipe(
        image,
        trajectory,
        pictures,
        PROMPTS[: len(image)],
        height=HEIGHT,
        width=WIDTH,
        num_frames=FRAMES,
        guidance_scale=guidance,
        latents=noise.clone(),
        output_type="latent",
        **{"num_inference_steps": STEPS} | more,
    ).frames


WAN_SCHEDULERS = {
    "unipc": UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0),
    "euler": FlowMatchEulerDiscreteScheduler(shift=5.0),
}


@pytest.mark.parametrize("guidance", [1.0, 5.0])
@pytest.mark.parametrize("scheduler", WAN_SCHEDULERS)
@pytest.mark.parametrize("identities", [0, 1, 2])
def test_wan_equals_the_plain_loop(wan, identities, scheduler, guidance):
    wan.scheduler = WAN_SCHEDULERS[scheduler]
    given = inputs(identities)
    torch.testing.assert_close(run_wan(wan, *given, guidance), plain_wan(wan, *given, guidance), **CLOSE)


def test_wan_with_the_published_training_s_single_timestep(wan):
    given = inputs(1)
    ours = run_wan(wan, *given, 5.0, legacy_single_timestep=True)
    torch.testing.assert_close(ours, plain_wan(wan, *given, 5.0, single_timestep=True), **CLOSE)
    assert not torch.allclose(ours, run_wan(wan, *given, 5.0), atol=1e-3)


def cog_latents(vae, pixels, noise=None):
    posteriors = [vae.encode(video[None]).latent_dist for video in pixels]
    return torch.cat([p.mode() for p in posteriors]) * vae.config.scaling_factor


@torch.no_grad()
def plain_cogvideox(pipe, image, trajectory, pictures, noise, guidance, seed):
    transformer, scheduler, vae = pipe.transformer, pipe.scheduler, pipe.vae
    draws = torch.Generator().manual_seed(seed)
    first = torch.cat([vae.encode(picture[None, :, None] * 2 - 1).latent_dist.sample(draws) for picture in image])
    first = first * vae.config.scaling_factor
    lines = cog_latents(vae, signed(trajectory).transpose(1, 2))
    ids = [cog_latents(vae, signed(pictures[:, i])[:, :, None]) for i in range(pictures.shape[1])]
    config = transformer.config
    text, empty = pipe.encode_prompt(PROMPTS[: len(image)], None, True, max_sequence_length=config.max_text_seq_length)
    frames, rows, columns = lines.shape[2:]
    grid = (rows // 2, columns // 2)
    cosines, sines = get_3d_rotary_pos_embed(
        config.attention_head_dim,
        get_resize_crop_region_for_grid(grid, config.sample_width // 2, config.sample_height // 2),
        grid,
        frames,
    )
    per_frame = grid[0] * grid[1]
    rotary = tuple(torch.cat([table] + [table[:per_frame]] * len(ids)) for table in (cosines, sines))
    # The stock embedding takes IDs for further frames: its table is made to hold their positions.
    table = transformer.patch_embed.pos_embedding.clone()
    learned = table[:, config.max_text_seq_length :]
    positions = torch.cat([learned[:, : frames * per_frame]] + [learned[:, :per_frame]] * len(ids), dim=1)
    stock = CogVideoXTransformer3DModel(**{k: v for k, v in config.items() if not k.startswith("_")}).eval()
    stock.load_state_dict(transformer.state_dict())
    stock.patch_embed.pos_embedding = torch.cat([table[:, : config.max_text_seq_length], positions], dim=1)
    stock.patch_embed.sample_frames = (frames + len(ids) - 1) * 4 + 1
    scheduler.set_timesteps(STEPS)
    latents, old = noise.clone() * scheduler.init_noise_sigma, None
    for i, t in enumerate(scheduler.timesteps):
        video = torch.zeros(len(image), frames + len(ids), 48, rows, columns)
        video[:, :frames, :16] = latents
        video[:, 0, 16:32] = first[:, :, 0]
        video[:, :frames, 32:] = lines.transpose(1, 2)
        for k, identity in enumerate(ids):
            video[:, frames + k, :16] = identity[:, :, 0]
        call = {"hidden_states": video, "timestep": t.expand(len(image)), "image_rotary_emb": rotary}
        output = stock(encoder_hidden_states=text, **call).sample[:, :frames]
        if guidance > 1:
            without = stock(encoder_hidden_states=empty, **call).sample[:, :frames]
            output = without + guidance * (output - without)
        if isinstance(scheduler, CogVideoXDPMScheduler):
            before = scheduler.timesteps[i - 1] if i else None
            latents, old = scheduler.step(output, old, t, before, latents, generator=draws, return_dict=False)
        else:
            latents = scheduler.step(output, t, latents, return_dict=False)[0]
    return latents


def run_cogvideox(pipe, image, trajectory, pictures, noise, guidance, seed, **more):
    return pipe(
        image,
        trajectory,
        pictures,
        PROMPTS[: len(image)],
        height=HEIGHT,
        width=WIDTH,
        num_frames=FRAMES,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(seed),
        latents=noise.clone(),
        output_type="latent",
        **{"num_inference_steps": STEPS} | more,
    ).frames


_BETAS = {
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "snr_shift_scale": 1.0,
    "timestep_spacing": "trailing",
}
COG_SCHEDULERS = {"ddim": CogVideoXDDIMScheduler(**_BETAS), "dpm": CogVideoXDPMScheduler(**_BETAS)}


def cog_inputs(identities, batch=2):
    image, trajectory, pictures, _ = inputs(identities, batch)
    noise = torch.from_numpy(np.random.default_rng(5).standard_normal((batch, 2, 16, HEIGHT // 8, WIDTH // 8)))
    return image, trajectory, pictures, noise.float()


@pytest.mark.parametrize("guidance", [1.0, 6.0])
@pytest.mark.parametrize("scheduler", COG_SCHEDULERS)
@pytest.mark.parametrize("identities", [0, 1, 2])
def test_cogvideox_equals_the_plain_loop(cogvideox, identities, scheduler, guidance):
    cogvideox.scheduler = COG_SCHEDULERS[scheduler]
    given = cog_inputs(identities)
    ours = run_cogvideox(cogvideox, *given, guidance, seed=3)
    torch.testing.assert_close(ours, plain_cogvideox(cogvideox, *given, guidance, seed=3), **CLOSE)


def test_cogvideox_legacy_noise_changes_ids_and_is_seeded(cogvideox):
    given = cog_inputs(1)
    noised = run_cogvideox(cogvideox, *given, 6.0, seed=3, legacy_noise=True)
    assert torch.equal(noised, run_cogvideox(cogvideox, *given, 6.0, seed=3, legacy_noise=True))
    assert not torch.allclose(noised, run_cogvideox(cogvideox, *given, 6.0, seed=3), atol=1e-4)


def test_a_list_of_generators_gives_each_video_its_own(wan, cogvideox):
    for pipe, given in ((wan, inputs(1)), (cogvideox, cog_inputs(1))):

        def run(chosen, pipe=pipe, given=given):
            image, trajectory, pictures, _ = (part[chosen] for part in given)
            return pipe(
                image, trajectory, pictures, [PROMPTS[i] for i in chosen], height=HEIGHT, width=WIDTH,
                num_frames=FRAMES, num_inference_steps=1, output_type="latent",
                generator=[torch.Generator().manual_seed(7 + i) for i in chosen],
            ).frames  # fmt: skip

        torch.testing.assert_close(run([0, 1])[1], run([1])[0], rtol=0, atol=1e-4)


def test_one_condition_serves_a_batch_and_several_videos_per_prompt(wan):
    image, trajectory, pictures, noise = inputs(1, batch=1)
    many = wan(
        image, trajectory[0], pictures[0], PROMPTS, num_videos_per_prompt=2, height=HEIGHT, width=WIDTH,
        num_frames=FRAMES, num_inference_steps=1, output_type="latent", latents=noise.repeat(4, 1, 1, 1, 1),
    ).frames  # fmt: skip
    assert many.shape[0] == 4
    torch.testing.assert_close(many[0], many[1])
    assert not torch.allclose(many[0], many[2])


@pytest.mark.parametrize(("height", "width"), [(96, 160), (160, 64)])
def test_any_canvas_gives_pixels(wan, cogvideox, height, width):
    rng = np.random.default_rng(0)
    for pipe in (wan, cogvideox):
        video = pipe(
            torch.rand(1, 3, height, width),
            rng.integers(0, 256, (9, height, width, 3), dtype=np.uint8),
            rng.integers(0, 256, (1, height, width, 3), dtype=np.uint8),
            PROMPTS[0],
            height=height,
            width=width,
            num_frames=9,
            num_inference_steps=1,
            output_type="np",
        ).frames[0]
        assert video.shape == (9, height, width, 3) and np.isfinite(video).all()


FLOW_MATCHING = {"UniPCMultistep", "DEISMultistep", "DPMSolverMultistep", "DPMSolverSinglestep"}
UNFIT = {"wan": "flow_prediction", "cogvideox": "EDMEulerScheduler does not fit"}


@pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")  # some schedulers under numpy 2
@pytest.mark.parametrize("family", ["wan", "cogvideox"])
def test_every_compatible_scheduler_runs_or_says_in_one_line_that_it_does_not_fit(wan, cogvideox, family, monkeypatch):
    pipe, run = {"wan": (wan, run_wan), "cogvideox": (cogvideox, run_cogvideox)}[family]
    own = {"wan": WAN_SCHEDULERS["unipc"], "cogvideox": COG_SCHEDULERS["ddim"]}[family]
    given = inputs(1) if family == "wan" else cog_inputs(1)
    seed = {} if family == "wan" else {"seed": 3}
    refused = set()
    compatible = {kind for kind in own.compatibles if kind.__name__ != "DPMSolverSDEScheduler"}  # torchsde
    assert len(compatible) >= 14
    for kind in compatible:
        try:
            monkeypatch.setattr(pipe, "scheduler", kind.from_config(own.config))
            steps = 4 if kind.__name__ == "PNDMScheduler" else STEPS  # its warm-up takes as many
            video = run(pipe, *given, 2.0, num_inference_steps=steps, **seed)
            assert video.shape == given[3].shape and torch.isfinite(video).all(), kind
        except ValueError as error:
            assert UNFIT[family] in str(error) and len(str(error).splitlines()) == 1
            refused.add(kind.__name__.removesuffix("Scheduler"))
    names = {kind.__name__.removesuffix("Scheduler") for kind in compatible}
    assert refused == (names - FLOW_MATCHING if family == "wan" else {"EDMEuler"})


def test_schedulers_made_for_another_prediction_are_refused(wan, cogvideox, monkeypatch):
    monkeypatch.setattr(wan, "scheduler", UniPCMultistepScheduler())
    with pytest.raises(ValueError, match="needs prediction_type='flow_prediction': a FlowMatch scheduler"):
        run_wan(wan, *inputs(1), 2.0)
    monkeypatch.setattr(cogvideox, "scheduler", CogVideoXDDIMScheduler())
    with pytest.raises(ValueError, match="needs prediction_type='v_prediction': CogVideoXDDIM"):
        run_cogvideox(cogvideox, *cog_inputs(1), 2.0, seed=0)


def test_callbacks_may_look_and_stop_and_hooks_do_not_stay(wan):
    seen = []

    def watch(pipe, step, timestep, tensors):
        seen.append((step, tensors["latents"].shape))
        if step == 1:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        run_wan(wan, *inputs(1), 5.0, callback_on_step_end=watch)
    assert [step for step, _ in seen] == [0, 1] and seen[0][1] == (2, 48, 2, 4, 6)
    assert not wan.transformer._forward_hooks and not wan.transformer._forward_pre_hooks


def test_shapes_that_do_not_fit_are_refused(wan, cogvideox):
    image, trajectory, pictures, noise = inputs(1)
    with pytest.raises(ValueError, match="num_frames, height and width"):
        run_wan(wan, image, trajectory[:, :1], pictures, noise, 5.0)
    with pytest.raises(ValueError, match="one video or 2"):
        run_wan(wan, image, np.repeat(trajectory, 2, axis=0), pictures, noise, 5.0)
    with pytest.raises(ValueError, match="ID pictures for one video or 2"):
        run_cogvideox(cogvideox, image, trajectory, pictures[:1].repeat(3, axis=0), cog_inputs(1)[3], 6.0, seed=0)


def test_published_folders_load(wan, tmp_path):
    """They hold the transformer at their root, with keys in its config that no class knows."""
    import json

    wan.transformer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | {
        "use_FrameIn": True,
        "extra_encoder_cond_channels": 48,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = WanTransformer3DModel.from_pretrained(tmp_path)
    components = {name: part for name, part in wan.components.items() if name != "transformer"}
    again = WanFrameInOutPipeline(transformer=loaded, expand_timesteps=True, **components)
    again.set_progress_bar_config(disable=True)
    given = inputs(1)
    torch.testing.assert_close(run_wan(again, *given, 5.0), run_wan(wan, *given, 5.0), **CLOSE)
