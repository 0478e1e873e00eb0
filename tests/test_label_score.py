"""What counts as right, missed and false, on clips small enough to count by hand."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from curation.contract.rle import encode_mask
from eval.labels.by_clip import by_clip
from eval.labels.labelled import LabelledClip, LabelledObject, LabelledShot
from eval.labels.match import match_clip
from eval.labels.score_events import event_cases
from eval.labels.score_objects import object_cases
from eval.labels.score_shots import transition_cases
from eval.labels.truth import EventTruth, TransitionTruth

FPS = 10.0
FRAMES = 20


def _mask(x, size=10):
    """A square of 40 x 60 px frames."""
    mask = np.zeros((40, 60), bool)
    mask[5 : 5 + size, x : x + size] = True
    return encode_mask(mask)


def _thing(name, x, moving=True, seen=(0, FRAMES), size=10):
    masks = tuple(_mask(x, size) if seen[0] <= frame < seen[1] else None for frame in range(FRAMES))
    return LabelledObject(name, moving, 0, FRAMES, masks, None)


def _file(objects, complete=True, events=(), **known):
    about = {"objects_complete": complete, "events_complete": True, **known}
    return LabelledClip("a.mp4", Path("a.mp4"), "test", objects=tuple(objects), events=tuple(events), **about)


def _matches(labelled, spans, reports):
    """Clips of the manifest over `spans`; `reports`: (span, x, first, end[, size]) of a reported square each."""
    matches = []
    for number, (start, end) in enumerate(spans):
        rows, tracks = [], {}
        for index, (span, x, first, last, *size) in enumerate(reports):
            if span == number:
                name = f"r{index}"
                masks = [_mask(x, *size) if first <= frame < last else None for frame in range(start, end)]
                rows.append(
                    {
                        "object_id": name,
                        "mask": _mask(x),
                        "query_frame": first,
                        "query_points": [],
                        "identity_reference": None,
                        "identity_box": None,
                        "starts": [],
                    }
                )
                tracks[name] = {"start_frame": start, "end_frame": end, "masks": masks, "points": None}
        matches.append(match_clip(labelled, {"start_frame": start, "end_frame": end}, rows, tracks, FPS))
    return matches


def _outcomes(cases, measure):
    return sorted(case.outcome for case in cases if case.measure == measure)


def _davis_j(item, spans, reports):
    labelled = _file([item], complete=False)
    cases = list(object_cases(labelled, _matches(labelled, spans, reports), FPS))
    return next(case.value for case in cases if case.measure == "davis_j")


def test_davis_j_counts_every_frame_of_the_file_whatever_curation_made_of_it():
    ball, whole = _thing("ball", 10), [(0, 20)]
    assert _davis_j(ball, whole, [(0, 10, 0, 20), (0, 40, 0, 20)]) == 1.0
    # After a false cut only one of the two parts reports it.
    assert _davis_j(ball, [(0, 10), (10, 20)], [(0, 10, 0, 10)]) == 0.5
    assert _davis_j(ball, [(0, 10), (10, 20)], [(0, 10, 0, 10), (1, 10, 10, 20)]) == 1.0
    # The second half lies in no clip, or is not reported.
    assert _davis_j(ball, [(0, 10)], [(0, 10, 0, 10)]) == 0.5
    assert _davis_j(ball, whole, [(0, 10, 0, 10)]) == 0.5
    assert _davis_j(ball, whole, []) == 0.0
    # Seen in 10 frames, reported in 20: frames in which it is wrongly reported count too; where it is neither, none do.
    hidden = _thing("ball", 10, seen=(0, 10))
    assert _davis_j(hidden, whole, [(0, 10, 0, 20)]) == 0.5
    assert _davis_j(hidden, whole, [(0, 10, 0, 10)]) == 1.0
    # Half of the square is hit: 50 px of 150.
    assert _davis_j(ball, whole, [(0, 15, 0, 20)]) == pytest.approx(1 / 3)


def test_objects_are_found_missed_or_false():
    labelled = _file([_thing("car", 10), _thing("box", 40, moving=False)])
    perfect = _matches(labelled, [(0, 20)], [(0, 10, 0, 20)])
    assert _outcomes(object_cases(labelled, perfect, FPS), "object") == ["right"]
    # A resting thing and a second report of the same object are false; an IoU of 1/3 is none.
    cases = list(object_cases(labelled, _matches(labelled, [(0, 20)], [(0, 10, 0, 20), (0, 10, 0, 9)]), FPS))
    assert _outcomes(cases, "object") == ["false", "right"]
    cases = list(object_cases(labelled, _matches(labelled, [(0, 20)], [(0, 15, 0, 20), (0, 40, 0, 20)]), FPS))
    assert _outcomes(cases, "object") == ["false", "false", "missed"]
    # An object that lies in no clip, or in too short a part of one, is missed all the same.
    assert _outcomes(object_cases(labelled, [], FPS), "object") == ["missed"]
    assert _outcomes(object_cases(labelled, _matches(labelled, [(0, 3)], []), FPS), "object") == ["missed"]


def test_references_are_judged_where_one_shot_is_seen_alone():
    labelled = _file([_thing("car", 10, seen=(0, 15))], transitions=(TransitionTruth("dissolve", 15, 19),))
    (match,) = matches = _matches(labelled, [(0, 20)], [(0, 10, 0, 20)])
    opaque = cv2.imencode(".png", np.full((10, 20, 4), 255, np.uint8))[1].tobytes()
    match.reported[0].row.update(identity_reference={"bytes": opaque}, identity_box=[10, 5, 30, 15])
    match.reported[0].row.update(identity_frame=14)
    assert [case.value for case in object_cases(labelled, matches, FPS) if case.measure == "identity"] == [0.5]
    match.reported[0].row.update(identity_frame=15)  # the truth ends where the mixing begins
    assert [case for case in object_cases(labelled, matches, FPS) if case.measure == "identity"] == []


def test_what_is_too_small_or_too_short_is_neither_missed_nor_false():
    # A thousandth of the frame is 2.4 px; half a second is 5 frames.
    for spared in (_thing("fly", 10, size=1), _thing("flash", 10, seen=(8, 12))):
        labelled = _file([spared])
        first, end, size = (0, 20, 1) if spared.name == "fly" else (8, 12, 10)
        for reports in ([], [(0, 10, first, end, size)]):
            cases = list(object_cases(labelled, _matches(labelled, [(0, 20)], reports), FPS))
            assert _outcomes(cases, "object") == []
    # What lies beside it is false.
    cases = list(object_cases(labelled, _matches(labelled, [(0, 20)], [(0, 30, 8, 12)]), FPS))
    assert _outcomes(cases, "object") == ["false"]


def test_where_not_every_object_is_labelled_precision_is_not_asked():
    labelled = _file([_thing("ball", 10)], complete=False)
    cases = list(object_cases(labelled, _matches(labelled, [(0, 20)], [(0, 10, 0, 20), (0, 40, 0, 20)]), FPS))
    [found] = [case for case in cases if case.measure == "object"]
    assert found.outcome == "right" and not found.exhaustive


def _events(labelled, spans, reports, said):
    reported: list[Any] = [dict(zip(("object_id", "type", "side", "frame"), event, strict=True)) for event in said]
    return _outcomes(event_cases(labelled, _matches(labelled, spans, reports), reported, FPS), "event")


def test_events_of_wanted_spared_and_resting_things():
    truth = [EventTruth(name, "exit", "left", 19, 15, 19) for name in ("car", "fly", "box")]
    things = [_thing("car", 10), _thing("fly", 30, size=1), _thing("box", 45, moving=False)]
    labelled = _file(things, events=truth)
    reports = [(0, 10, 0, 20), (0, 30, 0, 20, 1), (0, 45, 0, 20)]
    assert _events(labelled, [(0, 20)], reports, []) == ["missed"]
    assert _events(labelled, [(0, 20)], reports, [("r0", "exit", "left", 14)]) == ["right"]
    # One frame too far off, the wrong side, another object, and the same event twice.
    for wrong in (("r0", "exit", "left", 13), ("r0", "exit", "right", 19), ("r1", "exit", "top", 19)):
        assert _events(labelled, [(0, 20)], reports, [wrong]) == ["false", "missed"]
    assert _events(labelled, [(0, 20)], reports, [("r0", "exit", "left", 19), ("r0", "exit", "left", 18)]) == [
        "false",
        "right",
    ]
    # What a spared thing truly does may be said, and what it does not do may not. A resting thing does nothing.
    assert _events(labelled, [(0, 20)], reports, [("r1", "exit", "left", 19)]) == ["missed"]
    assert _events(labelled, [(0, 20)], reports, [("r1", "enter", "left", 3)]) == ["false", "missed"]
    assert _events(labelled, [(0, 20)], reports, [("r2", "exit", "left", 19)]) == ["false", "missed"]
    # Cut into pieces in which it is too short to be asked for, the car is asked for still.
    assert _events(labelled, [(0, 16), (16, 20)], [], []) == ["missed"]


def test_a_crossing_that_nobody_can_see_is_not_asked_for():
    labelled = _file([_thing("car", 10)], events=[EventTruth("car", "enter", "bottom", 10, 4, 8, hidden=True)])
    reports = [(0, 10, 0, 20)]
    assert _events(labelled, [(0, 20)], reports, []) == []
    assert _events(labelled, [(0, 20)], reports, [("r0", "enter", "bottom", 9)]) == []
    assert _events(labelled, [(0, 20)], reports, [("r0", "enter", "top", 9)]) == ["false"]


def test_frames_that_a_person_read_off_may_be_eight_off():
    labelled = _file([], events=[EventTruth("car", "exit", "left", 10, 8, 10)], by_hand=True)
    assert _events(labelled, [(0, 20)], [(0, 10, 0, 20)], [("r0", "exit", "left", 18)]) == ["right"]
    assert _events(labelled, [(0, 20)], [(0, 10, 0, 20)], [("r0", "exit", "left", 19)]) == ["false", "missed"]


def test_every_number_of_a_hand_labelled_clip_stands_in_its_line():
    shots = (LabelledShot(0, 30, "static"), LabelledShot(30, 90, "static"))
    cuts = (TransitionTruth("cut", 30, 30), TransitionTruth("dissolve", 60, 70))
    labelled = _file([], transitions=cuts, shots=shots, by_hand=True)
    said: list[Any] = [{"start_frame": 0, "transition": None}]
    said += [{"start_frame": frame, "transition": "cut"} for frame in (31, 50)]
    cases = list(transition_cases(labelled, said))
    assert _outcomes(cases, "static_cut") == ["false"]
    [line] = by_clip([labelled], cases, {"a.mp4": ["static", "moving", "static"]})
    assert str(line.hard_cuts) == "1 of 1, 1 false" and str(line.gradual) == "0 of 1"
    assert line.cells() == ["a.mp4", "1 of 1, 1 false", "0 of 1", "moving, static", "", "0 of 0"]
    assert line.record()["hard_cuts"] == {"found": 1, "true": 1, "false": 1}
