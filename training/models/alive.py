"""Memory without a device: the storages of tensors that have a shape and no content (meta or fake), while they live."""

import weakref
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Alive(TorchDispatchMode):
    """Inside, adds up the storages that operators make, for as long as something holds them.

    Attributes:
        most: the most bytes at any time, besides the module's parameters and buffers.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._weights = [*module.parameters(), *module.buffers()]
        self._known = {part.untyped_storage()._cdata for part in self._weights}
        self._now = self.most = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self._now += size
        self.most = max(self.most, self._now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size
