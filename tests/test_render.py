"""The renderer's truth must be right before anything is measured against it."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from curation.contract.tables import records
from eval.labels.motion import still
from eval.labels.photographs import cover
from eval.labels.render import render
from eval.labels.scene import Scene
from eval.labels.scenes import SCENES, ready_made
from eval.labels.sprites import Shadow, Sprite, draw_sprite, texel_to_sprite
from eval.labels.truth import apply_affine, border_events

_EVENTS = {
    "static_cross_left_right": [("enter", "left"), ("exit", "right")],
    "static_cross_right_left": [("enter", "right"), ("exit", "left")],
    "enters_left": [("enter", "left")],
    "enters_right": [("enter", "right")],
    "enters_top": [("enter", "top")],
    "enters_bottom": [("enter", "bottom")],
    "exits_left": [("exit", "left")],
    "exits_right": [("exit", "right")],
    "exits_top": [("exit", "top")],
    "exits_bottom": [("exit", "bottom")],
    "turns_back": [("enter", "left"), ("exit", "left")],
    "leaves_and_returns": [("exit", "right"), ("enter", "right")],
    "handheld_cross": [("enter", "left"), ("exit", "right")],
    "late_entry": [("enter", "right")],
    "stop_and_go": [("enter", "left"), ("exit", "right")],
    "bounce": [("enter", "top")],
    "blurred": [("enter", "left"), ("exit", "right")],
    "touches_and_turns": [],
    "behind_pillar": [],
    "approaches": [],
    "pan_follow": [],
    "still": [],
    "still_objects": [],
}


def _luma(frame):
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize("name", _EVENTS)
def test_every_scene_has_the_events_it_is_named_for(scene, name):
    assert [(event.type, event.side) for event in scene(name).events] == _EVENTS[name]


@pytest.mark.parametrize("name", [name for name, events in _EVENTS.items() if events])
def test_events_are_where_the_masks_begin_and_end(scene, name):
    clip = scene(name)
    for event in clip.events:
        mask = clip.masks[event.object]
        outside = event.frame + (1 if event.type == "exit" else -1)
        edge = {"left": np.s_[:, 0], "right": np.s_[:, -1], "top": np.s_[0], "bottom": np.s_[-1]}[event.side]
        assert mask[event.frame].any()
        assert not mask[outside].any()
        assert mask[event.frame][edge].any(), "a part is cut by the border that is crossed"


def test_a_crossing_behind_something_is_hidden():
    """A square comes in from the left behind a post at the border, or leaves there, or beside it."""
    full, boxes = np.zeros((12, 30, 60), bool), np.zeros((12, 4))
    for frame in range(12):
        x = 4 * frame - 10
        full[frame, 10:20, max(0, x) : max(0, x + 10)] = True
        boxes[frame] = (x, 10, x + 9, 19)
    post = np.zeros((30, 60), bool)
    post[:, :14] = True
    [clear] = border_events("it", full, full, boxes)
    [behind] = border_events("it", full, full & ~post, boxes)
    assert (clear.type, clear.side, clear.frame, clear.hidden) == ("enter", "left", 1, False)
    assert (behind.type, behind.side, behind.frame, behind.hidden) == ("enter", "left", 4, True)
    [gone] = border_events("it", full[::-1], (full & ~post)[::-1], boxes[::-1])
    assert (gone.type, gone.side, gone.frame, gone.hidden) == ("exit", "left", 7, True)
    # Behind a low wall its upper half is seen at the border all the same.
    wall = np.zeros((30, 60), bool)
    wall[15:] = True
    assert border_events("it", full, full & ~wall, boxes) == [clear]


@pytest.mark.parametrize("softness", [0.6, 1.6])
def test_soft_edges_fade_out(softness):
    sprite = Sprite("box", "box", (60, 40), still(0, 0), softness=softness)
    texture = draw_sprite(sprite, 1.0, np.random.default_rng(0))
    assert texture[[0, -1]].max() < 1 and texture[:, [0, -1]].max() < 1, "less than a level"
    # The shape itself is as large as asked for, wherever the texture ends.
    corners = apply_affine(texel_to_sprite(sprite, texture), np.argwhere(texture[..., 3] > 0.5)[:, ::-1])
    assert np.ptp(corners, axis=0) == pytest.approx((59, 39), abs=0.1)


def test_a_shadow_is_the_same_wherever_it_falls():
    """It is drawn in a window of the frame: away from the frame's borders a shift of the thing shifts all of it."""
    shapes = [
        Sprite("box", "box", (40, 30), still(x, 80), shadow=Shadow(lean=0.7, strength=0.4, softness=3))
        for x in (110, 150)
    ]
    bare, *frames = (
        render(Scene(frames=1, noise=0, background="brick", sprites=sprites)).frames[0].astype(np.float32)
        for sprites in ((), *((shape,) for shape in shapes))
    )
    light = [(frame + 1) / (bare + 1) for frame in frames]
    shaded = [picture.mean(axis=2) < 0.93 for picture in light]
    assert shaded[0].sum() > 300
    below = np.s_[98:130]  # under the box, where there is only shadow
    assert np.abs(light[0][below, 40:200] - light[1][below, 80:240]).max() < 0.05


def test_photographs_are_mirrored_only_where_they_must_be():
    rng = np.random.default_rng(0)
    picture = np.repeat(np.arange(100, dtype=np.uint8)[:, None, None], 150, axis=1).repeat(3, axis=2)
    for height, width in ((286, 496), (143, 100), (100, 150)):
        rows = cover(picture, height, width, height, rng)[:, 0, 0]
        assert (np.diff(rows) >= -1).all(), "nothing stands upside down"


@pytest.mark.parametrize("seed", [1, 2])
def test_events_do_not_depend_on_seed_or_size(scene, seed):
    small, large = scene("handheld_cross", seed=seed), scene("handheld_cross", seed=seed, width=480, height=270)
    assert [event.type for event in small.events] == ["enter", "exit"]
    for one, other in zip(small.events, large.events, strict=True):
        assert (one.type, one.side) == (other.type, other.side)
        assert abs(one.frame - other.frame) <= 1


def test_masks_are_exactly_the_pixels_that_change(scene):
    clip = scene("static_cross_left_right", noise=0)
    empty = clip.frames[0].astype(np.int16)
    for frame in (10, 40, 80):
        changed = np.abs(clip.frames[frame] - empty).max(axis=2)
        mask = clip.masks["car"][frame].astype(np.uint8)
        around = cv2.dilate(mask, np.ones((7, 7), np.uint8)).astype(bool)
        assert mask.any()
        assert changed[~around].max() == 0
        assert (changed[mask.astype(bool)] > 8).mean() > 0.9


def test_what_is_hidden_is_in_the_full_mask_only(scene):
    clip = scene("behind_pillar")
    seen, full, pillar = clip.masks["person"], clip.full_masks["person"], clip.masks["pillar"]
    assert not (seen & pillar).any()
    assert not (seen & ~full).any()
    assert (full.sum(axis=(1, 2)) > 100).all()
    assert (seen.sum(axis=(1, 2)) == 0).any(), "for a while the person is wholly behind the pillar"
    assert clip.objects == ("person",)


def test_tracks_are_hidden_where_the_object_is(scene):
    clip = scene("behind_pillar")
    track = clip.tracks["person"]
    hidden = ~clip.masks["person"].any(axis=(1, 2))
    assert not track.visibility[hidden].any()
    assert track.visibility[0].all()
    frames = np.arange(clip.length)[:, None]
    x, y = np.rint(track.points).astype(int).transpose(2, 0, 1)
    assert clip.full_masks["person"][frames, y, x].mean() > 0.95


def test_points_leave_the_frame_in_tracks_but_not_in_visibility(scene):
    track = scene("exits_right").tracks["person"]
    assert (track.points[-1, :, 0] > 320).all()
    assert not track.visibility[-1].any()


@pytest.mark.parametrize("name", ["handheld_cross", "bounce", "approaches"])
def test_object_tracks_agree_with_optical_flow(scene, name):
    clip = scene(name)
    (thing,) = clip.objects
    first, last = 45, 49
    core = cv2.erode(clip.masks[thing][first].astype(np.uint8), np.ones((9, 9), np.uint8))
    points = cv2.goodFeaturesToTrack(_luma(clip.frames[first]), 30, 0.01, 4, mask=core)[:, 0]
    truth = clip.track(thing, first, points)
    assert np.abs(truth.points[first] - points).max() < 1e-3
    flowed, ok = points[:, None], np.ones((len(points), 1), np.uint8)
    for frame in range(first, last):
        pair = _luma(clip.frames[frame]), _luma(clip.frames[frame + 1])
        flowed, step_ok, _ = cv2.calcOpticalFlowPyrLK(*pair, flowed, None, winSize=(11, 11), maxLevel=3)
        ok &= step_ok
    error = np.linalg.norm(flowed[:, 0] - truth.points[last], axis=1)[ok[:, 0] == 1]
    assert len(error) >= 8
    assert np.median(error) < 0.5


@pytest.mark.parametrize("name", ["bounce", "approaches", "enters_top"])
def test_transforms_carry_the_object_from_frame_to_frame(scene, name):
    clip = scene(name, noise=0)
    (thing,) = clip.objects
    first, last = 50, 80
    move = clip.surfaces[thing].matrices[last] @ np.linalg.inv(clip.surfaces[thing].matrices[first])
    carried = cv2.warpAffine(clip.frames[first], move[:2], (clip.width, clip.height))
    core = cv2.erode(clip.masks[thing][last].astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    difference = np.abs(carried.astype(np.int16) - clip.frames[last])[core]
    assert difference.mean() < 4
    assert np.abs(clip.frames[first].astype(np.int16) - clip.frames[last])[core].mean() > 20


@pytest.mark.parametrize("name", ["pan", "tilt", "zoom", "roll", "still_shaky"])
def test_camera_agrees_with_optical_flow(scene, name):
    clip = scene(name)
    points = cv2.goodFeaturesToTrack(_luma(clip.frames[20]), 200, 0.01, 6)[:, 0]
    pair = _luma(clip.frames[20]), _luma(clip.frames[22])
    flowed, ok, _ = cv2.calcOpticalFlowPyrLK(*pair, points[:, None], None, winSize=(15, 15), maxLevel=3)
    truth = clip.track_background(20, points)
    moved = np.linalg.norm(truth.points[22] - points, axis=1)
    error = np.linalg.norm(flowed[:, 0] - truth.points[22], axis=1)[ok[:, 0] == 1]
    assert np.median(error) < 0.15
    assert np.median(moved) > 0.3


def test_the_same_scene_gives_the_same_bytes():
    one, same, other = (render(ready_made("handheld_cross", frames=12, seed=seed)) for seed in (4, 4, 5))
    assert np.array_equal(one.frames, same.frames)
    assert all(np.array_equal(one.masks[name], same.masks[name]) for name in one.masks)
    assert not np.array_equal(one.frames, other.frames)


def test_a_still_scene_is_still_but_for_noise(scene):
    clip = scene("still", noise=0)
    assert (clip.frames == clip.frames[0]).all()
    noisy = scene("still_noise").frames.astype(np.float32)
    assert 3 < noisy.std(axis=0).mean() < 9


@pytest.mark.parametrize("kind", ["dissolve", "fade", "wipe"])
def test_transitions_are_true_to_the_frame(scene, kind):
    clip = scene(kind, noise=0)
    before, after = (render(part).frames for part in ready_made(kind, noise=0).scenes)
    (transition,) = clip.transitions
    first, last = transition.first, transition.last
    tail = len(after) - (clip.length - last - 1)
    assert np.array_equal(clip.frames[:first], before[:first])
    assert np.array_equal(clip.frames[last + 1 :], after[tail:])
    assert not np.array_equal(clip.frames[first], before[first])
    assert not np.array_equal(clip.frames[last], after[tail - 1])
    assert clip.shots[0][1] == clip.shots[1][0]
    assert first <= clip.shots[1][0] <= last
    if kind == "fade":
        assert clip.frames[clip.shots[1][0]].max() == 0


def test_cuts_join_whole_scenes(scene):
    clip = scene("cuts")
    assert [(t.kind, t.first, t.last) for t in clip.transitions] == [("cut", 32, 32), ("cut", 64, 64)]
    assert clip.shots == ((0, 32), (32, 64), (64, 96))
    difference = np.abs(np.diff(clip.frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    assert set(np.argsort(difference)[-2:] + 1) == {32, 64}
    assert clip.masks["1.object"][32:64].any(axis=(1, 2)).all()
    assert not clip.masks["1.object"][:32].any()


def test_bad_scenes_are_refused():
    with pytest.raises(ValueError, match="even sides"):
        render(Scene(width=321))
    with pytest.raises(KeyError):
        ready_made("no such scene")


@pytest.mark.parametrize("name", sorted(SCENES))
def test_every_scene_keeps_the_length_asked_for(name):
    assert render(ready_made(name, width=96, height=54, frames=61, fps=Fraction(30))).length == 61


def test_files_decode_to_the_frames_that_were_rendered(scene, clip_file):
    clip, path = scene("enters_left"), clip_file("enters_left", encoding={"key_interval": 24})
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoded = list(container.decode(stream))
        assert stream.average_rate == clip.fps
    assert len(decoded) == clip.length
    assert [index for index, frame in enumerate(decoded) if frame.key_frame] == [0, 24, 48, 72]
    picture = decoded[60].to_ndarray(format="rgb24").astype(np.float32)
    assert np.abs(picture - clip.frames[60]).mean() < 6


def test_clip_frames_stand_where_they_are_told(scene, clip_frames):
    rendered = scene("handheld_cross")
    clip, found = clip_frames(rendered, start=37, longest=160)
    (row,) = records(found["clips"])
    assert clip.frames.shape == (96, 90, 160, 3)
    assert clip.scale == (2, 2)
    assert clip.pictures[95].shape == (180, 320, 3)
    assert (row["start_frame"], row["end_frame"], row["camera_label"]) == (37, 133, "handheld")
    assert row["start_frames"].tolist() == [37, 69, 101]
    assert (clip_frames(scene("pan"))[1]["clips"]["camera_label"][0].as_py()) == "moving"
    assert (clip_frames(scene("still"))[1]["clips"]["camera_label"][0].as_py()) == "static"
