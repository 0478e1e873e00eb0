"""Mask tracking: both ways from a prompt, past other objects, and away over the border."""

from fractions import Fraction

import numpy as np
import pytest

from curation.models.masks import MasksConfig, build_masks
from curation.models.masks.protocol import MaskPrompt
from curation.video.media import ClipFrames

_NO_POINTS = np.zeros((0, 2), np.float32)


def _mean_iou(found: np.ndarray, truth: np.ndarray) -> float:
    unions = (found | truth).sum((1, 2))
    return float(np.mean(((found & truth).sum((1, 2)) / np.maximum(unions, 1))[unions > 0]))


@pytest.mark.parametrize(
    ("name", "prompt"), [("static_cross_left_right", 40), ("enters_top", 90), ("exits_right", 0), ("approaches", 95)]
)
def test_follows_a_true_mask_both_ways(scene, clip_frames, name, prompt):
    rendered = scene(name)
    clip, _ = clip_frames(rendered)
    truth = rendered.masks[rendered.objects[0]]
    masks = build_masks(MasksConfig()).propagate(clip, MaskPrompt(prompt, truth[prompt], _NO_POINTS))
    assert masks.shape == truth.shape
    assert masks.dtype == bool
    assert _mean_iou(masks, truth) > 0.65
    assert masks[~truth.any(axis=(1, 2))].any(axis=(1, 2)).sum() <= 3


def test_the_near_object_does_not_swallow_the_far_one(scene, clip_frames):
    rendered = scene("two_cross_occlude")
    clip, _ = clip_frames(rendered)
    tracker = build_masks(MasksConfig())
    near = tracker.propagate(clip, MaskPrompt(30, rendered.masks["near"][30], _NO_POINTS))
    far = tracker.propagate(clip, MaskPrompt(30, rendered.masks["far"][30], _NO_POINTS), [near])
    assert _mean_iou(near, rendered.masks["near"]) > 0.75
    assert _mean_iou(far, rendered.masks["far"]) > 0.7
    assert not (near & far).any()


def test_is_not_seen_where_something_hides_it(scene, clip_frames):
    rendered = scene("behind_pillar")
    clip, _ = clip_frames(rendered)
    truth = rendered.masks[rendered.objects[0]]
    masks = build_masks(MasksConfig()).propagate(clip, MaskPrompt(10, truth[10], _NO_POINTS))
    hidden = ~truth.any(axis=(1, 2))
    assert masks[hidden].any(axis=(1, 2)).sum() <= 2
    assert _mean_iou(masks[:40], truth[:40]) > 0.75


def test_keeps_out_of_what_others_hold(scene, clip_frames):
    rendered = scene("static_cross_left_right")
    clip, _ = clip_frames(rendered)
    truth = rendered.masks[rendered.objects[0]]
    taken = truth.copy()
    taken[:, : clip.height * 7 // 9] = False
    masks = build_masks(MasksConfig()).propagate(clip, MaskPrompt(40, truth[40] & ~taken[40], _NO_POINTS), [taken])
    assert not (masks & taken).any()


def test_an_empty_prompt_gives_empty_masks(scene, clip_frames):
    clip, _ = clip_frames(scene("still", frames=12))
    empty = np.zeros((clip.height, clip.width), bool)
    assert not build_masks(MasksConfig()).propagate(clip, MaskPrompt(3, empty, _NO_POINTS)).any()


def test_what_went_out_by_the_border_is_not_found_again_inside():
    """A square leaves to the right; in the frame after, one that looks the same begins to move beside that place."""
    wall = np.random.default_rng(0).integers(60, 140, (9, 16, 3)).repeat(10, 0).repeat(10, 1).astype(np.uint8)
    frames = np.stack([wall] * 40)
    truth = np.zeros(frames.shape[:3], bool)
    for frame in range(25):
        truth[frame, 30:54, 60 + 4 * frame : 84 + 4 * frame] = True
    gone = int(np.flatnonzero(truth.any(axis=(1, 2)))[-1]) + 1
    alike = np.zeros_like(truth)
    for frame in range(gone, 40):
        alike[frame, 30:54, 124 - 4 * (frame - gone) : 148 - 4 * (frame - gone)] = True
    frames[truth | alike] = (200, 40, 40)
    clip = ClipFrames("video", "clip", 0, Fraction(20), frames, np.arange(40) / 20, 160, 90, pictures={})
    masks = build_masks(MasksConfig()).propagate(clip, MaskPrompt(10, truth[10], _NO_POINTS))
    assert _mean_iou(masks[:gone], truth[:gone]) > 0.75
    assert not (masks & alike).any()
