"""Border events on boxes that move in known ways."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.contract.rle import encode_mask
from curation.contract.spans import Span
from curation.contract.tables import records, table
from curation.stages.clip_masks import mask_extents, uncut_middles
from curation.stages.events import Crossing, FrameEvents, FrameEventsConfig, frame_crossings

WIDTH, HEIGHT, FRAMES, FPS = 160, 90, 80, 25.0
CONFIG = FrameEventsConfig()


def render(places, size=(30, 24), hidden=(), occluder=None):
    """Masks of a box whose top-left corner is at `places` [T, 2], possibly outside the picture."""
    masks = np.zeros((len(places), HEIGHT, WIDTH), bool)
    for mask, (x, y) in zip(masks, np.round(places).astype(int), strict=True):
        mask[max(0, y) : max(0, y + size[1]), max(0, x) : max(0, x + size[0])] = True
    for frame in hidden:
        masks[frame] = False
    if occluder:
        x0, x1 = occluder
        masks[:, :, x0:x1] = False
    return masks


def crossings(masks, known=None):
    return frame_crossings(mask_extents(masks), known or Span(0, len(masks)), (WIDTH, HEIGHT), FPS, CONFIG)


def line(start, velocity):
    return np.asarray(start, float) + np.arange(FRAMES)[:, None] * np.asarray(velocity, float)


def truth(masks):
    seen = np.flatnonzero(masks.any(axis=(1, 2)))
    return int(seen[0]), int(seen[-1])


@pytest.mark.parametrize(
    ("side", "start", "velocity"),
    [
        ("left", (-60, 30), (2, 0)),
        ("right", (190, 30), (-2, 0)),
        ("top", (60, -50), (0, 2)),
        ("bottom", (60, 120), (0, -2)),
    ],
)
def test_a_box_that_comes_in_and_one_that_goes_out_by_each_side(side, start, velocity):
    masks = render(line(start, velocity))[:60]
    first = truth(masks)[0]
    assert crossings(masks)[0] == Crossing("enter", side, first)
    backwards = masks[::-1]
    assert crossings(backwards)[-1] == Crossing("exit", side, len(masks) - 1 - first)


@settings(max_examples=60, deadline=None)
@given(
    side=st.sampled_from(["left", "right", "top", "bottom"]),
    speed=st.floats(0.6, 9),
    slide=st.floats(-0.5, 0.5),
    across=st.floats(0.3, 0.6),
    size=st.tuples(st.integers(8, 50), st.integers(8, 40)),
    entered=st.integers(6, 50),
)
def test_an_entry_is_found_at_its_frame_and_side(side, speed, slide, across, size, entered):
    times = np.arange(FRAMES) - entered
    depth = speed * (times + 0.5)
    x = across * (WIDTH - size[0]) + slide * speed * times * 0.2
    y = across * (HEIGHT - size[1]) + slide * speed * times * 0.2
    if side == "left":
        x = depth - size[0]
    elif side == "right":
        x = WIDTH - depth
    elif side == "top":
        y = depth - size[1]
    else:
        y = HEIGHT - depth
    masks = render(np.stack([np.broadcast_to(x, FRAMES), np.broadcast_to(y, FRAMES)], axis=1), size)
    found = [c for c in crossings(masks) if c.type == "enter"]
    assert found, "the entry is missed"
    assert found[0].side == side
    assert abs(found[0].frame - truth(masks)[0]) <= 2


def test_through_the_picture_gives_an_entry_and_an_exit():
    masks = render(line((-40, 30), (4, 0)))
    first, last = truth(masks)
    assert crossings(masks) == [Crossing("enter", "left", first), Crossing("exit", "right", last)]


@pytest.mark.parametrize(
    ("velocity", "side"), [((3, 1), "right"), ((1, 3), "bottom"), ((-3, 1), "left"), ((1, -3), "top")]
)
def test_near_a_corner_the_border_that_is_passed_first_counts(velocity, side):
    start = (WIDTH - 60 if velocity[0] > 0 else 30, HEIGHT - 40 if velocity[1] > 0 else 16)
    masks = render(line(start, velocity))
    assert [c.side for c in crossings(masks)] == [side]


def test_a_box_cut_by_the_bottom_that_leaves_by_the_left_leaves_by_the_left():
    masks = render(line((60, HEIGHT - 15), (-3, 0)), size=(30, 40))
    assert crossings(masks) == [Crossing("exit", "left", truth(masks)[1])]


def test_a_partial_entry_that_turns_back_is_an_entry_and_an_exit():
    x = -30 + 20 * np.sin(np.clip((np.arange(FRAMES) - 20) / 40, 0, 1) * np.pi)
    masks = render(np.stack([x, np.full(FRAMES, 30)], axis=1))
    enter, leave = crossings(masks)
    assert (enter.type, enter.side, leave.type, leave.side) == ("enter", "left", "exit", "left")
    assert np.abs(np.subtract((enter.frame, leave.frame), truth(masks))).max() <= 1


def test_leaving_and_coming_back():
    x = 60 - 120 * np.sin(np.arange(FRAMES) / (FRAMES - 1) * np.pi)
    masks = render(np.stack([x, np.full(FRAMES, 30)], axis=1))
    gone = np.flatnonzero(~masks.any(axis=(1, 2)))
    assert crossings(masks) == [Crossing("exit", "left", gone[0] - 1), Crossing("enter", "left", gone[-1] + 1)]


def test_touching_the_border_without_being_outside_is_no_event():
    x = np.maximum(-20, 60 - 2 * np.arange(FRAMES))
    assert crossings(render(np.stack([x, np.full(FRAMES, 30)], axis=1))) == []


def test_being_there_in_the_first_and_last_frame_is_no_event():
    assert crossings(render(line((-10, 30), (0.5, 0)))) == []


def test_vanishing_behind_something_inside_the_picture_is_no_event():
    assert crossings(render(line((10, 30), (1.5, 0)), occluder=(70, 110))) == []
    assert crossings(render(line((60, 30), (0.2, 0)), hidden=range(30, 50))) == []
    assert crossings(render(line((60, 30), (0.2, 0)), hidden=range(30, FRAMES))) == []


def test_an_occluder_close_to_the_border_hides_the_crossing():
    assert crossings(render(line((100, 30), (2, 0)), occluder=(145, 160))) == []


def test_losing_an_object_that_stands_at_the_border_is_no_event():
    assert crossings(render(line((-8, 30), (0, 0)), hidden=range(40, FRAMES))) == []


def test_masks_that_stop_short_of_the_border_and_flicker_still_cross_it():
    places = line((60, 30), (-2, 0))
    masks = render(places, hidden=(20, 33))
    last = truth(masks)[1]
    masks[:, :, :2] = False
    masks[last - 3 :] = False
    (event,) = crossings(masks)
    assert (event.type, event.side) == ("exit", "left")
    assert abs(event.frame - last) <= 2


def test_a_mask_that_slips_onto_a_speck_at_the_border_is_no_event():
    masks = render(line((60, 30), (0.1, 0)))
    masks[40:] = False
    masks[50:56, 30:33, WIDTH - 4 :] = True
    assert crossings(masks) == []


def test_what_is_left_of_a_mask_at_the_border_does_not_delay_the_exit():
    masks = render(line((130, 30), (2, 0)))
    gone = truth(masks)[1]
    masks[gone + 1 :, 40:45, 156:160] = True
    masks[gone + 12 :] = False
    (exit_,) = crossings(masks)
    assert exit_.type == "exit" and exit_.side == "right" and abs(exit_.frame - gone) <= 1


def test_what_was_never_further_inside_than_a_sliver_does_not_leave():
    masks = np.zeros((FRAMES, HEIGHT, WIDTH), bool)
    masks[20:40, 30:60, :2] = True
    assert crossings(masks) == []


def test_what_is_pulled_out_fast_leaves_when_it_is_gone():
    y = np.concatenate([np.full(30, 20.0), 20 - 12 * np.arange(FRAMES - 30)])
    masks = render(np.stack([np.full(FRAMES, 60.0), y], axis=1))
    (event,) = crossings(masks)
    assert (event.type, event.side) == ("exit", "top")
    assert abs(event.frame - truth(masks)[1]) <= 1


def test_nothing_is_said_about_frames_that_the_track_does_not_cover():
    masks = render(line((60, 30), (-2, 0)))
    assert crossings(masks, Span(0, 35)) == []


@pytest.mark.parametrize(
    "name",
    [
        "turns_back",
        "touches_and_turns",
        "behind_pillar",
        "three_objects",
    ],
)
def test_rendered_objects_cross_the_border_as_they_were_made_to(name, scene, clip_frames):
    rendered = scene(name, width=320, height=180)
    clip, tables = clip_frames(rendered, start=200)
    ids = {"clip_id": clip.clip_id, "video_id": clip.video_id, "start_frame": 200, "end_frame": 200 + clip.length}
    tables["tracks"] = table(
        "tracks",
        [
            {**ids, "object_id": name, "masks": [encode_mask(mask) if mask.any() else None for mask in masks]}
            for name, masks in rendered.masks.items()
            if name in rendered.tracks
        ],
    )
    found = records(FrameEvents()(clip, tables)["events"])
    wanted = sorted(rendered.events, key=lambda event: (event.object, event.frame))
    found.sort(key=lambda event: (event["object_id"], event["frame"]))
    assert [(e["object_id"], e["type"], e["side"]) for e in found] == [(e.object, e.type, e.side) for e in wanted]
    for event, true in zip(found, wanted, strict=True):
        assert abs(event["frame"] - 200 - true.frame) <= 2
        assert event["boundary"] == "frame" and event["region_box"] is None


@pytest.mark.parametrize("velocity", [(2, 0), (-2, 0), (0, 2), (0, -2)])
def test_the_middle_of_what_the_border_cuts_goes_as_far_as_the_object(velocity):
    places = line((65, 33) - np.multiply(velocity, FRAMES // 2), velocity)[:60]
    middles = uncut_middles(mask_extents(render(places)).boxes, (WIDTH, HEIGHT))
    seen = ~np.isnan(middles[:, 0])
    assert np.abs(middles - (places + np.array([15, 12])))[seen].max() <= 1


def test_the_middle_of_what_only_peeks_in_goes_as_far_as_its_edge():
    depth = 20 - np.abs(np.arange(41) - 20)
    boxes = np.array([[np.nan] * 4 if d == 0 else [50, 0, 80, d] for d in depth])
    middles = uncut_middles(boxes, (WIDTH, HEIGHT))
    assert np.nanmax(middles[:, 1]) - np.nanmin(middles[:, 1]) == 19
    assert np.isnan(middles[0]).all() and (middles[1:-1, 0] == 65).all()
