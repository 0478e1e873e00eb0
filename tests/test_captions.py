"""Captions: facts are measured, sentences read naturally."""

from fractions import Fraction

import numpy as np
import pytest

from curation.contract.tables import records, table
from curation.models.caption import CaptionConfig, build_captioner
from curation.models.caption.protocol import ClipFacts, ObjectFacts
from curation.stages.captions import Captions, caption_request, colour_name
from curation.stages.events import FrameEvents
from curation.video.media import ClipFrames

RED = (200, 20, 20)


def clip_and_tables(x, colour=RED, camera="static", start_frames=(100,)):
    """A coloured 30x24 box at columns `x` [T] of a 160x90 clip."""
    frames = np.full((len(x), 90, 160, 3), 90, np.uint8)
    masks = np.zeros(frames.shape[:3], bool)
    for mask, left in zip(masks, np.round(x).astype(int), strict=True):
        mask[30:54, max(0, left) : max(0, left + 30)] = True
    frames[masks] = colour
    clip = ClipFrames(
        video_id="video",
        clip_id="clip",
        start=100,
        fps=Fraction(25),
        frames=frames,
        seconds=np.arange(len(x)) / 25,
        source_width=640,
        source_height=360,
        pictures={},
        cache={"masks": {"object": masks}},
    )
    ids = {"object_id": "object", "clip_id": "clip", "video_id": "video"}
    clip_row = {"clip_id": "clip", "video_id": "video", "start_frames": list(start_frames), "camera_label": camera}
    tables = {
        "clips": table("clips", [clip_row]),
        "objects": table("objects", [{**ids, "label": "object"}]),
        "tracks": table("tracks", [{**ids, "start_frame": 100, "end_frame": 100 + len(x)}]),
    }
    return clip, tables | FrameEvents()(clip, tables)


def caption(*args, **kwargs):
    clip, tables = clip_and_tables(*args, **kwargs)
    (row,) = records(Captions()(clip, tables)["clips"])
    return row


def test_a_red_box_that_crosses_the_picture():
    row = caption(np.linspace(-60, 200, 60))
    assert row["caption"] == (
        "Filmed by a static camera, a red object comes in from the left, moves quickly to the right "
        "and leaves by the right edge."
    )
    assert row["caption_model"] == "template-1"
    assert row["caption_start"] == 100


def test_what_happens_before_the_first_start_frame_is_not_told():
    row = caption(np.linspace(-60, 200, 60), start_frames=(130, 140))
    assert "comes in" not in row["caption"]
    assert "leaves by the right edge" in row["caption"]
    assert row["caption_start"] == 130


def test_a_still_object_stays():
    assert caption(np.full(40, 65.0))["caption"].endswith("a red object stays in the centre of the frame.")


def test_an_object_that_leaves_and_comes_back():
    text = caption(60 - 120 * np.sin(np.linspace(0, np.pi, 80)), camera="handheld")["caption"]
    assert text.startswith("Filmed with a handheld camera, a red object starts in the centre")
    assert "leaves by the left edge and comes back in from the left" in text


def test_without_objects_there_is_no_caption():
    clip, tables = clip_and_tables(np.full(10, 60.0))
    tables["objects"] = tables["objects"].slice(0, 0)
    (row,) = records(Captions()(clip, tables)["clips"])
    assert row["caption"] is None
    assert row["caption_start"] == 100


def test_several_objects_are_named_apart_and_the_rest_counted():
    clip, _ = clip_and_tables(np.full(2, 60.0))
    facts = ObjectFacts("car", "red", 0.1, "left", "right", "right", 0.2, True, (), ())
    captioner = build_captioner(CaptionConfig())
    request = caption_request(clip, 0, ClipFacts("moving", (facts,) * 5), captioner.sampling)
    (text,) = captioner.captions([request])
    assert text == (
        "As the camera moves, a red car starts on the left and moves to the right. "
        "Another red car starts on the left and moves to the right. "
        "A third red car starts on the left and moves to the right. Two more objects are in view."
    )


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((250, 250, 250), "white"),
        ((10, 12, 10), "black"),
        ((120, 121, 119), "grey"),
        ((200, 20, 20), "red"),
        ((200, 20, 40), "red"),
        ((240, 130, 20), "orange"),
        ((110, 60, 20), "brown"),
        ((230, 220, 30), "yellow"),
        ((30, 160, 40), "green"),
        ((30, 60, 200), "blue"),
        ((120, 30, 200), "purple"),
        ((230, 50, 160), "pink"),
    ],
)
def test_colour_names(rgb, name):
    assert colour_name(np.full((8, 8, 3), rgb, np.uint8), np.ones((8, 8), bool)) == name


def test_a_motley_object_has_no_colour():
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[:] = [(200, 20, 20), (30, 160, 40), (30, 60, 200), (230, 220, 30)]
    assert colour_name(picture, np.ones((2, 4), bool)) is None
