"""Processes that torchrun started to generate one video together."""

import atexit
import os

import torch
import torch.distributed

from curation.contract.errors import UsageError


def join_processes(count: int) -> torch.device:
    """Join the others, once; returns this process's device.

    Raises:
        UsageError: torchrun did not start this process, or started another number of them.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != count:
        raise UsageError(
            f"--context-parallel {count}: it takes {count} processes, not {started}; start the command by "
            f"torchrun --nproc-per-node {count} -m inference generate ..."
        )
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else torch.device("cpu")
    if not torch.distributed.is_initialized():
        if on_gpu:
            torch.cuda.set_device(device)
        torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
        atexit.register(torch.distributed.destroy_process_group)
    return device


def is_first_process() -> bool:
    """Whether this process is the one that writes and reports: the only one, or the first of several."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
