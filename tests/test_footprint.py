"""What published models take, by their shapes alone, and what the doctor makes of it."""

import io

import pytest
import torch
from rich.console import Console

from inference.doctor import doctor
from inference.footprint import cogvideox_vae, footprint, peak_bytes, wan_vae
from inference.memory import TILES, LoadConfig
from inference.models import model_spec
from training.models.weights import cast_parameters

pytestmark = pytest.mark.usefixtures("one_thread")

GB = 1e9
GIB = 2**30


@pytest.mark.parametrize(
    ("model", "transformer", "text", "vae", "at_work"),
    [("wan2.2-5b-inout", 10.0, 11.36, 1.41, 13.8), ("cogvideox-5b-inout", 11.14, 9.52, 0.43, 14.0)],
)
def test_weights_are_as_published_and_work_is_as_measured(model, transformer, text, vae, at_work):
    """Sizes of the published files in bfloat16; peaks of a forward pass as measured by torch's memory tracker."""
    need = footprint(model_spec(model))
    assert need.transformer.weights == pytest.approx(transformer * GB, rel=0.005)
    assert need.text.weights == pytest.approx(text * GB, rel=0.005)
    assert need.vae_weights == pytest.approx(vae * GB, rel=0.01)
    assert need.transformer.weights + need.transformer.work == pytest.approx(at_work * GB, rel=0.03)
    assert need.eight_bit.weights < 0.6 * need.transformer.weights
    sizes = [need.gpu(LoadConfig(memory=memory)) / GIB for memory in (None, "24gb", "16gb", "12gb")]
    assert sizes == sorted(sizes, reverse=True)
    for memory, size in zip((24, 16, 12), sizes[1:], strict=True):  # each preset keeps what its name says
        assert size < 0.8 * memory


@pytest.mark.slow
@pytest.mark.timeout(1800)  # 28 tiles of 21 frames; minutes on a busy machine
@pytest.mark.parametrize("family", ["wan", "cogvideox"])
def test_decoding_takes_what_is_written_down(family):
    shape = {"wan": (1, 48, 21, 44, 80), "cogvideox": (1, 16, 13, 60, 90)}[family]
    need = footprint(model_spec({"wan": "wan2.2-5b-inout", "cogvideox": "cogvideox-5b-inout"}[family]))
    with torch.device("meta"):
        vae = {"wan": wan_vae, "cogvideox": cogvideox_vae}[family]()
        cast_parameters(vae, torch.bfloat16)
        latents = torch.empty(shape, dtype=torch.bfloat16)
        whole = peak_bytes(vae, lambda: vae.decode(latents, return_dict=False))
        vae.enable_tiling(**TILES[type(vae).__name__])
        tiled = peak_bytes(vae, lambda: vae.decode(latents, return_dict=False))
    assert (whole, tiled) == pytest.approx((need.decoding, need.decoding_in_tiles), rel=0.01)


def examine(vram):
    printed = io.StringIO()
    code = doctor(vram, Console(width=160, file=printed, no_color=True))
    return code, printed.getvalue()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_doctor_without_a_gpu_says_so_and_gives_the_sizes():
    code, said = examine(None)
    assert code == 0 and "There is no GPU here" in said
    assert "12.9" in said and "12.9 yes" not in said and "12.9 no" not in said


@pytest.mark.parametrize(
    ("vram", "advice"),
    [(48, "no options"), (24, "--memory 24gb"), (16, "--memory 16gb"), (12, "--memory 16gb")],
)
def test_doctor_names_the_fastest_that_fits(vram, advice):
    code, said = examine(vram)
    assert code == 0 and f"wan2.2-5b-inout: {advice} (" in said
    assert "not measured on a GPU" in said and "hf download Wan-AI/Wan2.2-TI2V-5B-Diffusers --revision" in said


def test_a_gpu_that_is_too_small_is_exit_code_1():
    code, said = examine(4)
    assert code == 1 and "wan2.2-5b-inout: does not fit into 4.0 GiB" in said
