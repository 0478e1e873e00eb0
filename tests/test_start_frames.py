"""Start frames: positions in the clip, key frames, gaps and what must be left."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.contract.spans import Span
from curation.contract.tables import records, table
from curation.stages.start_frames import StartFrameConfig, StartFrames, start_frames

LAPTOP = StartFrameConfig()
FULL = StartFrameConfig(min_gap=50)
EVERYTHING = StartFrameConfig(min_seconds=0)


def test_thirds_of_the_clip():
    assert start_frames(Span(30, 330), Fraction(24), [], LAPTOP) == [30, 130, 230]


def test_candidates_move_to_a_key_frame_within_a_twentieth_of_the_clip():
    keys = [20, 36, 120, 145, 246]  # 20 is before the clip, 246 is 16 frames away from 230
    assert start_frames(Span(30, 330), Fraction(24), keys, LAPTOP) == [36, 120, 230]


def test_the_first_of_two_key_frames_as_near():
    assert start_frames(Span(0, 300), Fraction(24), [95, 105], LAPTOP)[1] == 95


@pytest.mark.parametrize(("fps", "frames"), [(12, 49), (24, 98), (Fraction(30000, 1001), 123)])
def test_49_frames_at_12_fps_must_be_left(fps, frames):
    assert start_frames(Span(0, frames), Fraction(fps), [], LAPTOP) == [0]
    assert start_frames(Span(0, frames - 1), Fraction(fps), [], LAPTOP) == []


def test_a_key_frame_too_late_in_the_clip_is_not_taken():
    assert start_frames(Span(0, 100), Fraction(24), [4], LAPTOP) == [0]
    assert start_frames(Span(0, 102), Fraction(24), [4], LAPTOP) == [4]


def test_a_key_frame_may_save_a_candidate_that_is_just_too_late():
    assert start_frames(Span(0, 294), Fraction(24), [190], LAPTOP) == [0, 98, 190]
    assert start_frames(Span(0, 294), Fraction(24), [190, 197], LAPTOP) == [0, 98, 190]


def test_gaps():
    assert start_frames(Span(0, 147), Fraction(12), [], FULL) == [0, 98]
    assert start_frames(Span(0, 147), Fraction(12), [], LAPTOP) == [0, 49, 98]


def test_everything_starts_even_in_one_frame():
    assert start_frames(Span(7, 8), Fraction(25), [], EVERYTHING) == [7]
    assert start_frames(Span(0, 90), Fraction(25), [], EVERYTHING) == [0, 30, 60]


def test_the_stage_fills_the_clips_table_and_leaves_the_rest():
    videos = [{"video_id": "a", "fps_num": 24, "fps_den": 1, "key_frames": [0, 130]}]
    clips = [
        {"clip_id": "a_0", "video_id": "a", "start_frame": 30, "end_frame": 330, "clarity": 5.0},
        {"clip_id": "a_1", "video_id": "a", "start_frame": 330, "end_frame": 340},
    ]
    tables = {"videos": table("videos", videos), "clips": table("clips", clips)}
    long, short = records(StartFrames()(tables)["clips"])
    assert long["start_frames"].tolist() == [30, 130, 230]
    assert long["clarity"] == 5
    assert short["start_frames"] is not None
    assert len(short["start_frames"]) == 0


@given(st.integers(0, 1000), st.integers(1, 1500), st.lists(st.integers(0, 2500)), st.integers(1, 120), st.data())
def test_start_frames_lie_in_the_clip_in_order(start, length, keys, fps, data):
    config = StartFrameConfig(
        min_gap=data.draw(st.integers(1, 60)), min_seconds=data.draw(st.sampled_from([0, 1, 49 / 12]))
    )
    found = start_frames(Span(start, start + length), Fraction(fps), keys, config)
    assert all(start <= frame < start + length for frame in found)
    assert all(start + length - frame >= config.min_seconds * fps - 1e-6 for frame in found)
    assert all(gap >= config.min_gap for gap in np.diff(found))
