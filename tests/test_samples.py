"""Samples from manifests: which candidates become one, what they hold, why the others do not."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from curation.contract.schemas import SCHEMAS
from curation.contract.tables import records, table
from curation.selection.samples import SamplesConfig, build_samples
from curation.selection.split import SplitConfig, split_of

FPS, START, END = 12, 60, 180
LEFT_HALF, RIGHT_HALF = [0, 0, 300, 360], [320, 0, 640, 360]
CANVAS = [0, 0, 640, 360]
PNG = {"bytes": b"png", "path": None}


class World:
    """Manifests of one video with one clip [60, 180) at 12 fps; objects are added."""

    def __init__(self, video="video", start_frames=(60, 100), caption="A caption."):
        self.video, self.clip = video, f"{video}_clip"
        self.rows = {name: [] for name in ("videos", "clips", "objects", "tracks", "events")}
        size = {"width": 640, "height": 360, "fps_num": FPS, "fps_den": 1}
        self.rows["videos"].append({"video_id": video, "uri": f"/{video}.mp4", **size})
        self.rows["clips"].append(
            {
                "clip_id": self.clip,
                "video_id": video,
                "start_frame": START,
                "end_frame": END,
                "start_frames": list(start_frames),
                "caption": caption,
            }
        )

    def add(self, name="a", starts=(), events=(), visible=(START, END), reference=PNG, at=(150, 180), points=3):
        ids = {"object_id": f"{self.clip}_{name}", "clip_id": self.clip, "video_id": self.video}
        visibility = np.zeros((END - START, points), bool)
        visibility[visible[0] - START : visible[1] - START] = True
        xy = np.tile(np.array(at, np.float32), (END - START, points, 1))
        xy[:, :, 0] += np.arange(END - START)[:, None] / 100
        track = {"start_frame": START, "end_frame": END, "points": xy, "visibility": visibility}
        self.rows["objects"].append(
            {
                **ids,
                "label": "object",
                "starts": list(starts),
                "identity_reference": reference,
                "more_references": [PNG],
            }
        )
        self.rows["tracks"].append({**ids, **track, "cycle_error_px": np.zeros(points, np.float32)})
        self.rows["events"] += [{**ids, **event} for event in events]
        return self

    def tables(self):
        return {name: table(name, rows) for name, rows in self.rows.items()}

    def build(self, **config):
        return build(self.tables(), **config)


def build(tables, split=None, seed=0, **config):
    samples, verdicts = build_samples(**tables, config=SamplesConfig(**config), split=split or SplitConfig(), seed=seed)
    assert samples.schema.equals(SCHEMAS["samples"])
    assert all(set(verdict) == set(SCHEMAS["verdicts"].names) for verdict in verdicts)
    return records(samples), verdicts


def start(frame, region=(), leave=()):
    return {"start_frame": frame, "region_boxes": region, "region_sides": ["left"] * len(region), "leave_boxes": leave}


def event(kind, frame, box=None, side="left"):
    return {"boundary": "region" if box else "frame", "type": kind, "side": side, "frame": frame, "region_box": box}


def test_an_object_beside_a_region_box_makes_a_frame_in_sample():
    world = World().add(starts=[start(60, [RIGHT_HALF])], events=[event("enter", 90, RIGHT_HALF)])
    (sample,), verdicts = world.build()
    assert verdicts == []
    assert sample["sample_id"] == "video_clip_s000060-in-a"
    assert (sample["kinds"], sample["strict"]) == ("frame_in", True)
    assert (sample["start_frame"], sample["end_frame"], sample["fps"]) == (60, 180, 12.0)
    assert (sample["width"], sample["height"], sample["uri"]) == (640, 360, "/video.mp4")
    assert sample["caption"] == "A caption."
    assert np.asarray(sample["region_boxes"]).tolist() == [RIGHT_HALF]
    assert sample["identity_reference"] == PNG and sample["more_references"] == [PNG]
    (item,) = sample["objects"]
    assert item["is_identity"]
    assert np.shape(item["points"]) == (120, 3, 2) and np.shape(item["visibility"]) == (120, 3)


def test_tracks_are_cut_to_the_span():
    world = World().add(starts=[start(100, [RIGHT_HALF])])
    (sample,), _ = world.build(max_seconds=5)
    assert (sample["start_frame"], sample["end_frame"]) == (100, 160)
    assert sample["objects"][0]["points"][0][0][0] == pytest.approx(150.4)
    assert len(sample["objects"][0]["points"]) == 60


def test_strict_needs_the_entry_after_the_start_and_inside_the_span():
    early = World().add(starts=[start(100, [RIGHT_HALF])], events=[event("enter", 90, RIGHT_HALF)])
    other_box = World().add(starts=[start(60, [RIGHT_HALF])], events=[event("enter", 90, LEFT_HALF)])
    late = World().add(starts=[start(60, [RIGHT_HALF])], events=[event("enter", 150, RIGHT_HALF)])
    frame = World().add(starts=[start(60, [RIGHT_HALF])], events=[event("enter", 90)])
    strict = [world.build(max_seconds=5)[0][0]["strict"] for world in (early, other_box, late, frame)]
    assert strict == [False, False, False, True]


def test_an_object_that_leaves_makes_a_frame_out_sample_without_identity():
    world = World().add(starts=[start(60, leave=[LEFT_HALF, CANVAS])], events=[event("exit", 120)])
    (sample,), verdicts = world.build()
    assert verdicts == []
    assert sample["sample_id"].endswith("-out")
    assert (sample["kinds"], sample["strict"]) == ("frame_out", True)
    assert sample["identity_reference"] is None and sample["more_references"] == []
    assert np.asarray(sample["region_boxes"]).tolist() == [LEFT_HALF, CANVAS]
    assert not sample["objects"][0]["is_identity"]


def test_boxes_that_objects_are_seen_to_leave_come_first_and_there_are_at_most_so_many():
    boxes = [[0, 0, 200 + i, 360] for i in range(12)]
    world = World().add("a", [start(60, leave=boxes)])
    world.add("b", [start(60, leave=[LEFT_HALF])], [event("exit", 120, LEFT_HALF)])
    (sample,), _ = world.build(most_boxes=8)
    assert np.asarray(sample["region_boxes"]).tolist() == [LEFT_HALF, *boxes[:7]]
    assert sample["strict"]
    (sample,), _ = World().add("a", [start(60, leave=boxes)]).build()
    assert not sample["strict"]


LEAVES = event("exit", 120)


def test_both_when_another_object_in_the_region_box_leaves():
    def world(at=(400, 180), events=(LEAVES,), visible=(START, END)):
        world = World().add("a", [start(60, [RIGHT_HALF])])
        return world.add("b", at=at, events=events, visible=visible).build()[0][0]["kinds"]

    assert world() == "both"
    assert world(at=(100, 180)) == "frame_in"
    assert world(events=[event("exit", 55)]) == "frame_in"
    assert world(events=[]) == "frame_in"
    assert world(visible=(80, END)) == "frame_in"


def test_other_objects_are_there_when_they_are_seen_in_the_span():
    world = World().add("a", [start(60, [RIGHT_HALF]), start(100, [RIGHT_HALF])])
    world.add("b", visible=(60, 90))
    first, second = world.build()[0]
    assert [(item["object_id"][-1], item["is_identity"]) for item in first["objects"]] == [("a", True), ("b", False)]
    assert [item["object_id"][-1] for item in second["objects"]] == ["a"]


def test_spans_that_are_too_short_are_dropped_with_their_length():
    world = World(start_frames=(60, 140)).add(starts=[start(60, [RIGHT_HALF]), start(140, [RIGHT_HALF])])
    samples, verdicts = world.build()
    assert [sample["start_frame"] for sample in samples] == [60]
    (verdict,) = verdicts
    assert verdict["item_id"] == "video_clip_s000140-in-a"
    assert (verdict["level"], verdict["stage"], verdict["rule"], verdict["kept"]) == (
        "sample",
        "samples",
        "sample_length",
        False,
    )
    assert verdict["value"] == pytest.approx(40 / 12)
    assert verdict["threshold"] == pytest.approx(49 / 12)
    assert len(world.build(min_seconds=0)[0]) == 2


def test_every_object_that_is_in_no_sample_has_a_reason():
    world = World(start_frames=(60, 140))
    world.add("boxless", [start(60)])
    world.add("short", [start(140, [RIGHT_HALF])], visible=(140, 150))
    world.add("faceless", [start(60, [RIGHT_HALF])], reference=None)
    world.add("pointless", [start(60, [RIGHT_HALF])], points=0)
    tables = world.tables()
    samples, verdicts = build(tables)
    assert samples == []
    rules = {v["item_id"].rpartition("_")[2]: v["rule"] for v in verdicts if v["level"] == "object"}
    assert rules == {
        "boxless": "no_region_box",
        "short": "sample_length",
        "faceless": "no_identity_reference",
        "pointless": "no_track",
    }


def test_an_object_that_is_part_of_anothers_sample_has_no_verdict():
    world = World().add("a", [start(60, [RIGHT_HALF])]).add("b")
    assert world.build()[1] == []


def test_empty_manifests_give_no_samples():
    tables = {name: SCHEMAS[name].empty_table() for name in ("videos", "clips", "objects", "tracks", "events")}
    assert build(tables) == ([], [])


def test_batches_of_videos_give_the_same_samples_as_all_at_once():
    worlds = [World(f"v{i}").add(starts=[start(60, [RIGHT_HALF], [CANVAS])]).tables() for i in range(3)]
    together = {name: pa.concat_tables([world[name] for world in worlds]) for name in worlds[0]}
    samples = [sample["sample_id"] for world in worlds for sample in build(world)[0]]
    assert [sample["sample_id"] for sample in build(together)[0]] == samples


def test_the_split_is_by_video_stable_and_of_the_given_shares():
    config = SplitConfig()
    parts = [split_of(f"video-{i}", config, 0) for i in range(4000)]
    shares = Counter(parts)
    assert shares["train"] / 4000 == pytest.approx(0.9, abs=0.02)
    assert shares["val"] / 4000 == pytest.approx(0.05, abs=0.02)
    assert parts == [split_of(f"video-{i}", config, 0) for i in range(4000)]
    assert parts != [split_of(f"video-{i}", config, 1) for i in range(4000)]
    assert {split_of(f"video-{i}", SplitConfig(train=0, val=0, bench=2), 0) for i in range(50)} == {"bench"}


def test_a_split_without_shares_is_refused():
    with pytest.raises(ValueError, match="give at least one a share"):
        SplitConfig(train=0, val=0, bench=0)
