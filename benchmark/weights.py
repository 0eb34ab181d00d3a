"""Reading untrusted weights: no code is executed, and loading is strict."""

from __future__ import annotations

import argparse
import pathlib
import pickle
import re
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmark.errors import InputError, explain_os_error
from benchmark.files.contents import mistaken_download, require_file, verify_export

# Harmless objects that training scripts save beside the weights: argparse namespaces, and paths,
# which become pure paths, since those of another operating system cannot be created here.
_PLAIN_OBJECTS: dict[str, Any] = {
    "argparse.Namespace": argparse.Namespace,
    **{
        f"{module}.{pure}{system}Path": getattr(pathlib, f"Pure{system}Path")
        for module in ("pathlib", "pathlib._local")
        for pure in ("", "Pure")
        for system in ("Windows", "Posix")
    },
}
_GLOBAL = re.compile(r"(?:Unsupported global: GLOBAL|load unsupported GLOBAL) (\S+\.[^\s.]+)\s")
# Prefixes that frameworks add to every name: DDP, torch.compile, Lightning and training scripts.
WRAPPERS = ("module.", "_orig_mod.", "state_dict.", "model.")


class Refused(InputError):
    """Reading the file would run code."""


def load_plain(path: Path, stream: Any = None, trust: bool = False) -> Any:
    """What a file of weights holds: safetensors, or anything `torch.save` writes.

    Its content decides which of the two it is, not its name.

    Args:
        stream: the same file, opened; written by this project, and verified.
        trust: run what is pickled in it; otherwise nothing is.

    Raises:
        Refused: it holds other objects than tensors and plain values; the message names them.
        InputError: the file is missing, damaged, or something other than weights.
    """
    path = Path(path)
    file = path if stream is None else stream
    if file is path:
        require_file(path)
    try:
        if file is path and _is_safetensors(path):
            return load_file(path)
        content = _load(file, trust)
    except Exception as error:
        # On a truncated or overwritten file, torch's readers raise almost anything:
        # RuntimeError, EOFError, IndexError, struct.error, AssertionError, UnicodeDecodeError …
        # A trusted file runs code, which may raise anything, too.
        raise _refusal(path, file, error, trust) from None
    if isinstance(content, torch.jit.ScriptModule):
        raise InputError(f"{path}: {mistaken_download(path)}")
    return content


def _load(file: Any, trust: bool) -> Any:
    allowed = [(kind, name) for name, kind in _PLAIN_OBJECTS.items()]
    with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # errors say what matters
        if not trust:
            return torch.load(file, map_location="cpu", weights_only=True)
        return torch.load(file, map_location="cpu", weights_only=False, pickle_module=_READER)


class _Unpickler(pickle.Unpickler):
    """Finds the classes of a trusted file, except for paths of another operating system."""

    def find_class(self, module: str, name: str) -> Any:
        return _PLAIN_OBJECTS.get(f"{module}.{name}") or super().find_class(module, name)


def _load_pickle(stream: Any, **options: Any) -> Any:
    return _Unpickler(stream, **options).load()


_READER = ModuleType("reader")  # passed to torch in place of the module `pickle`
_READER.Unpickler, _READER.load = _Unpickler, _load_pickle


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(9)
    # The length of the header comes first, whose high bytes are zero; then the header.
    return head[6:] == b"\x00\x00{" or (
        path.suffix == ".safetensors" and head[:2] not in (b"PK", b"\x80\x02")
    )


def _refusal(path: Path, file: Any, error: Exception, trust: bool) -> InputError:
    """Why a file cannot be read: the system, what it really is, the code in it, or damage."""
    if isinstance(error, OSError) and error.filename is not None:  # else a reader raised it
        return InputError(explain_os_error(error))
    if other := mistaken_download(path):
        return InputError(f"{path}: {other}")
    pickled = isinstance(error, pickle.UnpicklingError) and not trust
    if pickled and (foreign := _foreign_objects(file, error)):
        names = ", ".join(foreign)
        return Refused(f"{path}: refused, since reading it would run code: it holds {names}")
    return InputError(f"{path}: damaged, or not a file of weights ({_reason(error)})")


def _reason(error: Exception) -> str:
    """The first line of an error, without torch's advice to load the file unsafely."""
    if isinstance(error, ModuleNotFoundError):
        return f"it needs the module {error.name!r}"
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    line = text.splitlines()[0].strip() if text else type(error).__name__
    if re.search("weights.only|torch.load|safe_globals", line, re.IGNORECASE):
        return "not as torch.save writes it"
    return line


def _foreign_objects(file: Any, error: Exception) -> list[str]:
    """Names of the code a file would execute, as far as they can be told without executing it."""
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    except (ValueError, RuntimeError, EOFError, pickle.UnpicklingError):
        # A file of the old format: the error names the first one, unless the file ends within it.
        last_line = file.read_bytes().rpartition(b"\n")[2] if isinstance(file, Path) else b""
        names = _GLOBAL.findall(str(error))
        found = [name for name in names if name.rpartition(".")[2].encode() != last_line[:-1]]
    return sorted(set(found) - _PLAIN_OBJECTS.keys())


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read a ``.safetensors`` file or a ``.pth``/``.pt`` state dict, without executing code.

    A checkpoint that keeps its weights under ``model`` or ``state_dict`` is unwrapped. Exported
    weights are verified by their sha256: 0.2 s for a ViT-B.

    Raises:
        InputError: the file is missing, damaged, not the one that its description is for, holds
            objects other than tensors and plain values, or is not a state dict.
    """
    path = Path(path)
    verify_export(path)
    content = load_plain(path)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise InputError(f"{path}: not a state dict (names to tensors)")
    return content


def without_wrappers(tensors: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
    """The tensors without the prefixes that frameworks add to all names.

    Nothing is removed once one of the `wanted` names of a network is there.
    """
    tensors = dict(tensors)
    while tensors and not any(name in tensors for name in wanted):
        common = [w for w in WRAPPERS if all(name.startswith(w) for name in tensors)]
        if not common:
            break
        tensors = {name.removeprefix(common[0]): value for name, value in tensors.items()}
    return tensors


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor], origin: str | Path) -> None:
    """Load `tensors` into `module` strictly: every name and every shape must match.

    Prefixes of frameworks (`WRAPPERS`) are removed where all names have them.

    Raises:
        InputError: something is missing, unexpected or of another shape; the message counts all
            of them and names the first. The module is unchanged then.
    """
    own = module.state_dict()
    tensors = without_wrappers(tensors, own.keys())
    missing = [name for name in own if name not in tensors]
    unexpected = [name for name in tensors if name not in own]
    reshaped = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped}
    problems = [f"{len(n)} {word} (first: {n[0]})" for word, n in found.items() if n]
    if problems:
        kind = type(module).__name__
        hint = _behind_prefix(missing, unexpected)
        raise InputError(f"{origin}: these weights do not fit {kind}: {'; '.join(problems)}{hint}")
    module.load_state_dict(tensors)


def _behind_prefix(missing: list[str], unexpected: list[str]) -> str:
    """A hint if the missing names exist with a prefix."""
    for name in unexpected if missing else ():
        prefix = name.removesuffix(missing[0])
        if prefix.endswith(".") and {prefix + one for one in missing} <= {*unexpected}:
            return f"; they are there behind {prefix!r}, which has to be taken off"
    return ""
