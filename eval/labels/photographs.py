"""Photographs that ship inside installed packages: scikit-image and scikit-learn."""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from curation.contract.errors import BackendUnavailableError

Photograph = Literal[
    "astronaut",
    "brick",
    "chelsea",
    "china",
    "coffee",
    "coins",
    "flower",
    "grass",
    "gravel",
    "hubble_deep_field",
    "ihc",
    "motorcycle_left",
    "retina",
    "rocket",
]

# What fills a frame without a main subject in it that a viewer would take for an object of its own.
BACKGROUNDS: tuple[Photograph, ...] = ("brick", "china", "coffee", "flower", "grass", "gravel", "rocket")
# What gives a sprite's surface: rich in edges, and unlike the backgrounds.
MATERIALS: tuple[Photograph, ...] = ("astronaut", "chelsea", "coins", "ihc", "motorcycle_left", "retina")

_PLACES = {
    "china": ("sklearn", "scikit-learn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "scikit-learn", "datasets/images/flower.jpg"),
    "hubble_deep_field": ("skimage", "scikit-image", "data/hubble_deep_field.jpg"),
    "retina": ("skimage", "scikit-image", "data/retina.jpg"),
    "rocket": ("skimage", "scikit-image", "data/rocket.jpg"),
}


@lru_cache(maxsize=len(get_args(Photograph)))
def photograph(name: Photograph) -> np.ndarray:
    """uint8 [H, W, 3] RGB, read-only.

    Raises:
        BackendUnavailableError: the package that ships it is not installed.
    """
    return _read(*_PLACES.get(name, ("skimage", "scikit-image", f"data/{name}.png")), cv2.IMREAD_COLOR_RGB)


@lru_cache(maxsize=1)
def horse_silhouette() -> np.ndarray:
    """bool [H, W]: a standing horse from the side, filling the picture, read-only."""
    outside = _read("skimage", "scikit-image", "data/horse.png", cv2.IMREAD_GRAYSCALE) > 127
    rows, columns = np.flatnonzero((~outside).any(axis=1)), np.flatnonzero((~outside).any(axis=0))
    return ~outside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _read(package: str, distribution: str, file: str, flags: int) -> np.ndarray:
    """A picture inside a package, without importing the package."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise BackendUnavailableError("photographs", distribution, f"pip install {distribution}")
    picture = cv2.imread(str(Path(spec.origin).parent / file), flags)
    if picture is None:
        raise BackendUnavailableError("photographs", f"{distribution} with {file}", "pip install -c constraints.txt")
    picture.setflags(write=False)
    return picture


def cover(picture: np.ndarray, height: int, width: int, unit_height: float, rng: np.random.Generator) -> np.ndarray:
    """float32 [height, width, 3]: the photograph, mirrored beyond its borders, from a random place on.

    Args:
        unit_height: px that the photograph's shorter side takes, rounded up.
    """
    scale = unit_height / min(picture.shape[:2])
    # Rounded up: a row or column too few would be made up for by mirroring.
    size = (max(2, int(np.ceil(picture.shape[1] * scale))), max(2, int(np.ceil(picture.shape[0] * scale))))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    if rng.random() < 0.5:
        scaled = scaled[:, ::-1]
    rows, columns = (
        _mirrored(int(rng.integers(0, max(1, abs(have - wanted)))), wanted, have)
        for wanted, have in ((height, scaled.shape[0]), (width, scaled.shape[1]))
    )
    return scaled[rows[:, None], columns[None]].astype(np.float32)


def _mirrored(start: int, count: int, length: int) -> np.ndarray:
    """Indices into `length` px for `count` px from `start` on, going back and forth."""
    places = (start + np.arange(count)) % (2 * length)
    return np.minimum(places, 2 * length - 1 - places)
