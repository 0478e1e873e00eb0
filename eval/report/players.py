"""Side-by-side players: the ground truth and every run's video of one sample in one small mp4."""

import base64
import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from curation.contract.errors import CurationError
from curation.contract.manifest import RunFolder
from curation.report.drawing import draw_text, fit_text, text_size
from curation.video.write import write_mp4
from eval.config import ComparisonConfig
from eval.generations import read_generations
from eval.pair import VideoPair, read_pair
from eval.summary import RunScores

_WIDTH = 288  # px of a panel
_COLUMNS = 2
_CRF = 30
_GROUND, _INK, _BOX = (24, 26, 31), (240, 241, 243), (255, 220, 0)


@dataclass(frozen=True)
class Player:
    """Attributes:
    number: of the player on the page, from 1.
    uri: data URI of the mp4, "" when no video can be read; poster: data URI of its middle frame, a JPEG.
    problem: says which video cannot be read, and why.
    """

    sample_id: str
    number: int
    uri: str
    poster: str
    width: int
    height: int
    problem: str


class PlayerMaker:
    """Makes players of samples that the runs have in common, or any of them has."""

    def __init__(self, runs: Sequence[RunScores]) -> None:
        self.runs = runs
        self._generations: list[dict[str, dict[str, Any]]] = []
        for run in runs:
            rows = read_generations(run.facts["generations"], run.facts["samples"])
            self._generations.append({row["sample_id"]: row for row in rows})

    def make(self, sample_id: str, number: int) -> Player:
        """The player of one sample, of the runs whose videos can be read."""
        pairs, problems = [], []
        for run, generations in zip(self.runs, self._generations, strict=True):
            if sample_id in generations:
                try:
                    pairs.append((run.name, self._pair(run, generations[sample_id])))
                except CurationError as error:
                    problems.append(f"{run.name}: {error}")
        if not pairs:
            return Player(sample_id, number, "", "", 0, 0, "; ".join(problems))
        frames = list(_frames(pairs))
        height, width = frames[0].shape[:2]
        video = _mp4_uri(frames, pairs[0][1].fps)
        return Player(sample_id, number, video, _poster_uri(frames), width, height, "; ".join(problems))

    def _pair(self, run: RunScores, generation: dict[str, Any]) -> VideoPair:
        config = ComparisonConfig.model_validate(run.facts["config"]["comparison"])
        return read_pair(RunFolder(generation["run"]), generation, config)


def _mp4_uri(frames: Sequence[np.ndarray], fps: float) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "player.mp4"
        write_mp4(file, frames, Fraction(fps).limit_denominator(1001), crf=_CRF)
        return _data_uri("video/mp4", file.read_bytes())


def _poster_uri(frames: Sequence[np.ndarray]) -> str:
    """Browsers show an empty box until a video is played, and the first frame is what was given."""
    picture = io.BytesIO()
    Image.fromarray(frames[len(frames) // 2]).save(picture, "JPEG", quality=80)
    return _data_uri("image/jpeg", picture.getvalue())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _frames(pairs: Sequence[tuple[str, VideoPair]]) -> Iterator[np.ndarray]:
    """Panels in rows of two; a run whose video is shorter stays at its last frame."""
    truth = max((pair for _, pair in pairs), key=lambda pair: len(pair.truth))
    for index in range(len(truth.truth)):
        panels = [_panel("ground truth", truth.truth[index], truth)]
        panels += [_panel(name, pair.generated[min(index, len(pair.generated) - 1)], pair) for name, pair in pairs]
        if len(panels) % _COLUMNS:
            panels.append(np.full_like(panels[0], _GROUND))
        rows = [np.hstack(panels[start : start + _COLUMNS]) for start in range(0, len(panels), _COLUMNS)]
        yield np.vstack(rows)


def _panel(title: str, frame: np.ndarray, pair: VideoPair) -> np.ndarray:
    """uint8 [h, _WIDTH, 3]: a frame with the region box drawn, under its title."""
    height = round(_WIDTH * frame.shape[0] / frame.shape[1] / 2) * 2
    picture = cv2.resize(frame, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    scale = np.array([_WIDTH / frame.shape[1], height / frame.shape[0]] * 2)
    x0, y0, x1, y1 = np.rint(np.array(pair.region_box) * scale).astype(int).tolist()
    cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), _BOX, 1)
    size = text_size(_WIDTH)
    band = np.full((2 * size, _WIDTH, 3), _GROUND, np.uint8)
    draw_text(band, fit_text(title, size, _WIDTH - size), (size // 2, round(1.4 * size)), size, _INK)
    return np.vstack([band, picture])
