"""Clip selection: shots into clips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.contract.tables import records, table
from curation.stages.clips import ClipConfig, ClipSelection


def clips(shots, **config):
    rows = [
        {"video_id": video, "shot_index": index, "start_frame": start, "end_frame": end}
        for index, (video, start, end) in enumerate(shots)
    ]
    found = records(ClipSelection(ClipConfig(**config))({"shots": table("shots", rows)})["clips"])
    return [(row["video_id"], row["start_frame"], row["end_frame"]) for row in found]


SHOTS = [("a", 0, 30), ("a", 42, 180), ("a", 180, 1400)]


def test_every_shot_becomes_clips_short_ones_included():
    assert clips(SHOTS) == [("a", 0, 30), ("a", 42, 180), ("a", 180, 586), ("a", 586, 993), ("a", 993, 1400)]


def test_the_recipe_takes_one_section_of_the_first_long_shot():
    assert clips(SHOTS, selection="first", min_frames=100, max_sections=1) == [("a", 42, 180)]
    assert clips(SHOTS, selection="first", min_frames=138, max_sections=1) == [("a", 180, 586)]


def test_first_leaves_the_longest_shot_to_the_length_rule_when_all_are_short():
    assert clips(SHOTS[:2], selection="first", min_frames=300) == [("a", 42, 180)]


def test_sections_are_counted_by_video():
    shots = [*SHOTS, ("b", 0, 700)]
    assert clips(shots, max_sections=2) == [("a", 0, 30), ("a", 42, 180), ("b", 0, 350), ("b", 350, 700)]


def test_ids_name_the_span_and_scores_stay_null():
    row = {"video_id": "a", "shot_index": 0, "start_frame": 5, "end_frame": 90}
    (clip,) = records(ClipSelection()({"shots": table("shots", [row])})["clips"])
    assert clip["clip_id"] == "a_000005-000090"
    assert {name for name, value in clip.items() if value is not None} == {
        "clip_id",
        "video_id",
        "start_frame",
        "end_frame",
    }


@pytest.mark.parametrize("selection", ["all", "first"])
def test_a_video_without_shots_has_no_clips(selection):
    assert clips([], selection=selection) == []


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=8), st.integers(40, 600))
def test_clips_cover_the_shots(lengths, longest):
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    found = clips([("a", start, start + n) for start, n in zip(starts, lengths, strict=True)], longest=longest)
    assert [frame for _, start, end in found for frame in (start, end)][1:-1:2] == [start for _, start, _ in found][1:]
    assert (found[0][1], found[-1][2]) == (0, sum(lengths))
    assert all(0 < end - start <= longest for _, start, end in found)
