"""Point tracks: the Lucas-Kanade backend against rendered truth, query points, and the stages' checks."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.contract.ids import generator
from curation.contract.mask_tube import MaskTube
from curation.contract.rle import encode_mask
from curation.contract.tables import records, table
from curation.models.tracking import TrackingConfig, build_tracker
from curation.models.tracking.body_motion import body_motion
from curation.models.tracking.lucas_kanade import LucasKanadeTracker
from curation.models.tracking.mask_anchor import MaskAnchors
from curation.models.tracking.patches import cut_patches, find_patch, likeness
from curation.stages.query_points import QueryPoints, QueryPointsConfig, point_count, spread_points
from curation.stages.tracks import Tracks, TracksConfig, cycle_ends, track_speed


def ask(rendered, per_frame=8):
    """Queries on every object where it is largest and at two start frames, with the name of each query's object."""
    rng = np.random.default_rng(0)
    queries, names = [], []
    for name in rendered.objects:
        areas = rendered.masks[name].sum(axis=(1, 2))
        for frame in {int(areas.argmax()), 0, rendered.length // 2}:
            if areas[frame] < 0.5 * areas.max():
                continue
            for x, y in spread_points(rendered.masks[name][frame], rng, QueryPointsConfig())[:per_frame]:
                queries.append((frame, x, y))
                names.append(name)
    return np.array(queries, np.float32), names


def true_tracks(rendered, queries, names):
    points = np.zeros((rendered.length, len(queries), 2))
    visible = np.zeros(points.shape[:2], bool)
    for index, (query, name) in enumerate(zip(queries, names, strict=True)):
        track = rendered.track(name, int(query[0]), query[None, 1:])
        points[:, index], visible[:, index] = track.points[:, 0], track.visibility[:, 0]
    return points, visible


def tap_vid(points, visible, true_points, true_visible, queries, size):
    """delta_avg, occlusion accuracy and average Jaccard of TAP-Vid (Doersch et al. 2022), at 256x256."""
    error = np.linalg.norm((points - true_points) * 256 / np.array(size), axis=2)
    asked = np.ones_like(visible)
    asked[queries[:, 0].astype(int), np.arange(len(queries))] = False
    shares, jaccards = [], []
    for limit in (1, 2, 4, 8, 16):
        near = error < limit
        hits = (near & visible & true_visible & asked).sum()
        false = (visible & ~(near & true_visible) & asked).sum()
        shares.append((near & true_visible & asked).sum() / (true_visible & asked).sum())
        jaccards.append(hits / ((true_visible & asked).sum() + false))
    return np.mean(shares), (visible == true_visible)[asked].mean(), np.mean(jaccards)


def give_masks(clip, tables, rendered):
    """The tables as the objects stage leaves them, from true masks."""
    objects, tracks = [], []
    kept = clip.cache.setdefault("masks", {})
    for index, name in enumerate(rendered.objects):
        masks = rendered.masks[name]
        query = int(masks.sum(axis=(1, 2)).argmax())
        ids = {"object_id": f"object-{index}", "clip_id": clip.clip_id, "video_id": clip.video_id}
        kept[ids["object_id"]] = masks
        objects.append({**ids, "query_frame": clip.start + query, "mask": encode_mask(masks[query])})
        tracks.append({**ids, "start_frame": clip.start, "end_frame": clip.start + clip.length})
    return {**tables, "objects": table("objects", objects), "tracks": table("tracks", tracks)}


@pytest.mark.parametrize(
    ("name", "delta", "jaccard"),
    [
        ("static_cross_left_right", 0.95, 0.9),
        ("turns_back", 0.95, 0.9),
        ("two_cross_occlude", 0.9, 0.8),
        ("behind_pillar", 0.85, 0.7),
        ("bounce", 0.8, 0.65),
        ("approaches", 0.95, 0.9),
        ("pan_follow", 0.95, 0.9),
        ("handheld_cross", 0.9, 0.8),
    ],
)
def test_tracks_against_truth(scene, clip_frames, name, delta, jaccard):
    rendered = scene(name, width=512, height=288)
    clip, _ = clip_frames(rendered)
    queries, names = ask(rendered)
    masks = [rendered.masks[item] for item in names]
    points, visible = LucasKanadeTracker().track(clip, queries, masks)
    truth = true_tracks(rendered, queries, names)
    measured = tap_vid(points, visible, *truth, queries, (clip.width, clip.height))
    assert measured[0] >= delta
    assert measured[1] >= 0.9
    assert measured[2] >= jaccard


def test_points_of_an_object_that_left_go_on_outside_the_frame(scene, clip_frames):
    rendered = scene("exits_right", width=512, height=288)
    clip, _ = clip_frames(rendered)
    queries, names = ask(rendered)
    points, visible = LucasKanadeTracker().track(clip, queries, [rendered.masks[item] for item in names])
    assert not visible[-1].any()
    assert (points[-1, :, 0] > clip.width - 1).all()


@pytest.mark.parametrize("frame", [0, 95])
def test_queries_in_the_first_and_last_frame(scene, clip_frames, frame):
    rendered = scene("approaches")
    clip, _ = clip_frames(rendered)
    spot = spread_points(rendered.masks["animal"][frame], np.random.default_rng(0), QueryPointsConfig())
    queries = np.column_stack([np.full(len(spot), frame), spot]).astype(np.float32)
    points, visible = LucasKanadeTracker().track(clip, queries)
    assert visible.mean() > 0.5
    assert np.array_equal(points[frame], spot)


def test_source_pixels_at_another_working_size(scene, clip_frames):
    rendered = scene("static_cross_left_right", width=640, height=360)
    clip, _ = clip_frames(rendered, longest=320)
    queries, names = ask(rendered)
    points, _ = LucasKanadeTracker().track(clip, queries)
    true_points, true_visible = true_tracks(rendered, queries, names)
    assert np.median(np.linalg.norm(points - true_points, axis=2)[true_visible]) < 2


@pytest.mark.parametrize(("size", "frames"), [((48, 48), 5), ((16, 12), 3), ((320, 180), 1)])
@pytest.mark.parametrize("count", [0, 1, 2000])
def test_odd_sizes_give_finite_tracks(scene, clip_frames, size, frames, count):
    rendered = scene("still_noise", frames=8)
    pictures = np.ascontiguousarray(rendered.frames[:frames, : size[1], : size[0]])
    whole, _ = clip_frames(rendered)
    clip = dataclasses.replace(
        whole, frames=pictures, seconds=whole.seconds[:frames], source_width=size[0], source_height=size[1], cache={}
    )
    rng = np.random.default_rng(0)
    queries = np.column_stack(
        [rng.integers(0, frames, count), rng.uniform(0, size[0], count), rng.uniform(0, size[1], count)]
    ).astype(np.float32)
    masks = [np.ones(pictures.shape[:3], bool)] * count
    for given_masks in (None, masks):
        points, visible = build_tracker(TrackingConfig()).track(clip, queries, given_masks)
        assert points.shape == (frames, count, 2)
        assert points.dtype == np.float32
        assert visible.dtype == bool
        assert np.isfinite(points).all()


def test_same_input_same_tracks(scene, clip_frames):
    rendered = scene("two_cross_occlude")
    queries, names = ask(rendered)
    masks = [rendered.masks[item] for item in names]
    first, second = (LucasKanadeTracker().track(clip_frames(rendered)[0], queries, masks) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


@given(st.floats(-0.3, 0.3), st.floats(0.8, 1.25), st.floats(-8, 8), st.floats(-8, 8), st.integers(0, 2))
def test_body_motion_is_the_similarity_that_most_points_follow(turn, scale, dx, dy, strays):
    rng = np.random.default_rng(0)
    before = rng.uniform(-30, 30, (12, 2))
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    after = before @ linear.T + (dx, dy)
    after[:strays] += 40
    body = np.zeros(12, np.int64)
    motion = body_motion(before, after, np.tile(np.eye(2), (12, 1, 1)), body, 1, tolerance=4.0)
    assert np.allclose(motion.apply(before, body)[strays:], after[strays:], atol=0.5)
    assert motion.support[0] >= 12 - strays


def test_patches_are_found_and_told_apart(scene):
    gray = scene("still").frames[0].mean(axis=2).astype(np.uint8)
    places = np.array([[100.0, 90.0], [150.5, 60.25], [60.0, 120.0]], np.float32)
    patches = cut_patches(gray, places, 15)
    assert np.allclose(likeness(patches, patches), 1)
    assert (likeness(patches, np.roll(patches, 1, axis=0)) < 0.9).all()
    for place, patch in zip(places, patches, strict=True):
        found = find_patch(gray, patch, place + np.array([4, -3]), radius=8)
        assert found is not None
        assert np.linalg.norm(found - place) < 0.5


@given(st.floats(0, 1))
def test_point_count_is_linear_between_its_ends(area):
    config = QueryPointsConfig()
    assert config.fewest <= point_count(area, config) <= config.most
    assert point_count(config.small_area, config) == 8
    assert point_count(config.large_area, config) == 26
    assert point_count((config.small_area + config.large_area) / 2, config) == 17


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 40), st.integers(1, 40))
def test_points_lie_on_the_mask(x, y, width, height):
    mask = np.zeros((48, 64), bool)
    mask[y : y + height, x : x + width] = True
    points = spread_points(mask, generator(0, "test"), QueryPointsConfig())
    assert 1 <= len(points) <= 26
    column, row = np.rint(points).astype(int).T
    assert mask[row, column].all()


def test_points_keep_away_from_the_rim_of_a_ring():
    ys, xs = np.mgrid[:120, :160]
    radius = np.hypot(xs - 80, ys - 60)
    ring = (radius > 30) & (radius < 50)
    points = spread_points(ring, generator(0, "test"), QueryPointsConfig())
    distance = np.hypot(points[:, 0] - 80, points[:, 1] - 60)
    assert len(points) >= 8
    assert ((distance > 32) & (distance < 48)).all()
    assert spread_points(np.zeros((5, 5), bool), generator(0, "test"), QueryPointsConfig()).shape == (0, 2)


def test_stages_fill_aligned_columns(scene, clip_frames):
    start = 37  # of the clip in its video
    rendered = scene("three_objects", width=512, height=288)
    clip, tables = clip_frames(rendered, start=start)
    tables = give_masks(clip, tables, rendered)
    tables |= QueryPoints()(clip, tables)
    asked = [item["query_points"] for item in records(tables["objects"])]
    tables |= Tracks()(clip, tables)
    for item, track, before in zip(records(tables["objects"]), records(tables["tracks"]), asked, strict=True):
        count = len(item["query_points"])
        assert count >= 0.6 * len(before)
        assert [query for query in before if query in item["query_points"]] == item["query_points"]
        assert track["points"].shape == (clip.length, count, 2)
        assert track["visibility"].shape == (clip.length, count)
        assert track["cycle_error_px"].shape == (count,)
        assert (track["cycle_error_px"] <= 0.04 * clip.source_height).all()
        assert (track["start_frame"], track["end_frame"]) == (start, start + clip.length)
        assert track["track_backend"] == "lucas-kanade-1"
        assert track["speed"] > 0
        assert 0 <= item["cycle_lost"] <= 0.4
        for index, query in enumerate(item["query_points"]):
            here = track["points"][query["frame"] - start, index]
            assert np.allclose(here, (query["x"], query["y"]), atol=1e-3)
            assert track["visibility"][query["frame"] - start, index]


def test_query_points_are_in_the_start_frames_where_the_object_shows(scene, clip_frames):
    rendered = scene("enters_left")
    clip, tables = clip_frames(rendered)
    tables = give_masks(clip, tables, rendered)
    points = records(QueryPoints()(clip, tables)["objects"])[0]["query_points"]
    frames = {query["frame"] for query in points}
    assert 0 not in frames
    assert {2 * clip.length // 3} <= frames
    again = records(QueryPoints()(clip, tables)["objects"])[0]["query_points"]
    assert points == again


class Drifting:
    """A tracker whose points run off to the right, and never find back."""

    name = "drifting"

    def track(self, clip, queries, masks=None):
        points = np.repeat(queries[None, :, 1:], clip.length, axis=0).copy()
        points[..., 0] += 3 * np.abs(np.arange(clip.length)[:, None] - queries[None, :, 0])
        return points.astype(np.float32), np.ones(points.shape[:2], bool)


class Standing:
    """A tracker whose points stay where they were asked for: they return, but the object leaves them."""

    name = "standing"

    def track(self, clip, queries, masks=None):
        points = np.repeat(queries[None, :, 1:], clip.length, axis=0)
        return points.astype(np.float32), np.ones(points.shape[:2], bool)


@pytest.mark.parametrize(("tracker", "cycle", "mask"), [(Drifting(), 1.0, 0.0), (Standing(), 0.0, 1.0)])
def test_bad_tracks_are_dropped_by_the_right_check(scene, clip_frames, tracker, cycle, mask):
    rendered = scene("static_cross_left_right")
    clip, tables = clip_frames(rendered)
    tables = give_masks(clip, tables, rendered)
    tables |= QueryPoints()(clip, tables)
    tables |= Tracks(tracker=tracker)(clip, tables)
    item, track = records(tables["objects"])[0], records(tables["tracks"])[0]
    assert (item["cycle_lost"], item["mask_lost"]) == (cycle, mask)
    assert item["query_points"] == []
    assert np.asarray(track["points"]).shape[:2] == (clip.length, 0)
    assert track["speed"] is None


class Blind:
    """A tracker that knows where its points go, and does not know that they are seen after their first frame."""

    name = "blind"

    def __init__(self, rendered):
        self._rendered = rendered

    def track(self, clip, queries, masks=None):
        points, _ = true_tracks(self._rendered, queries, [self._rendered.objects[0]] * len(queries))
        visible = np.arange(clip.length)[:, None] == queries[None, :, 0]
        return points.astype(np.float32), visible


def test_a_point_on_its_objects_mask_is_seen_whatever_the_tracker_says(scene, clip_frames):
    rendered = scene("exits_right")
    clip, tables = clip_frames(rendered)
    tables = give_masks(clip, tables, rendered)
    tables |= QueryPoints()(clip, tables)
    tables |= Tracks(tracker=Blind(rendered))(clip, tables)
    there = rendered.masks[rendered.objects[0]].any(axis=(1, 2))
    visibility = records(tables["tracks"])[0]["visibility"]
    assert visibility[there][:-5].mean() > 0.95
    assert not visibility[~there].any()


def test_points_go_where_the_mask_differs_from_what_is_behind():
    mask, sure = np.zeros((60, 80), bool), np.zeros((60, 80), bool)
    mask[10:50, 10:70] = True
    sure[10:50, 10:40] = True
    assert spread_points(mask, generator(0, "test"), QueryPointsConfig(), sure)[:, 0].max() < 40
    sure[:, 12:] = False  # too little of the mask to go by
    assert spread_points(mask, generator(0, "test"), QueryPointsConfig(), sure)[:, 0].max() > 40


def test_a_start_frame_in_which_the_mask_holds_another_object_gets_no_points(scene, clip_frames):
    rendered = scene("static_cross_left_right")
    clip, tables = clip_frames(rendered)
    tables = give_masks(clip, tables, rendered)
    masks = clip.cache["masks"]["object-0"].copy()
    start = int(records(tables["clips"])[0]["start_frames"][1]) - clip.start
    found = int(records(tables["objects"])[0]["query_frame"]) - clip.start
    frames = {query["frame"] for query in records(QueryPoints()(clip, tables)["objects"])[0]["query_points"]}
    assert clip.start + start in frames
    assert start != found
    masks[start, : masks.shape[1] // 2] = True
    clip.cache["masks"]["object-0"] = masks
    frames = {query["frame"] for query in records(QueryPoints()(clip, tables)["objects"])[0]["query_points"]}
    assert clip.start + start not in frames


@pytest.mark.parametrize("kind", ["array", "tube"])
def test_a_piece_left_behind_does_not_lead_points_astray(kind):
    masks = np.zeros((6, 60, 200), bool)
    for frame in range(6):
        masks[frame, 20:40, 60 + 10 * frame : 80 + 10 * frame] = True
    masks[3:, 30:34, 10:14] = True
    anchors = MaskAnchors([masks if kind == "array" else MaskTube.of(masks, (60, 200))], 1)
    body, point = np.zeros(1, int), np.zeros(1, int)
    anchors.remember(2, point, body, np.array([[85.0, 30.0]]))
    assert anchors.place(5, point, body, np.array([[85.0, 30.0]])) == pytest.approx(np.array([[115.0, 30.0]]))
    assert anchors.step(0, 2, 3) == pytest.approx([10, 0])


def test_clip_without_objects_stays_empty(scene, clip_frames):
    rendered = scene("still")
    clip, tables = clip_frames(rendered)
    tables = give_masks(clip, tables, rendered)
    tables |= QueryPoints()(clip, tables)
    tables |= Tracks()(clip, tables)
    assert tables["objects"].num_rows == tables["tracks"].num_rows == 0


def test_cycle_turns_back_where_the_point_was_last_seen():
    visible = np.ones((300, 3), bool)
    visible[100:, 1] = False
    config = TracksConfig()
    assert cycle_ends(np.array([0, 20, 290]), visible, config).tolist() == [170, 99, 120]


def test_speed_follows_the_recipe():
    points = np.zeros((11, 2, 2), np.float32)
    points[:, 0, 0] = np.arange(11) * 3
    points[:, 1, 1] = np.arange(11) * 5
    begins, ends = np.array([0, 10]), np.array([10, 0])
    assert track_speed(points, begins, ends, 640 * 360) == pytest.approx(4 * 100_000 / (640 * 360))
    assert track_speed(points, begins, begins, 640 * 360) is None
