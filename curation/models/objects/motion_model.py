"""What motion says about a clip, computed once and shared by the object detector and the mask tracker."""

import cv2
import numpy as np

from curation.models.objects.background import LIKELY, POSSIBLE, Background, RestFinder
from curation.models.objects.exposure import at_gain, even_exposure, exposure_gains
from curation.models.objects.stabilise import CameraPath, camera_path
from curation.video.media import ClipFrames, luma

_FLOW_SIDE = 256
_SHADOW_SHARE = 4  # a shadow keeps this fraction of its evidence: possible, never likely


__all__ = ["LIKELY", "POSSIBLE", "MotionModel", "mask_motion", "motion_model"]


class MotionModel:
    """Attributes:
    evidence: uint8 [T, h, w] at working size, departure from the background without shadows, grey levels beyond noise.
    path: camera path of the clip.
    gray: uint8 [T, h, w], luma with changes of exposure taken out.
    """

    def __init__(self, clip: ClipFrames) -> None:
        self._clip = clip
        self.path: CameraPath = camera_path(clip.gray)
        self._gains = exposure_gains(clip.frames, self.path)
        frames = even_exposure(clip.frames, self._gains)
        self.gray = clip.gray if frames is clip.frames else luma(frames)
        self._rest = RestFinder(self.gray, clip.seconds, self.path)
        self._background = Background(frames, self.path, self._rest)
        self.evidence = np.empty(clip.gray.shape, np.uint8)
        for index in range(clip.length):
            departure, shadow = self._background.evidence(index, frames[index])
            weak = np.minimum(departure // _SHADOW_SHARE, LIKELY - 1)
            self.evidence[index] = _without_specks(np.where(shadow, weak, departure))
        factor = min(1.0, _FLOW_SIDE / max(clip.width, clip.height))
        self._flow_size = (max(16, round(clip.width * factor)), max(16, round(clip.height * factor)))
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._small: dict[int, np.ndarray] = {}
        self._flows: dict[tuple[int, int], np.ndarray] = {}

    def colours(self, index: int, part: tuple[slice, slice] = (slice(None), slice(None))) -> np.ndarray:
        """uint8 [h, w, 3]: the rows and columns `part` of a frame with changes of exposure taken out."""
        return at_gain(self._clip.frames[index][part], self._gains[index])

    def behind(self, index: int, part: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        """uint8 [h, w, 3]: what of the background the object hides there; bool [h, w]: where it is known."""
        return self._background.behind(index, part)

    def moving(self, index: int) -> np.ndarray:
        """uint8 [h, w], 255 where something moves relative to the camera's motion in frame `index`."""
        return self._rest.moving(index)

    def neighbours(self, index: int) -> list[int]:
        """The frames, one before and one after where there are any, that tell what is at rest in frame `index`."""
        return self._rest.neighbours(index)

    def flow(self, index: int, other: int) -> np.ndarray:
        """float16 [fh, fw, 2]: motion in working px from frame `index` to frame `other`, on a coarse grid."""
        if (index, other) not in self._flows:
            flow = self._dis.calc(self._shrunk(index), self._shrunk(other), None)  # pyright: ignore
            flow = cv2.resize(flow, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            flow *= np.array(
                [self._clip.width / self._flow_size[0], self._clip.height / self._flow_size[1]], np.float32
            )
            self._flows[index, other] = flow.astype(np.float16)
        return self._flows[index, other]

    def _shrunk(self, index: int) -> np.ndarray:
        if index not in self._small:
            self._small[index] = cv2.resize(self.gray[index], self._flow_size, interpolation=cv2.INTER_AREA)
        return self._small[index]


def _without_specks(evidence: np.ndarray) -> np.ndarray:
    """Evidence (uint8 [h, w]) that is likely only in regions that hold a cross of 3 x 3 px, and else just possible.

    A background of fine texture never fits everywhere, and specks around an object are taken for others that touch it.
    """
    likely = (evidence >= LIKELY).astype(np.uint8)
    solid = cv2.erode(likely, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    count, labels = cv2.connectedComponents(likely, connectivity=4)
    labels = np.asarray(labels, np.intp)
    holds = np.bincount(labels[solid > 0], minlength=count) > 0
    return np.where((likely > 0) & ~holds[labels], np.uint8(LIKELY - 1), evidence)


def motion_model(clip: ClipFrames) -> MotionModel:
    """The clip's motion model, made when first asked for."""
    if "motion_model" not in clip.cache:
        clip.cache["motion_model"] = MotionModel(clip)
    return clip.cache["motion_model"]


def mask_motion(flow: np.ndarray, mask: np.ndarray, window: tuple[slice, slice], height: int, width: int) -> np.ndarray:
    """Median of a coarse flow inside a mask; float64 [2], in the flow's unit.

    Args:
        flow: [fh, fw, 2], covers the whole frame of height x width px.
        mask: [h, w], covers the rows and columns of `window`.
    """
    stride = 2 if np.count_nonzero(mask) > 200 else 1
    ys, xs = np.nonzero(mask[::stride, ::stride])
    if len(ys) == 0:
        return np.zeros(2)
    fh, fw = flow.shape[:2]
    rows = np.minimum((ys * stride + window[0].start + 0.5) * fh / height, fh - 1).astype(int)
    columns = np.minimum((xs * stride + window[1].start + 0.5) * fw / width, fw - 1).astype(int)
    return np.median(flow[rows, columns].astype(np.float64), axis=0)
