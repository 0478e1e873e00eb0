"""What belongs to one open page: its pictures and its runs, in a folder that no web route serves.

The page never sends a path that we would open. It names pictures of its own session, and an uploaded file is taken only
out of Gradio's upload folder. All pictures are opened once when they come in, so whatever is wrong with one is said
then.
"""

import base64
import io
import re
import secrets
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from curation.contract.errors import UsageError
from inference.pictures import read_picture
from inference.request import Request

MAX_PICTURES = 64
"""In one session, so that an open page cannot fill the disk."""

_SHOWN_SIDE = 1280  # px; what the browser gets of a picture


@dataclass(frozen=True)
class Run:
    """One generated video of a session.

    Attributes:
        overlay: mp4 of the canvas with the trajectories drawn over it.
        poster: PNG of one frame of it.
        note: one line on how it was made.
    """

    request: Request
    canvas: Path
    region: Path
    overlay: Path
    bundle: Path
    poster: Path
    note: str


@dataclass
class Session:
    """One open page.

    Attributes:
        pictures: files in `folder` by the name that the page knows them by.
        runs: oldest first.
        stop: set to end the generation under way.
    """

    folder: Path
    pictures: dict[str, Path] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def add_picture(self, file: Path, name: str) -> str:
        """Copy a picture into the session and return the name that it has there.

        Raises:
            UsageError: it is no picture, damaged, too large, or one too many; names it as its owner does.
        """
        if len(self.pictures) >= MAX_PICTURES:
            raise UsageError(f"{MAX_PICTURES} pictures are the most that one page takes; reload it to start anew")
        _named(name, lambda: read_picture(file), file)
        kept = self._free_name(name)
        shutil.copyfile(file, self.folder / kept)
        self.pictures[kept] = self.folder / kept
        return kept

    def picture(self, name: str) -> Path:
        """The file of a picture.

        Raises:
            UsageError: this session has none of that name.
        """
        if name not in self.pictures:
            raise UsageError(f"this page has no picture {name!r}; add it first, or load a .zip that brings it along")
        return self.pictures[name]

    def describe(self, name: str) -> dict[str, Any]:
        """What the browser needs to show a picture: size in px, and its pixels (at most 1280 px wide) as a data URL."""
        pixels = read_picture(self.picture(name))
        height, width = pixels.shape[:2]
        transparent = pixels.shape[2] == 4
        return {"name": name, "width": width, "height": height, "transparent": transparent, "url": data_url(pixels)}

    def _free_name(self, name: str) -> str:
        """Letters, digits, - and _ of a file's name, with a number behind them if there is one like it already."""
        plain = Path(name.replace("\\", "/")).name
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(plain).stem).strip("-")[:40] or "picture"
        suffix = re.sub(r"[^a-z0-9]", "", Path(plain).suffix.lower())[:5] or "png"
        kept, number = f"{stem}.{suffix}", 2
        while kept in self.pictures or (self.folder / kept).exists():
            kept, number = f"{stem}-{number}.{suffix}", number + 1
        return kept


class Sessions:
    """All open pages by their token, which is random and known to its page alone.

    Args:
        folder: in which each gets a folder of its own.
        uploads: where Gradio puts what is uploaded.
    """

    def __init__(self, folder: Path, uploads: Path) -> None:
        self._folder = folder
        self._uploads = uploads.resolve()
        self._open: dict[str, Session] = {}

    def start(self) -> str:
        """Open a session and return its token."""
        token = secrets.token_urlsafe(24)
        folder = self._folder / token
        folder.mkdir(parents=True)
        self._open[token] = Session(folder)
        return token

    def get(self, token: Any) -> Session:
        """Raises UsageError: there is no such session any more."""
        session = self._open.get(token) if isinstance(token, str) else None
        if session is None:
            raise UsageError("this page has been open for too long, or the server was started anew; reload it")
        return session

    def close(self, token: Any) -> None:
        """End what it generates and delete its folder."""
        session = self._open.pop(token, None)
        if session is not None:
            session.stop.set()
            shutil.rmtree(session.folder, ignore_errors=True)

    def uploaded(self, path: Any) -> Path:
        """A file that was uploaded, by the path that the browser says it has.

        Raises:
            UsageError: it is not in the upload folder.
        """
        file = Path(path).resolve() if isinstance(path, str) and "\0" not in path else self._uploads
        if self._uploads not in file.parents or not file.is_file():
            raise UsageError("this file was not uploaded here")
        return file

    def told(self, error: Exception) -> str:
        """An error's text with pictures by their names only: where they lie here is nobody's business."""
        return re.sub(re.escape(f"{self._folder}/") + "[^/]+/", "", str(error))


def data_url(pixels: np.ndarray) -> str:
    """uint8 [H, W, 1, 3 or 4] as a PNG or JPEG data URL, at most 1280 px on its longer side."""
    scale = _SHOWN_SIDE / max(pixels.shape[:2])
    if scale < 1:
        pixels = cv2.resize(np.ascontiguousarray(pixels), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    kind = "JPEG" if pixels.ndim == 3 and pixels.shape[2] == 3 else "PNG"
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, format=kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def _named(name: str, act: Callable[[], Any], file: Path) -> None:
    """Errors name a file as its owner knows it, not by where it lies here."""
    try:
        act()
    except UsageError as error:
        raise UsageError(str(error).replace(str(file), name)) from None
