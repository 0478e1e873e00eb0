"""All measures of one generated video: its row of the scores manifest, and its features for FID and FVD."""

from collections.abc import Callable
from typing import Any

import numpy as np

from curation.contract.errors import ModelError
from curation.contract.mask_tube import Masks
from curation.models.masks.protocol import MaskPrompt
from curation.models.objects.stabilise import camera_path
from curation.video.media import ClipFrames
from eval.backends import Backends
from eval.config import ComparisonConfig
from eval.metrics.camera_drift import camera_drift
from eval.metrics.event_accuracy import event_score, region_crossing
from eval.metrics.identity_over_time import identity_over_time
from eval.metrics.motion_smoothness import acceleration, motion_roughness
from eval.metrics.psnr import psnr
from eval.metrics.region import RegionScale, region_masks, region_pictures, region_scale
from eval.metrics.relative_similarity import reference_similarity, relative_similarity
from eval.metrics.seam_visibility import seam_visibility
from eval.metrics.ssim import ssim
from eval.metrics.trajectory_error import trajectory_error
from eval.metrics.vlm_success import FRAMES, QUESTIONS, VlmScore, parse_answer
from eval.metrics.vseg_mae import vseg_mae_count, vseg_mae_pixels
from eval.pair import VideoPair
from eval.schemas import FEATURES, SCORES
from training.conditioning.identity import place_identity

Row = dict[str, Any]

_CUT_OUT = (128, 128)  # px that an object's cut-outs are compared at
_LEAST_CUT_OUT = 64  # px of a mask; of less, nothing can be told


def score_pair(pair: VideoPair, backends: Backends, config: ComparisonConfig) -> dict[str, list[Row]]:
    """Rows of the datasets scores (one) and features.

    Both videos go through the same backends, so a video that equals its ground truth is perfect, whatever they see.
    """
    clips = pair.clip(pair.generated), pair.clip(pair.truth)
    region = config.region_height, config.region_width
    scale = region_scale(pair.region_box, region)
    pictures, true_pictures = (region_pictures(clip.frames, pair.region_box, region) for clip in clips)
    masks = [_masks(pair, clip, backends) for clip in clips]
    row: Row = {"kind": pair.kind, "label": pair.label, "frames": len(pair.truth), "covered": pair.covered}
    row["query_frame"] = pair.query_frame
    row |= _motion(pair, clips, masks, backends, scale)
    row |= _segments(pair, masks, region)
    row |= _likeness(pair, clips, masks, (pictures, true_pictures), backends, region)
    row |= _events(pair, masks, config.event_tolerance)
    row |= _background(pair, clips, scale)
    row |= {
        "psnr": psnr(pictures, true_pictures),
        "ssim": float(ssim(pictures, true_pictures).mean()),
        "perceptual_distance": float(backends.perceptual.distance(pictures, true_pictures).mean()),
    }
    row |= _answers(pair, pictures, true_pictures, backends)
    row |= {
        "track_backend": backends.tracker.name,
        "mask_backend": backends.masks.name,
        "look_backend": backends.look.name,
        "perceptual_backend": backends.perceptual.name,
        "vlm_backend": backends.vlm.name if backends.vlm else None,
    }
    return {SCORES: [row], FEATURES: _features(pair, pictures, true_pictures, backends)}


def _motion(
    pair: VideoPair,
    clips: tuple[ClipFrames, ClipFrames],
    masks: list[np.ndarray],
    backends: Backends,
    scale: RegionScale,
) -> Row:
    times = np.full((len(pair.points), 1), pair.query_frame, np.float32)
    queries = np.concatenate([times, pair.points], axis=1).astype(np.float32)
    (points, seen), (true_points, true_seen) = (
        backends.tracker.track(clip, queries, _bodies(part, len(queries)))
        for clip, part in zip(clips, masks, strict=True)
    )
    errors = trajectory_error(points, true_points, scale)
    own, truth = acceleration(points, seen, scale), acceleration(true_points, true_seen, scale)
    return {
        "trajectory_error": float(errors.mean()),
        "trajectory_error_over_time": errors,
        "motion_roughness": motion_roughness(own, truth),
    }


def _bodies(masks: np.ndarray, points: int) -> list[Masks | None]:
    """The object's masks for each of its points, which a tracker may hold together by: at 12 frames per second
    optical flow alone loses what moves by its own size. Where the mask tracker sees nothing (what stands still, with
    the embedded one), the points may be anywhere.
    """
    seen: np.ndarray = np.any(masks, axis=(1, 2))
    body = np.where(seen[:, None, None], masks, True)
    return [body] * points


def _masks(pair: VideoPair, clip: ClipFrames, backends: Backends) -> np.ndarray:
    """bool [T, H, W]: the object in every frame."""
    return np.asarray(backends.masks.propagate(clip, MaskPrompt(pair.query_frame, pair.mask, pair.points)))


def _segments(pair: VideoPair, masks: list[np.ndarray], region: tuple[int, int]) -> Row:
    inside, true_inside = (region_masks(part, pair.region_box, region) for part in masks)
    return {
        "vseg_mae_pixels": float(vseg_mae_pixels(inside, true_inside).mean()),
        "vseg_mae_count": float(vseg_mae_count(inside, true_inside).mean()),
    }


def _likeness(
    pair: VideoPair,
    clips: tuple[ClipFrames, ClipFrames],
    masks: list[np.ndarray],
    pictures: tuple[np.ndarray, np.ndarray],
    backends: Backends,
    region: tuple[int, int],
) -> Row:
    """Whole frames beside the ID reference as in the paper; cut-outs of the object beside it, or beside the truth's."""
    row: Row = {}
    if pair.identity is not None:
        reference = backends.look.describe(place_identity(pair.identity, region)[None])[0]
        own, truth = (reference_similarity(backends.look.describe(part), reference) for part in pictures)
        row |= {
            "similarity": float(own.mean()),
            "true_similarity": float(truth.mean()),
            "relative_similarity": relative_similarity(own, truth),
        }
        cut_out = pair.identity
    else:
        cut_out = _cut_out(pair.truth[pair.query_frame], pair.mask)
    reference = backends.look.describe(place_identity(cut_out, _CUT_OUT)[None])[0]
    own, truth = (
        _over_time(clip.frames, part, reference, backends.look.describe)
        for clip, part in zip(clips, masks, strict=True)
    )
    row |= {"identity_over_time": own, "true_identity_over_time": truth}
    scores = identity_over_time(own, truth)
    if scores is not None:
        row |= {
            "identity_gap": scores.gap,
            "identity_lowest_gap": scores.lowest_gap,
            "identity_fade": scores.fade,
        }
    return row


def _over_time(
    frames: np.ndarray, masks: np.ndarray, reference: np.ndarray, describe: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """float64 [T]: similarity of the object's cut-out to the reference; nan where too little of it is seen."""
    similarity = np.full(len(frames), np.nan)
    seen = np.flatnonzero(np.count_nonzero(masks, axis=(1, 2)) >= _LEAST_CUT_OUT)
    if seen.size:
        cut_outs = [place_identity(_cut_out(frames[frame], masks[frame]), _CUT_OUT) for frame in seen]
        similarity[seen] = reference_similarity(describe(np.stack(cut_outs)), reference)
    return similarity


def _cut_out(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 4] RGBA: what the mask shows of a frame; the mask is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return np.dstack([frame[part], mask[part] * np.uint8(255)])


def _events(pair: VideoPair, masks: list[np.ndarray], tolerance: int) -> Row:
    own, truth = (region_crossing(part, pair.region_box, pair.kind, pair.fps) for part in masks)
    row: Row = {
        "event_side": own.side if own else None,
        "event_frame": own.frame if own else None,
        "true_event_side": truth.side if truth else None,
        "true_event_frame": truth.frame if truth else None,
    }
    score = event_score(own, truth)
    if score is not None:
        row |= {
            "event_accuracy": float(score.within(tolerance / pair.spacing)),
            "event_side_right": float(score.side_right),
            "event_frame_error": None if score.frame_error is None else abs(score.frame_error) * pair.spacing,
        }
    return row


def _background(pair: VideoPair, clips: tuple[ClipFrames, ClipFrames], scale: RegionScale) -> Row:
    own, truth = (camera_path(clip.gray, allow_still=False) for clip in clips)
    drift = camera_drift(own, truth, pair.size, scale)
    seam, true_seam = (seam_visibility(clip.gray, pair.region_box) for clip in clips)
    return {
        "camera_drift": None if drift is None else float(drift.mean()),
        "seam_visibility": None if seam is None or true_seam is None else float(seam.mean() - true_seam.mean()),
    }


def _answers(pair: VideoPair, pictures: np.ndarray, true_pictures: np.ndarray, backends: Backends) -> Row:
    if backends.vlm is None:
        return {}
    chosen = np.linspace(0, len(pictures) - 1, min(FRAMES, len(pictures))).round().astype(int)
    fps = pair.fps * (len(chosen) - 1) / (len(pictures) - 1)
    question = QUESTIONS[pair.kind]
    try:
        own, truth = (backends.vlm.answer(part[chosen], fps, question) for part in (pictures, true_pictures))
    except ModelError as error:  # a server in trouble: the other measures stand
        return {"vlm_error": str(error)}
    score = VlmScore(parse_answer(own), parse_answer(truth))
    return {
        "vlm_success": float(score.success),
        "vlm_unparsable": float(score.unparsable),
        "vlm_answer": own,
        "vlm_true_answer": truth,
    }


def _features(pair: VideoPair, pictures: np.ndarray, true_pictures: np.ndarray, backends: Backends) -> list[Row]:
    described = [("fid", backends.fid.name, *(backends.fid.describe(part) for part in (pictures, true_pictures)))]
    for backend in backends.fvd:
        own, truth = (backend.describe(part)[None] for part in (pictures, true_pictures))
        described.append(("fvd", backend.name, own, truth))
    return [
        {
            "kind": pair.kind,
            "metric": metric,
            "backend": name,
            "shape": np.array(own.shape, np.int32),
            "values": own.reshape(-1),
            "true_values": truth.reshape(-1),
        }
        for metric, name, own, truth in described
    ]
