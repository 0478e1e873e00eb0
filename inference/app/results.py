"""A generation as files that the page shows: canvas, crop, trajectories over the canvas, a poster, the request."""

from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np

from curation.report.drawing import DrawnObject, Overlay, draw_overlay
from curation.video.write import write_mp4
from inference.app.bundle import write_bundle
from inference.app.sessions import Run, Session
from inference.generate import Generation
from inference.metadata import write_generation
from inference.pictures import write_picture
from training.conditioning.colours import colour

_SHOWN_SIDE = 640  # px; smaller videos are enlarged, so that what is drawn over them is sharp


def keep_run(generation: Generation, session: Session) -> Run:
    """Write everything into the session's folder and add it to its runs."""
    folder = session.folder / f"run-{len(session.runs) + 1}"
    folder.mkdir()
    frames = list(overlay_frames(generation))
    fps = Fraction(generation.request.fps).limit_denominator(1001)
    request = generation.request
    run = Run(
        request=request,
        canvas=folder / "canvas.mp4",
        region=write_generation(generation, folder / "canvas.mp4"),
        overlay=folder / "trajectories.mp4",
        bundle=folder / "request.zip",
        poster=folder / "poster.png",
        note=" · ".join(
            (
                request.model,
                f"seed {request.seed}",
                f"{request.num_inference_steps} steps",
                f"{generation.seconds:.1f} s",
            )
        ),
    )
    write_mp4(run.overlay, frames, fps)
    write_picture(run.poster, frames[len(frames) // 2])
    write_bundle(request, session, run.bundle)
    session.runs.append(run)
    return run


def overlay_frames(generation: Generation) -> Iterator[np.ndarray]:
    """uint8 [h, w, 3] each: the canvas, enlarged if it is small, with every point where it should be."""
    count, height, width, _ = generation.frames.shape
    request = generation.request
    drawn = Overlay(
        start_frame=0,
        fps=request.fps,
        seconds=[frame / request.fps for frame in range(count)],
        width=width,
        height=height,
        objects=[
            _drawn(item.name or f"object {index + 1}", index, track)
            for index, (item, track) in enumerate(zip(request.objects, request.tracks(), strict=True))
            if track.shape[1]
        ],
    )
    scale = max(1, -(-_SHOWN_SIDE // max(width, height)))
    for index, frame in enumerate(generation.frames):
        shown = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC) if scale > 1 else frame
        yield draw_overlay(shown, index, drawn)


def _drawn(name: str, index: int, track: np.ndarray) -> DrawnObject:
    """Where a point does not exist it is drawn hollow, at the nearest place where it does."""
    there = np.all(np.isfinite(track), axis=2)
    held = track.copy()
    frames = np.arange(len(track))
    for point in range(track.shape[1]):
        known = np.flatnonzero(there[:, point])
        for axis in (0, 1):
            held[:, point, axis] = np.interp(frames, known, track[known, point, axis])
    return DrawnObject(name, colour(index), held.astype(np.float32), there)
