"""The page of a scoring: the tables, and the worst cases of every measure pictured."""

import base64
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import jinja2
import numpy as np

from curation.contract.rle import Rle, decode_mask
from curation.report.pictures import display_size, read_pictures
from eval.labels.by_clip import HEADER, ClipLine
from eval.labels.cases import Case
from eval.labels.score import ScoredData
from eval.labels.summary import Line, Measure, Summary

WORST = 6  # cases pictured for each measure
_LONGEST = 480  # px of a picture's longer side
_TRUE, _REPORTED, _BOX = (40, 230, 60), (255, 60, 200), (255, 220, 0)
_SHOT_MEASURES = ("hard", "gradual", "static_cut")
_AROUND = 8  # frames before and after a shot change that are shown beside it


@dataclass(frozen=True)
class _Pictured:
    """One case of a section, with the data set that it is from and the frames that show it."""

    case: Case
    item: ScoredData
    frames: tuple[int, ...]


def render_page(
    data: Sequence[ScoredData], summaries: Sequence[Summary], clip_lines: Sequence[Sequence[ClipLine]]
) -> str:
    """One self-contained HTML page: every measure with its bar, hand-labelled clips one by one, then the worst cases of
    each measure with their frames.

    In the pictures what is true is tinted green, what was reported is outlined in magenta, a box in yellow.
    """
    sections = []
    for summary in summaries:
        kind = [item for item in data if item.by_hand == summary.by_hand]
        for line in summary.lines:
            if line.measure.how == "mean" and line.measure.bar is None:
                continue  # half of its cases would be "worse than the mean", however good that is
            if bad := _bad_cases(line, kind):
                sections.append((summary, line, len(bad), [_pictured(case, item) for case, item in bad[:WORST]]))
    pictures = _decode(shown for *_, cases in sections for shown in cases)
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("eval.labels"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("page.html")
    return template.render(
        summaries=summaries,
        header=HEADER,
        clip_lines=clip_lines,
        sections=[
            {
                "summary": summary,
                "line": line,
                "total": total,
                "cases": [{"case": shown.case, "pictures": _draw_all(shown, pictures)} for shown in cases],
            }
            for summary, line, total, cases in sections
        ],
    )


def _bad_cases(line: Line, data: Sequence[ScoredData]) -> list[tuple[Case, ScoredData]]:
    """The lowest values first, or the highest where less is better; counted ones by turns of all clips."""
    bad = [(case, item) for item in data for case in item.cases if _is_bad(case, line.measure)]
    if line.measure.how == "mean":
        return sorted(bad, key=lambda pair: (pair[0].value or 0.0) * (-1 if line.measure.lower else 1))
    clips: Counter[tuple[int, str]] = Counter()
    turns = []
    for case, item in bad:
        turns.append(clips[id(item), case.clip])
        clips[id(item), case.clip] += 1
    return [bad[index] for index in sorted(range(len(bad)), key=turns.__getitem__)]


def _is_bad(case: Case, measure: Measure) -> bool:
    if case.measure != measure.cases:
        return False
    if measure.how == "mean":
        if case.value is None:
            return False
        assert measure.bar is not None
        return case.value > measure.bar if measure.lower else case.value < measure.bar
    unwanted = {"recall": ("missed",), "precision": ("false",)}.get(measure.how, ("missed", "false"))
    return case.outcome in unwanted


def _pictured(case: Case, item: ScoredData) -> _Pictured:
    video = item.labels.videos.get(case.clip)
    if video is None or case.frame is None:
        return _Pictured(case, item, ())
    around = (-_AROUND, 0, _AROUND) if case.measure in _SHOT_MEASURES else (0,)
    frames = (case.frame + offset for offset in around)
    return _Pictured(case, item, tuple(frame for frame in frames if 0 <= frame < (video["frames"] or 0)))


def _decode(cases: Iterable[_Pictured]) -> dict[tuple[int, str, int], np.ndarray]:
    """Pictures by data set, clip and frame. Every clip is opened once, however many of its frames are wanted."""
    wanted: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
    items = {}
    for shown in cases:
        items[id(shown.item)] = shown.item
        wanted[id(shown.item), shown.case.clip].update(shown.frames)
    pictures = {}
    for (key, name), frames in wanted.items():
        video = items[key].labels.videos.get(name)
        if video is not None and frames:
            for frame, picture in read_pictures(video, frames, display_size(video, _LONGEST, enlarge=True)):
                pictures[key, name, frame] = picture
    return pictures


def _draw_all(shown: _Pictured, pictures: dict[tuple[int, str, int], np.ndarray]) -> list[str]:
    return [_draw(shown, frame, pictures[id(shown.item), shown.case.clip, frame]) for frame in shown.frames]


def _draw(shown: _Pictured, frame: int, picture: np.ndarray) -> str:
    """A frame as a JPEG data URI, with what is true and what was reported in it; the case's own object stands out."""
    case, item = shown.case, shown.item
    video = item.labels.videos[case.clip]
    drawn = np.ascontiguousarray(picture)
    clip = next(clip for clip in item.clips if clip.name == case.clip)
    for truth in clip.objects or ():
        if truth.masks is not None and truth.start_frame <= frame < truth.end_frame:
            _tint(drawn, truth.masks[frame - truth.start_frame], 0.45 if case.truth in (None, truth.name) else 0.2)
    for row in (row for part in item.labels.clips[video["video_id"]] for row in item.labels.objects[part["clip_id"]]):
        track = item.labels.tracks.get(row["object_id"])
        if track is not None and track["start_frame"] <= frame < track["end_frame"]:
            own = case.object_id in (None, row["object_id"])
            _outline(drawn, track["masks"][frame - track["start_frame"]], _REPORTED, 2 if own else 1)
    if case.box is not None:
        scale = np.array([drawn.shape[1] / video["width"], drawn.shape[0] / video["height"]])
        (x0, y0), (x1, y1) = np.rint(np.reshape(case.box, (2, 2)) * scale).astype(int).tolist()
        cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), _BOX, 1)
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")


def _tint(picture: np.ndarray, mask: Rle | None, strength: float) -> None:
    if mask is None:
        return
    size = (picture.shape[1], picture.shape[0])
    inside = cv2.resize(decode_mask(mask).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    picture[inside] = ((1 - strength) * picture[inside] + strength * np.array(_TRUE)).astype(np.uint8)


def _outline(picture: np.ndarray, mask: Rle | None, colour: tuple[int, int, int], thickness: int) -> None:
    if mask is None:
        return
    size = (picture.shape[1], picture.shape[0])
    inside = cv2.resize(decode_mask(mask).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    parts: Sequence[Any] = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)[0]
    cv2.drawContours(picture, parts, -1, colour, thickness, cv2.LINE_AA)
