"""What the page makes of drawings and of files that somebody loads, without a browser: nothing outside the session."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from curation.contract.errors import UsageError
from inference.app.bundle import read_bundle, write_bundle
from inference.app.draft import MAX_VIDEO_PIXELS, draft_of, request_of, settings_of
from inference.app.examples import EXAMPLES, example_draft
from inference.app.sessions import MAX_PICTURES, Session, Sessions
from inference.conditions import preview_conditions
from inference.models import model_spec
from inference.pictures import write_picture
from inference.request import parse_request

SETTINGS = {"model": "tiny-wan", "prompt": "A ball.", "seed": 3, "num_frames": 17, "fps": 12.0}


@pytest.fixture
def session(tmp_path: Path) -> Session:
    folder = tmp_path / "session"
    folder.mkdir()
    return Session(folder)


@pytest.fixture
def png(tmp_path: Path) -> Path:
    write_picture(tmp_path / "first.png", np.full((64, 96, 3), 90, np.uint8))
    return tmp_path / "first.png"


def _drawing(name: str, **changes):
    line = {"points": [[-10, 40], [60, 50]], "pace": None, "start": 0, "end": 1.0}
    picture = {"name": name, "x": 32, "y": 16, "width": 120, "height": 80}
    objects = [{"name": "", "trajectories": [line], "identities": []}]
    return {"width": 192, "height": 128, "picture": picture, "objects": objects, "options": {}} | changes


def test_a_request_comes_back_from_the_page_as_it_was(session, png):
    name = session.add_picture(png, "first.png")
    data = {
        "model": "tiny-wan",
        "prompt": "two things",
        "negative_prompt": "blur",
        "seed": 11,
        "first_frame": {"picture": name, "width": 96, "height": 64},
        "canvas": {"left": 64, "right": 32, "bottom": 64},
        "fps": 10.0,
        "legacy_stretch": True,
        "objects": [
            {
                "name": "dog",
                "trajectories": [
                    {"points": [[-40, 50], [80, 52]], "end": 1},
                    {"points": [[80, 52]], "start": 1},
                    {"points": [[1, 2], [30, 2], [40, 2], [60, 9]], "times": [0.1, None, 0.8, None]},
                ],
                "identities": [
                    {"picture": name, "box": [2, 3, 40, 50]},
                    {"picture": name, "clicks": [{"x": 1, "y": 2}]},
                ],
            },
            {"trajectories": [{"points": [[10, 10], [20, 20]]}]},
        ],
    }
    request = parse_request(data, "test", session.folder)
    again = request_of(json.loads(json.dumps(draft_of(request))), settings_of(request), session)
    assert again.size == request.size and again.region_box == request.region_box
    for track, before in zip(again.tracks(), request.tracks(), strict=True):
        np.testing.assert_allclose(track, before, atol=1e-3)
    assert [item.identities for item in again.objects] == [item.identities for item in request.objects]
    assert settings_of(again) == settings_of(request) and again.legacy_stretch is True


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
@pytest.mark.parametrize("model", ["tiny-wan", "wan2.2-5b-inout", "cogvideox-5b-motion"])
def test_examples_are_valid_requests(example, model, session):
    spec = model_spec(model)
    drawn = example_draft(example, session, spec, 12.0)
    request = request_of(drawn, {"model": model, "num_frames": spec.num_frames, "fps": 12.0}, session)
    assert request.size == (spec.width, spec.height)
    if model == "tiny-wan":
        assert preview_conditions(request).first_frame.any()


@pytest.mark.parametrize(
    ("changes", "settings", "says"),
    [
        ({"picture": None}, {}, "no picture yet"),
        ({"objects": []}, {}, "no trajectory"),
        (
            {"picture": {"name": "../first.png", "x": 0, "y": 0, "width": 9, "height": 9}},
            {},
            "no picture '../first.png'",
        ),
        ({"picture": {"name": "/etc/passwd", "x": 0, "y": 0, "width": 9, "height": 9}}, {}, "no picture '/etc/passwd'"),
        ({"picture": {"name": "first.png", "x": 100, "y": 0, "width": 120, "height": 80}}, {}, "beyond the canvas"),
        ({"width": 4096, "height": 4096}, {"num_frames": 81}, "more than this page takes"),
        ({"width": "wide"}, {}, "width"),
        ({"surprise": 1}, {}, "surprise"),
        ({"width": 190}, {}, "multiple of 32"),
    ],
)
def test_wrong_drawings_are_one_line(session, png, changes, settings, says):
    drawn = _drawing(session.add_picture(png, "first.png"), **changes)
    with pytest.raises(UsageError, match=says) as error:
        request_of(drawn, SETTINGS | settings, session)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("drawn", [None, [], "x", {"objects": [[1]]}, {"width": 1, "height": 1, "objects": {"a": 1}}])
def test_what_is_no_drawing_is_a_message(session, drawn):
    with pytest.raises(UsageError):
        request_of(drawn, SETTINGS, session)


def test_a_bundle_carries_its_pictures_to_another_session(session, png, tmp_path):
    request = request_of(_drawing(session.add_picture(png, "first.png")), SETTINGS, session)
    write_bundle(request, session, tmp_path / "request.zip")
    with zipfile.ZipFile(tmp_path / "request.zip") as bundle:
        assert sorted(bundle.namelist()) == ["first.png", "request.yaml"]
        assert str(session.folder) not in bundle.read("request.yaml").decode()
    (tmp_path / "other").mkdir()
    other = Session(tmp_path / "other")
    loaded = read_bundle(tmp_path / "request.zip", other)
    assert loaded.first_frame.picture.parent == other.folder
    assert loaded.objects == request.objects and loaded.seed == 3


def _zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return path


def _request_text(picture) -> bytes:
    frame = {"picture": picture, "width": 192, "height": 128}
    objects = [{"trajectories": [{"points": [[1, 1], [50, 50]]}]}]
    return yaml.safe_dump({"model": "tiny-wan", "first_frame": frame, "objects": objects}).encode()


OUTSIDE = [
    "/etc/hostname",
    "../secret.png",
    "..\\secret.png",
    "a/../../secret.png",
    "file:///etc/hostname",
    b"/etc/hostname",
]


@pytest.mark.parametrize("picture", OUTSIDE)
@pytest.mark.parametrize("suffix", [".yaml", ".zip"])
def test_a_loaded_request_names_no_file_of_this_machine(session, png, tmp_path, picture, suffix):
    write_picture(tmp_path / "secret.png", np.zeros((8, 8, 3), np.uint8))
    text = _request_text(picture)
    file = tmp_path / f"request{suffix}"
    if suffix == ".zip":
        _zip(file, {"request.yaml": text, "../secret.png": png.read_bytes()[:20], "first.png": png.read_bytes()})
    else:
        file.write_bytes(text)
    with pytest.raises(UsageError):
        read_bundle(file, session)
    assert not session.pictures


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"first.png": b""}, "no request files"),
        ({"a.yaml": b"x: 1", "b.json": b"{}"}, "2 request files"),
        ({"request.yaml": b"- 1"}, "not a request"),
        ({"request.yaml": b"a: &a [1]\nb: *a"}, "aliases"),
        ({"request.yaml": b"a: !!python/object:os.system x"}, "not plain YAML"),
        ({"request.yaml": b"a: 2024-99-99"}, "not plain YAML"),
        ({"request.yaml": b"\xff\xfe"}, "UTF-8"),
        ({"request.yaml": b" " * 1_000_001}, "larger than"),
        ({"request.yaml": _request_text("p.png"), "p.png": b"\0" * 50_000_001}, "larger than"),
        ({"request.yaml": _request_text("p.png"), "p.png": b"no picture"}, "p.png: not a picture"),
        ({"request.yaml": b"{}", **{f"{i}.png": b"" for i in range(MAX_PICTURES + 1)}}, "66 files"),
        ({"request.yaml": b"[" * 100_000}, "not plain YAML"),
    ],
)
def test_bad_bundles_are_one_line(session, tmp_path, files, says):
    with pytest.raises(UsageError, match=says) as error:
        read_bundle(_zip(tmp_path / "request.zip", files), session)
    assert "\n" not in str(error.value) and str(tmp_path / "session") not in str(error.value)


def test_a_file_that_is_no_zip_is_a_message(session, tmp_path):
    (tmp_path / "request.zip").write_bytes(b"PK but not really")
    with pytest.raises(UsageError, match=r"cannot read this \.zip"):
        read_bundle(tmp_path / "request.zip", session)
    (tmp_path / "movie.mp4").write_bytes(b"")
    with pytest.raises(UsageError, match="not a request"):
        read_bundle(tmp_path / "movie.mp4", session)


def test_uploads_are_taken_from_the_upload_folder_only(tmp_path, png):
    served = tmp_path / "served"
    (served / "hash").mkdir(parents=True)
    sessions = Sessions(tmp_path / "sessions", served)
    mine = served / "hash" / "first.png"
    mine.write_bytes(png.read_bytes())
    assert sessions.uploaded(str(mine)) == mine
    (served / "link.png").symlink_to(png)
    for path in (
        str(png),
        f"{served}/../first.png",
        str(served),
        f"{served}/link.png",
        "\0",
        "",
        None,
        3,
        "/etc/passwd",
    ):
        with pytest.raises(UsageError, match="not uploaded here"):
            sessions.uploaded(path)


def test_a_session_ends_with_its_folder(tmp_path, png):
    sessions = Sessions(tmp_path / "sessions", tmp_path / "served")
    token, other = sessions.start(), sessions.start()
    session = sessions.get(token)
    session.add_picture(png, "first.png")
    with pytest.raises(UsageError, match="no picture"):
        sessions.get(other).picture("first.png")
    sessions.close(token)
    assert session.stop.is_set() and not session.folder.exists()
    for gone in (token, None, ["x"]):
        with pytest.raises(UsageError, match="reload"):
            sessions.get(gone)


@pytest.mark.parametrize(
    "name", ["../../evil.png", "a b/ü?.PNG", "..", "", ".bashrc", "x" * 300 + ".png", "C:\\me\\dog.jpg"]
)
def test_pictures_keep_a_plain_name_in_the_session(session, png, name):
    kept = session.add_picture(png, name)
    assert session.picture(kept).resolve().parent == session.folder.resolve()
    assert session.add_picture(png, name) != kept


def test_a_session_takes_so_many_pictures(session, png):
    for _ in range(MAX_PICTURES):
        session.add_picture(png, "first.png")
    with pytest.raises(UsageError, match=f"{MAX_PICTURES} pictures"):
        session.add_picture(png, "first.png")


def test_the_limit_leaves_room_for_every_model():
    for name in ("wan2.2-5b-inout", "cogvideox-5b-inout"):
        spec = model_spec(name)
        assert spec.width * spec.height * spec.num_frames <= MAX_VIDEO_PIXELS
