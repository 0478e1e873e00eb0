"""Context parallel: several processes share the tokens of a transformer's call, by diffusers' plan for its class.

Each process has its share of the tokens; for attention they exchange tokens for heads (Ulysses, Jacobs et al. 2023),
which needs no special kernels and therefore runs, and is tested, on CPUs too.
"""

from typing import Any

import torch
import torch.distributed
from diffusers.hooks.context_parallel import apply_context_parallel
from diffusers.hooks.hooks import HookRegistry, ModelHook
from diffusers.models._modeling_parallel import ContextParallelConfig, ParallelConfig
from torch.distributed.device_mesh import DeviceMesh

from curation.contract.errors import UsageError

DIMENSIONS = ("ring", "ulysses")
"""Of a mesh, as diffusers names them: the first one of size 1, the second one the processes that share tokens."""


def share_tokens(transformer: Any, mesh: DeviceMesh) -> None:
    """Let processes share the transformer's tokens. They call it with the same arguments and all get the whole output.

    In training, the gradients of a parameter in these processes are parts that add up to the whole one's.

    Args:
        mesh: has `DIMENSIONS`, and maybe others.

    Raises:
        UsageError: diffusers has no plan for transformers of this class, or the attention heads cannot be shared.
    """
    degree, kind = mesh[DIMENSIONS[1]].size(), type(transformer).__name__
    if transformer._cp_plan is None:
        raise UsageError(f"context parallel: diffusers has none for {kind}, only for transformers such as Wan's")
    heads = transformer.config["num_attention_heads"]
    if heads % degree:
        raise UsageError(f"context parallel: {kind} has {heads} attention heads, which {degree} processes cannot share")
    # diffusers' enable_parallelism numbers accelerators and divides by their count, which is 0 on a CPU; these are its
    # further steps.
    context = ContextParallelConfig(ulysses_degree=degree, mesh=mesh)
    config = ParallelConfig(context_parallel_config=context)
    rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    config.setup(rank, world, torch.device(mesh.device_type), mesh=mesh)
    for module in transformer.modules():
        if hasattr(getattr(module, "processor", None), "_parallel_config"):
            module.processor._parallel_config = config
    apply_context_parallel(transformer, context, transformer._cp_plan)
    # Registered last, it sees the arguments first, and all that hooks of ours have added to them.
    HookRegistry.check_if_exists_or_initialize(transformer).register_hook(_Divisible(degree), "divisible")


class _Divisible(ModelHook):
    """Says what to do about a number of tokens that cannot be shared evenly; diffusers only asserts."""

    def __init__(self, degree: int) -> None:
        super().__init__()
        self.degree = degree

    def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        frames, height, width = kwargs["hidden_states"].shape[2:]
        _, down, across = module.config.patch_size
        tokens = frames * (height // down) * (width // across)
        if tokens % self.degree:
            raise UsageError(
                f"context parallel: {frames} latent frames (with IDs) of {width // across}x{height // down} patches "
                f"are {tokens} tokens, which {self.degree} processes cannot share evenly; take a canvas with a side of "
                f"a multiple of {self.degree} patches (of 32 px for Wan 2.2), or fewer processes"
            )
        return args, kwargs
