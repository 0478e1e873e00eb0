"""One of two processes of `test_context_parallel.py`: the pipeline of both together against its own alone."""

import numpy as np
import pytest
import torch

from curation.contract.errors import UsageError
from inference.loading import load_model
from inference.memory import LoadConfig

FRAMES, HEIGHT, WIDTH = 5, 64, 96


def latents(pipeline, identities, height=HEIGHT, **options):
    rng = np.random.default_rng(0)
    return pipeline(
        torch.from_numpy(rng.random((2, 3, height, WIDTH), dtype=np.float32)),
        rng.integers(0, 256, (2, FRAMES, height, WIDTH, 3), dtype=np.uint8),
        rng.integers(0, 256, (2, identities, height, WIDTH, 3), dtype=np.uint8),
        ["the thing comes in from left", "an object goes out right"],
        height=height,
        width=WIDTH,
        num_frames=FRAMES,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
        **options,
    ).frames


def main():
    torch.set_num_threads(1)
    for memory, counts in ((None, (0, 1, 2)), ("16gb", (1,))):
        alone = load_model("tiny-wan").pipeline
        together = load_model("tiny-wan", LoadConfig(context_parallel=2, memory=memory)).pipeline
        for parameters in zip(alone.transformer.parameters(), together.transformer.parameters(), strict=True):
            torch.manual_seed(1)  # zeros of the widening would hide mistakes
            noise = 0.1 * torch.randn_like(parameters[0])
            for parameter in parameters:
                parameter.data += noise
        for identities in counts:
            for options in ({}, {"legacy_single_timestep": True}):
                torch.testing.assert_close(
                    latents(together, identities, **options), latents(alone, identities, **options), rtol=0, atol=1e-5
                )
        with pytest.raises(UsageError, match=r"3 latent frames .* of 3x3 patches are 27 tokens"):
            latents(together, 1, height=96)
    with pytest.raises(UsageError, match="diffusers has none for CogVideoXTransformer3DModel"):
        load_model("tiny-cogvideox", LoadConfig(context_parallel=2))


if __name__ == "__main__":
    main()
