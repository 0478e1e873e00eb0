"""Written files hold what was given, whole or not at all."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from curation.contract.errors import CurationError
from curation.video.decode import analyse_frames
from curation.video.open import DecodeConfig
from curation.video.write import write_mp4


def pictures(width: int, height: int, count: int) -> list[np.ndarray]:
    x = np.linspace(0, 200, width)[None, :, None] + np.array([0.0, 30.0, 55.0])
    ramp = np.broadcast_to(x, (height, width, 3))
    return [(ramp * (index + 1) / count).astype(np.uint8) for index in range(count)]


@pytest.mark.parametrize(("width", "height"), [(128, 64), (129, 65), (1280, 720)])
def test_frames_come_back(width: int, height: int, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    frames = pictures(width, height, 7)
    write_mp4(path, frames, Fraction(30000, 1001), crf=10)
    with analyse_frames(str(path), "video", DecodeConfig()) as video:
        read = [frame.rgb(frame.width, frame.height) for frame in video]
        facts = video.facts()
    assert facts["frames"] == 7
    assert (facts["fps_num"], facts["fps_den"]) == (30000, 1001)
    assert read[0].shape == (height + height % 2, width + width % 2, 3)
    for before, after in zip(frames, read, strict=True):
        assert np.abs(before.astype(float) - after[:height, :width]).mean() < 3
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    def breaks() -> Iterator[np.ndarray]:
        yield from pictures(64, 64, 3)
        raise RuntimeError("drawing failed")

    with pytest.raises(RuntimeError, match="drawing failed"):
        write_mp4(tmp_path / "out.mp4", breaks(), Fraction(25))
    with pytest.raises(ValueError, match="no frames"):
        write_mp4(tmp_path / "out.mp4", [], Fraction(25))
    with pytest.raises(ValueError, match="must all be uint8"):
        write_mp4(tmp_path / "out.mp4", [*pictures(64, 64, 1), *pictures(32, 64, 1)], Fraction(25))
    assert list(tmp_path.iterdir()) == []


def test_ffmpegs_message_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(CurationError, match="No such file or directory"):
        write_mp4(tmp_path / "missing" / "out.mp4", pictures(640, 360, 30), Fraction(25))


def test_metadata_comes_back_whatever_is_in_it_and_however_long(tmp_path: Path) -> None:
    metadata = {"title": 'a = b; # c \\ "d"\nß', "comment": "0123456789" * 30_000}
    write_mp4(tmp_path / "out.mp4", pictures(64, 32, 2), Fraction(12), metadata=metadata)
    with av.open(tmp_path / "out.mp4") as container:
        assert {key: container.metadata[key] for key in metadata} == metadata
