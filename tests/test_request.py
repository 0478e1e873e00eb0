"""Requests: what they mean, what is wrong with them, and what the model sees of them."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from curation.contract.errors import UsageError
from inference.conditions import preview_conditions
from inference.request import dump_request, load_request, save_request


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(1, 256, (60, 100, 3), dtype=np.uint8)).save(tmp_path / "first.png")
    cut = np.zeros((40, 40, 4), np.uint8)
    cut[10:30, 10:30] = (0, 200, 0, 255)
    Image.fromarray(cut).save(tmp_path / "cut.png")
    Image.fromarray(cut[..., :3]).save(tmp_path / "opaque.png")
    (tmp_path / "letter.txt").write_text("Dear picture")
    return tmp_path


def plain(**changes):
    """A valid request for a canvas of 192x128 px, with a first frame at (64, 0) to (192, 96)."""
    lines = [{"points": [[-20, 64], [100, 64]]}]
    return {
        "model": "tiny-wan",
        "first_frame": {"picture": "first.png", "width": 128, "height": 96},
        "canvas": {"left": 64, "bottom": 32},
        "objects": [{"name": "dog", "trajectories": lines}],
        "num_frames": 9,
    } | changes


def load(folder, data):
    (folder / "request.yaml").write_text(yaml.safe_dump(data))
    return load_request(folder / "request.yaml")


def error_of(folder, **changes):
    with pytest.raises(UsageError) as caught:
        load(folder, plain(**changes))
    message = str(caught.value)
    assert message.startswith(str(folder / "request.yaml")) and "\n" not in message
    return message


def trajectory(**keys):
    return [{"trajectories": [{"points": [[0, 0], [50, 50]]} | keys]}]


def test_the_canvas_is_the_first_frame_and_what_is_grown(folder):
    request = load(folder, plain())
    assert request.size == (192, 128)
    assert request.region_box == (64, 0, 192, 96)


def test_the_model_fills_in_what_is_left_out(folder):
    data = plain()
    del data["num_frames"]
    full = load(folder, data).resolved()
    assert (full.num_frames, full.num_inference_steps, full.guidance_scale) == (17, 6, 5.0)
    assert full.legacy_stretch is False
    assert load(folder, plain(model="wan2.2-5b-inout")).resolved().legacy_stretch is True


@pytest.mark.parametrize("name", ["again.yaml", "again.json"])
def test_what_is_saved_loads_as_the_same(folder, name):
    identities = [{"picture": "cut.png", "box": [1, 2, 30, 40]}]
    lines = [{"points": [[0, 1], [2, 3], [4, 5]], "times": [0, None, 0.5]}, {"points": [[7, 8]], "end": 0.25}]
    request = load(folder, plain(objects=[{"trajectories": lines, "identities": identities}], prompt="Ein Hündchen"))
    save_request(request, folder / name)
    assert load_request(folder / name) == request
    assert dump_request(request, folder)["first_frame"]["picture"] == "first.png"
    if name.endswith("json"):
        assert json.loads((folder / name).read_text())["objects"][0]["identities"][0]["picture"] == "cut.png"


def test_wrong_sides_say_how_many_pixels_are_too_many(folder):
    message = error_of(folder, canvas={"left": 60, "bottom": 30})
    assert "188 px wide" in message and "add 4 or take off 28" in message and "126 px high" in message


def test_sides_follow_the_model(folder):
    assert load(folder, plain(model="tiny-cogvideox", canvas={"left": 80, "bottom": 32})).size == (208, 128)
    assert "208 px wide, which is no multiple of 32" in error_of(folder, canvas={"left": 80, "bottom": 32})


def test_wrong_keys_are_named_with_what_was_meant(folder):
    assert "did you mean 'negative_prompt'" in error_of(folder, negativ_prompt="x")
    assert "did you mean 'objects.0.trajectories'" in error_of(folder, objects=[{"trajektories": []}])
    assert "did you mean 'objects.0.trajectories.0.points'" in error_of(
        folder, objects=[{"trajectories": [{"pionts": [[1, 1]]}]}]
    )
    assert "did you mean 'tiny-wan'" in error_of(folder, model="tiny-wam")


def test_frames_are_as_many_as_the_model_can_make(folder):
    assert "take 9 or 13" in error_of(folder, num_frames=10)
    assert "makes 8N + 1, got 13; take 9 or 17" in error_of(folder, model="tiny-cogvideox", num_frames=13)


def test_trajectories_that_make_no_sense(folder):
    assert "no trajectory" in error_of(folder, objects=[])
    assert "objects.0.trajectories.0.points" in error_of(folder, objects=trajectory(points=[]))
    assert "never on the canvas of 192x128" in error_of(folder, objects=trajectory(points=[[-50, 0], [-10, 90]]))
    assert "must rise" in error_of(folder, objects=trajectory(times=[0.5, 0.2]))
    assert "2 points but 3 times" in error_of(folder, objects=trajectory(times=[0, 0.1, 0.2]))
    assert "end at 0.67 s" in error_of(folder, objects=trajectory(end=2))
    assert "give one of them" in error_of(folder, objects=trajectory(start=0.1, times=[0.2, 0.4]))
    assert "shorter than one frame" in error_of(folder, objects=trajectory(start=0.1, end=0.11))
    assert "neither" in error_of(folder, objects=[*trajectory(), {"name": "nobody"}])


def test_pictures_that_are_none(folder):
    assert "gone.png" in error_of(folder, first_frame={"picture": "gone.png", "width": 128, "height": 96})
    text = load(folder, plain(first_frame={"picture": "letter.txt", "width": 128, "height": 96}))
    with pytest.raises(UsageError, match=r"letter\.txt: not a picture"):
        preview_conditions(text)
    (folder / "half.png").write_bytes((folder / "first.png").read_bytes()[:3000])
    half = load(folder, plain(first_frame={"picture": "half.png", "width": 128, "height": 96}))
    with pytest.raises(UsageError, match=r"half\.png: cannot read"):
        preview_conditions(half)


def test_huge_pictures_are_refused_by_their_header(folder):
    Image.new("L", (9000, 9000)).save(folder / "huge.png")
    huge = load(folder, plain(first_frame={"picture": "huge.png", "width": 128, "height": 96}))
    with pytest.raises(UsageError, match="9000x9000 px are more than 64 megapixels"):
        preview_conditions(huge)


def test_files_that_are_no_requests(folder):
    for name, content in {"list.yaml": "[1]", "broken.yaml": "a: [", "empty.yaml": ""}.items():
        (folder / name).write_text(content)
        with pytest.raises(UsageError, match=name):
            load_request(folder / name)
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        load_request(folder / "binary.yaml")
    with pytest.raises(UsageError, match=r"absent\.yaml"):
        load_request(folder / "absent.yaml")


def test_models_without_identity_take_none(folder):
    objects = [plain()["objects"][0] | {"identities": [{"picture": "cut.png"}]}]
    assert "takes no ID pictures" in error_of(folder, model="wan2.2-5b-motion", objects=objects)


def test_conditions_are_what_the_request_says(folder):
    lines = [{"points": [[-20, 64], [100, 64]]}]
    objects = [
        {"trajectories": lines, "identities": [{"picture": "cut.png"}]},
        {"trajectories": [{"points": [[150, 30]], "end": 0.25}]},
    ]
    seen = preview_conditions(load(folder, plain(objects=objects)))
    assert seen.first_frame.shape == (128, 192, 3) and seen.first_frame[:96, 64:].any(axis=2).all()
    assert not seen.first_frame[:, :64].any() and not seen.first_frame[96:].any()
    assert seen.region_box == (64, 0, 192, 96)
    assert seen.trajectories.shape == (9, 128, 192, 3)
    dark = 255 - seen.trajectories.astype(float)  # red is dark in green and blue, yellow in blue alone
    red, yellow = dark[..., 1], dark[..., 2] - dark[..., 1]
    columns = np.arange(192)
    where = [(frame.sum(axis=0) * columns).sum() / frame.sum() for frame in red[2:]]
    assert where == pytest.approx([10, 25, 40, 55, 70, 85, 100], abs=1.5)
    assert not red[0].any()  # the first object is not on the canvas yet
    assert [frame.any() for frame in yellow > 5] == [True] * 4 + [False] * 5
    assert seen.identities.shape == (1, 128, 192, 3)
    assert seen.identities[0, 64, 96].tolist() == [0, 200, 0] and not seen.identities[0, :20].any()


def test_no_identity_is_a_black_picture_for_models_that_expect_one(folder):
    assert not preview_conditions(load(folder, plain())).identities.any()
    assert preview_conditions(load(folder, plain())).identities.shape == (1, 128, 192, 3)
    assert preview_conditions(load(folder, plain(model="wan2.2-5b-motion"))).identities.shape == (0, 128, 192, 3)


def test_legacy_stretch_distorts_the_identity(folder):
    objects = [plain()["objects"][0] | {"identities": [{"picture": "cut.png"}]}]
    stretched = preview_conditions(load(folder, plain(objects=objects, legacy_stretch=True))).identities[0, ..., 1]
    kept = preview_conditions(load(folder, plain(objects=objects))).identities[0, ..., 1]
    assert (stretched.any(axis=0).sum(), stretched.any(axis=1).sum()) == pytest.approx((96, 64), abs=2)
    assert (kept.any(axis=0).sum(), kept.any(axis=1).sum()) == pytest.approx((64, 64), abs=2)


def test_identity_pictures_need_to_say_what_is_the_object(folder):
    def conditions(**keys):
        objects = [plain()["objects"][0] | {"identities": [{"picture": "opaque.png"} | keys]}]
        return preview_conditions(load(folder, plain(objects=objects)))

    with pytest.raises(UsageError, match="by box or clicks"):
        conditions()
    with pytest.raises(UsageError, match=r"\(50, 5\) lies off the picture"):
        conditions(clicks=[{"x": 50, "y": 5}])
    by_box = conditions(box=[5, 5, 35, 35]).identities[0]
    assert by_box[64, 96].tolist() == [0, 200, 0] and not by_box[2, 2].any()
