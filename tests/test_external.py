"""The backends whose code is on no index, against that code. Off by default: `pytest -m external`.

Checkouts are looked for under $FRAME_IN_OUT_EXTERNAL, in folders of their repositories' names (co-tracker, tapnet,
IC9600, AutoShot); tapnet needs einshape and dm-tree, TAPNext and AutoShot need einops. Weights are random: what is
shown is that the real classes take our calls and give answers of the right kind.
"""

import os
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from curation.models.checkout import import_code
from curation.models.quality.icnet import IcNet, IcNetConfig
from curation.models.shots import ShotConfig, build_shot_detector
from curation.models.tracking import TrackingConfig, build_tracker
from tests.test_backend_contract import make_clip

pytestmark = [pytest.mark.external, pytest.mark.usefixtures("one_thread"), pytest.mark.timeout(1200)]

QUERIES = np.array([[0, 40, 30], [3, 60, 150], [5, 239, 177]], np.float32)


def checkout(name: str, *packages: str) -> str:
    folder = Path(os.environ.get("FRAME_IN_OUT_EXTERNAL", "external")) / name
    if not folder.is_dir():
        pytest.skip(f"no checkout at {folder}: git clone it there, or set FRAME_IN_OUT_EXTERNAL")
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"{name} needs the package {package}")
    return str(folder)


def saved(model: torch.nn.Module, path: Path) -> str:
    """Weights as they are published; all of them drawn, since some classes leave theirs as the memory was."""
    torch.manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.normal_(std=0.02)
    torch.save(model.state_dict(), path)
    return str(path)


def check_tracks(tracking: TrackingConfig) -> None:
    clip = make_clip(6, 90, 121, 242, 180)
    tracker = build_tracker(tracking)
    points, visible = tracker.track(clip, QUERIES)
    assert (points.shape, points.dtype) == ((6, 3, 2), np.float32)
    assert (visible.shape, visible.dtype) == ((6, 3), np.dtype(bool))
    assert np.isfinite(points).all()
    own = QUERIES[:, 0].astype(int), np.arange(3)
    np.testing.assert_allclose(points[own], QUERIES[:, 1:], atol=1e-3)
    assert visible[own].all()
    again = build_tracker(tracking).track(make_clip(6, 90, 121, 242, 180), QUERIES)
    np.testing.assert_array_equal(again[0], points)
    np.testing.assert_array_equal(again[1], visible)
    assert tracker.track(make_clip(1, 64, 64, 64, 64), QUERIES[:1])[0].shape == (1, 1, 2)
    assert tracker.track(clip, QUERIES[:0])[0].shape == (6, 0, 2)


def test_cotracker(tmp_path):
    code = checkout("co-tracker")
    predictor = import_code("cotracker.predictor", code).CoTrackerPredictor(checkpoint=None, window_len=60)
    weights = saved(predictor.model, tmp_path / "scaled_offline.pth")
    check_tracks(TrackingConfig(backend="cotracker3", cotracker3={"weights": weights, "code": code}))
    # As the hub has it: a folder that holds the file.
    check = TrackingConfig(backend="cotracker3", cotracker3={"weights": str(tmp_path), "code": code})
    assert build_tracker(check).track(make_clip(2, 64, 64, 64, 64), QUERIES[:1])[0].shape == (2, 1, 2)


def test_tapir(tmp_path):
    code = checkout("tapnet", "einshape", "tree")
    model = import_code("tapnet.torch.tapir_model", code).TAPIR(pyramid_level=1)
    weights = saved(model, tmp_path / "tapir.pt")
    check_tracks(TrackingConfig(backend="tapir", tapir={"weights": weights, "code": code, "resolution": 128}))


def test_tapnext(tmp_path):
    code = checkout("tapnet", "einops")
    model = import_code("tapnet.tapnext.tapnext_torch", code).TAPNext(image_size=(256, 256))
    weights = saved(model, tmp_path / "tapnext.pt")
    tracker = build_tracker(TrackingConfig(backend="tapnext", tapnext={"weights": weights, "code": code}))
    clip = make_clip(2, 64, 96, 192, 128)
    queries = np.array([[0, 40, 30], [1, 150, 100]], np.float32)
    points, visible = tracker.track(clip, queries)
    assert points.shape == (2, 2, 2)
    assert np.isfinite(points).all()
    np.testing.assert_allclose(points[[0, 1], [0, 1]], queries[:, 1:], atol=1e-3)
    assert visible[[0, 1], [0, 1]].all()


def test_icnet(tmp_path):
    code = checkout("IC9600")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls torchvision as one did in 2021
        model = import_code("ICNet", code).ICNet(is_pretrain=False)
    scorer = IcNet(IcNetConfig(weights=saved(model, tmp_path / "ck.pth"), code=code))
    picture = np.random.default_rng(0).integers(0, 255, (90, 121, 3), dtype=np.uint8)
    assert 0 <= scorer.complexity(picture) <= 1
    assert scorer.complexity(picture) == scorer.complexity(picture)


def test_autoshot(tmp_path):
    code = checkout("AutoShot", "einops")
    model = import_code("supernet_flattransf_3_8_8_8_13_12_0_16_60", code).TransNetV2Supernet()
    weights = saved(model, tmp_path / "ckpt.pth")
    detector = build_shot_detector(ShotConfig(backend="autoshot", autoshot={"weights": weights, "code": code}))
    watched = detector.start()
    for frame in np.random.default_rng(0).integers(0, 255, (60, 27, 48, 3), dtype=np.uint8):
        watched.add(frame)
    assert all(0 <= one.start <= one.end < 60 for one in watched.finish())
