"""Objects: none in still scenes, each moving thing found once, over its whole stay."""

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from curation.contract.rle import decode_mask, encode_crop, encode_mask
from curation.contract.tables import records
from curation.models.objects import ObjectsConfig, build_detector
from curation.models.objects.background import Background, RestFinder
from curation.models.objects.motion_model import LIKELY, motion_model
from curation.models.objects.stabilise import CameraPath, camera_path
from curation.stages.clip_masks import mask_extents
from curation.stages.objects import ObjectsOverClip, ObjectsOverClipConfig
from curation.stages.own_motion import carried_share
from curation.video.media import luma
from eval.labels.render import render
from eval.labels.scene import Camera, Sprite
from eval.labels.scenes import Format


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def _mean_iou(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([_iou(a, b) for a, b in zip(found, truth, strict=True) if (a | b).any()]))


def _label(clip_frames, rendered, start: int = 0):
    clip, tables = clip_frames(rendered, start=start)
    return clip, ObjectsOverClip(ObjectsOverClipConfig())(clip, tables)


def _best(clip, truth: np.ndarray) -> tuple[str, float]:
    scores = {name: _mean_iou(masks, truth) for name, masks in clip.cache["masks"].items()}
    name = max(scores, key=lambda key: scores[key])
    return name, scores[name]


@pytest.mark.parametrize("name", ["still_noise", "still_shaky", "still_objects", "roll", "zoom"])
def test_invents_nothing_where_nothing_moves(scene, clip_frames, name):
    _, out = _label(clip_frames, scene(name, frames=48))
    assert out["objects"].num_rows == 0
    assert out["tracks"].num_rows == 0


@pytest.mark.parametrize("name", ["enters_left", "exits_bottom", "handheld_cross", "stop_and_go"])
def test_finds_an_object_from_its_first_to_its_last_frame(scene, clip_frames, name):
    rendered = scene(name)
    clip, out = _label(clip_frames, rendered)
    (truth,) = (rendered.masks[key] for key in rendered.objects)
    assert out["objects"].num_rows == 1
    key, score = _best(clip, truth)
    assert score > 0.75
    seen = np.flatnonzero(truth.any(axis=(1, 2)))
    found = np.flatnonzero(mask_extents(clip.cache["masks"][key]).areas)
    assert abs(found[0] - seen[0]) <= 3
    assert abs(found[-1] - seen[-1]) <= 3


def test_finds_an_object_of_which_only_an_edge_comes_in(scene, clip_frames):
    rendered = scene("peeks_in")
    clip, out = _label(clip_frames, rendered)
    assert out["objects"].num_rows == 1
    assert _best(clip, rendered.masks["ball"])[1] > 0.5


@pytest.mark.parametrize(("way", "objects"), [(0.15, 0), (0.6, 1)])
def test_what_goes_little_of_the_cameras_way_may_be_scenery_at_another_depth(clip_frames, way, objects):
    f = Format(frames=60)
    thing = f.sprite("thing", "blob", f.path((0, 0.75, 0.6), (1, 0.75 + way, 0.6)), colour=(44, 88, 164))
    rendered = render(f.scene("nature", thing, camera=Camera(f.path((0, 0, 0), (1, 0.8, 0)))))
    _, out = _label(clip_frames, rendered)
    assert out["objects"].num_rows == objects


def test_near_scenery_in_a_slow_pan_is_no_object(clip_frames):
    """At twelve frames a second the ground goes 14 px in half a second: too little to tell depth by."""
    f = Format(width=480, height=270, fps=Fraction(12), frames=64)
    hedge = Sprite("hedge", "hedge", (1920, 81), f.path((0, 1, 0.92)), occluder=True, parallax=1.43)
    post = Sprite("post", "pillar", (16, 324), f.path((0, 1, 0.5)), depth=1, occluder=True, parallax=1.43)
    rendered = render(f.scene("street", hedge, post, camera=Camera(f.path((0, 0, 0), (1, 0.31, 0)))))
    _, out = _label(clip_frames, rendered)
    assert out["objects"].num_rows == 0


def test_masks_that_wander_over_plain_sky_carry_nothing_along(scene, clip_frames):
    """What fits better where a small mask went than where it was is noise."""
    rendered = scene("still_noise", frames=24)
    frames, masks = rendered.frames.copy(), np.zeros(rendered.frames.shape[:3], bool)
    frames[:, :60] = np.random.default_rng(0).normal(150, 3, (24, 60, frames.shape[2], 1)).clip(0, 255)
    for index, mask in enumerate(masks):
        mask[20:26, 40 + 5 * index : 60 + 5 * index] = True
    clip, _ = clip_frames(replace(rendered, frames=frames))
    assert carried_share(clip, masks, mask_extents(masks)) == 0


def test_objects_that_cross_keep_apart(scene, clip_frames):
    rendered = scene("two_cross_occlude")
    clip, out = _label(clip_frames, rendered)
    best = [_best(clip, rendered.masks[name]) for name in rendered.objects]
    assert out["objects"].num_rows == 2
    assert len({name for name, _ in best}) == 2
    assert min(score for _, score in best) > 0.7


def test_an_object_that_was_hidden_is_still_itself(scene, clip_frames):
    rendered = scene("behind_pillar")
    clip, out = _label(clip_frames, rendered)
    assert out["objects"].num_rows == 1
    assert _best(clip, rendered.masks[rendered.objects[0]])[1] > 0.7


def test_rows_speak_of_source_frames_and_source_pixels(scene, clip_frames):
    rendered = scene("static_cross_left_right", width=640, height=360, frames=60)
    clip, out = _label(clip_frames, rendered, start=1000)
    (row,), (track,) = records(out["objects"]), records(out["tracks"])
    assert 1000 <= row["query_frame"] < 1060
    assert (track["start_frame"], track["end_frame"]) == (1000, 1060)
    assert len(track["masks"]) == 60
    mask = decode_mask(row["mask"])
    assert mask.shape == (360, 640)
    truth = rendered.masks[rendered.objects[0]]
    assert _iou(mask, truth[row["query_frame"] - 1000]) > 0.75
    x0, y0, x1, y1 = row["mask_box"]
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    assert row["mask_area"] == pytest.approx(mask.mean(), rel=0.1)
    assert track["masks"][row["query_frame"] - 1000] == row["mask"]
    for frame, rle in enumerate(track["masks"]):
        assert (rle is None) == (not clip.cache["masks"][row["object_id"]][frame].any())
    whole = clip.mask_to_source(clip.cache["masks"][row["object_id"]][row["query_frame"] - 1000])
    assert np.array_equal(mask, whole)


def test_the_same_clip_gives_the_same_rows(scene, clip_frames):
    rendered = scene("three_objects", frames=60)
    _, first = _label(clip_frames, rendered)
    _, second = _label(clip_frames, rendered)
    assert first["objects"].equals(second["objects"])
    assert first["tracks"].equals(second["tracks"])


def test_a_start_frame_that_shows_the_object_whole_is_the_query_frame(scene, clip_frames):
    rendered = scene("touches_and_turns")
    _, out = _label(clip_frames, rendered)
    assert records(out["objects"])[0]["query_frame"] in (0, 32, 64)


def test_a_change_of_exposure_is_no_object(scene, clip_frames):
    rendered = scene("still", frames=48)
    clip, tables = clip_frames(rendered)
    for index in range(20, 48):
        clip.frames[index] = np.clip(clip.frames[index] * min(1.35, 1 + 0.05 * (index - 19)) + 4, 0, 255)
    assert ObjectsOverClip(ObjectsOverClipConfig())(clip, tables)["objects"].num_rows == 0


def test_what_stood_and_was_taken_away_was_there_before(scene, clip_frames):
    """The background holds the thing for most of the clip, yet the thing is the object, not the gap it leaves."""
    clip, tables = clip_frames(scene("still", frames=90))
    thing = np.zeros((60, 40, 3), np.uint8)
    thing[:] = (210, 40, 60)
    thing[20:40] = (240, 220, 60)
    width = clip.width
    for index in range(clip.length):
        x = 120 if index < 65 else 120 + 14 * (index - 64)
        if x < width:
            shown = clip.frames[index][80:140, x : x + 40]
            shown[:] = thing[:, : shown.shape[1]]
    clip.cache.clear()
    out = ObjectsOverClip(ObjectsOverClipConfig())(clip, tables)
    assert out["objects"].num_rows == 1
    (masks,) = clip.cache["masks"].values()
    truth = np.zeros(masks.shape[1:], bool)
    truth[80:140, 120:160] = True
    assert _iou(masks[30], truth) > 0.8
    assert not (masks[89] & truth).any()


def test_detections_are_single_objects(scene, clip_frames):
    rendered = scene("three_objects")
    clip, _ = clip_frames(rendered)
    found = build_detector(ObjectsConfig()).detect(clip, [72])[72]
    assert len(found) == 3
    for name in rendered.objects:
        assert max(_iou(d.mask, rendered.masks[name][72]) for d in found) > 0.6
    assert all(0 <= d.score <= 1 and d.label == "object" for d in found)


def test_a_small_thing_that_goes_fast_is_detected(scene, clip_frames):
    clip, _ = clip_frames(scene("still", frames=24))
    for index in range(4, 20):
        clip.frames[index, 90:100, 18 * index : 18 * index + 10] = (230, 40, 200)
    clip.cache.clear()
    found = build_detector(ObjectsConfig()).detect(clip, [6, 9, 12])
    assert [len(detections) for detections in found.values()] == [1, 1, 1]


def test_foreground_comes_in_regions(scene, clip_frames):
    clip, _ = clip_frames(scene("handheld_cross", frames=24))
    for evidence in motion_model(clip).evidence:
        likely = (evidence >= LIKELY).astype(np.uint8)
        solid = cv2.erode(likely, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))) > 0
        count, labels = cv2.connectedComponents(likely, connectivity=4)
        assert set(np.unique(labels[solid])) - {0} == set(range(1, count))


@pytest.mark.parametrize("name", ["pan", "roll", "zoom"])
def test_the_camera_path_brings_frames_onto_one_another(scene, clip_frames, name):
    rendered = scene(name, frames=48)
    clip, _ = clip_frames(rendered)
    path = camera_path(clip.gray)
    assert path.reliable.all()
    corners = np.array([[0, 0], [clip.width, 0], [0, clip.height], [clip.width, clip.height]], float)[:, None]
    true = rendered.camera[0] @ np.linalg.inv(rendered.camera[40])
    apart = cv2.perspectiveTransform(corners, path.between(40, 0)) - cv2.perspectiveTransform(corners, true)
    assert np.abs(apart).max() < 2.5


def test_a_camera_on_a_tripod_has_the_identity_as_its_path(scene, clip_frames):
    clip, _ = clip_frames(scene("static_cross_left_right"))
    path = camera_path(clip.gray)
    assert path.still
    assert np.array_equal(path.to_scene, np.tile(np.eye(3), (clip.length, 1, 1)))


def test_what_passes_before_a_plain_wall_does_not_take_the_camera_along():
    rng = np.random.default_rng(0)
    wall = np.full((144, 256), 150.0)
    wall[100:] = 205
    wall[60:115, 60:72] = wall[60:115, 180:192] = 90
    thing = cv2.GaussianBlur(rng.integers(0, 255, (90, 120)).astype(np.float64), (0, 0), 2)
    frames = []
    for index in range(60):
        frame = wall.copy()
        if index < 20:
            frame[:90, 4 + 3 * index : 124 + 3 * index] = thing
        frames.append(np.clip(frame + rng.normal(0, 1, frame.shape), 0, 255).astype(np.uint8))
    assert camera_path(np.stack(frames)).still


def test_the_background_shows_what_is_behind(scene, clip_frames):
    rendered = scene("static_cross_left_right")
    clip, _ = clip_frames(rendered)
    path = camera_path(clip.gray)
    background = Background(clip.frames, path, RestFinder(clip.gray, clip.seconds, path))
    empty = clip.frames[0].astype(int)
    assert np.abs(background.seen(48)[0].astype(int) - empty).mean() < 2
    truth = rendered.masks[rendered.objects[0]][48]
    likely = motion_model(clip).evidence[48] >= LIKELY
    assert likely[truth].mean() > 0.8
    assert likely[~cv2.dilate(truth.astype(np.uint8), np.ones((9, 9))).astype(bool)].mean() < 0.002


def test_fine_texture_hides_nothing_from_a_camera_that_travels(clip_frames):
    """Its background is a row of pictures, registered to half a pixel like a single one."""
    f = Format(frames=60)
    thing = f.sprite("thing", "box", f.path((0, 0.2, 0.4), (1, 1.8, 0.7)), colour=(150, 118, 90))
    rendered = render(f.scene("ground", thing, camera=Camera(f.path((0, 0, 0), (1, 1, 0)))))
    clip, _ = clip_frames(rendered)
    evidence = motion_model(clip).evidence >= LIKELY
    assert evidence[rendered.masks["thing"]].mean() > 0.7


def test_light_that_comes_back_is_no_foreground_and_a_bright_thing_is(scene, clip_frames):
    rendered = scene("static_cross_left_right")
    clip, _ = clip_frames(rendered)
    frames = np.repeat(clip.frames[:1], 24, axis=0)
    ground = frames[0, 20:60, 20:60].astype(float)
    frames[12:16, 20:60, 20:60] = np.minimum(ground * 1.1, 255).astype(np.uint8)
    frames[12:16, 80:110, 80:110] = 255 - frames[12:16, 80:110, 80:110] // 2
    path = CameraPath(np.tile(np.eye(3), (24, 1, 1)), np.ones(24, bool), still=True)
    gray = luma(frames)
    background = Background(frames, path, RestFinder(gray, np.arange(24) / 25, path))
    departure, light = background.evidence(13, frames[13])
    likely = (departure >= LIKELY) & ~light
    assert (departure[25:55, 25:55] >= LIKELY).any()
    assert likely[25:55, 25:55].mean() < 0.02
    assert likely[85:105, 85:105].mean() > 0.9


def test_run_lengths_of_a_crop_are_those_of_the_whole_picture():
    rng = np.random.default_rng(3)
    for _ in range(40):
        height, width = rng.integers(1, 30, 2)
        h, w = rng.integers(1, height + 1), rng.integers(1, width + 1)
        y0, x0 = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        crop = rng.random((h, w)) < rng.choice([0.1, 0.5, 0.95, 1.0])
        whole = np.zeros((height, width), bool)
        whole[y0 : y0 + h, x0 : x0 + w] = crop
        assert encode_crop(crop, int(x0), int(y0), int(height), int(width)) == encode_mask(whole)
