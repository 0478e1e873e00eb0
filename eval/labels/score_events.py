"""Cases of border crossings."""

from collections.abc import Iterator, Mapping
from typing import Any

from eval.labels.cases import Case
from eval.labels.labelled import LabelledClip
from eval.labels.match import ClipMatches, is_asked_for
from eval.labels.metrics.events import TOLERANCE, TOLERANCE_BY_HAND, match_events

Record = Mapping[str, Any]


def event_cases(
    labelled: LabelledClip, matches: list[ClipMatches], reported: list[Record], fps: float
) -> Iterator[Case]:
    """Cases `event`, right, missed or false.

    Asked for are the events of objects that are wanted by what is seen of them in their whole shot, however curation
    cut it. What a spared object truly does, and a crossing that is hidden, may be reported or not. Any other report is
    false: a wrong side or frame, the same event a second time, and whatever a resting thing is said to do.
    """
    if labelled.events is None:
        return
    objects = {item.name: item for item in labelled.objects or ()}
    spared = {name for name, item in objects.items() if item.moving and not is_asked_for(item, fps)}
    resting = {name for name, item in objects.items() if not item.moving}
    names = {}
    for match in (match for clip in matches for match in clip.reported):
        if (true := match.truth or match.excuse) is not None:
            names[match.row["object_id"]] = true.item.name
    truths = [event for event in labelled.events if event.object not in resting]
    tolerance = TOLERANCE_BY_HAND if labelled.by_hand else TOLERANCE
    for found, truth in match_events(reported, truths, names, set(objects), tolerance):
        if truth is not None and (truth.hidden or truth.object in spared):
            continue
        if truth is not None:
            note = f"{truth.object}: {truth.type} {truth.side} at {truth.frame}"
            note += f", found at {found['frame']}" if found else " not found"
            yield Case(
                "event",
                labelled.name,
                outcome="right" if found else "missed",
                frame=truth.frame,
                truth=truth.object,
                object_id=found["object_id"] if found else None,
                note=note,
                exhaustive=labelled.events_complete,
            )
        elif found is not None and labelled.events_complete:
            note = f"{found['type']} {found['side']} reported at {found['frame']} of {found['object_id']}"
            about = {"frame": int(found["frame"]), "object_id": found["object_id"]}
            yield Case("event", labelled.name, outcome="false", note=note, **about)
