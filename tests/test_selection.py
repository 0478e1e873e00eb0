"""Rules, thresholds, verdicts and the funnel, over manifests made by hand."""

import math

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from curation.contract.config import parse_config
from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder
from curation.contract.schemas import SCHEMAS
from curation.contract.tables import table
from curation.models.objects.coco import MOVABLE_CLASSES
from curation.selection.funnel import funnel, funnel_table
from curation.selection.measures import measures
from curation.selection.rules import (
    LEVELS,
    Bounds,
    Flag,
    Labels,
    RulesConfig,
    drops_size,
    rules_of,
    wants_scores,
)
from curation.selection.thresholds import fit_thresholds, rank_limits, read_thresholds, write_thresholds
from curation.selection.verdicts import finish_verdicts, judge, judge_run

OFF = RulesConfig(
    **{
        name: type(getattr(RulesConfig(), name))(**({"drop": False} if name == "damaged" else {}))
        for name in RulesConfig.model_fields
    }
)


def video(name, **columns):
    base = {
        "video_id": name,
        "width": 640,
        "height": 360,
        "fps_num": 25,
        "fps_den": 1,
        "frames": 250,
        "duration_s": 10.0,
    }
    return base | columns


def clip(name, parent, **columns):
    base = {"clip_id": name, "video_id": parent, "start_frame": 0, "end_frame": 150, "start_frames": [0, 50]}
    return base | {"text_area": 0.01, "clarity": 100.0, "camera_label": "static"} | columns


def thing(name, parent, of, **columns):
    base = {"object_id": name, "clip_id": parent, "video_id": of, "label": "object", "mask_area": 0.05}
    return base | {"mask_box": [0, 0, 64, 36], "cycle_lost": 0.0, "mask_lost": 0.0} | columns


def track(name, points=8, speed=1.0):
    return {"object_id": name, "cycle_error_px": np.zeros(points, np.float32), "speed": speed}


def lazy(manifest, rows):
    return pl.LazyFrame(pl.from_arrow(table(manifest, rows)))


def manifests(videos, clips=(), objects=(), tracks=(), shots=()):
    rows = {"videos": videos, "clips": clips, "objects": objects, "tracks": tracks, "shots": shots}
    return {name: lazy(name, row) for name, row in rows.items()}


def judged_rows(level, data, config, stored=None):
    judged, thresholds = judge_run(data, config, stored or {}, levels=LEVELS[: LEVELS.index(level) + 1])
    return judged[level].collect().rows_by_key("item_id", named=True, unique=True), thresholds


def only(**rules):
    return OFF.model_copy(update=rules)


class TestRules:
    def test_every_rule_reads_a_column_of_its_level(self):
        data = manifests([video("v")])
        on = {
            Bounds: Bounds(min=0),
            Labels: Labels(allowed=("a",)),
            Flag: Flag(),
        }
        config = RulesConfig(**{name: on[type(getattr(OFF, name))] for name in RulesConfig.model_fields})
        for level in LEVELS:
            columns = measures(level, data).collect_schema().names()
            assert {rule.column for rule in rules_of(level, config)} <= set(columns)

    def test_every_rule_belongs_to_one_level(self):
        config = RulesConfig(**{name: getattr(RulesConfig(), name) for name in RulesConfig.model_fields})
        names = [rule.name for level in LEVELS for rule in rules_of(level, config)]
        assert len(names) == len(set(names))

    def test_unreadable_files_are_dropped_even_with_every_rule_off(self):
        rows, _ = judged_rows("video", manifests([video("v", error="v.mp4: no moov atom")]), OFF)
        assert rows["v"]["rule"] == "readable"
        assert rows["v"]["reason"] == "cannot be read: v.mp4: no moov atom"

    def test_first_broken_rule_decides(self):
        rows, _ = judged_rows("video", manifests([video("v", fps_num=5, width=100)]), RulesConfig())
        assert (rows["v"]["rule"], rows["v"]["value"], rows["v"]["threshold"]) == ("fps", 5.0, 8.0)
        assert rows["v"]["reason"] == "frame rate: 5 fps, at least 8 fps needed"
        assert rows["v"]["stage"] == "probe"

    @pytest.mark.parametrize(
        ("columns", "rule"),
        [
            ({"damage": "frames 3..9 do not decode"}, "damaged"),
            ({"fps_num": 120}, "fps"),
            ({"width": 120}, "width"),
            ({"height": 100}, "height"),
            ({"duration_s": 3.9}, "video_duration"),
        ],
    )
    def test_laptop_video_rules(self, columns, rule):
        rows, _ = judged_rows("video", manifests([video("v", **columns)]), RulesConfig())
        assert rows["v"]["rule"] == rule

    @pytest.mark.parametrize(
        "size", [(320, 180), (180, 320), (480, 360), (640, 360), (362, 640), (426, 240), (3840, 2160)]
    )
    def test_laptop_keeps_ordinary_sizes(self, size):
        data = manifests([video("v", width=size[0], height=size[1])])
        assert judged_rows("video", data, RulesConfig())[0]["v"]["kept"]
        assert drops_size(RulesConfig(), size[0], size[1], 1.0) is None

    def test_tiny_videos_are_dropped_by_their_header_as_by_their_row(self):
        assert drops_size(RulesConfig(), 48, 48, None) == "width 48 px"
        assert (
            judged_rows("video", manifests([video("v", width=48, height=48)]), RulesConfig())[0]["v"]["rule"] == "width"
        )

    def test_aspect_is_that_of_the_display(self):
        config = only(aspect=Bounds(min=1.25))
        rows, _ = judged_rows(
            "video",
            manifests(
                [
                    video("square", width=500, height=400),
                    video("wide", width=400, height=400, pixel_aspect=1.5),
                    video("tall", width=400, height=400),
                ]
            ),
            config,
        )
        assert [name for name in rows if rows[name]["kept"]] == ["square", "wide"]
        assert drops_size(config, 400, 400, 1.5) is None

    def test_measured_rates_do_not_miss_round_limits(self):
        # 60 fps in whole milliseconds, and 4 s at a rate that came out a hair too high.
        data = manifests(
            [video("v", fps_num=6003, fps_den=100), video("w", fps_num=3001, fps_den=100)],
            [clip("c", "w", end_frame=120)],
        )
        assert judged_rows("video", data, RulesConfig())[0]["v"]["kept"]
        assert judged_rows("clip", data, RulesConfig())[0]["c"]["kept"]

    def test_missing_scores_pass_and_nan_does_not(self):
        config = only(text_area=Bounds(max=0.1))
        data = manifests(
            [video("v")],
            [
                clip("null", "v", text_area=None),
                clip("nan", "v", text_area=math.nan),
                clip("inf", "v", text_area=math.inf),
                clip("low", "v", text_area=-math.inf),
                clip("at", "v", text_area=0.1),
            ],
        )
        rows, _ = judged_rows("clip", data, config)
        assert {name for name in rows if rows[name]["kept"]} == {"null", "low", "at"}
        assert rows["nan"]["reason"] == "text area: NaN, which is no measurement"
        assert math.isnan(rows["nan"]["value"])
        assert rows["inf"]["reason"].startswith("text area: inf%")

    def test_shares_are_told_in_percent(self):
        rows, _ = judged_rows(
            "clip", manifests([video("v")], [clip("c", "v", text_area=0.234)]), only(text_area=Bounds(max=0.1))
        )
        assert rows["c"]["reason"] == "text area: 23.4%, at most 10% allowed"
        assert rows["c"]["value"] == 0.234

    def test_labels(self):
        data = manifests([video("v")], [clip("c", "v", camera_label="moving"), clip("d", "v", camera_label=None)])
        rows, _ = judged_rows("clip", data, RulesConfig())
        assert rows["c"]["rule"] == "camera_label"
        assert rows["c"]["reason"] == "camera: moving, allowed: static, handheld"
        assert rows["c"]["value"] is None
        assert rows["d"]["kept"]

    @pytest.mark.parametrize(
        ("columns", "tracked", "rule"),
        [
            ({"mask_area": 0.5}, 8, "mask_area"),
            ({"cycle_lost": 0.4}, 8, "cycle_lost"),
            ({"mask_lost": 0.34}, 8, "mask_lost"),
            ({"cycle_lost": 0.33}, 8, "kept"),
            ({}, 3, "points"),
        ],
    )
    def test_object_rules(self, columns, tracked, rule):
        data = manifests([video("v")], [clip("c", "v")], [thing("o", "c", "v", **columns)], [track("o", tracked)])
        assert judged_rows("object", data, RulesConfig())[0]["o"]["rule"] == rule

    def test_an_object_without_a_track_has_no_points(self):
        rows, _ = judged_rows(
            "object", manifests([video("v")], [clip("c", "v")], [thing("o", "c", "v")]), RulesConfig()
        )
        assert (rows["o"]["rule"], rows["o"]["value"]) == ("points", 0)

    def test_mask_box_is_a_share_of_the_frame(self):
        config = only(mask_box=Bounds(min=0.1))
        objects = [thing("small", "c", "v"), thing("large", "c", "v", mask_box=[0, 0, 320, 180])]
        rows, _ = judged_rows("object", manifests([video("v")], [clip("c", "v")], objects), config)
        assert rows["small"]["value"] == pytest.approx(0.01)
        assert rows["large"]["kept"]

    def test_there_are_25_movable_classes(self):
        assert len(set(MOVABLE_CLASSES)) == 25

    @pytest.mark.parametrize(
        "bounds",
        [
            {"min": 2, "max": 1},
            {"max": 1, "drop_highest": 0.1},
            {"drop_lowest": 0.5, "drop_highest": 0.5},
            {"drop_lowest": 1},
        ],
    )
    def test_contradictory_bounds_are_refused(self, bounds):
        with pytest.raises(UsageError, match=r"^F\.yaml: "):
            parse_config(Bounds, bounds, "F.yaml")

    @pytest.mark.parametrize(
        ("columns", "wanted"),
        [({}, True), ({"end_frame": 50}, False), ({"start_frames": []}, False), ({"text_area": 0.9}, True)],
    )
    def test_pictures_are_scored_only_of_clips_that_the_early_rules_keep(self, columns, wanted):
        assert wants_scores(RulesConfig(), clip("c", "v", **columns), video("v")) is wanted

    def test_no_picture_of_a_dropped_video_is_scored(self):
        assert not wants_scores(RulesConfig(), clip("c", "v"), video("v", fps_num=5))


scores = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60)
shares = st.floats(0, 0.49)


class TestThresholds:
    @settings(deadline=None)
    @given(scores, shares, shares)
    def test_rank_limits_drop_the_share_and_keep_ties_together(self, values, lowest, highest):
        low, high = rank_limits(pl.Series(values), lowest, highest)
        below = sum(value < low for value in values)
        above = sum(value > high for value in values)
        assert below <= lowest * len(values) + 1e-6
        assert above <= highest * len(values) + 1e-6
        if len(set(values)) == len(values):
            assert below == math.floor(lowest * len(values) + 1e-9)
            assert above == math.floor(highest * len(values) + 1e-9)
        assert any(low <= value <= high for value in values)

    @settings(deadline=None)
    @given(st.permutations(range(20)), shares)
    def test_rank_limits_do_not_depend_on_order(self, values, share):
        assert rank_limits(pl.Series(values), share, share) == rank_limits(pl.Series(range(20)), share, share)

    def test_hundred_scores_lose_exactly_their_share(self):
        low, high = rank_limits(pl.Series(range(100)), 0.29, 0.07)
        assert (low, high) == (29, 92)

    def test_fitted_limits_drop_in_the_run_what_they_promise(self):
        data = manifests([video("v")], [clip(f"c{i:02d}", "v", text_area=i / 7) for i in range(30)])
        rows, thresholds = judged_rows("clip", data, only(text_area=Bounds(drop_highest=0.1)))
        dropped = sorted(name for name in rows if not rows[name]["kept"])
        assert dropped == ["c27", "c28", "c29"]
        assert thresholds["text_area"].fitted_on == 30
        assert rows["c29"]["reason"] == "text area: 414.3%, among the highest 10% (over 371.4%)"

    def test_null_and_non_finite_scores_are_not_fitted_to(self):
        values = [1.0, 2.0, 3.0, 4.0, None, math.nan, math.inf]
        data = manifests([video("v")], [clip(f"c{i}", "v", clarity=value) for i, value in enumerate(values)])
        _, thresholds = judged_rows("clip", data, only(clarity=Bounds(drop_lowest=0.25)))
        assert (thresholds["clarity"].min, thresholds["clarity"].fitted_on) == (2, 4)

    def test_added_files_do_not_change_earlier_verdicts(self, tmp_path):
        config = only(clarity=Bounds(drop_lowest=0.5))
        run = RunFolder(tmp_path)
        first = [clip(f"a{i}", "v", clarity=float(i)) for i in range(10)]
        before, thresholds = judged_rows("clip", manifests([video("v")], first), config, read_thresholds(run))
        write_thresholds(run, thresholds)

        more = manifests([video("v")], first + [clip(f"b{i}", "v", clarity=100.0 + i) for i in range(90)])
        after, again = judged_rows("clip", more, config, read_thresholds(run))
        assert {name: after[name] for name in before} == before
        assert again == thresholds

        refitted = judge_run(more, config, read_thresholds(run), refit=True)[1]
        assert refitted["clarity"].fitted_on == 100
        assert refitted["clarity"].min != thresholds["clarity"].min
        changed = judge_run(more, only(clarity=Bounds(drop_lowest=0.25)), read_thresholds(run))[1]
        assert changed["clarity"].fitted_on == 100

    def test_a_rule_without_scores_is_fitted_once_there_are_some(self):
        config = only(speed=Bounds(drop_lowest=0.5))
        _, thresholds = judged_rows("object", manifests([video("v")], [clip("c", "v")]), config)
        assert (thresholds["speed"].min, thresholds["speed"].fitted_on) == (None, 0)
        objects = [thing(f"o{i}", "c", "v") for i in range(4)]
        tracks = [track(f"o{i}", speed=float(i)) for i in range(4)]
        rows, thresholds = judged_rows(
            "object", manifests([video("v")], [clip("c", "v")], objects, tracks), config, thresholds
        )
        assert (thresholds["speed"].min, thresholds["speed"].fitted_on) == (2, 4)
        assert [rows[f"o{i}"]["kept"] for i in range(4)] == [False, False, True, True]

    def test_levels_that_are_not_asked_for_keep_their_thresholds(self):
        config = only(clarity=Bounds(drop_lowest=0.5), speed=Bounds(drop_lowest=0.5))
        data = manifests([video("v")], [clip("c", "v")], [thing("o", "c", "v")], [track("o")])
        everything = judge_run(data, config, {})[1]
        assert judge_run(data, config, everything, levels=("video", "clip"))[1] == everything
        assert set(everything) == {"clarity", "speed"}

    def test_one_side_by_rank_the_other_absolute(self):
        data = manifests([video("v")], [clip(f"c{i}", "v", clarity=float(i)) for i in range(10)])
        rows, thresholds = judged_rows("clip", data, only(clarity=Bounds(drop_lowest=0.2, max=7)))
        assert [i for i in range(10) if rows[f"c{i}"]["kept"]] == [2, 3, 4, 5, 6, 7]
        assert thresholds["clarity"].source == "rank"

    def test_file_is_left_alone_when_nothing_changed(self, tmp_path):
        run = RunFolder(tmp_path)
        thresholds = fit_thresholds(rules_of("video", RulesConfig()), manifests([])["videos"], {})
        write_thresholds(run, thresholds)
        before = (tmp_path / "thresholds.yaml").stat()
        write_thresholds(run, read_thresholds(run))
        assert (tmp_path / "thresholds.yaml").stat().st_mtime_ns == before.st_mtime_ns
        assert read_thresholds(run) == thresholds

    @pytest.mark.parametrize("text", ["[1, 2", "- a", "fps: {min: x}"])
    def test_a_broken_file_is_explained(self, tmp_path, text):
        (tmp_path / "thresholds.yaml").write_text(text)
        with pytest.raises(UsageError, match=r"thresholds\.yaml"):
            read_thresholds(RunFolder(tmp_path))


def sample(name, clip_name, video_name, objects):
    members = [
        {"object_id": item, "label": "object", "points": [], "visibility": [], "is_identity": True} for item in objects
    ]
    return {"sample_id": name, "clip_id": clip_name, "video_id": video_name, "objects": members}


def finish(data, samples, labelled=(), failed=(), config=None, drops=()):
    judged, _ = judge_run(data, config or RulesConfig(), {})
    return finish_verdicts(
        judged,
        data,
        lazy("samples", samples),
        pl.LazyFrame({"clip_id": list(labelled)}, schema={"clip_id": pl.String}),
        pl.LazyFrame(list(failed), schema={"clip_id": pl.String, "error": pl.String}, orient="row"),
        table("verdicts", drops),
    )


def by_item(verdicts):
    rows = verdicts.to_pylist()
    assert len({(row["level"], row["item_id"]) for row in rows}) == len(rows)
    return {row["item_id"]: row for row in rows}


class TestVerdicts:
    def test_a_run_from_top_to_bottom(self):
        data = manifests(
            [video("good"), video("broken", error="x"), video("slow", fps_num=4), video("new"), video("empty")],
            [
                clip("good1", "good"),
                clip("good2", "good", camera_label="moving"),
                clip("good3", "good", text_area=0.5),
                clip("slow1", "slow"),
                clip("empty1", "empty", camera_label="moving"),
                clip("empty2", "empty", camera_label="moving"),
                clip("empty3", "empty", end_frame=30),
            ],
            [thing("o1", "good1", "good"), thing("o2", "good1", "good"), thing("o3", "good3", "good")],
            [track("o1"), track("o2"), track("o3")],
            [{"video_id": name} for name in ("good", "slow", "empty", "empty")],
        )
        verdicts = finish(data, [sample("s1", "good1", "good", ["o1"])], labelled=["good1", "good3"])
        assert verdicts.schema.equals(SCHEMAS["verdicts"], check_metadata=True)
        rows = by_item(verdicts)
        kept = {item for item, row in rows.items() if row["kept"]}
        assert kept == {"good", "good1", "o1", "s1"}
        assert {item: row["rule"] for item, row in rows.items() if item not in kept} == {
            "broken": "readable",
            "slow": "fps",
            "new": "not_analysed",
            "empty": "no_clip",
            "good2": "camera_label",
            "good3": "text_area",
            "slow1": "video",
            "empty1": "camera_label",
            "empty2": "camera_label",
            "empty3": "duration",
            "o2": "no_sample",
            "o3": "clip",
        }
        assert rows["empty"]["reason"] == "all 3 clips were dropped: 2 camera_label, 1 duration"
        assert rows["slow1"]["reason"] == "its video was dropped by fps: frame rate: 4 fps, at least 8 fps needed"
        assert rows["good"] | {"item_id": "s1", "level": "sample"} == rows["s1"]
        assert all(row["reason"] and row["stage"] for row in rows.values())

    def test_clips_without_samples(self):
        names = ("no_objects", "lost", "later", "crashed")
        data = manifests(
            [video("v")],
            [clip(name, "v") for name in names],
            [thing("o", "lost", "v")],
            [track("o", speed=0.0)],
            [{"video_id": "v"}],
        )
        rows = by_item(
            finish(data, [], labelled=["no_objects", "lost", "crashed"], failed=[("crashed", "ValueError: boom")])
        )
        assert {name: rows[name]["rule"] for name in names} == {
            "no_objects": "no_object",
            "lost": "no_object",
            "later": "not_labelled",
            "crashed": "failed",
        }
        assert rows["no_objects"]["reason"] == "no object was found in it"
        assert rows["lost"]["reason"] == "its only object was dropped: speed"
        assert rows["crashed"]["reason"] == "labelling failed: ValueError: boom"
        assert rows["later"]["reason"].startswith("kept now but not labelled yet: run `python -m curation run` again")
        assert rows["v"]["reason"] == "all 4 clips were dropped: 2 no_object, 1 failed, 1 not_labelled"

    def test_what_building_the_samples_says_stands(self):
        names = ("short", "slow", "used")
        data = manifests(
            [video("v")],
            [clip("c", "v")],
            [thing(name, "c", "v") for name in names],
            [track("short"), track("slow", speed=0.0), track("used")],
            [{"video_id": "v"}],
        )
        said = {"stage": "samples", "rule": "sample_length", "kept": False, "value": 2.0, "threshold": 4.0}
        drops = [
            {"item_id": name, "level": "object", "reason": f"{name} is too short"} | said for name in ("short", "slow")
        ] + [{"item_id": "candidate", "level": "sample", "reason": "too short"} | said]
        rows = by_item(finish(data, [sample("s", "c", "v", ["used"])], labelled=["c"], drops=drops))
        assert len(rows) == 7
        assert rows["short"] == {"item_id": "short", "level": "object", "reason": "short is too short"} | said
        assert rows["slow"]["rule"] == "speed"
        assert rows["candidate"] == drops[2]
        assert rows["used"]["kept"]

    def test_an_empty_run(self):
        verdicts = finish(manifests([]), [])
        assert verdicts.num_rows == 0
        assert verdicts.schema.equals(SCHEMAS["verdicts"])

    @settings(deadline=None, max_examples=40)  # polars queries take as long as the machine is busy
    @given(st.lists(st.tuples(st.floats(0, 60), st.booleans()), max_size=8), st.data())
    def test_one_verdict_per_item_and_none_kept_under_a_dropped_one(self, tops, draw):
        videos = [video(f"v{i}", fps_num=int(fps * 100), fps_den=100) for i, (fps, _) in enumerate(tops)]
        clips = [
            clip(f"v{i}c", f"v{i}", text_area=draw.draw(st.floats(0, 0.3))) for i, (_, has) in enumerate(tops) if has
        ]
        objects = [thing(f"{row['clip_id']}o", row["clip_id"], row["video_id"]) for row in clips]
        data = manifests(videos, clips, objects, [track(row["object_id"]) for row in objects])
        judged, _ = judge_run(data, RulesConfig(), {})
        passed = set(judged["object"].filter("kept").collect()["item_id"])
        samples = [
            sample(f"{row['object_id']}s", row["clip_id"], row["video_id"], [row["object_id"]])
            for row in objects
            if row["object_id"] in passed and draw.draw(st.booleans())
        ]
        rows = by_item(finish(data, samples, labelled=[row["clip_id"] for row in clips]))
        items = [videos, clips, objects, samples]
        assert len(rows) == sum(len(item) for item in items)
        for name, row in rows.items():
            assert row["kept"] == (row["rule"] == "kept")
            if row["kept"] and row["level"] != "video":
                assert rows[name[:-1]]["kept"]

    def test_judge_without_rules_keeps_all(self):
        facts = measures("clip", manifests([video("v")], [clip("c", "v")]))
        assert judge("clip", facts, [], {}).collect()["kept"].to_list() == [True]

    def test_funnel(self):
        data = manifests(
            [video("a"), video("b", fps_num=4), video("c", fps_num=4), video("d", width=20)],
            [clip("x", "a")],
            shots=[{"video_id": "a"}],
        )
        rows = funnel(finish(data, []))
        assert rows[0] == {
            "level": "video",
            "into": 4,
            "kept": 0,
            "dropped": {"fps": 2, "no_clip": 1, "width": 1},
        }
        assert rows[1]["dropped"] == {"not_labelled": 1}
        assert rows[3] == {"level": "sample", "into": 0, "kept": 0, "dropped": {}}
        console = Console(width=100, record=True, quiet=True)
        console.quiet = False
        with console.capture() as captured:
            console.print(funnel_table(rows))
        assert "2 fps, 1 no_clip, 1 width" in captured.get()

    def test_many_rows_are_cheap(self):
        count = 100_000
        rng = np.random.default_rng(0)
        columns = {"clip_id": [f"c{i}" for i in range(count)], "video_id": ["v"] * count}
        numbers = {"text_area": rng.random(count), "clarity": rng.random(count) * 100}
        nothing = {
            field.name: pa.nulls(count, field.type) for field in SCHEMAS["clips"] if field.name not in columns | numbers
        }
        clips = pa.table({**nothing, **columns, **numbers}).select(SCHEMAS["clips"].names).cast(SCHEMAS["clips"])
        data = manifests([video("v")]) | {"clips": pl.LazyFrame(pl.from_arrow(clips))}
        judged, _ = judge_run(data, RulesConfig(clarity=Bounds(drop_lowest=0.3)), {}, levels=("video", "clip"))
        kept = judged["clip"].select(pl.col("kept").sum()).collect().item()
        assert 0.05 * count < kept < 0.09 * count
