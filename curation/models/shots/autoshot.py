"""AutoShot (Zhu et al. 2023, arXiv:2304.06116): the recipe's shot detector, from a checkout of its code.

Streaming, in windows of 100 frames of which the middle 50 are believed, as its authors evaluate it.
"""

import warnings
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from curation.contract.spans import true_spans
from curation.models.checkout import import_code, require_code
from curation.models.device import autocast, loading, pick_device, pick_dtype, working
from curation.models.model_config import ModelConfig, gpu_share
from curation.models.shots.protocol import Transition
from curation.models.weights import find_weights, provenance

REPOSITORY = "https://github.com/wentaozhu/AutoShot"
_MODULE = "supernet_flattransf_3_8_8_8_13_12_0_16_60"
_WINDOW, _STRIDE, _CONTEXT = 100, 50, 25


class AutoShotConfig(ModelConfig):
    weights: str = Field(
        default="ckpt_0_200_0.pth", description="file of the published weights; its authors give them out by Baidu only"
    )
    gpus: float = gpu_share(0.05)
    code: str | None = Field(default=None, description="folder of a checkout of wentaozhu/AutoShot")
    threshold: float = Field(
        default=0.296, gt=0, lt=1, description="probability above which there is a cut (reference recipe v1.5, step 2)"
    )


class _Loaded(NamedTuple):
    device: Any
    dtype: Any
    model: Any


class AutoShotDetector:
    """ShotDetector."""

    def __init__(self, config: AutoShotConfig) -> None:
        self.config = config
        require_code("autoshot", _MODULE, config.code, REPOSITORY)
        self._file = find_weights("autoshot", config)
        self.frame_size: tuple[int, int] = (48, 27)
        self.name = provenance("autoshot", config, self._file)

    def start(self) -> "AutoShotPass":
        return AutoShotPass(self)

    def predict(self, window: np.ndarray) -> np.ndarray:
        """Probability float32 [50] that the shot ends there, for the middle of a uint8 [100, 27, 48, 3] RGB window."""
        import torch

        model = self._loaded
        remedy = "set shots.autoshot.device=cpu"
        with (
            working("autoshot", model.device, remedy),
            autocast(model.device, model.dtype),
            warnings.catch_warnings(),
        ):
            # Its indexing by a list is still taken as it is meant by torch 2.14, with a warning at every call.
            warnings.filterwarnings("ignore", message="Using a non-tuple sequence for multidimensional indexing")
            frames = torch.from_numpy(window).permute(3, 0, 1, 2)[None].to(model.device).float()
            answer = model.model(frames)
            ends = (answer[0] if isinstance(answer, tuple) else answer).float().sigmoid()
            return ends[0, _CONTEXT : _CONTEXT + _STRIDE].reshape(-1).cpu().numpy()

    @cached_property
    def _loaded(self) -> _Loaded:
        with loading("autoshot", self._file):
            import torch

            device = pick_device(self.config)
            model = import_code(_MODULE, self.config.code).TransNetV2Supernet()
            state = torch.load(self._file, map_location="cpu", weights_only=True)
            state = state.get("net", state)
            known = model.state_dict()
            # The file also holds what the architecture search left unused.
            model.load_state_dict({name: value for name, value in state.items() if name in known})
            return _Loaded(device, pick_dtype(self.config, device), model.eval().to(device))


class AutoShotPass:
    """One video going by. Holds at most 100 small frames, and one number for each frame seen."""

    def __init__(self, detector: AutoShotDetector) -> None:
        self._detector = detector
        self._frames: list[np.ndarray] = []  # the window being filled; before the first frame, repeats of it
        self._count = 0
        self._ends: list[np.ndarray] = []

    def add(self, frame_rgb: np.ndarray) -> None:
        """The next frame, uint8 [27, 48, 3] RGB."""
        if not self._count:
            self._frames = [frame_rgb] * _CONTEXT
        self._frames.append(frame_rgb)
        self._count += 1
        if len(self._frames) == _WINDOW:
            self._answer()

    def finish(self) -> list[Transition]:
        """See ShotPass. Neighbouring frames above the threshold are one transition; it is a cut if it is one frame."""
        while _STRIDE * len(self._ends) < self._count:
            self._frames += [self._frames[-1]] * (_WINDOW - len(self._frames))
            self._answer()
        ends = np.concatenate([*self._ends, np.zeros(0, np.float32)])[: self._count]
        found = []
        for start, stop in true_spans(ends > self._detector.config.threshold):
            # A peak marks the last frame of the old shot; one at the very end begins no new one.
            if stop < self._count:
                kind = "cut" if stop == start + 1 else "gradual"
                found.append(Transition(kind, stop if kind == "cut" else start, stop, float(ends[start:stop].max())))
        return found

    def _answer(self) -> None:
        self._ends.append(self._detector.predict(np.stack(self._frames)))
        del self._frames[:_STRIDE]
