"""Previews: what is drawn where, and the file that comes out."""

from fractions import Fraction

import av
import numpy as np
import pytest

from curation.contract.errors import UsageError, VideoError
from curation.contract.rle import encode_mask
from curation.report.drawing import (
    DrawnEvent,
    DrawnObject,
    Overlay,
    draw_overlay,
    fit_text,
    object_colour,
    text_width,
    wrap_text,
)
from curation.report.overlays import reference_picture, sample_views
from curation.report.pictures import display_size
from curation.report.preview import write_preview

_RED = np.array(object_colour(0))


def _overlay(**changes) -> Overlay:
    """One object over three frames of 200x100 px, at (100, 50), drawn on frames of 400x200 px."""
    points = np.full((3, 1, 2), (100.0, 50.0), np.float32)
    item = DrawnObject("ball", object_colour(0), points, np.ones((3, 1), bool))
    known = {"start_frame": 10, "fps": 25.0, "seconds": [0, 0.04, 0.08], "width": 200, "height": 100, "objects": [item]}
    return Overlay(**(known | changes))


def _gray() -> np.ndarray:
    return np.full((200, 400, 3), 120, np.uint8)


def _is_red(pixel: np.ndarray) -> bool:
    return bool(np.abs(pixel.astype(int) - _RED).max() < 30)


def test_points_stand_where_they_are():
    frame = _gray()
    drawn = draw_overlay(frame, 11, _overlay())
    # Pixel centres are integers: source (100, 50) is (200.5, 100.5) at twice the size.
    red = np.argwhere(np.apply_along_axis(_is_red, 2, drawn[96:106, 196:206]))
    assert red.mean(axis=0).tolist() == pytest.approx([4.5, 4.5], abs=0.3)
    assert (frame == 120).all(), "the frame that was given is left alone"


def test_hidden_points_are_hollow():
    points = np.full((3, 1, 2), (100.0, 50.0), np.float32)
    just_hidden = DrawnObject("ball", object_colour(0), points, np.array([[True], [False], [False]]))
    drawn = draw_overlay(_gray(), 11, _overlay(objects=[just_hidden]))
    assert np.abs(drawn[100:102, 200:202].astype(int) - 120).max() < 40
    assert any(_is_red(pixel) for pixel in drawn[100, 194:208])


def test_points_of_an_object_that_is_not_there_are_left_out():
    points = np.full((3, 1, 2), (100.0, 50.0), np.float32)
    absent = DrawnObject("ball", object_colour(0), points, np.zeros((3, 1), bool))
    drawn = draw_overlay(_gray(), 11, _overlay(objects=[absent]))
    assert not any(_is_red(pixel) for pixel in drawn[100, 190:212])


def test_frames_outside_the_span_get_no_tracks():
    drawn = draw_overlay(_gray(), 13, _overlay())
    assert (drawn[60:] == 120).all()


def test_tail_fades():
    points = np.stack([np.full((20, 1), 100.0), np.arange(20.0)[:, None] * 4 + 10], axis=2)[..., ::-1].astype(
        np.float32
    )
    points = points.reshape(20, 1, 2)
    item = DrawnObject("ball", object_colour(0), points, np.ones((20, 1), bool))
    overlay = _overlay(width=400, height=200, objects=[item], start_frame=0, seconds=[i / 25 for i in range(20)])
    drawn = draw_overlay(_gray(), 19, overlay).astype(int)
    redness = [drawn[100, round(10 + 4 * age), 0] - drawn[100, round(10 + 4 * age), 1] for age in (16, 13, 10, 5)]
    assert redness == sorted(redness, reverse=True)
    assert redness[0] > 100
    assert redness[-1] < 5, "older than half a second"


def test_mask_and_region_box():
    mask = np.zeros((100, 200), bool)
    mask[40:60, 20:40] = True
    points = np.zeros((3, 0, 2), np.float32)
    item = DrawnObject("ball", object_colour(0), points, np.zeros((3, 0), bool), [encode_mask(mask)] * 3)
    drawn = draw_overlay(_gray(), 11, _overlay(objects=[item], region_box=[100, 20, 180, 90])).astype(int)
    assert drawn[100, 60, 0] > drawn[100, 60, 1] + 30, "tinted inside the mask"
    assert drawn[190, 60].tolist() == [50, 50, 50], "dimmed outside the region box"
    assert drawn[100, 280].tolist() == [120, 120, 120], "untouched inside"


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
@pytest.mark.parametrize("kind", ["enter", "exit"])
def test_event_lights_its_side_for_a_moment(side, kind):
    event = DrawnEvent("ball", kind, side, 110, object_colour(0), (100.0, 50.0), [0, 0, 200, 100])
    overlay = _overlay(objects=[], events=[event], start_frame=100, seconds=[i / 25 for i in range(40)])
    borders = {"left": np.s_[150, 1], "right": np.s_[150, -2], "top": np.s_[1, 300], "bottom": np.s_[-2, 300]}
    lit = draw_overlay(_gray(), 110, overlay)
    assert [name for name, place in borders.items() if _is_red(lit[place])] == [side]
    assert all(_is_red(draw_overlay(_gray(), frame, overlay)[borders[side]]) for frame in (105, 115))
    assert not any(_is_red(draw_overlay(_gray(), frame, overlay)[borders[side]]) for frame in (103, 117))


def test_text_fits():
    text = "a very long caption 中文 that never seems to end " * 9
    assert text_width(fit_text(text, 14, 200), 14) <= 200
    lines = wrap_text(text, 14, 200, 3)
    assert len(lines) == 3
    assert all(text_width(line, 14) <= 200 for line in lines)
    assert lines[2].endswith("…")
    assert wrap_text("two words", 14, 200, 3) == ["two words"]
    assert wrap_text("", 14, 200, 3) == []


def test_reference_is_shown_on_a_ground(truth_run):
    sample = sample_views(truth_run, ["enters_left_000000-000048_s000000-0"])[0].sample
    picture = reference_picture(sample["identity_reference"], 64)
    assert picture is not None
    assert picture.shape[0] == 64
    assert reference_picture(None, 64) is None
    assert reference_picture({"bytes": b"no png", "path": None}, 64) is None


def test_typical_region_box_is_the_one_that_is_entered(truth_run):
    name = "enters_left_000000-000048_s000000-0"
    before = sample_views(truth_run, [name])[0]
    rows = truth_run.read("samples").to_pylist()
    entered = rows[0]["region_boxes"][0]
    from curation.contract.tables import table

    rows[0]["region_boxes"] = [[200, 10, 320, 100], entered]
    truth_run.write_shard("samples", "000", table("samples", rows))
    view = sample_views(truth_run, [name])[0]
    assert view.overlay.region_box == entered
    assert view.event_frame == before.event_frame


def test_preview(truth_run, tmp_path):
    output = tmp_path / "out.mp4"
    write_preview(truth_run.uri, "enters_left_000000-000048_s000000-0", output)
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.average_rate == Fraction(24)
    assert len(frames) == 48
    assert frames[0].shape[1] == 960
    assert frames[0].shape[0] > 540, "the caption stands below the picture"
    # The reference thumbnail is in the band on the left.
    assert frames[0][545:, 10:120].max() > 180


def test_odd_pixels_are_shown_at_display_aspect():
    video = {"width": 720, "height": 576, "pixel_aspect": 64 / 45}
    assert display_size(video, 960, enlarge=True) == (960, 540)
    assert display_size(video, 2000) == (1024, 576)
    assert display_size({"width": 100, "height": 200, "pixel_aspect": None}, 50) == (24, 50)


def test_unknown_sample(truth_run, tmp_path):
    with pytest.raises(UsageError, match=r"did you mean 'enters_left.*inspect .* samples"):
        write_preview(truth_run.uri, "enters_left_000000-000048_s000000-1", tmp_path / "out.mp4")


def test_source_is_gone(truth_run, tmp_path):
    videos = truth_run.read("videos")
    place = videos.schema.get_field_index("uri")
    uris = [["/gone/away.mp4"] * videos.num_rows]
    truth_run.write_shard("videos", "000", videos.set_column(place, videos.schema.field("uri"), uris))
    with pytest.raises(VideoError, match=r"away\.mp4: cannot be read"):
        write_preview(truth_run.uri, "enters_left_000000-000048_s000000-0", tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
