"""Hand-labelled real clips, in this layout:

    DATA/INDEX.csv               one row a file: folder, file, frames, camera, cuts, entries_exits ... in words
    DATA/clips/NAME
    DATA/truth/transitions.csv   file, type, first_frame, last_frame
    DATA/truth/events.csv        file, object, event, side, first_frame, last_frame: while the border cuts the object
    DATA/truth/STEM/masks/*.png  one object's mask per frame (DAVIS)

People label what they are asked for, so most is unknown of most clips. Detector output and boxes that come with some
clips are no truth about masks and are not read.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2

from curation.contract.errors import UsageError
from curation.contract.rle import encode_mask
from eval.labels.labelled import CameraLabel, LabelledClip, LabelledObject, LabelledShot
from eval.labels.scene import JoinKind
from eval.labels.truth import EventTruth, TransitionTruth

_KINDS: dict[str, JoinKind] = {
    "hard_cut": "cut",
    "dissolve": "dissolve",
    "fade_in": "fade",
    "fade_out": "fade",
    "fadeblack": "fade",
    "wipe": "wipe",
}


def is_real_layout(folder: Path) -> bool:
    return (folder / "INDEX.csv").exists() and (folder / "truth" / "transitions.csv").exists()


def read_real(folder: Path) -> list[LabelledClip]:
    """The clips that INDEX.csv lists under `clips`.

    Raises:
        UsageError: a listed clip is missing, or a transition has an unknown type.
    """
    transitions = _by_file(folder / "truth" / "transitions.csv")
    events = _by_file(folder / "truth" / "events.csv")
    rows = [row for row in _rows(folder / "INDEX.csv") if row["folder"] == "clips"]
    return [_read_clip(folder, row, transitions.get(row["file"]), events.get(row["file"])) for row in rows]


def _read_clip(
    folder: Path,
    row: Mapping[str, str],
    listed: Sequence[Mapping[str, str]] | None,
    crossings: Sequence[Mapping[str, str]] | None,
) -> LabelledClip:
    path = folder / "clips" / row["file"]
    if not path.exists():
        raise UsageError(f"{path} is missing though {folder / 'INDEX.csv'} lists it; put it back or take out the row")
    frames = int(row["frames"])
    transitions = _transitions(row, listed)
    events = _events(row, crossings)
    masks = folder / "truth" / path.stem / "masks"
    return LabelledClip(
        name=row["file"],
        path=path,
        group="real",
        transitions=transitions,
        shots=_shots(transitions, frames, _camera(row["camera"])),
        objects=(_davis_object(masks, events or ()),) if masks.is_dir() else None,
        events=events,
        events_complete=events is not None,
        by_hand=True,
    )


def _transitions(
    row: Mapping[str, str], listed: Sequence[Mapping[str, str]] | None
) -> tuple[TransitionTruth, ...] | None:
    if listed is None:
        return () if row["cuts"].strip().lower().startswith("none") else None
    for item in listed:
        if item["type"] not in _KINDS:
            raise UsageError(f"transitions.csv: {row['file']} has type {item['type']!r}; known: {', '.join(_KINDS)}")
    found = (TransitionTruth(_KINDS[i["type"]], int(i["first_frame"]), int(i["last_frame"])) for i in listed)
    return tuple(sorted(found, key=lambda item: item.first))


def _events(row: Mapping[str, str], crossings: Sequence[Mapping[str, str]] | None) -> tuple[EventTruth, ...] | None:
    if crossings is None:
        return () if row["entries_exits"].strip().lower().startswith("none") else None
    found = []
    for item in crossings:
        first, last = int(item["first_frame"]), int(item["last_frame"])
        frame = first if item["event"] == "enter" else last
        found.append(EventTruth(item["object"], item["event"], item["side"], frame, first, last))
    return tuple(sorted(found, key=lambda event: event.frame))


def _camera(words: str) -> CameraLabel | None:
    """What the description says beyond doubt: it starts with "static", or names a movement in capitals."""
    if re.search(r"\b(PAN|ZOOM|ROLL|TILT)\b", words):
        return "moving"
    return "static" if words.startswith("static") and "then" not in words else None


def _shots(
    transitions: tuple[TransitionTruth, ...] | None, frames: int, camera: CameraLabel | None
) -> tuple[LabelledShot, ...] | None:
    if transitions is None:
        return None
    shots, start = [], 0
    for item in transitions:
        shots.append((start, item.first))
        start = item.first if item.kind == "cut" else item.last + 1
    shots.append((start, frames))
    return tuple(LabelledShot(first, last, camera) for first, last in shots if first < last)


def _davis_object(folder: Path, events: Sequence[EventTruth]) -> LabelledObject:
    """The object of the masks, by the name that the events have for it."""
    names = {event.object for event in events}
    masks = []
    for path in sorted(folder.glob("*.png")):
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise UsageError(f"{path} cannot be read as a picture; put it back")
        masks.append(encode_mask(picture > 127) if (picture > 127).any() else None)
    name = names.pop() if len(names) == 1 else "object"
    return LabelledObject(name, True, 0, len(masks), tuple(masks), None)


def _by_file(path: Path) -> dict[str, list[dict[str, str]]]:
    if not path.exists():
        return {}
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _rows(path):
        found[row["file"]].append(row)
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
