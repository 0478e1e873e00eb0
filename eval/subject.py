"""Which object a sample is about, and what it is asked to do."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eval.metrics.event_accuracy import Kind

Record = Mapping[str, Any]


class AskedEvent(NamedTuple):
    """Attributes: side by which the object enters or leaves; frame of the source in which it does."""

    side: str
    frame: int


def kind_of(sample: Record) -> Kind:
    """A sample that is `both` brings its ID object in; the object that leaves is by the way."""
    return "frame_out" if sample["kinds"] == "frame_out" else "frame_in"


def subject_of(sample: Record, events: Sequence[Record]) -> Record:
    """The ID object, or the object that leaves the first region box: an entry of `samples.objects`.

    Where no object is known to leave, it is the first one that begins inside the box.
    """
    if kind_of(sample) == "frame_in":
        return next(item for item in sample["objects"] if item["is_identity"])
    for item in sample["objects"]:
        if asked_event(sample, item["object_id"], events):
            return item
    box = np.asarray(sample["region_boxes"][0])
    for item in sample["objects"]:
        points = np.asarray(item["points"])[0][np.asarray(item["visibility"])[0]]
        if len(points) and bool(np.all((points >= box[:2]) & (points < box[2:]))):
            return item
    return sample["objects"][0]


def asked_event(sample: Record, object_id: str, events: Sequence[Record]) -> AskedEvent | None:
    """What curation saw the object do at the sample's first region box, if it did.

    What leaves the frame leaves the box, too; what enters the frame need not enter the box.

    Args:
        events: rows of the events manifest, of any objects.
    """
    kind = "enter" if kind_of(sample) == "frame_in" else "exit"
    box = [int(side) for side in sample["region_boxes"][0]]
    by_frame = kind == "exit" or box == [0, 0, sample["width"], sample["height"]]
    found = [
        event
        for event in events
        if event["object_id"] == object_id
        and event["type"] == kind
        and sample["start_frame"] <= event["frame"] - (kind == "enter")
        and event["frame"] + (kind == "exit") < sample["end_frame"]
        and (by_frame if event["region_box"] is None else list(event["region_box"]) == box)
    ]
    if not found:
        return None
    first = kind == "enter"
    event = min(found, key=lambda event: (event["boundary"] == "frame", event["frame"] if first else -event["frame"]))
    return AskedEvent(event["side"], int(event["frame"]))
