"""Where one tube swallows another, the two are followed again together, and each gets its own.

An object that is found first takes what comes to touch it for its own: the other's tube ends, or begins, inside of it,
and afterwards nobody knows which is which. From the last frame that shows both apart they are followed through the
meeting as two; what they come out as is what they go on as.
"""

from typing import NamedTuple

import cv2
import numpy as np

from curation.contract.mask_tube import Masks, MaskTube
from curation.models.masks.colours import colour_histogram
from curation.models.masks.protocol import MaskPrompt, MaskTracker
from curation.models.objects.motion_model import motion_model
from curation.models.objects.protocol import Detection
from curation.stages.clip_masks import mask_extents
from curation.video.media import ClipFrames

_LOOK_BACK_SECONDS = 2.0  # before the end of a tube, in which it must have been whole and apart
_WHOLE = 0.5  # of the largest mask around its end that it then shows
_LOOK = 8  # frames that its speed is taken from
_SWALLOWED = 0.3  # of the mask, moved on, that the other tube holds after its end
_APART_FRAMES = 6  # in a row, after which a meeting is over
_TAIL = 0.5  # mean IoU in the later half of those frames, at which a tube is what one of the two goes on as
_PATIENCE_SECONDS = 1.0  # for which one of the two may be hidden
_UNSETTLED_SECONDS = 1.5  # longest time to the clip's end in which they may not have come apart again
_SIZES = 2.5  # largest ratio of the areas before and after
_LIKE = 0.7  # least Bhattacharyya coefficient of the colours before and after
_SQUARE_5 = np.ones((5, 5), np.uint8)

Tube = tuple[MaskTube, Detection]


class _Meeting(NamedTuple):
    """Attributes: swallowed, holder: tubes by number; frame: the last that shows both apart; step: 1 when `swallowed`
    ends after it, -1 when it begins before."""

    swallowed: int
    holder: int
    frame: int
    step: int


def untangle(clip: ClipFrames, tubes: list[Tube], tracker: MaskTracker) -> list[Tube]:
    """The tubes (masks over the clip, with the detection that each began with) with swallowed stretches given back."""
    tubes = list(tubes)
    done: set[tuple[int, int]] = set()
    while True:
        meeting = next((found for found in _meetings(clip, tubes) if _key(tubes, found) not in done), None)
        if meeting is None:
            return tubes
        done.add(_key(tubes, meeting))
        tubes = _resolved(clip, tubes, meeting, tracker)


def _key(tubes: list[Tube], meeting: _Meeting) -> tuple[int, int]:
    """Which meeting it is, however often the tubes are cut and spliced: by the detection and the direction."""
    return id(tubes[meeting.swallowed][1]), meeting.step


def _meetings(clip: ClipFrames, tubes: list[Tube]) -> list[_Meeting]:
    """Ends of tubes inside of other tubes."""
    extents = [mask_extents(masks) for masks, _ in tubes]
    found = []
    for index, (masks, _) in enumerate(tubes):
        areas, boxes = extents[index]
        for step in (1, -1):
            frames = np.flatnonzero(areas)[::-step][: max(_LOOK, round(_LOOK_BACK_SECONDS * float(clip.fps)))]
            beyond = int(frames[0]) + step
            if not 0 <= beyond < clip.length:
                continue
            whole = [int(frame) for frame in frames if areas[frame] >= _WHOLE * areas[frames].max()]
            for holder, (others, _) in enumerate(tubes):
                if holder == index or not _near(boxes[frames[0]], extents[holder].boxes[beyond]):
                    continue
                last = next((f for f in whole if others.boxes[f] is not None and _apart(masks[f], others[f])), None)
                # What has only just come to be seen may be a piece of the same object.
                if last is None or others.boxes[min(max(last - step * _LOOK, 0), clip.length - 1)] is None:
                    continue
                expected = _moved_on(masks[last], (boxes[:, :2] + boxes[:, 2:]) / 2, last, beyond)
                if np.count_nonzero(expected & others[beyond]) >= _SWALLOWED * max(1, np.count_nonzero(expected)):
                    found.append(_Meeting(index, holder, last, step))
    return found


def _near(a: np.ndarray, b: np.ndarray) -> bool:
    """Two boxes [4] are less than the first one's longer side apart; not when one is nan."""
    gap = np.maximum(a[:2], b[:2]) - np.minimum(a[2:], b[2:])
    return bool((gap < (a[2:] - a[:2]).max()).all())


def _apart(a: np.ndarray, b: np.ndarray) -> bool:
    return not (cv2.dilate(a.astype(np.uint8), _SQUARE_5).view(bool) & b).any()


def _moved_on(mask: np.ndarray, centres: np.ndarray, last: int, beyond: int) -> np.ndarray:
    """The mask of frame `last` where its speed before takes it in frame `beyond`, bool [h, w]."""
    step = 1 if beyond > last else -1
    earlier = [
        f for f in range(last - step * _LOOK, last, step) if 0 <= f < len(centres) and np.isfinite(centres[f, 0])
    ]
    x, y = (centres[last] - centres[earlier[0]]) * (beyond - last) / (last - earlier[0]) if earlier else (0.0, 0.0)
    size = mask.shape[::-1]
    return cv2.warpAffine(mask.astype(np.uint8), np.array([[1, 0, x], [0, 1, y]]), size, flags=cv2.INTER_NEAREST) > 0


class _Passage(NamedTuple):
    """Two objects through their meeting: masks of both by frame, in the order in which they were followed; and for
    either, whether it is seen apart from the other in the end, so that it can be known again."""

    masks: dict[int, tuple[np.ndarray, np.ndarray]]
    known: tuple[bool, bool]


def _passage(
    clip: ClipFrames, meeting: _Meeting, before: tuple[np.ndarray, np.ndarray], tracker: MaskTracker
) -> _Passage:
    passed: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    patience = round(_PATIENCE_SECONDS * float(clip.fps))
    met, apart, unseen = False, 0, [0, 0]
    for frame, masks, touch in tracker.follow_two(clip, meeting.frame, before, meeting.step):
        passed[frame] = masks
        unseen = [0 if mask.any() else count + 1 for mask, count in zip(masks, unseen, strict=True)]
        met |= touch
        apart = 0 if touch or any(unseen) else apart + 1
        over = apart >= (_APART_FRAMES if met else patience)
        if over or max(unseen) > patience:
            return _Passage(passed, (not unseen[0], not unseen[1]))
    return _Passage(passed, (False, False))


def _resolved(clip: ClipFrames, tubes: list[Tube], meeting: _Meeting, tracker: MaskTracker) -> list[Tube]:
    """The tubes after the two of a meeting were followed through it; the same ones when that failed."""
    pair, start, step = (meeting.swallowed, meeting.holder), meeting.frame, meeting.step
    before = (tubes[pair[0]][0][start], tubes[pair[1]][0][start])
    masks, known = _passage(clip, meeting, before, tracker)
    end = list(masks)[-1]
    if not any(known) and (
        len(masks) > _UNSETTLED_SECONDS * float(clip.fps)
        or not all(_seen_to_the_end([both[side] for both in masks.values()]) for side in (0, 1))
    ):
        return tubes
    for side in (0, 1):
        if masks[end][side].any() and not _alike(clip, (start, before[side]), (end, masks[end][side])):
            return tubes
    tails: dict[int, int] = {}
    for side in (1, 0):
        if known[side]:
            last = list(masks)[-_APART_FRAMES // 2 :]
            number = _tail(tubes, {frame: masks[frame][side] for frame in last}, set(tails.values()))
            if number is not None:
                tails[side] = number
    result: list[Tube] = []
    for number, (own, detection) in enumerate(tubes):
        if number not in pair and number not in tails.values():
            result.append((own, detection))
            continue
        before_it = [mask & ((frame - start) * step <= 0) for frame, mask in enumerate(own)]
        beyond_it = [mask & ((frame - end) * step > 0) for frame, mask in enumerate(own)]
        if number in pair:
            side = pair.index(number)
            after = _after(clip, tubes, pair, side, tails, (end, masks[end][side] if known[side] else None), tracker)
            through = {frame: both[side] for frame, both in masks.items()}
            whole = [
                through[frame] if frame in through else after[frame] if (frame - end) * step > 0 else own[frame]
                for frame in range(clip.length)
            ]
            result.append((MaskTube.of(whole, own.shape[1:]), detection))
            before_it = []
        if number in tails.values():
            beyond_it = []
        # What nobody goes on as, and what nobody was before, is something else.
        result += [
            (MaskTube.of(rest, own.shape[1:]), detection)
            for rest in (before_it, beyond_it)
            if sum(bool(mask.any()) for mask in rest) >= _LOOK
        ]
    return result


def _seen_to_the_end(masks: list[np.ndarray]) -> bool:
    """Whether it is seen in the last of the masks, or was last seen where it left by the border."""
    last = next((mask for mask in reversed(masks) if mask.any()), None)
    if last is None:
        return False
    return last is masks[-1] or bool(last[[0, -1]].any() or last[:, [0, -1]].any())


def _after(
    clip: ClipFrames,
    tubes: list[Tube],
    pair: tuple[int, int],
    side: int,
    tails: dict[int, int],
    last: tuple[int, np.ndarray | None],
    tracker: MaskTracker,
) -> Masks:
    """Masks of what one of the two is after the meeting, from its last frame and mask; None for one that is gone."""
    frame, mask = last
    if side in tails:
        return tubes[tails[side]][0]
    if mask is None:
        return np.zeros((clip.length, clip.height, clip.width), bool)
    others = [
        np.asarray(tube) for number, (tube, _) in enumerate(tubes) if number not in pair or number in tails.values()
    ]
    return tracker.propagate(clip, MaskPrompt(frame, mask, np.zeros((0, 2), np.float32)), others)


def _tail(tubes: list[Tube], masks: dict[int, np.ndarray], spent: set[int]) -> int | None:
    """The tube, by number, that agrees best with the masks, by frame; None when none does."""
    best, best_overlap = None, _TAIL
    for number, (tube, _) in enumerate(tubes):
        if number in spent:
            continue
        overlaps = [
            np.count_nonzero(mask & tube[frame]) / np.count_nonzero(mask | tube[frame]) for frame, mask in masks.items()
        ]
        if np.mean(overlaps) > best_overlap:
            best, best_overlap = number, float(np.mean(overlaps))
    return best


def _alike(clip: ClipFrames, a: tuple[int, np.ndarray], b: tuple[int, np.ndarray]) -> bool:
    """Whether two masks (a frame, bool [h, w]) are of one size, and show the same colours."""
    small, large = sorted(np.count_nonzero(mask) for _, mask in (a, b))
    if large > _SIZES * small:
        return False
    one, two = (colour_histogram(motion_model(clip).colours(frame), mask) for frame, mask in (a, b))
    return float(np.sqrt(one * two).sum()) >= _LIKE
