"""Every measure that is reported, declared once: what to call it, which way is better, whom it can be compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", "zero"]


@dataclass(frozen=True)
class Measure:
    """Attributes:
    key: a column of the scores manifest; "fid" and "fvd" are of all videos together.
    better: "zero" where either sign is a departure from the truth.
    backend: column of the scores that names what it was made with; "" where nothing learned is asked.
    paper: what its backend's name contains when backend and weights are the published protocol's; () when nothing
        is published. Local copies of weights are known by the name of their folder alone.
    published: its key in `PUBLISHED`.
    digits: after the decimal point.
    usual, stand_in: names of the backends for which the title is right, and the title for others; () for all.
    """

    key: str
    title: str
    unit: str
    better: Better
    backend: str = ""
    paper: tuple[str, ...] = ()
    published: str = ""
    digits: int = 3
    usual: tuple[str, ...] = ()
    stand_in: str = ""

    def named(self, backend: str) -> str:
        """The title for a value that a backend made."""
        return self.title if not self.usual or backend.startswith(self.usual) else self.stand_in

    @property
    def arrow(self) -> str:
        """The direction of better, for a table's head."""
        return {"lower": "↓", "higher": "↑", "zero": "→0"}[self.better]


MEASURES: tuple[Measure, ...] = (
    Measure("fid", "FID", "", "lower", "fid", ("inception",), "fid", 2, ("inception",), "Fréchet distance, frames"),
    Measure("fvd", "FVD", "", "lower", "fvd", ("i3d",), "fvd", 2, ("i3d", "videomae"), "Fréchet distance, videos"),
    Measure(
        "perceptual_distance",
        "LPIPS",
        "",
        "lower",
        "perceptual_backend",
        ("lpips",),
        "lpips",
        usual=("lpips",),
        stand_in="Perceptual distance",
    ),
    Measure("trajectory_error", "Traj Err", "px", "lower", "track_backend", ("cotracker3",), "traj", 2),
    Measure(
        "vseg_mae_count", "VSeg MAE (count)", "", "lower", "mask_backend", ("sam2", "sam2.1-hiera-large"), "vseg", 4
    ),
    Measure("vseg_mae_pixels", "VSeg MAE (pixels)", "", "lower", "mask_backend", digits=4),
    Measure(
        "relative_similarity",
        "Rel DINO",
        "",
        "lower",
        "look_backend",
        ("dinov2", "dinov2-base"),
        "dino",
        usual=("dinov2",),
        stand_in="Rel similarity",
    ),
    Measure("vlm_success", "VLM", "", "higher", "vlm_backend", ("Qwen2.5-VL-32B",), "vlm"),
    Measure("vlm_unparsable", "VLM unparsable", "", "lower", "vlm_backend"),
    Measure("event_accuracy", "Event accuracy", "", "higher", "mask_backend"),
    Measure("event_side_right", "Event side", "", "higher", "mask_backend"),
    Measure("event_frame_error", "Event frames off", "generated frames", "lower", "mask_backend", digits=1),
    Measure("identity_gap", "Identity gap", "", "zero", "look_backend"),
    Measure("identity_lowest_gap", "Identity gap, worst frame", "", "zero", "look_backend"),
    Measure("identity_fade", "Identity fade", "", "zero", "look_backend"),
    Measure("camera_drift", "Camera drift", "px", "lower", digits=2),
    Measure("seam_visibility", "Seam", "levels", "zero", digits=2),
    Measure("motion_roughness", "Motion roughness", "px/frame²", "zero", "track_backend", digits=2),
    Measure("psnr", "PSNR", "dB", "higher", digits=2),
    Measure("ssim", "SSIM", "", "higher"),
)

# Frame In-N-Out (arXiv 2505.21491, NeurIPS 2025), its tables of Frame Out and Frame In. The scale of Rel DINO is not
# said there; a relative difference above 1 is hardly meant.
PUBLISHED: dict[str, dict[str, Mapping[str, float]]] = {
    "frame_out": {
        "DragAnything": {"fid": 48.73, "fvd": 607.44, "lpips": 0.462, "traj": 41.24, "vseg": 0.0480, "vlm": 0.624},
        "ImageConductor": {"fid": 99.29, "fvd": 1154.86, "lpips": 0.528, "traj": 42.72, "vseg": 0.0552, "vlm": 0.544},
        "ToRA": {"fid": 57.83, "fvd": 566.78, "lpips": 0.362, "traj": 40.72, "vseg": 0.0750, "vlm": 0.603},
        "Frame In-N-Out, stage 1": {
            "fid": 38.36,
            "fvd": 478.96,
            "lpips": 0.358,
            "traj": 48.46,
            "vseg": 0.0572,
            "vlm": 0.685,
        },
        "Frame In-N-Out, stage 2": {
            "fid": 32.02,
            "fvd": 318.38,
            "lpips": 0.268,
            "traj": 17.85,
            "vseg": 0.0229,
            "vlm": 0.735,
        },
    },
    "frame_in": {
        "SkyReels-A2 + motion prompt": {"fid": 61.20, "fvd": 550.26, "lpips": 0.564, "dino": 2.01, "vlm": 0.535},
        "Phantom + motion prompt": {"fid": 72.84, "fvd": 671.05, "lpips": 0.596, "dino": 1.39, "vlm": 0.540},
        "Frame In-N-Out, stage 2": {
            "fid": 30.84,
            "fvd": 227.30,
            "lpips": 0.218,
            "traj": 10.37,
            "vseg": 0.0112,
            "dino": 1.62,
            "vlm": 0.863,
        },
    },
}
