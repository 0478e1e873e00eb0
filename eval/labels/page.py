"""The page of a scoring: the table, and the worst cases of every measure pictured."""

import base64
from collections.abc import Sequence
from typing import Any

import cv2
import jinja2
import numpy as np

from curation.contract.rle import decode_mask
from curation.report.pictures import read_pictures
from eval.labels.cases import Case
from eval.labels.score import ScoredData
from eval.labels.summary import Line

WORST = 6  # cases pictured for each measure
_HEIGHT = 220
_TRUE, _REPORTED, _BOX = (40, 230, 60), (255, 70, 60), (255, 220, 0)


def render_page(data: Sequence[ScoredData], lines: list[Line]) -> str:
    """One self-contained HTML page: every measure with its bar, then its worst cases with a frame each.

    In the pictures the truth is outlined in green, what was reported in red, a region box in yellow.
    """
    sections = [section for line in lines if (section := _section(line, data))]
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("eval.labels"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("page.html")
    return template.render(lines=lines, sections=sections)


def _section(line: Line, data: Sequence[ScoredData]) -> dict[str, Any] | None:
    """Worst cases of one measure; None when nothing about it is bad."""
    measure = line.measure
    bad = [(case, item) for item in data for case in item.cases if _is_bad(case, line)]
    # The lowest values first, or the highest where less is better; counted ones in the order of the data.
    bad.sort(key=lambda pair: (pair[0].value or 0.0) * (-1 if measure.lower else 1))
    pictured = [{"case": case, "picture": _picture(case, item)} for case, item in bad[:WORST]]
    return {"line": line, "cases": pictured, "total": len(bad)} if pictured else None


def _is_bad(case: Case, line: Line) -> bool:
    measure = line.measure
    if case.measure != measure.cases:
        return False
    if measure.how == "mean":
        if case.value is None:
            return False
        limit = measure.bar if measure.bar is not None else line.mean
        return case.value > limit if measure.lower else case.value < limit
    unwanted = {"recall": ("missed",), "precision": ("false",)}.get(measure.how, ("missed", "false"))
    return case.outcome in unwanted


def _picture(case: Case, item: ScoredData) -> str | None:
    """The case's frame as a JPEG data URI, with what is true and what was reported drawn on it; None without one."""
    clip = next((clip for clip in item.clips if clip.name == case.clip), None)
    video = item.labels.videos.get(case.clip)
    if clip is None or video is None or case.frame is None or not 0 <= case.frame < (video["frames"] or 0):
        return None
    [(_, picture)] = read_pictures(video, [case.frame], (video["width"], video["height"]))
    frame = np.ascontiguousarray(picture)
    for row in (row for part in item.labels.clips[video["video_id"]] for row in item.labels.objects[part["clip_id"]]):
        track = item.labels.tracks.get(row["object_id"])
        if track is not None and track["start_frame"] <= case.frame < track["end_frame"]:
            _outline(frame, track["masks"][case.frame - track["start_frame"]], _REPORTED)
    for truth in clip.objects or ():
        if truth.masks is not None and truth.start_frame <= case.frame < truth.end_frame:
            _outline(frame, truth.masks[case.frame - truth.start_frame], _TRUE)
    if case.box is not None:
        x0, y0, x1, y1 = case.box
        cv2.rectangle(frame, (x0, y0), (x1 - 1, y1 - 1), _BOX, 2)
    width = round(frame.shape[1] * _HEIGHT / frame.shape[0])
    small = cv2.resize(frame, (width, _HEIGHT), interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")


def _outline(frame: np.ndarray, mask: Any, colour: tuple[int, int, int]) -> None:
    if mask is None:
        return
    parts, _ = cv2.findContours(decode_mask(mask).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(frame, parts, -1, colour, max(1, frame.shape[0] // 200))
