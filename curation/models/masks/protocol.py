"""Masks over the clip: an object's mask in every frame, from its mask in one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from curation.contract.mask_tube import MaskTube
from curation.video.media import ClipFrames


@dataclass(frozen=True)
class MaskPrompt:
    """Attributes: frame (clip relative), mask (bool [h, w], working size), points (float32 [P, 2], source px)."""

    frame: int
    mask: np.ndarray
    points: np.ndarray


class MaskTracker(Protocol):
    name: str
    """Backend and revision, for the manifests."""

    def propagate(self, clip: ClipFrames, prompt: MaskPrompt, others: Sequence[np.ndarray] = ()) -> np.ndarray:
        """bool [T, h, w] at working size: the object in every frame, before and after the prompt's.

        All false in frames where it is not seen (occluded, or outside the frame). `others` are the masks over the
        clip of objects that were found before, each bool [T, h, w], which this one should not swallow.
        """
        ...

    def follow_two(
        self, clip: ClipFrames, frame: int, masks: tuple[np.ndarray, np.ndarray], step: int
    ) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray], bool]]:
        """Two objects that meet, in the frames after (`step` 1) or before (-1) `frame`, until the clip ends.

        Args:
            masks: of both in `frame`, where they are whole and apart, bool [h, w].

        Yields:
            frame, the two masks there (all false where one is not seen), and whether the objects touch.
        """
        ...

    def sharpened(self, clip: ClipFrames, masks: MaskTube, others: Sequence[MaskTube]) -> MaskTube:
        """An object's masks over the clip with their edges as exact as this backend can make them.

        Asked for once, when it is settled which masks are one object's. `others` are those of the other objects.
        """
        ...
