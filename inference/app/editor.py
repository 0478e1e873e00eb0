"""The drawing editor as one Gradio component: our own canvas, and the two questions that it asks the server."""

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from curation.contract.config import parse_config
from curation.contract.errors import CurationError, UsageError
from inference.app.draft import Reference
from inference.app.examples import EXAMPLES
from inference.app.sessions import Session, Sessions, data_url
from inference.models import ModelSpec
from inference.pictures import read_picture
from inference.segmentation import segment_identity
from training.conditioning.colours import COLOURS

_STATIC = Path(__file__).parent / "static"
_SCRIPTS = ("draft.js", "stage.js", "objects.js", "identity.js", "editor.js")  # the last one starts it

_BUSY = threading.Semaphore(2)  # of these questions at a time: each may open a large picture


def make_editor(sessions: Sessions, spec: ModelSpec, fps: float, max_bytes: int) -> gr.HTML:
    """The component. Its value is the drawing (`inference.app.draft.Draft` as a dict).

    Args:
        spec, fps: give the canvas and the length to begin with.
        max_bytes: of a picture.
    """

    def add_picture(payload: dict[str, Any]) -> dict[str, Any]:
        session = sessions.get(payload.get("token"))
        name = str(payload.get("name"))[-100:]
        return session.describe(session.add_picture(sessions.uploaded(payload.get("path")), name))

    def find_mask(payload: dict[str, Any]) -> dict[str, Any]:
        session = sessions.get(payload.get("token"))
        given = payload.get("identity")
        entry = parse_config(Reference, given if isinstance(given, dict) else {}, "ID picture")
        mask = _mask(entry, session)
        if not mask.any():
            raise UsageError("nothing was found there; move the box, or tap on more of it")
        opaque = np.zeros((*mask.shape, 4), np.uint8)
        opaque[..., 3] = mask * 255
        return {"url": data_url(opaque), "share": float(mask.mean())}

    return gr.HTML(
        html_template=(_STATIC / "editor.html").read_text(encoding="utf-8"),
        js_on_load="\n".join((_STATIC / name).read_text(encoding="utf-8") for name in _SCRIPTS),
        apply_default_css=False,
        server_functions=[_answered(add_picture, sessions), _answered(find_mask, sessions)],
        elem_id="editor",
        token="",
        reply=None,
        max_bytes=max_bytes,
        format={"width": spec.width, "height": spec.height, "seconds": (spec.num_frames - 1) / fps},
        colours=[f"rgb({red}, {green}, {blue})" for red, green, blue in COLOURS],
        examples=[
            {"title": item.title, "shows": item.shows, "url": data_url(_small(item.scene()))} for item in EXAMPLES
        ],
    )


def _answered(act: Callable[[dict[str, Any]], dict[str, Any]], sessions: Sessions) -> Callable[[Any], dict[str, Any]]:
    """What goes wrong becomes an answer that the editor shows."""

    @functools.wraps(act)
    def answer(payload: Any) -> dict[str, Any]:
        with _BUSY:
            try:
                return act(payload if isinstance(payload, dict) else {})
            except CurationError as error:
                return {"error": sessions.told(error)}

    return answer


def _mask(entry: Reference, session: Session) -> np.ndarray:
    """bool [H, W]: what is kept of an ID picture."""
    picture = read_picture(session.picture(entry.picture))
    if entry.box is None and not entry.clicks:
        if picture.shape[2] == 4:
            return picture[..., 3] > 0
        raise UsageError("say what to keep: drag a box around it, or tap on it")
    return segment_identity(np.ascontiguousarray(picture[..., :3]), entry.box, entry.clicks, entry.segmenter)


def _small(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture[::4, ::4])
