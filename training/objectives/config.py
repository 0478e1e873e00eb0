"""Switches of the objectives. Defaults are ours; the released recipe's values stand in training/configs/."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config


class TimestepConfig(Config):
    sampling: Literal["uniform", "logit_normal"] = Field(
        default="uniform", description="over 1000 timesteps; logit_normal: more in the middle (Esser et al. 2024)"
    )
    logit_mean: float = Field(default=0.0, description="logit_normal: above 0 noisier, below 0 cleaner")
    logit_std: float = Field(default=1.0, gt=0, description="logit_normal: spread")


class DropoutConfig(Config):
    """Share of samples that are trained without a condition."""

    text: float = Field(default=0.0, ge=0, le=1, description="empty caption, as guidance uses it")
    first_frame: float = Field(default=0.0, ge=0, le=1, description="no first frame: text to video")
    identity: float = Field(default=0.0, ge=0, le=1, description="black ID reference; its trajectory stays")


class ObjectiveConfig(Config):
    """Wan: flow matching. CogVideoX: v-prediction.

    `shift` is Wan's alone; legacy ones and `full_field_first_frame` are Wan TI2V's, whose first latent frame is given.
    """

    shift: float = Field(default=5.0, gt=0, description="flow matching: sigma = shift s / (1 + (shift - 1) s)")
    timesteps: TimestepConfig = TimestepConfig()
    dropout: DropoutConfig = DropoutConfig()
    outside_weight: float = Field(
        default=1.0, ge=0, description="weight of the loss outside the region box, against 1 inside"
    )
    legacy_scalar_timestep: bool = Field(
        default=False,
        description="one timestep for all tokens, as released; else first-frame tokens have 0, as in inference",
    )
    legacy_first_frame_loss: bool = Field(
        default=False, description="keep the given first latent frame in the loss, though its noise is unknowable"
    )
    full_field_first_frame: bool = Field(
        default=True,
        description="where the first latent frame is in the loss: its target is not black outside the box",
    )
