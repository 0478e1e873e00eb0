"""Relative DINO: whether the frames resemble the ID reference as much as those of the ground truth do."""

import numpy as np


def reference_similarity(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """float64 [T], 0..1: cosine similarity of each frame to the ID reference, clamped at 0.

    Args:
        features: [T, D], of frames; reference: [D], of the ID reference.
    """
    features, reference = np.asarray(features, np.float64), np.asarray(reference, np.float64)
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(reference)
    cosine = (features @ reference) / np.where(lengths > 0, lengths, 1.0)
    return np.clip(cosine, 0.0, 1.0)


def relative_similarity(similarity: np.ndarray, true_similarity: np.ndarray) -> float | None:
    """abs(generated - truth) / truth, of the means over frames: 0 or more, no unit; None when the ground truth
    resembles it not at all.

    Source: Frame In-N-Out (arXiv 2505.21491), "Rel DINO": DINOv2 ViT-B/14 features of the region box's part of each
    frame and of the ID reference on black.

    Args:
        similarity, true_similarity: [T], see `reference_similarity`.
    """
    truth = float(np.mean(true_similarity))
    return abs(float(np.mean(similarity)) - truth) / truth if truth > 0 else None
