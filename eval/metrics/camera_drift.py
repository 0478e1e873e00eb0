"""Camera drift: whether the background moves otherwise than in the ground truth.

No benchmark reports it, and every track moves with the camera: a generated pan shows up as a bad trajectory only.
"""

import cv2
import numpy as np

from curation.models.objects.stabilise import CameraPath
from eval.metrics.region import RegionScale

_LEAST_RELIABLE = 0.5


def camera_drift(path: CameraPath, truth: CameraPath, size: tuple[int, int], scale: RegionScale) -> np.ndarray | None:
    """float64 [T], scaled px: how far apart the two cameras have taken the canvas's corners since the first frame.

    Mean over the four corners. None when the background of either video can be registered in fewer than half of its
    frames: noise has no camera.

    Args:
        path, truth: `curation.models.objects.stabilise.camera_path` of both canvases.
        size: (height, width) of the canvas, px.
    """
    if min(path.reliable.mean(), truth.reliable.mean()) < _LEAST_RELIABLE:
        return None
    height, width = size
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)[:, None]
    drift = []
    for frame in range(len(truth.to_scene)):
        mine, theirs = (cv2.perspectiveTransform(corners, part.between(0, frame))[:, 0] for part in (path, truth))
        drift.append(float(np.linalg.norm((mine - theirs) * scale, axis=1).mean()))
    return np.array(drift)
