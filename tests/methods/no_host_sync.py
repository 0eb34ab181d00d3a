"""Finds, on a CPU, operations that would synchronise a GPU with the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Reading a value back, and operators whose output shape depends on values.
_SYNCS = {
    "_local_scalar_dense",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "_unique2",
    "unique_consecutive",
    "unique_dim",
}


class NoHostSync(TorchDispatchMode):
    """Context manager that raises where an operator reads tensor values on the host."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        indices = args[1] if name in ("index", "index_put", "index_put_") else ()
        by_mask = any(isinstance(i, Tensor) and i.dtype == torch.bool for i in indices)
        if name in _SYNCS or by_mask:
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))


class NoCopyFromHost(TorchDispatchMode):
    """Context manager that raises on blocking copies between host and GPU.

    This includes creating a GPU tensor from Python numbers: only pinned memory can be copied
    without blocking.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func.overloadpacket.__name__ in ("_to_copy", "copy_"):
            tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)]
            at_once = kwargs.get("non_blocking") or args[2:3] == (True,)
            if len({t.device.type for t in tensors}) > 1 and not at_once:
                raise AssertionError(f"{func} waits for the device")
        return result


@contextmanager
def on_simulated_gpu(module: nn.Module, batch: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Move a module and a batch, which is yielded, to a simulated GPU.

    Tensors have shape, dtype and device, but no values: reading one raises torch's
    `DataDependentOutputException`. Backward passes are not possible.
    """
    with FakeTensorMode(), NoCopyFromHost():
        for part in module.modules():
            for name, value in part._parameters.items():
                if value is not None:
                    moved = torch.empty(value.shape, dtype=value.dtype, device="cuda")
                    part._parameters[name] = nn.Parameter(moved, value.requires_grad)
            for name, value in part._buffers.items():
                if value is not None:
                    part._buffers[name] = torch.empty(value.shape, dtype=value.dtype, device="cuda")
            if hasattr(part, "_device"):
                part._device = torch.device("cuda", 0)
        yield {
            name: torch.empty(value.shape, dtype=value.dtype, device="cuda")
            for name, value in batch.items()
        }
