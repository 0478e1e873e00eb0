"""How the model is spread over processes: copies that average gradients (DDP), or shards (FSDP2).

With `parallel.context` above 1, neighbouring processes get the same samples and share their tokens; their gradients
are parts that add up. DDP and FSDP2 take the mean over all processes, so the loss is multiplied by their number.
"""

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from curation.contract.errors import UsageError
from training.config import LoopConfig, ParallelConfig
from training.data.schedule import Share
from training.models.context_parallel import DIMENSIONS, share_tokens
from training.models.protocol import VideoModel


def data_share(loop: LoopConfig, config: ParallelConfig, accelerator: Accelerator) -> Share:
    """This process's share of the data: the same for processes that share tokens.

    Raises:
        UsageError: the number of processes is no multiple of those.
    """
    processes, context = accelerator.num_processes, config.context
    if processes % context:
        raise UsageError(
            f"parallel.context={context}: {processes} processes were started; start a multiple of {context}"
        )
    return Share(loop.batch_size, accelerator.process_index // context, processes // context, loop.accumulation)


def distribute(model: VideoModel, config: ParallelConfig, accelerator: Accelerator) -> nn.Module:
    """Put the transformer on the device and spread it; returns what is called in its place.

    FSDP2 is applied here and not by accelerate, which shards on GPUs only: so the same code runs, and is tested, on
    CPUs. `model.transformer` stays the module whose parameters are trained and saved.

    Raises:
        UsageError: weights in bfloat16 cannot be sharded together with those that must stay in float32, or the
            model's tokens cannot be shared.
    """
    transformer = model.transformer
    if config.context > 1:
        shape = (accelerator.num_processes // config.context, 1, config.context)
        share_tokens(
            transformer, init_device_mesh(accelerator.device.type, shape, mesh_dim_names=("data", *DIMENSIONS))
        )
    if config.sharding == "none" or accelerator.num_processes == 1:
        return accelerator.prepare_model(transformer)
    if any(parameter.dtype != torch.float32 for parameter in transformer.parameters()):
        raise UsageError(
            "parallel.sharding=fsdp keeps float32 weights in shards and computes in loop.precision; "
            "set model.weights=float32"
        )
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    return shard(model, mesh, accelerator.mixed_precision == "bf16", config.reshard_after_forward)


def shard(model: VideoModel, mesh: DeviceMesh, bf16: bool, reshard_after_forward: bool) -> nn.Module:
    """Leave each process its part of the transformer's parameters, in place; whole blocks exist while they compute.

    Blocks go from the CPU to the mesh's device one by one, so that it never holds more than one of them whole: a 14B
    transformer in float32, 66 GB, has no room on a GPU beside the frozen models.
    """
    # Inputs are cast by autocast, layer by layer: timesteps up to 1000 do not fit into bfloat16.
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if bf16 else None, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for block in model.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy, reshard_after_forward=reshard_after_forward)
    return fully_shard(model.transformer, mesh=mesh, mp_policy=policy)
