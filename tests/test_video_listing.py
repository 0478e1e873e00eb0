"""Finding the input's videos."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pyarrow import fs

from curation.contract.errors import UsageError
from curation.contract.ids import video_id
from curation.video.input_config import InputConfig
from curation.video.listing import list_videos
from curation.video.location import local_path

CONFIG = InputConfig()


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(root: Path | str, config: InputConfig = CONFIG) -> list[str]:
    """Paths below the root."""
    top = local_path(str(root)).partition("?")[0]
    return sorted(uri.partition("?")[0].removeprefix(f"{top}/") for uri in list_videos(str(root), config).files["uri"])


def only(root: str) -> dict[str, Any]:
    return list_videos(root, CONFIG).files.row(0, named=True)


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
    assert names(tmp_path) == ["a.MKV", "b.mp4", "sub/a.webm", "sub/deep/c.avi"]
    listing = list_videos(str(tmp_path), CONFIG)
    assert listing.ignored == 2
    assert listing.files["video_id"].is_sorted()
    deep = listing.files.row(by_predicate=pl.col("video_id") == video_id("sub/deep/c.avi"), named=True)
    assert deep["uri"] == str(tmp_path / "sub" / "deep" / "c.avi")
    assert deep["bytes"] == 5
    assert names(f"file://{tmp_path}") == names(tmp_path)
    assert names(tmp_path, InputConfig(extensions=("txt",))) == ["notes.txt"]


def test_a_file_named_by_itself_is_taken_whatever_its_name(tmp_path: Path) -> None:
    path = put(tmp_path / "clip.bin")
    assert only(str(path)) == {"video_id": video_id("clip.bin"), "uri": str(path), "bytes": 1}


def test_a_relative_root_gives_absolute_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "in" / "a.mp4")
    monkeypatch.chdir(tmp_path)
    assert only("in")["uri"] == str(tmp_path / "in" / "a.mp4")


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
    file = only(str(tmp_path))
    assert file["uri"].endswith("caf%E9.mp4")
    assert file["video_id"] == video_id("caf\udce9.mp4")
    assert Path(local_path(file["uri"])).read_bytes() == b"x"


def test_two_files_of_one_id_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.mp4")
    put(tmp_path / "b.mp4")
    monkeypatch.setattr("curation.video.listing.video_id", lambda path: "same")
    with pytest.raises(UsageError, match=r"a\.mp4 and .*b\.mp4 would share the id same; rename"):
        list_videos(str(tmp_path), CONFIG)


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
    assert dict(listing.files.select("uri", "video_id").iter_rows()) == {
        "s3://bucket/in/b.mp4?region=eu-west-1": video_id("b.mp4"),
        "s3://bucket/in/sub/a%20b.mkv?region=eu-west-1": video_id("sub/a b.mkv"),
    }
    assert listing.ignored == 1
    assert only("s3://bucket/in/b.mp4")["video_id"] == video_id("b.mp4")
    with pytest.raises(UsageError, match="does not exist"):
        list_videos("s3://bucket/out", CONFIG)
