"""The renderer's truth must be right before anything is measured against it."""

import pytest

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


@pytest.mark.parametrize("name", _EVENTS)
def test_every_scene_has_the_events_it_is_named_for(scene, name):
    assert [(event.type, event.side) for event in scene(name).events] == _EVENTS[name]
