"""A guard that finds, on a CPU, what would make a GPU wait for the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Reading a value back, and every operator whose result has a size that depends on values.
_WAITS = {
    "_local_scalar_dense",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "_unique2",
    "unique_consecutive",
    "unique_dim",
}


class NoHostSync(TorchDispatchMode):
    """Raises where an operator reads tensor values on the host; for use as a context manager."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        indices = args[1] if name in ("index", "index_put", "index_put_") else ()
        by_mask = any(isinstance(i, Tensor) and i.dtype == torch.bool for i in indices)
        if name in _WAITS or by_mask:
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))


class NoCopyFromHost(TorchDispatchMode):
    """Raises where values move between host and GPU by a copy that both wait for.

    Among others where a tensor is made on the GPU from Python numbers: only pinned memory can be
    copied without a wait.
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
def on_imagined_gpu(module: nn.Module, batch: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Put a module on a GPU that need not be there; yields the batch, which is there as well.

    Tensors have shapes, types and devices, but no values: what asks for a value raises, as
    torch's `DataDependentOutputException`. Backward passes are not possible.
    """
    with FakeTensorMode(), NoCopyFromHost():
        for part in module.modules():
            for name, value in part._parameters.items():
                if value is not None:
                    there = torch.empty(value.shape, dtype=value.dtype, device="cuda")
                    part._parameters[name] = nn.Parameter(there, value.requires_grad)
            for name, value in part._buffers.items():
                if value is not None:
                    part._buffers[name] = torch.empty(value.shape, dtype=value.dtype, device="cuda")
            if hasattr(part, "_device"):
                part._device = torch.device("cuda", 0)
        yield {
            name: torch.empty(value.shape, dtype=value.dtype, device="cuda")
            for name, value in batch.items()
        }
