"""Objectives: what is noised, what is told, what counts. A stand-in for the transformer records its input."""

from dataclasses import replace

import pytest
import torch
from diffusers import CogVideoXDPMScheduler

from training.encode import encode_batch, trajectory_video
from training.models.conditions import Conditions, TrainingLatents
from training.models.config import ModelConfig
from training.models.load import load_model
from training.objectives.build import build_objective
from training.objectives.config import DropoutConfig, ObjectiveConfig, TimestepConfig
from training.objectives.region_loss import region_loss, region_share
from training.objectives.timesteps import draw_timesteps
from training.randomness import StepRandomness

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SHAPE = (48, 3, 4, 6)


class Recorder:
    """A model whose prediction is a constant, and which remembers what it was asked."""

    def __init__(self, prediction=0.0, first_frame_as="frame"):
        self.prediction, self.first_frame_as = prediction, first_frame_as

    def predict(self, transformer, noisy, conditions, timesteps):
        self.noisy, self.conditions, self.timesteps = noisy, conditions, timesteps
        return torch.full_like(noisy, self.prediction)


def latents(keep=(True, True), region=None):
    generator = torch.Generator().manual_seed(5)

    def draw(frames):
        return torch.randn(2, SHAPE[0], frames, *SHAPE[2:], generator=generator)

    return TrainingLatents(
        video=draw(3),
        conditions=Conditions(torch.zeros(2, 4, 8), draw(1), draw(3), draw(1)),
        region=torch.ones(2, 1, 1, *SHAPE[2:]) if region is None else region,
        keep_first_frame=torch.tensor(keep),
    )


def randomness(step=0, ids=("a", "b")):
    return StepRandomness(7, step, ids, CPU)


def drawn(config=None):
    """Timesteps and noise that an objective draws with `randomness()`."""
    source = randomness()
    return draw_timesteps(config or TimestepConfig(), source), source.normal(*SHAPE)


def test_flow_matching_by_hand():
    recorder, batch = Recorder(), latents()
    loss = build_objective("wan", ObjectiveConfig())(recorder, torch.nn.Identity(), batch, randomness())
    index, noise = drawn()
    linear = (index + 1) / 1000
    sigma = (5 * linear / (1 + 4 * linear)).view(-1, 1, 1, 1, 1)
    noisy = (1 - sigma) * batch.video + sigma * noise
    torch.testing.assert_close(recorder.noisy[:, :, 1:], noisy[:, :, 1:])
    assert torch.equal(recorder.noisy[:, :, :1], batch.conditions.first_frame)
    expected = torch.stack([torch.zeros(2), *[1000 * sigma.flatten()] * 2], dim=1)
    torch.testing.assert_close(recorder.timesteps, expected)
    torch.testing.assert_close(loss, (noise - batch.video)[:, :, 1:].square().mean(dim=(1, 2, 3, 4)))


def test_flow_matching_with_channels_for_the_first_frame():
    recorder, batch = Recorder(first_frame_as="video"), latents(keep=(True, False))
    told = replace(batch.conditions, first_frame=torch.ones(2, 52, *SHAPE[1:]), image=torch.ones(2, 5, 8))
    batch = replace(batch, conditions=told)
    loss = build_objective("wan-i2v", ObjectiveConfig(shift=3.0))(recorder, torch.nn.Identity(), batch, randomness())
    index, noise = drawn()
    linear = (index + 1) / 1000
    sigma = 3 * linear / (1 + 2 * linear)
    torch.testing.assert_close(recorder.timesteps, 1000 * sigma)
    sigma = sigma.view(-1, 1, 1, 1, 1)
    torch.testing.assert_close(recorder.noisy, (1 - sigma) * batch.video + sigma * noise)
    for seen in (recorder.conditions.first_frame, recorder.conditions.image):
        assert seen[0].min() == 1 and not seen[1].any()
    torch.testing.assert_close(loss, (noise - batch.video).square().mean(dim=(1, 2, 3, 4)))


def test_flow_matching_as_released():
    config = ObjectiveConfig(legacy_scalar_timestep=True, legacy_first_frame_loss=True, full_field_first_frame=False)
    recorder, batch = Recorder(), latents()
    loss = build_objective("wan", config)(recorder, torch.nn.Identity(), batch, randomness())
    _, noise = drawn()
    target = noise - torch.cat([batch.conditions.first_frame, batch.video[:, :, 1:]], dim=2)
    assert recorder.timesteps.shape == (2,)
    torch.testing.assert_close(loss, target.square().mean(dim=(1, 2, 3, 4)))
    full = ObjectiveConfig(legacy_first_frame_loss=True)
    loss = build_objective("wan", full)(recorder, torch.nn.Identity(), batch, randomness())
    torch.testing.assert_close(loss, (noise - batch.video).square().mean(dim=(1, 2, 3, 4)))


def test_a_dropped_first_frame_is_noisy_and_counts():
    recorder, batch = Recorder(), latents(keep=(True, False))
    loss = build_objective("wan", ObjectiveConfig())(recorder, torch.nn.Identity(), batch, randomness())
    _, noise = drawn()
    assert recorder.timesteps[0, 0] == 0
    assert recorder.timesteps[1, 0] == recorder.timesteps[1, 1] > 0
    assert not torch.equal(recorder.noisy[1, :, 0], batch.conditions.first_frame[1, :, 0])
    torch.testing.assert_close(loss[1], (noise - batch.video)[1].square().mean())


def test_v_prediction_is_the_releases_weighted_latent_error():
    """The release: get the latent from the output with the DPM scheduler, weight its error by 1 / (1 - alpha-bar)."""
    recorder, batch = Recorder(prediction=0.3), latents(keep=(True, False))
    loss = build_objective("cogvideox", ObjectiveConfig())(recorder, torch.nn.Identity(), batch, randomness())
    timesteps, noise = drawn()
    scheduler = CogVideoXDPMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=1.0, timestep_spacing="trailing"
    )
    noisy = scheduler.add_noise(batch.video, noise, timesteps)
    latent = scheduler.get_velocity(torch.full_like(noisy, 0.3), noisy, timesteps)
    weight = (1 / (1 - scheduler.alphas_cumprod[timesteps])).view(-1, 1, 1, 1, 1)
    expected = (weight * (latent - batch.video).square()).mean(dim=(1, 2, 3, 4)).float()
    torch.testing.assert_close(recorder.noisy, noisy)
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-5)
    assert recorder.conditions.first_frame[0].any()
    assert not recorder.conditions.first_frame[1].any()


def test_timesteps_cover_the_range_as_asked():
    many = StepRandomness(0, 0, [str(index) for index in range(4000)], CPU)
    uniform = draw_timesteps(TimestepConfig(), many)
    assert uniform.min() >= 0
    assert uniform.max() <= 999
    assert abs(uniform.float().mean() - 499.5) < 15
    middle = draw_timesteps(TimestepConfig(sampling="logit_normal"), many)
    # A normal's share within one logit of 0 is .6827: sigmoid(-1) .. sigmoid(1) = 269 .. 731.
    assert abs(((middle > 269) & (middle < 731)).float().mean() - 0.683) < 0.03
    noisier = draw_timesteps(TimestepConfig(sampling="logit_normal", logit_mean=1.0), many)
    assert noisier.float().mean() > middle.float().mean() + 150


def test_region_share_and_weights():
    share = region_share(torch.tensor([[8, 0, 24, 16], [0, 0, 32, 16]]), 1, 2, 16)
    assert share.tolist() == [[[[[0.5, 0.5]]]], [[[[1.0, 1.0]]]]]
    prediction = torch.tensor([[1.0, 3.0]]).view(1, 1, 1, 1, 2)
    region = torch.tensor([[1.0, 0.0]]).view(1, 1, 1, 1, 2)
    counted = torch.ones(1, 1, dtype=torch.bool)
    for weight, expected in ((1.0, 5.0), (0.0, 1.0), (0.5, (1 + 4.5) / 1.5)):
        assert region_loss(prediction, torch.zeros(()), region, weight, counted).item() == pytest.approx(expected)


def test_draws_depend_on_seed_step_and_sample_alone():
    together, alone = randomness(ids=("a", "b")), randomness(ids=("b",))
    assert torch.equal(together.normal(3)[1], alone.normal(3)[0])
    assert not torch.equal(randomness().normal(3), randomness(step=1).normal(3))
    twice = randomness(ids=("a", "a")).normal(3)
    assert not torch.equal(twice[0], twice[1])


@pytest.mark.parametrize("family", ["wan", "cogvideox"])
def test_a_batch_is_encoded_with_conditions_dropped(family, tmp_path):
    model = load_model(ModelConfig(family=family, base="tiny", text_length=16, frozen_weights="float32"), tmp_path)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, 5, 64, 96, 3), generator=generator, dtype=torch.uint8)
    batch = {
        "sample_id": ["a", "b"],
        "caption": ["a thing", "the object"],
        "region_box": torch.tensor([[0, 0, 96, 64], [48, 0, 96, 64]]),
        "video": pixels,
        "frames": torch.tensor([5, 5]),
        "dot_places": torch.tensor([[1, 8, 16, 20, 30], [7, 0, 0, 64, 96]], dtype=torch.int32),
        "dot_pixels": pixels.view(-1, 3)[: 20 * 30 + 64 * 96],
        "first_frame": pixels[:, 0],
        "identity": pixels[:, 1],
    }

    def encode(dropout, identity=True):
        return encode_batch(model, batch, dropout, randomness(), identity, CPU)

    drawn = trajectory_video(batch, CPU)
    assert drawn.shape == (2, 5, 64, 96, 3) and (drawn[1, 2] != 255).any()
    assert all((drawn[sample, frame] == 255).all() for sample in (0, 1) for frame in (0, 3, 4))
    assert torch.equal(drawn[0, 1, 8:28, 16:46].reshape(-1, 3), batch["dot_pixels"][:600])

    plain = encode(DropoutConfig())
    again = encode(DropoutConfig())
    assert torch.equal(plain.video, again.video)
    assert plain.video.shape == plain.conditions.trajectory.shape == (2, *model.latent_shape(5, 64, 96))
    assert plain.keep_first_frame.tolist() == [True, True]
    assert plain.region[1].mean() == 0.5
    assert encode(DropoutConfig(), identity=False).conditions.identity is None

    bare = encode(DropoutConfig(text=1, first_frame=1, identity=1))
    assert torch.equal(bare.conditions.text, model.encode_text(["", ""]))
    assert bare.keep_first_frame.tolist() == [False, False]
    black = {**batch, "identity": torch.zeros_like(batch["identity"])}
    expected = encode_batch(model, black, DropoutConfig(), randomness(), True, CPU).conditions.identity
    assert torch.equal(bare.conditions.identity, expected)
