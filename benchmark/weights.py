"""Reading weights that others wrote: never a foreign object, never a partial load."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.files import read_json, sha256_file


def load_plain(path: Path, stream: Any = None) -> Any:
    """`torch.load` that runs nothing from the file.

    Args:
        path: the file.
        stream: the same, open to be read.

    Raises:
        InputError: the file is missing, damaged, or holds other objects than tensors and plain
            values (it is refused then, not executed).
    """
    if stream is None and not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return torch.load(path if stream is None else stream, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch says in its first line what kind of object it met, further down how to allow it.
        raise InputError(f"{path}: refused or damaged ({_first_line(error)})") from None
    except Exception as error:
        # A file that is cut off or overwritten makes torch's readers raise almost anything:
        # RuntimeError, EOFError, IndexError, struct.error, AssertionError, UnicodeDecodeError …
        raise InputError(f"{path}: damaged ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read a ``.safetensors`` file or a ``.pth``/``.pt`` state dict, without running its code.

    A checkpoint that keeps its weights under ``model`` or ``state_dict`` is unwrapped. Of exported
    weights, `verify_export` compares every byte: 0.2 s for a ViT-B.

    Raises:
        InputError: the file is missing, damaged, not the one its description is of, holds other
            objects than tensors and plain values, or is no state dict.
    """
    path = Path(path)
    if path.suffix == ".safetensors" and path.is_file():
        verify_export(path)
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path}: damaged ({_first_line(error)})") from None
    content = load_plain(path)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise InputError(f"{path}: not a state dict (names to tensors)")
    return content


def verify_export(path: Path) -> None:
    """Compare exported weights with the sha256 in the description of that name beside them.

    Safetensors has no checksum. Weights of others, without such a description, pass.

    Raises:
        InputError: they differ, or the description is damaged.
    """
    description = path.with_suffix(".json")
    if not description.exists():
        return
    content = read_json(description)
    expected = content.get("weights_sha256") if isinstance(content, dict) else None
    if expected not in (None, sha256_file(path)):
        raise InputError(
            f"{path}: damaged, or not the weights {description.name} describes (sha256 differs); "
            "copy both from where they were exported"
        )


def load_strict(module: nn.Module, tensors: dict[str, Tensor], origin: str | Path) -> None:
    """Load `tensors` into `module` so that every name and every shape fits.

    Raises:
        InputError: something is missing, unexpected or of another shape; the message counts all
            of them and names the first. The module is unchanged then.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in tensors]
    unexpected = [name for name in tensors if name not in own]
    reshaped = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    problems = [
        f"{len(names)} {word} (first: {names[0]})"
        for word, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", reshaped),
        )
        if names
    ]
    if problems:
        kind = type(module).__name__
        raise InputError(f"{origin}: these weights do not fit {kind}: {'; '.join(problems)}")
    module.load_state_dict(tensors)
