"""Transformers with weights in 8 bits: floats, integers (torchao), GGUF files."""

import importlib.util

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from curation.contract.errors import BackendUnavailableError, UsageError
from inference.generate import generate
from inference.loading import load_model
from inference.memory import LoadConfig
from inference.request import change_request, load_request
from training.models.tiny import tiny_pipeline

pytestmark = pytest.mark.usefixtures("one_thread")

# Wan's own names, as community files have them, for diffusers' names.
OWN_NAMES = (
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"),
    ("attn1", "self_attn"),
    ("attn2", "cross_attn"),
    (".to_out.0.", ".o."),
    (".to_q.", ".q."),
    (".to_k.", ".k."),
    (".to_v.", ".v."),
    ("ffn.net.0.proj", "ffn.0"),
    ("ffn.net.2", "ffn.2"),
    ("proj_out", "head.head"),
    (".norm2.", ".norm_."),
    (".norm3.", ".norm2."),
    (".norm_.", ".norm3."),
)


@pytest.fixture(scope="module")
def request_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("request")
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(picture).save(folder / "first.png")
    request = {
        "model": "tiny-wan",
        "first_frame": {"picture": "first.png", "width": 64, "height": 64},
        "canvas": {"left": 32},
        "objects": [{"trajectories": [{"points": [[-5, 30], [50, 30]]}]}],
        "num_inference_steps": 2,
        "num_frames": 5,
    }
    (folder / "request.yaml").write_text(yaml.safe_dump(request))
    return folder / "request.yaml"


def own_name(name):
    if name.endswith("scale_shift_table"):
        return name.replace("scale_shift_table", "modulation" if "blocks" in name else "head.modulation")
    for theirs, own in OWN_NAMES:
        name = name.replace(theirs, own)
    return name


def write_gguf(path, transformer, rename):
    """Q8_0 wherever rows are whole blocks of 32."""
    import gguf

    writer = gguf.GGUFWriter(path, "wan")
    for name, part in transformer.state_dict().items():
        values = part.float().numpy()
        blocks = values.ndim == 2 and values.shape[1] % 32 == 0
        kind = gguf.GGMLQuantizationType.Q8_0 if blocks else gguf.GGMLQuantizationType.F32
        writer.add_tensor(rename(name), gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def difference(request_file, **config):
    """Mean difference of a generation's pixels to that of the weights as they are, 0..255."""
    request = load_request(request_file)
    made = [generate(request, load_model("tiny-wan", load)).frames.astype(int) for load in (None, LoadConfig(**config))]
    return np.abs(made[1] - made[0]).mean()


@pytest.mark.parametrize("rename", [str, own_name])
@pytest.mark.parametrize("memory", [None, "12gb"])
def test_gguf_files_generate_nearly_the_same(request_file, tmp_path, rename, memory):
    file = write_gguf(tmp_path / "tiny.gguf", tiny_pipeline("wan").transformer, rename)
    loaded = load_model("tiny-wan", LoadConfig(transformer=str(file), memory=memory))
    assert loaded.revision == str(file)
    parts = dict(loaded.pipeline.transformer.named_parameters())
    assert parts["blocks.0.ffn.net.2.weight"].dtype == torch.uint8
    assert not any("float8" in str(part.dtype) for part in parts.values())
    assert 0 < difference(request_file, transformer=str(file), memory=memory) < 4


def test_files_that_are_not_of_the_model_are_refused(tmp_path):
    file = write_gguf(tmp_path / "tiny.gguf", tiny_pipeline("wan").transformer, str)
    (tmp_path / "text.gguf").write_text("no GGUF at all, but long enough to have a header")
    write_gguf(tmp_path / "other.gguf", tiny_pipeline("cogvideox").transformer, str)
    for name, model, said in (
        ("text.gguf", "tiny-wan", "no GGUF file of a WanTransformer3DModel"),
        ("other.gguf", "tiny-wan", "no GGUF file of a WanTransformer3DModel"),
        ("gone.gguf", "tiny-wan", "no GGUF file of a WanTransformer3DModel"),
        (file.name, "tiny-cogvideox", "not of CogVideoXTransformer3DModel"),
    ):
        with pytest.raises(UsageError, match=said):
            load_model(model, LoadConfig(transformer=str(tmp_path / name)))
    with pytest.raises(ValueError, match="has its own"):
        LoadConfig(transformer=str(file), quantization="fp8")


def test_fp8_floats_are_kept_anywhere(request_file):
    assert 0 < difference(request_file, quantization="fp8") < 32


@pytest.mark.skipif(importlib.util.find_spec("torchao") is not None, reason="torchao is installed")
def test_int8_says_what_to_install():
    with pytest.raises(BackendUnavailableError, match="pip install torchao"):
        load_model("tiny-wan", LoadConfig(quantization="int8"))


@pytest.mark.external
@pytest.mark.parametrize("memory", [None, "16gb"])
@pytest.mark.parametrize("model", ["tiny-wan", "tiny-cogvideox"])
def test_int8_integers_generate_nearly_the_same(request_file, model, memory):
    pytest.importorskip("torchao")
    request = change_request(load_request(request_file), {"model": model, "num_frames": 9}, "test")
    loaded = load_model(model, LoadConfig(quantization="int8", memory=memory))
    block = loaded.pipeline.transformer.get_submodule("blocks.0" if model == "tiny-wan" else "transformer_blocks.0")
    assert type(block.get_submodule("attn1.to_q").weight).__name__ == "Int8Tensor"
    frames = [generate(request, each).frames.astype(int) for each in (loaded, load_model(model))]
    assert 0 < np.abs(frames[0] - frames[1]).mean() < 4
