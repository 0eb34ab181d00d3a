"""The tensors of a TorchScript archive, such as CLIP's official files, without running its code.

An archive is a zip file: ``NAME/data.pkl`` pickles the module as nested attributes, whose tensors
lie in ``NAME/data/``. Its classes are programs in ``NAME/code/``, which are not looked at here.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import InputError

_STORAGES: dict[str, torch.dtype] = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "BoolStorage": torch.bool,
}


class _Module(dict):
    """A module: its parameters, buffers and submodules by name."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.update((k, v) for k, v in state.items() if isinstance(v, (Tensor, _Module)))


def _tensor(
    storage: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any
) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _plain(value: Any, *_: Any) -> Any:
    """Stands for the functions that give a list or dictionary its type."""
    return value


class _Reader(pickle.Unpickler):
    """Builds tensors and `_Module`; everything else that is called by name is refused."""

    def __init__(self, data: bytes, storage: Callable[[str], bytes]) -> None:
        super().__init__(BytesIO(data))
        self.storage = storage
        self.storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return _Module
        if module == "torch.jit._pickle":
            return _plain
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        known = {"torch._utils._rebuild_tensor_v2": _tensor, "collections.OrderedDict": OrderedDict}
        if f"{module}.{name}" in known:
            return known[f"{module}.{name}"]
        raise pickle.UnpicklingError(f"holds {module}.{name}")

    def persistent_load(self, pid: tuple[str, torch.dtype, str, str, int]) -> Tensor:
        _, dtype, key, _, _ = pid
        if key not in self.storages:
            # A copy, because tensors can be written to and bytes cannot.
            data = bytearray(self.storage(key))
            self.storages[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0)
        return self.storages[key]


def read_torchscript(path: Path) -> dict[str, Any]:
    """Parameters and buffers of the module in a TorchScript archive, nested as its submodules.

    Raises:
        InputError: the archive is damaged, or holds objects other than tensors and plain values.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = (name for name in archive.namelist() if name.count("/") == 1)
            index = next(name for name in found if name.endswith("/data.pkl"))
            folder = index.removesuffix(".pkl")
            reader = _Reader(archive.read(index), lambda key: archive.read(f"{folder}/{key}"))
            content = reader.load()
    except Exception as error:
        # In a damaged pickle or archive, any instruction and any number may be wrong.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: damaged, or no TorchScript archive ({reason})") from None
    if not isinstance(content, _Module):
        raise InputError(f"{path}: holds a {type(content).__name__}, not tensors by name")
    return content
