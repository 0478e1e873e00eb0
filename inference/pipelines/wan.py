"""Wan 2.2 TI2V with trajectories and ID references: the stock loop, and a hook around the transformer."""

from typing import Any

import torch
from diffusers.pipelines.wan.pipeline_wan_i2v import WanImageToVideoPipeline

from inference.pipelines.hooks import (
    Pixels,
    batch_of,
    check_scheduler,
    conditioned,
    identity_tensor,
    spread,
    video_tensor,
)
from training.models.conditions import Conditions
from training.models.wan import Wan, join_conditions, widen


class WanFrameInOutPipeline(WanImageToVideoPipeline):
    """`WanImageToVideoPipeline` of a model with expanded timesteps (TI2V), whose transformer also sees trajectories.

    A base model's transformer is widened when the pipeline is made; its output stays what it is until it is trained.
    """

    def register_modules(self, **modules: Any) -> None:
        """As stock; diffusers reads the signature of __init__, which therefore stays the stock one."""
        super().register_modules(**modules)
        if self.transformer is not None:
            widen(self.transformer)

    @torch.no_grad()
    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride] - two more arguments that have no default
        self,
        image: Any,
        trajectory_video: Pixels,
        identity_images: Pixels | None = None,
        prompt: str | list[str] | None = None,
        *,
        legacy_single_timestep: bool = False,
        num_videos_per_prompt: int = 1,
        prompt_embeds: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Generate videos.

        Args:
            image: first frame on the canvas, black outside the region box: PIL, or float [B, 3, H, W] in 0..1.
            trajectory_video: uint8 [F, H, W, 3] or [B, F, H, W, 3], or float [B, 3, F, H, W] in -1..1; F as num_frames.
            identity_images: ID references on the canvas, uint8 [N, H, W, 3] or [B, N, H, W, 3], or float
                [B, N, 3, H, W] in -1..1; None for a model that was trained without. No ID is a black picture.
            legacy_single_timestep: one timestep for all tokens, as the published stage-2 weights were trained; as
                published, and by default, the first frame's tokens have 0.
            kwargs: see `WanImageToVideoPipeline.__call__`: negative_prompt, height, width, num_frames,
                num_inference_steps, guidance_scale, generator, latents, output_type, callback_on_step_end, ...

        Returns:
            As the stock pipeline: `WanPipelineOutput`, or a tuple with return_dict=False.

        Raises:
            ValueError: shapes or the scheduler do not fit, or the model is none with expanded timesteps.
        """
        if not self.config["expand_timesteps"]:
            raise ValueError(
                "trajectories need a Wan 2.2 TI2V model (expand_timesteps is true in its model_index.json)"
            )
        check_scheduler(self.scheduler, "flow_prediction")
        batch = batch_of(prompt, prompt_embeds)
        count = batch * num_videos_per_prompt
        trajectory = spread(self._encode(video_tensor(trajectory_video, batch)), count)
        identity = None
        if identity_images is not None and identity_images.shape[-4] > 0:
            pictures = identity_tensor(identity_images, batch)
            # One by one: the VAE shrinks time, and IDs are no frames of one video.
            frames = [self._encode(pictures[:, index, :, None]) for index in range(pictures.shape[1])]
            identity = spread(torch.cat(frames, dim=2), count)

        def before(given: dict[str, Any]) -> dict[str, Any]:
            noisy, timestep = given["hidden_states"], given["timestep"]
            if trajectory.shape[2:] != noisy.shape[2:]:
                raise ValueError(
                    f"the trajectory video has latents of {tuple(trajectory.shape[2:])} frames, rows and columns, the "
                    f"video {tuple(noisy.shape[2:])}: num_frames, height and width must be those of the trajectories"
                )
            first_frame = noisy[:, :, :1]
            to = {"device": noisy.device, "dtype": noisy.dtype}
            known = Conditions(
                given["encoder_hidden_states"],
                first_frame,
                trajectory.to(**to),
                identity.to(**to) if identity is not None else None,
            )
            hidden = join_conditions(noisy, known)
            if legacy_single_timestep:
                timestep = timestep[:, -1]
            elif identity is not None:
                # ID tokens have the time of the frames that are being made.
                tokens = timestep.shape[1] // noisy.shape[2] * identity.shape[2]
                timestep = torch.cat([timestep, timestep[:, -1:].expand(-1, tokens)], dim=1)
            return given | {"hidden_states": hidden, "timestep": timestep}

        def after(output: torch.Tensor) -> torch.Tensor:
            return output[:, :, : trajectory.shape[2]]

        with conditioned(self.transformer, before, after):
            return super().__call__(
                image,
                prompt,  # pyright: ignore[reportArgumentType] - None with prompt_embeds
                num_videos_per_prompt=num_videos_per_prompt,
                prompt_embeds=prompt_embeds,
                **kwargs,
            )

    def prepare_latents(self, image: torch.Tensor, batch_size: int, *args: Any, **kwargs: Any) -> Any:
        """As stock, and with several first frames [B, 3, H, W] each for its own video, which stock mixes up."""
        # Three with expanded timesteps, which stock's annotation leaves out.
        parts: Any = super().prepare_latents(image[:1], batch_size, *args, **kwargs)
        latents, condition, first_frame_mask = parts
        if image.shape[0] > 1:
            condition = spread(self._encode(image[:, :, None]), batch_size).to(condition)
        return latents, condition, first_frame_mask

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised latents, float32 [B, C, f, h, w], of pixels [B, 3, F, H, W] in -1..1: the posterior's mode."""
        model = Wan(self.tokenizer, self.text_encoder, self.vae, self.transformer)
        return torch.cat([model.encode_pixels(video[None].to(self._execution_device)) for video in pixels])
