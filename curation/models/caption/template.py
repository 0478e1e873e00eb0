"""Captions put together from what was measured: which objects, where from, where to, how fast."""

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

from curation.contract.errors import ModelError
from curation.models.caption.protocol import CaptionRequest, ClipFacts, ObjectFacts

MOST_DESCRIBED = 3
"""More objects than this are counted, not described one by one."""

_CAMERAS = {
    "static": "Filmed by a static camera, ",
    "handheld": "Filmed with a handheld camera, ",
    "moving": "As the camera moves, ",
}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_WAYS = {"left": "to the left", "right": "to the right", "up": "upwards", "down": "downwards"}
_EDGES = {"left": "the left", "right": "the right", "top": "the top", "bottom": "the bottom"}
_PLACES = {"left": "on the left", "centre": "in the centre", "right": "on the right"}


class TemplateCaptioner:
    """Needs no weights. Says nothing that was not measured, and an empty line when there are no objects."""

    name = "template-1"
    sampling = None

    def captions(self, requests: Sequence[CaptionRequest]) -> list[str | ModelError]:
        """See `Captioner`; one to five short sentences each."""
        return [self._caption(request.facts) for request in requests]

    def _caption(self, facts: ClipFacts) -> str:
        if not facts.objects:
            return ""
        objects = sorted(facts.objects, key=lambda item: item.area, reverse=True)
        names = _names(objects[:MOST_DESCRIBED])
        sentences = [f"{name} {_story(item)}." for name, item in zip(names, objects, strict=False)]
        sentences[0] = _CAMERAS.get(facts.camera_label, "") + sentences[0]
        rest = objects[MOST_DESCRIBED:]
        if rest:
            sentences.append(f"{_count(len(rest))} more {'object is' if len(rest) == 1 else 'objects are'} in view.")
        return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)


def _names(objects: Sequence[ObjectFacts]) -> list[str]:
    """'a red car', then 'another red car', then 'a third red car'."""
    seen: Counter[str] = Counter()
    names = []
    for item in objects:
        noun = f"{item.colour} {item.label}" if item.colour else item.label
        article = "an" if noun[0] in "aeiou" else "a"
        names.append((f"{article} {noun}", f"another {noun}", f"a third {noun}")[seen[noun]])
        seen[noun] += 1
    return names


def _story(item: ObjectFacts) -> str:
    """What an object does, in order of time: 'comes in from the left and moves to the right'."""
    crossings = _crossings(item)
    moves = f"moves {_pace(item.speed)}{_WAYS[item.direction]}" if item.direction else ""
    if not crossings and not moves:
        return f"stays {_PLACES[item.place]} of the frame"
    parts = [moves] if moves else []
    for index, (kind, side) in enumerate(crossings):
        before = any(earlier == kind for earlier, _ in crossings[:index])
        if kind == "exit":
            parts.append(f"leaves{' again' if before else ''} by {_EDGES[side]} edge")
        elif index == 0:
            parts.insert(0, f"comes in from {_EDGES[side]}")
        else:
            parts.append(f"comes back in from {_EDGES[side]}")
    if item.seen_at_start:
        parts.insert(0, f"starts {_PLACES[item.place]}")
    elif not moves and crossings[-1][0] == "enter":
        parts.append(f"stays {_PLACES[item.last_place]} of the frame")
    return _joined(parts)


def _crossings(item: ObjectFacts) -> list[tuple[str, str]]:
    """Entries and exits in turn; which comes first depends on where the object is at the start."""
    enters = [("enter", side) for side in item.enters]
    exits = [("exit", side) for side in item.exits]
    first, second = (exits, enters) if item.seen_at_start else (enters, exits)
    return [crossing for pair in zip_longest(first, second) for crossing in pair if crossing]


def _pace(speed: float) -> str:
    """In frame diagonals per second."""
    if speed >= 0.35:
        return "quickly "
    return "slowly " if speed < 0.08 else ""


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _count(number: int) -> str:
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)
