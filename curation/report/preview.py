"""One sample as a video that a person can judge."""

import difflib
import shlex
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder, open_run, scan_manifest
from curation.report.drawing import draw_overlay, draw_text, fit_text, text_size, text_width, wrap_text
from curation.report.overlays import SampleView, reference_picture, sample_views
from curation.report.pictures import display_size, read_pictures
from curation.video.write import write_mp4

_LONGEST = 960  # px; smaller videos are enlarged, at most four times, but always so far that labels fit
_ENLARGE = 4
_SHORTEST_LONGEST = 480
_BAND: tuple[int, int, int] = (24, 26, 31)
_TEXT: tuple[int, int, int] = (240, 241, 243)
_FAINT: tuple[int, int, int] = (158, 163, 172)
_CAPTION_LINES = 3


def write_preview(run: str, sample_id: str, output: Path) -> None:
    """Write one sample as mp4, with tracks, masks, region box and events drawn, ID reference and caption below.

    The mp4 runs at the source's mean rate; of sources with a variable rate, the time written into each frame is the
    true one. Frames have the display aspect; the longer side is 960 px, down to 480 px for sources below 240 px.

    Raises:
        UsageError: no such run or sample, or the folder of `output` does not exist.
        VideoError: the source file is missing, has changed or cannot be read.
    """
    folder = open_run(run)
    views = sample_views(folder, [sample_id])
    if not views:
        raise UsageError(_unknown_sample(folder, sample_id))
    if not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.absolute().parent}; make it first")
    view = views[0]
    fps = Fraction(view.video["fps_num"], view.video["fps_den"])
    write_mp4(output, _frames(view), fps)


def _frames(view: SampleView) -> Iterator[np.ndarray]:
    width, height = _size(view)
    band = _caption_band(view, width)
    span = range(view.sample["start_frame"], view.sample["end_frame"])
    for frame, picture in read_pictures(view.video, span, (width, height)):
        yield np.vstack([draw_overlay(picture, frame, view.overlay), band])


def _size(view: SampleView) -> tuple[int, int]:
    longest = min(_LONGEST, max(_SHORTEST_LONGEST, _ENLARGE * max(view.video["width"], view.video["height"])))
    return display_size(view.video, longest, enlarge=True)


def _caption_band(view: SampleView, width: int) -> np.ndarray:
    """uint8 [h, width, 3]: ID reference on the left, caption and facts beside it."""
    size, small = text_size(width), max(10, text_size(width) - 3)
    pad, line = size, round(size * 1.4)
    bottom = pad + line * _CAPTION_LINES + size  # baseline of the last line
    band = np.full((2 * (pad + line * (_CAPTION_LINES + 1) // 2), width, 3), _BAND, np.uint8)
    left = pad
    reference = reference_picture(view.sample["identity_reference"], line * _CAPTION_LINES)
    if reference is not None:
        reference = reference[:, : width // 3]
        band[pad : pad + reference.shape[0], pad : pad + reference.shape[1]] = reference
        draw_text(band, "ID reference", (pad, bottom), small, _FAINT)
        left += max(reference.shape[1], text_width("ID reference", small)) + pad
    lines = wrap_text(view.sample["caption"] or "no caption", size, width - left - pad, _CAPTION_LINES)
    for index, words in enumerate(lines):
        draw_text(band, words, (left, pad + line * index + size), size, _TEXT)
    draw_text(band, fit_text(_facts(view), small, width - left - pad), (left, bottom), small, _FAINT)
    return band


def _facts(view: SampleView) -> str:
    sample = view.sample
    strict = "strict" if sample["strict"] else "not strict"
    kinds = (sample["kinds"] or "").replace("_", " ")
    span = f"frames {sample['start_frame']} to {sample['end_frame']}"
    return " · ".join([kinds, strict, sample["split"] or "no split", span, sample["sample_id"]])


def _unknown_sample(run: RunFolder, sample_id: str) -> str:
    known = scan_manifest(run.uri, "samples").select("sample_id").collect()["sample_id"].to_list()
    listing = f"list them with `python -m curation inspect {shlex.quote(run.uri)} samples`"
    if not known:
        return f"{run.uri}: no sample {sample_id!r}: the run has no samples; `python -m curation report` shows why"
    close = difflib.get_close_matches(sample_id, known, n=3, cutoff=0.5)
    guess = f"did you mean {' or '.join(repr(name) for name in close)}? " if close else ""
    return f"{run.uri}: no sample {sample_id!r}; {guess}{listing}"
