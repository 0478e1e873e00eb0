"""Video models: layouts, widening, positions of the ID, text, and the latents of real pixels."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import CogVideoXTransformer3DModel, WanImageToVideoPipeline, WanTransformer3DModel
from diffusers.models.embeddings import CogVideoXPatchEmbed
from PIL import Image

from curation.contract.errors import BackendUnavailableError, UsageError
from training.conditioning.canvas import to_model_range
from training.config import load_config
from training.encode import picture_pixels
from training.models import cogvideox, wan, wan_i2v
from training.models.conditions import Conditions
from training.models.config import ModelConfig
from training.models.identity_positions import IdentityPatchEmbed, rotary_embedding
from training.models.load import load_model
from training.models.tiny import save_tiny, tiny_pipeline

pytestmark = pytest.mark.usefixtures("one_thread")

GOLDEN = Path(__file__).parent / "golden"
FAMILIES = ("wan", "wan-i2v", "cogvideox")
TEXT_LENGTH = {"wan": 16, "wan-i2v": 512, "cogvideox": 16}
PUBLISHED_EXTRAS = {
    "wan": {"use_FrameIn": True},
    "wan-i2v": {"use_FrameIn": True},
    "cogvideox": {"use_FrameIn": True, "extra_encoder_cond_channels": 16},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    return {family: save_tiny(family, folder / family) for family in FAMILIES}


@pytest.fixture(scope="module")
def model(base):
    return {family: load_model(model_config(family, base), Path("unused")) for family in FAMILIES}


def model_config(family, base, **others):
    length = TEXT_LENGTH[family]
    return ModelConfig(family=family, base=str(base[family]), text_length=length, frozen_weights="float32", **others)


def conditions(model, shape, identity=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    channels, frames, height, width = shape

    def draw(frames, channels=channels):
        return torch.randn(2, channels, frames, height, width, generator=generator)

    i2v = model.first_frame_as == "video"
    return Conditions(
        text=model.encode_text(["a thing comes in from the left", ""]),
        first_frame=draw(frames, channels + 4) if i2v else draw(1),
        trajectory=draw(frames),
        identity=draw(1) if identity else None,
        image=torch.randn(2, 5, 32, generator=generator) if i2v else None,
    )


@pytest.mark.parametrize(("family", "keys", "blocks"), [("wan", 825, 30), ("cogvideox", 1025, 42)])
def test_5b_transformers_have_the_published_keys_and_shapes(family, keys, blocks):
    with torch.device("meta"):
        if family == "wan":
            transformer = WanTransformer3DModel(**wan.CONFIG_5B)
        else:
            transformer = CogVideoXTransformer3DModel(**cogvideox.CONFIG_5B)
            cogvideox.CogVideoX(None, None, None, transformer)  # other positions, same keys
    expected = {}
    for name, shape in json.loads((GOLDEN / f"{family}_5b_state.json").read_text()).items():
        for block in range(blocks if "*" in name else 1):
            expected[name.replace("*", str(block))] = shape
    assert {name: list(tensor.shape) for name, tensor in transformer.state_dict().items()} == expected
    assert len(expected) == keys


def test_the_14b_transformer_has_the_published_keys_and_shapes():
    """Its class and layout are those of Wan's 5B: so many blocks more, other widths, and what is for the image."""
    with torch.device("meta"):
        transformer = WanTransformer3DModel(**wan_i2v.CONFIG_14B)
    width, hidden = 5120, 13824
    # 5B's on the left: the width, six times it (modulation), the feed-forward's, what goes out of 2x2 patches.
    wider = {3072: width, 6 * 3072: 6 * width, 14336: hidden, 96: 52, 4 * 48: 4 * 16}
    expected = {}
    for name, shape in json.loads((GOLDEN / "wan_5b_state.json").read_text()).items():
        for block in range(40 if "*" in name else 1):
            expected[name.replace("*", str(block))] = [wider.get(size, size) for size in shape]
    image = "condition_embedder.image_embedder"
    expected |= {f"{image}.norm1.{kind}": [1280] for kind in ("weight", "bias")}
    expected |= {f"{image}.norm2.{kind}": [width] for kind in ("weight", "bias")}
    expected |= {f"{image}.ff.net.0.proj.weight": [1280, 1280], f"{image}.ff.net.0.proj.bias": [1280]}
    expected |= {f"{image}.ff.net.2.weight": [width, 1280], f"{image}.ff.net.2.bias": [width]}
    for block in range(40):
        for layer in ("add_k_proj", "add_v_proj"):
            expected[f"blocks.{block}.attn2.{layer}.weight"] = [width, width]
            expected[f"blocks.{block}.attn2.{layer}.bias"] = [width]
        expected[f"blocks.{block}.attn2.norm_added_k.weight"] = [width]
    assert {name: list(tensor.shape) for name, tensor in transformer.state_dict().items()} == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_widening_leaves_the_output_unchanged(family, model, base):
    ours = model[family]
    stock = type(ours.transformer).from_pretrained(base[family] / "transformer")
    noisy = torch.randn(2, *ours.latent_shape(9, 64, 96), generator=torch.Generator().manual_seed(1))
    told = conditions(ours, noisy.shape[1:], identity=False)
    with torch.no_grad():
        if family == "wan":
            timesteps = torch.tensor([[0.0, 500, 500], [0, 37, 37]])
            given = ours.predict(ours.transformer, noisy, told, timesteps)
            expected = stock(noisy, wan.token_timesteps(timesteps, noisy, (1, 2, 2)), told.text).sample
        elif family == "wan-i2v":
            timesteps = torch.tensor([500, 37])
            given = ours.predict(ours.transformer, noisy, told, timesteps)
            expected = stock(torch.cat([noisy, told.first_frame], dim=1), timesteps, told.text, told.image).sample
        else:
            timesteps = torch.tensor([500, 37])
            given = ours.predict(ours.transformer, noisy, told, timesteps)
            first_frame = torch.nn.functional.pad(told.first_frame, (0, 0, 0, 0, 0, 2))
            rotary = rotary_embedding(stock, *noisy.shape[2:], 0, noisy.device)
            hidden = torch.cat([noisy, first_frame], dim=1).transpose(1, 2)
            expected = stock(hidden, told.text, timesteps, image_rotary_emb=rotary).sample.transpose(1, 2)
    assert ours.transformer.config.in_channels == stock.config.in_channels + noisy.shape[1]
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_trajectory_and_the_id_reach_the_output_once_their_weights_are_trained(family, base):
    ours = load_model(model_config(family, base), Path("unused"))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in ours.transformer.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        noisy = torch.randn(2, *ours.latent_shape(9, 64, 96), generator=generator)
        told = conditions(ours, noisy.shape[1:])
        timesteps = torch.tensor([500.0, 20.0])
        outputs = [ours.predict(ours.transformer, noisy, told, timesteps)]
        for name in ("trajectory", "identity", "text", *(["first_frame", "image"] if family == "wan-i2v" else [])):
            changed = Conditions(**{**vars(told), name: getattr(told, name).roll(1, dims=-1)})
            outputs.append(ours.predict(ours.transformer, noisy, changed, timesteps))
    assert all(output.shape == noisy.shape for output in outputs)
    assert all((output - outputs[0]).abs().max() > 1e-4 for output in outputs[1:])


@pytest.mark.parametrize("family", FAMILIES)
def test_published_layout_loads_for_stage_2(family, model, base, tmp_path):
    """Transformer at the root of the repository, with config keys that stock diffusers does not know."""
    published = tmp_path / "published"
    model[family].transformer.save_pretrained(published)
    config = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(json.dumps(config | PUBLISHED_EXTRAS[family]))
    again = load_model(model_config(family, base, transformer=str(published)), tmp_path)
    assert not any(again.transformer.state_dict()[name].ne(tensor).any() for name, tensor in state_of(model[family]))


def state_of(model):
    return model.transformer.state_dict().items()


def test_a_checkpoint_is_found_by_its_folder_and_what_is_missing_is_said(base, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = model_config("wan", base, transformer=str(tmp_path))
    with pytest.raises(UsageError, match=r"no transformer there; expected config.json"):
        load_model(config, tmp_path)
    checkpoint = tmp_path / "step-00000010"
    shutil.copytree(base["wan"] / "transformer", checkpoint / "transformer")
    load_model(config.model_copy(update={"transformer": str(checkpoint)}), tmp_path)
    absent = config.model_copy(update={"base": "nobody/nothing", "revision": "abc"})
    with pytest.raises(BackendUnavailableError, match="hf download nobody/nothing --revision abc --local-dir"):
        load_model(absent, tmp_path)


def test_workers_in_another_folder_find_the_weights(base, tmp_path, monkeypatch):
    monkeypatch.chdir(base["wan"].parent)
    config = load_config("tiny-wan", "inout", ["runs"], None, ["model={base: wan, transformer: owner/model}"]).model
    assert config.base == str(base["wan"]) and config.transformer == "owner/model"
    monkeypatch.chdir(tmp_path)
    load_model(config.model_copy(update={"transformer": None}), tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_text_is_what_the_stock_pipeline_encodes(family, model):
    captions = ["A thing  comes in from the left", ""]
    ours = model[family].encode_text(captions)
    with torch.no_grad():
        length = TEXT_LENGTH[family]
        stock = tiny_pipeline(family).encode_prompt(
            captions, do_classifier_free_guidance=False, max_sequence_length=length
        )
    torch.testing.assert_close(ours, stock[0], rtol=0, atol=0)
    if family != "cogvideox":
        assert not ours[0, 8:].any()  # seven words and the end are encoded, padding is zero


@pytest.mark.parametrize("family", FAMILIES)
def test_a_real_clip_has_latents_of_unit_order(family, model, scene):
    frames = torch.from_numpy(scene("enters_left", frames=48).frames[:9, :64, :96].copy())
    pixels = to_model_range(frames).permute(3, 0, 1, 2)[None]
    latents = model[family].encode_pixels(pixels)
    assert tuple(latents.shape[1:]) == model[family].latent_shape(9, 64, 96)
    assert 0.3 < latents.std() < 3
    assert model[family].decode_latents(latents).shape == pixels.shape
    np.testing.assert_allclose(to_model_range(frames).numpy(), to_model_range(frames.numpy()))


def test_wan_i2v_is_told_the_first_frame_as_the_stock_pipeline_tells_it(model, base, scene):
    picture = scene("enters_left", frames=48).frames[0, :64, :96].copy()
    pipeline = WanImageToVideoPipeline.from_pretrained(base["wan-i2v"])
    pixels = pipeline.video_processor.preprocess(Image.fromarray(picture), height=64, width=96)
    _, stock = pipeline.prepare_latents(pixels, 1, 16, 64, 96, 9, torch.float32, torch.device("cpu"))
    pictures = torch.from_numpy(picture)[None]
    ours = model["wan-i2v"].encode_first_frame(picture_pixels(pictures), 9)
    torch.testing.assert_close(ours, stock, rtol=0, atol=1e-5)
    with torch.no_grad():
        stock_image = pipeline.encode_image(Image.fromarray(picture))
    torch.testing.assert_close(model["wan-i2v"].encode_image(pictures), stock_image, rtol=0, atol=1e-5)


def test_wan_i2v_takes_the_text_length_that_the_stock_transformer_assumes(base):
    with pytest.raises(UsageError, match="text_length=16: Wan I2V takes 512"):
        load_model(model_config("wan-i2v", base).model_copy(update={"text_length": 16}), Path("unused"))


def embedding(**changes):
    torch.manual_seed(0)
    sizes = {"sample_width": 12, "sample_height": 8, "sample_frames": 9, "max_text_seq_length": 4}
    stock = CogVideoXPatchEmbed(in_channels=4, embed_dim=32, text_embed_dim=8, **(sizes | changes))
    stock.pos_embedding.copy_(torch.randn(stock.pos_embedding.shape))
    stock.pos_embedding[:, :4] = 0
    ours = CogVideoXPatchEmbed(in_channels=4, embed_dim=32, text_embed_dim=8, **(sizes | changes))
    ours.load_state_dict(stock.state_dict())
    ours.__class__ = IdentityPatchEmbed
    return stock, ours


def test_without_an_id_positions_are_stocks():
    stock, ours = embedding()
    text, latents = torch.randn(2, 4, 8), torch.randn(2, 3, 4, 8, 12)
    torch.testing.assert_close(ours(text, latents), stock(text, latents), rtol=0, atol=1e-6)


def test_the_id_frame_stands_where_frame_0_does():
    stock, ours = embedding()
    ours.identity_frames = 1
    text, latents = torch.randn(1, 4, 8), torch.randn(1, 3, 4, 8, 12)
    with_identity = ours(text, torch.cat([latents, latents[:, :1]], dim=1))
    torch.testing.assert_close(with_identity[:, : 4 + 72], stock(text, latents), rtol=0, atol=1e-6)
    torch.testing.assert_close(with_identity[:, 76:], with_identity[:, 4:28], rtol=0, atol=1e-6)


def test_learned_positions_are_resized_to_other_canvases():
    _, ours = embedding()
    ours.identity_frames = 1
    assert ours(torch.randn(1, 4, 8), torch.randn(1, 3, 4, 16, 10)).shape == (1, 4 + 3 * 8 * 5, 32)
    table = ours.pos_embedding[:, 4:].unflatten(1, (3, 4, 6)).permute(0, 4, 1, 2, 3)
    resized = torch.nn.functional.interpolate(table, size=(3, 8, 5), mode="trilinear").flatten(2).transpose(1, 2)
    torch.testing.assert_close(ours._positions(2, (8, 5)), torch.cat([resized[:, :80], resized[:, :40]], dim=1))


def test_rotary_positions_of_the_id_are_frame_0s(model):
    transformer = model["cogvideox"].transformer
    cosines, sines = rotary_embedding(transformer, 3, 8, 12, 1, torch.device("cpu"))
    assert cosines.shape == sines.shape == (4 * 24, 16)
    assert torch.equal(cosines[72:], cosines[:24])
    assert torch.equal(sines[72:], sines[:24])
