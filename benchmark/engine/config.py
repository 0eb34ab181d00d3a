"""Reading configs: pure-Python files, a scale, overrides, and no key that nobody knows."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.config.config import ConfigParsingError

from benchmark.engine.scales import SCALES
from benchmark.errors import InputError

# Every key a config may have at its top level, and what it is for.
PRETRAIN_KEYS = {
    "card": "who the method is: title, family, paper",
    "method": "the method and its parts",
    "seed": "key of all randomness of the run",
    "epochs": "length of the run",
    "batch_size": "samples per step over all processes",
    "micro_batch": "samples of one forward pass of one process; None: its whole share of the batch",
    "base_lr": "peak learning rate per `lr_batch` samples",
    "lr_batch": "batch the base learning rate is quoted for; None: base_lr is absolute",
    "optimizer": "torch optimiser without parameters and learning rate",
    "undecayed": "names of parameters without weight decay beside biases and 1-D ones",
    "decay_biases": "whether weight decay is for biases and 1-D parameters, too",
    "decay_schedule": "weight-decay factor as a function of the epoch",
    "schedule": "learning-rate factor as a function of the epoch",
    "clip_grad": "arguments of gradient clipping, or None",
    "load_from": "checkpoint, exported network or folder of either to start from; None: random",
    "packs": "folders of the frame packs",
    "frames": "how many of their frames are used, whole patients; None: all",
    "anatomy": "whether the loader yields vessel masks: True, False or 'if present'",
    "resident": "frames in the memory of the GPU: True, False or 'auto' (where they fit)",
    "num_workers": "loader processes",
    "num_threads": "CPU threads of a process; 0: as many as torch chooses",
    "precision": "bf16 or fp32; a CPU always runs fp32",
    "compile": "whether the transformer blocks are compiled by torch",
    "log_interval": "steps between two lines of the log",
    "checkpoint_interval": "epochs between two checkpoints",
    "keep_checkpoints": "checkpoints that are kept",
    "scales": "sizes of this config's own parts at each scale",
}


def load_config(
    path: str | Path,
    scale: str = "paper",
    options: list[str] | None = None,
    known: dict[str, str] = PRETRAIN_KEYS,
) -> Config:
    """Read a config, swap in the sizes of a scale and apply ``key.path=value`` overrides.

    Raises:
        InputError: the file is missing or not a config, the scale is unknown, or a key is not
            known (the message names the nearest one that is).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such config")
    try:
        config = Config.fromfile(str(path), lazy_import=True)
    except (ConfigParsingError, SyntaxError, NameError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a config ({reason})") from None
    for key in list(config._cfg_dict.keys()):
        # The classes a config file imports are names in it, not settings.
        if key in config._imported_names:
            del config._cfg_dict[key]
        elif key not in known:
            raise InputError(f"{path}: unknown key {key!r}{_nearest(key, list(known))}")
    try:
        apply_scale(config, scale)
    except (ImportError, AttributeError) as error:  # a class the file names does not exist
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from None
    for option in options or []:
        set_option(config, option)
    return config


def apply_scale(config: Config, scale: str) -> None:
    """Swap in the sizes of a scale: by class for parts, by name for top-level values.

    A config may bring sizes for parts of its own in ``scales = {scale: {"a.b": value}}``.
    """
    if scale not in SCALES:
        raise InputError(f"--scale {scale}: not one of {', '.join(SCALES)}")
    sizes = SCALES[scale]
    kind = "pretrain" if "method" in config else "finetune"
    for key, value in sizes[kind].items():
        # None means that the setting does not apply to this config at any scale.
        if config.get(key) is not None:
            config[key] = value
    for part in _parts(config._cfg_dict):
        name = getattr(part["type"], "__name__", "")
        for key, value in sizes["parts"].get(name, {}).items():
            if key in part or _takes(part["type"], key):
                part[key] = value
    own = config.pop("scales", {}).get(scale, {})
    for key, value in own.items():
        _assign(config, key, value)


def _parts(node: Any) -> Iterator[ConfigDict]:
    if isinstance(node, dict):
        if "type" in node:
            yield node
        for value in node.values():
            yield from _parts(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _parts(value)


def set_option(config: Config, option: str) -> None:
    """Apply one ``key.path=value``; the value is a Python literal or, failing that, a string."""
    key, separator, text = option.partition("=")
    if not separator:
        raise InputError(f"--cfg-options {option}: write it as key=value")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    _assign(config, key, value)


def _assign(config: Config, key: str, value: Any) -> None:
    node: Any = config._cfg_dict
    *parents, last = key.split(".")
    done: list[str] = []
    for name in parents:
        node = _child(node, name, done, key)
        done.append(name)
    if isinstance(node, (list, tuple)):
        _child(node, last, done, key)
        if isinstance(node, tuple):
            raise InputError(f"--cfg-options {key}: set the whole of {'.'.join(done)}, a tuple")
        node[int(last)] = value
        return
    if not isinstance(node, dict):
        raise InputError(f"--cfg-options {key}: {'.'.join(done)} is a value, not a group of keys")
    if last not in node and not ("type" in node and _takes(node["type"], last)):
        names = list(node) + (_parameters(node["type"]) if "type" in node else [])
        raise InputError(f"--cfg-options {key}: unknown key {last!r}{_nearest(last, names)}")
    node[last] = value


def _child(node: Any, name: str, done: list[str], key: str) -> Any:
    if isinstance(node, (list, tuple)):
        if name.isdigit() and int(name) < len(node):
            return node[int(name)]
        where = ".".join(done)
        raise InputError(f"--cfg-options {key}: {where} has items 0 to {len(node) - 1}")
    if not isinstance(node, dict) or name not in node:
        names = list(node) if isinstance(node, dict) else []
        raise InputError(f"--cfg-options {key}: unknown key {name!r}{_nearest(name, names)}")
    return node[name]


def _parameters(cls: Any) -> list[str]:
    return [name for name in inspect.signature(cls).parameters if name not in ("self", "kwargs")]


def _takes(cls: Any, name: str) -> bool:
    return name in _parameters(cls)


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(names))}"


def fill_paths(node: Any, root: str | Path) -> Any:
    """Replace ``{work}`` in every string by the folder all runs of this scale live in."""
    if isinstance(node, str):
        return node.replace("{work}", str(root))
    if isinstance(node, dict):
        for key in list(node):
            node[key] = fill_paths(node[key], root)
        return node
    if isinstance(node, (list, tuple)):
        return type(node)(fill_paths(value, root) for value in node)
    return node


def plain(node: Any) -> Any:
    """The config as JSON-able values; classes become ``"module.Class"``."""
    if isinstance(node, Config):
        node = node._cfg_dict
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [plain(value) for value in node]
    if node is None or isinstance(node, (str, int, float, bool)):
        return node
    name = getattr(node, "__qualname__", None) or getattr(node, "__name__", None)
    return f"{node.__module__}.{name}" if name else str(node)


def revive(node: Any) -> Any:
    """The inverse of `plain` for a config that this project wrote: names of classes to classes.

    A name without a module is one that a library looks up itself, as in ``norm_cfg``.
    """
    if isinstance(node, dict):
        values = {key: revive(value) for key, value in node.items()}
        if isinstance(values.get("type"), str) and "." in values["type"]:
            module, _, name = values["type"].rpartition(".")
            values["type"] = getattr(importlib.import_module(module), name)
        return values
    if isinstance(node, list):
        return [revive(value) for value in node]
    return node


def print_config(config: Config) -> None:
    """Print the fully resolved config, sorted, as JSON."""
    print(json.dumps(plain(config), indent=2, sort_keys=True))


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """The leaves in which two plain configs differ, as ``key: old → new``."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            found += differences(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))
        return found
    return [] if old == new else [f"{where}: {old!r} → {new!r}"]
