"""Finding the input's videos."""

from pathlib import Path

import pytest
from pyarrow import fs

from curation.contract.errors import UsageError
from curation.video.listing import InputConfig, list_videos
from curation.video.location import local_path

CONFIG = InputConfig()


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(root: Path | str, config: InputConfig = CONFIG) -> list[str]:
    return [file.relative_path for file in list_videos(str(root), config).files]


def test_a_folder_is_searched_through_in_order(tmp_path: Path) -> None:
    for name in (
        "b.mp4",
        "a.MKV",
        "sub/deep/c.avi",
        "sub/a.webm",
        ".hidden.mp4",
        ".cache/d.mp4",
        "notes.txt",
        "README",
    ):
        put(tmp_path / name, b"12345")
    listing = list_videos(str(tmp_path), CONFIG)
    assert [file.relative_path for file in listing.files] == ["a.MKV", "b.mp4", "sub/a.webm", "sub/deep/c.avi"]
    assert listing.ignored == 2
    assert listing.files[3].uri == str(tmp_path / "sub" / "deep" / "c.avi")
    assert listing.files[3].bytes == 5
    assert names(f"file://{tmp_path}") == names(tmp_path)
    assert names(tmp_path, InputConfig(extensions=("txt",))) == ["notes.txt"]


def test_a_file_named_by_itself_is_taken_whatever_its_name(tmp_path: Path) -> None:
    path = put(tmp_path / "clip.bin")
    (file,) = list_videos(str(path), CONFIG).files
    assert (file.uri, file.relative_path, file.bytes) == (str(path), "clip.bin", 1)


def test_a_relative_root_gives_absolute_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "in" / "a.mp4")
    monkeypatch.chdir(tmp_path)
    (file,) = list_videos("in", CONFIG).files
    assert file.uri == str(tmp_path / "in" / "a.mp4")


def test_links_that_lead_outside_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    secret = put(tmp_path / "outside" / "secret.mp4")
    inside = put(root / "inside.mp4")
    (root / "same.mp4").symlink_to(inside)
    (root / "leak.mp4").symlink_to(secret)
    (root / "dangling.mp4").symlink_to(root / "nowhere.mp4")
    (root / "folder").symlink_to(secret.parent)
    (root / "loop").symlink_to(root)
    assert names(root) == ["inside.mp4", "same.mp4"]
    followed = names(root, InputConfig(follow_links=True))
    assert followed == ["folder/secret.mp4", "inside.mp4", "leak.mp4", "same.mp4"]  # and the loop is walked once
    inside.unlink()
    (root / "same.mp4").unlink()
    with pytest.raises(UsageError, match="2 links that lead out of it"):
        list_videos(str(root), CONFIG)


def test_a_name_that_is_no_text_can_be_stored_and_opened(tmp_path: Path) -> None:
    path = Path(str(tmp_path) + "/caf\udce9.mp4")
    try:
        put(path)
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (file,) = list_videos(str(tmp_path), CONFIG).files
    assert file.uri.encode().endswith(b"caf%E9.mp4")
    assert Path(local_path(file.uri)).read_bytes() == b"x"


def test_what_is_missing_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "texts" / "a.txt")
    for root, words in [
        (str(tmp_path / "nowhere"), "does not exist; give a folder"),
        ("nowhere", "Ray job runs in an uploaded copy"),
        (str(tmp_path / "texts"), "holds no video: 1 other file"),
        ("nope://bucket/videos", "cannot be read"),
    ]:
        with pytest.raises(UsageError, match=words) as caught:
            list_videos(root, CONFIG)
        assert "\n" not in str(caught.value)


def test_an_unreadable_folder_is_named(tmp_path: Path) -> None:
    put(tmp_path / "closed" / "a.mp4")
    put(tmp_path / "b.mp4")
    (tmp_path / "closed").chmod(0)
    try:
        if (tmp_path / "closed" / "a.mp4").exists():
            pytest.skip("this user may read everything")
    except PermissionError:
        pass
    try:
        with pytest.raises(UsageError, match="closed"):
            list_videos(str(tmp_path), CONFIG)
    finally:
        (tmp_path / "closed").chmod(0o755)


def test_a_store_is_searched_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bucket/in/b.mp4", "bucket/in/sub/a b.mkv", "bucket/in/.trash/c.mp4", "bucket/in/notes.txt"):
        put(tmp_path / name)
    store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(
        "curation.video.listing.open_filesystem", lambda uri: (store, uri.removeprefix("s3://").partition("?")[0])
    )
    listing = list_videos("s3://bucket/in?region=eu-west-1", CONFIG)
    assert [(file.uri, file.relative_path) for file in listing.files] == [
        ("s3://bucket/in/b.mp4?region=eu-west-1", "b.mp4"),
        ("s3://bucket/in/sub/a%20b.mkv?region=eu-west-1", "sub/a b.mkv"),
    ]
    assert listing.ignored == 1
    assert names("s3://bucket/in/b.mp4") == ["b.mp4"]
    with pytest.raises(UsageError, match="does not exist"):
        list_videos("s3://bucket/out", CONFIG)
