"""The classes a ``model.json`` may name: an untrusted file must not run code."""

from __future__ import annotations

import re
from typing import Any

from benchmark.errors import InputError
from benchmark.training.config import from_plain, named_object

# Parts of networks and preprocessing steps. Other modules of the same packages download files,
# evaluate strings or start programs.
_MODULES = (
    *("benchmark.anatomy", "benchmark.downstream", "benchmark.nn", "methods"),
    *("mmseg.models", "mmseg.datasets.transforms", "mmdet.models", "mmdet.datasets.transforms"),
    *("mmcv.transforms", "mmcv.ops", "mmcv.cnn", "mmengine.model", "timm.layers", "torch.nn"),
    *(f"mmpretrain.models.{room}" for room in ("backbones", "necks", "heads", "losses", "utils")),
)
_EVALUATES = "mmdet.models.task_modules.tracking"
# Arguments from which a part would fetch its own initial weights.
_FETCHES = ("pretrained", "checkpoint", "checkpoint_path", "load_from")
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def find_class(name: str) -> type:
    """The class ``"module.Class"`` of this project, OpenMMLab, timm or torch.

    Raises:
        InputError: it is of another module, does not exist, or is not a class.
    """
    try:
        if not _is_allowed(name):
            raise InputError(f"{name!r} is not part of a network of this project or its libraries")
        found = named_object(name)
        if not isinstance(found, type) or not _is_allowed(f"{found.__module__}."):
            raise InputError(f"{name!r} is not a class for a part of a network")
    except (ImportError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{name!r} is not in this version of the project or of its libraries"
        ) from None
    return found


def _is_allowed(name: str) -> bool:
    return name.startswith(tuple(f"{module}." for module in _MODULES)) and not name.startswith(
        _EVALUATES
    )


def read_parts(node: Any, origin: str) -> Any:
    """A plain network or pipeline with classes in place of their names.

    Parts lose the files they were initialised from: a model has its own weights.

    Args:
        node: what `to_plain` made of it, from a file.
        origin: named in errors.

    Raises:
        InputError: a class must not be named.
    """
    _check(node, origin)
    try:
        return from_plain(_without_sources(node), find_class)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None


def _check(node: Any, where: str) -> None:
    if isinstance(node, dict):
        kind = node.get("type")
        # Libraries look up names without a module in their registries; one evaluates them.
        if "type" in node and not (isinstance(kind, str) and _NAME.fullmatch(kind)):
            raise InputError(f"{where}.type: must be the name of a class, found {kind!r:.60}")
        for key, value in node.items():
            _check(value, f"{where}.{key}")
    elif isinstance(node, list):
        for place, value in enumerate(node):
            _check(value, f"{where}.{place}")


def _without_sources(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: None if _fetches(key, value) else _without_sources(value)
            for key, value in node.items()
        }
    return [_without_sources(value) for value in node] if isinstance(node, list) else node


def _fetches(key: str, value: Any) -> bool:
    if key == "init_cfg":
        parts = value if isinstance(value, list) else [value]
        return any(isinstance(p, dict) and p.get("type") == "Pretrained" for p in parts)
    return key in _FETCHES and value not in (None, False)
