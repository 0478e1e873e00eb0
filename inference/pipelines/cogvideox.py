"""CogVideoX I2V with trajectories and ID references: the stock loop, and a hook around the transformer."""

from typing import Any

import torch
from diffusers.pipelines.cogvideo.pipeline_cogvideox_image2video import CogVideoXImageToVideoPipeline

from inference.pipelines.hooks import (
    Pixels,
    batch_of,
    check_scheduler,
    conditioned,
    identity_tensor,
    spread,
    video_tensor,
)
from training.models.cogvideox import CogVideoX, join_conditions, widen
from training.models.conditions import Conditions
from training.models.identity_positions import place_identity_first, rotary_embedding

# Noise on ID pictures in the release: its standard deviation is exp(N(-3, 0.5)).
_LOG_NOISE_MEAN, _LOG_NOISE_STD = -3.0, 0.5


class CogVideoXFrameInOutPipeline(CogVideoXImageToVideoPipeline):
    """`CogVideoXImageToVideoPipeline` of a 1.0 model (CogVideoX-5b-I2V), whose transformer also sees trajectories.

    A base model's transformer is widened when the pipeline is made; its output stays what it is until it is trained.
    Canvases need not be those that the model was made for.
    """

    _identity_frames = 0  # of the call that is going on

    def register_modules(self, **modules: Any) -> None:
        """As stock; diffusers reads the signature of __init__, which therefore stays the stock one."""
        super().register_modules(**modules)
        widen(self.transformer)
        place_identity_first(self.transformer)

    @torch.no_grad()
    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride] - an argument more that has no default
        self,
        image: Any,
        trajectory_video: Pixels,
        identity_images: Pixels | None = None,
        prompt: str | list[str] | None = None,
        *,
        legacy_noise: bool = False,
        prompt_embeds: torch.Tensor | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        max_sequence_length: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Generate videos.

        Args:
            image: first frame on the canvas, black outside the region box: PIL or a list of them, or float
                [B, 3, H, W] in 0..1, one for each prompt.
            trajectory_video: uint8 [F, H, W, 3] or [B, F, H, W, 3], or float [B, 3, F, H, W] in -1..1; F as num_frames.
            identity_images: ID references on the canvas, uint8 [N, H, W, 3] or [B, N, H, W, 3], or float
                [B, N, 3, H, W] in -1..1; None for a model that was trained without. No ID is a black picture.
            legacy_noise: draw the latents of trajectories and IDs from the VAE's posterior and add noise to ID
                pictures, as the release does; by default they are the posterior's mode, and clean.
            max_sequence_length: tokens of text; None for what the model was trained with.
            kwargs: see `CogVideoXImageToVideoPipeline.__call__`: negative_prompt, height, width, num_frames,
                num_inference_steps, guidance_scale, use_dynamic_cfg, latents, output_type, callback_on_step_end, ...

        Returns:
            As the stock pipeline: `CogVideoXPipelineOutput`, or a tuple with return_dict=False.

        Raises:
            ValueError: shapes or the scheduler do not fit.
        """
        check_scheduler(self.scheduler, "v_prediction")
        batch = batch_of(prompt, prompt_embeds)
        draws = generator if legacy_noise else None
        trajectory = self._encode(video_tensor(trajectory_video, batch), legacy_noise, draws)
        identity = None
        if identity_images is not None and identity_images.shape[-4] > 0:
            pictures = identity_tensor(identity_images, batch)
            if legacy_noise:
                pictures = _noised(pictures, draws)
            # One by one: the VAE shrinks time, and IDs are no frames of one video.
            frames = [
                self._encode(pictures[:, index, :, None], legacy_noise, draws) for index in range(pictures.shape[1])
            ]
            identity = torch.cat(frames, dim=2)
        self._identity_frames = 0 if identity is None else identity.shape[2]
        self.transformer.patch_embed.identity_frames = self._identity_frames

        def before(given: dict[str, Any]) -> dict[str, Any]:
            hidden = given["hidden_states"].transpose(1, 2)  # [B or 2B, noisy and first frame, f, h, w]
            if trajectory.shape[2:] != hidden.shape[2:]:
                raise ValueError(
                    f"the trajectory video has latents of {tuple(trajectory.shape[2:])} frames, rows and columns, the "
                    f"video {tuple(hidden.shape[2:])}: num_frames, height and width must be those of the trajectories"
                )
            noisy, first_frame = hidden.chunk(2, dim=1)
            # With guidance the stock loop asks for both halves at once.
            halves = hidden.shape[0] // batch
            fit = {"device": hidden.device, "dtype": hidden.dtype}
            known = Conditions(
                given["encoder_hidden_states"],
                first_frame[:, :, :1],
                spread(trajectory, batch).repeat(halves, 1, 1, 1, 1).to(**fit),
                spread(identity, batch).repeat(halves, 1, 1, 1, 1).to(**fit) if identity is not None else None,
            )
            return given | {"hidden_states": join_conditions(noisy, known).transpose(1, 2)}

        def after(output: torch.Tensor) -> torch.Tensor:
            return output[:, : trajectory.shape[2]]

        with conditioned(self.transformer, before, after):
            return super().__call__(
                image,
                prompt,
                prompt_embeds=prompt_embeds,  # pyright: ignore[reportArgumentType] - FloatTensor is a name of old
                generator=generator,
                max_sequence_length=max_sequence_length or self.transformer.config.max_text_seq_length,
                **kwargs,
            )

    def prepare_latents(
        self, image: torch.Tensor, batch_size: int, num_channels_latents: int, *args: Any, **kwargs: Any
    ) -> Any:
        """As stock, with as many channels as the VAE has: stock takes half of the transformer's, of which we have 3."""
        if image.shape[0] == 1:
            image = image.expand(batch_size, -1, -1, -1)
        return super().prepare_latents(image, batch_size, self.vae.config.latent_channels, *args, **kwargs)

    def _prepare_rotary_positional_embeddings(
        self, height: int, width: int, num_frames: int, device: torch.device
    ) -> Any:
        """As stock, and the first frame's for ID frames."""
        scale = self.vae_scale_factor_spatial
        return rotary_embedding(
            self.transformer, num_frames, height // scale, width // scale, self._identity_frames, device
        )

    def _encode(
        self,
        pixels: torch.Tensor,
        sample: bool,
        generator: torch.Generator | list[torch.Generator] | None,
    ) -> torch.Tensor:
        """Normalised latents, float32 [B, C, f, h, w], of pixels [B, 3, F, H, W] in -1..1."""
        model = CogVideoX(self.tokenizer, self.text_encoder, self.vae, self.transformer)
        frames, height, width = pixels.shape[2:]
        device = self._execution_device
        latents = []
        for index, video in enumerate(pixels):
            noise = None
            if sample:
                shape = (1, *model.latent_shape(frames, height, width))
                noise = _normal(shape, generator, index).to(device)
            latents.append(model.encode_pixels(video[None].to(device), noise))
        return torch.cat(latents)


def _normal(
    shape: tuple[int, ...], generator: torch.Generator | list[torch.Generator] | None, index: int
) -> torch.Tensor:
    """Standard normal numbers on the device of the generator, which is the `index`-th of a list."""
    source = generator[index % len(generator)] if isinstance(generator, list) else generator
    return torch.randn(shape, generator=source, device=source.device if source else "cpu")


def _noised(pictures: torch.Tensor, generator: torch.Generator | list[torch.Generator] | None) -> torch.Tensor:
    """[B, N, 3, H, W] with normal noise of its own standard deviation on each."""
    noisy = []
    for index, group in enumerate(pictures):
        sigma = torch.exp(_LOG_NOISE_MEAN + _LOG_NOISE_STD * _normal((len(group), 1, 1, 1), generator, index))
        noisy.append(group + (sigma * _normal(tuple(group.shape), generator, index)).to(group))
    return torch.stack(noisy)
