"""Reading configs: pure-Python or classic files, a scale, overrides, and no unknown key."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.config.config import BASE_KEY, ConfigParsingError

from benchmark.errors import InputError, did_you_mean
from benchmark.registry import find
from benchmark.training.config_keys import (
    PRETRAIN_KEYS,
    SCALES,
    ConfigKeys,
    fitting,
    read_option,
    require_fitting,
)
from benchmark.type_hints import hints_of

# Their classes take other values than their hints say, and arguments they do not name.
_LIBRARIES = ("mmengine", "mmcv", "mmseg", "mmdet", "mmpretrain", "torch", "torchvision", "timm")


def load_config(
    path: str | Path,
    scale: str = "paper",
    options: list[str] | None = None,
    known: ConfigKeys = PRETRAIN_KEYS,
    needed: Collection[str] = (),
) -> Config:
    """Read a config, swap in the sizes of a scale and apply ``key.path=value`` overrides.

    Args:
        path: the file.
        scale: see `configs/_base_/scales.py`.
        options: ``key.path=value``.
        known: keys it may have.
        needed: keys, or paths of keys, it has to have.

    Raises:
        InputError: the file is missing or not a config, the scale is unknown, a key is missing or
            not known (the message names the nearest one that is), or a value is not what its key
            takes.
    """
    path = Path(path)
    try:
        config = _read(path)
    except InputError:
        raise
    except Exception as error:
        # A config is arbitrary code, which may fail in any way.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if not isinstance(error, (ConfigParsingError, SyntaxError, NameError, ImportError)):
            reason = f"{type(error).__name__}: {reason}"
        raise InputError(f"{path}: not a config ({reason})") from None
    for key in config._cfg_dict:
        if key not in known:
            raise InputError(f"{path}: unknown key {key!r}{did_you_mean(key, sorted(known))}")
    try:
        _resolve_names(config._cfg_dict)
        apply_scale(config, scale, str(path))
        check_values(config._cfg_dict, known, str(path))
    except (ImportError, AttributeError) as error:  # a class the file names does not exist
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from None
    for option in options or []:
        set_option(config, option, known)
    for key in needed:
        node = config._cfg_dict
        for name in key.split("."):
            if not isinstance(node, dict) or name not in node:
                raise InputError(f"{path}: without {key!r}, which every run needs")
            node = node[name]
    return config


def _read(path: Path) -> Config:
    """A pure-Python config, or a classic one, whose bases may be of either kind.

    mmengine refuses to let one kind inherit the other, so the bases of a classic one are merged
    here.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such config")
    source = path.read_text(encoding="utf-8")
    bases = [
        node
        for node in ast.parse(source, str(path)).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == BASE_KEY
    ]
    if not bases:
        config = Config.fromfile(str(path), lazy_import=True)
        for name in config._imported_names:  # names in the file, not settings
            config._cfg_dict.pop(name, None)
        return config
    merged = Config()
    lines = source.splitlines()
    for node in bases:
        named = ast.literal_eval(node.value)
        for base in [named] if isinstance(named, str) else named:
            merged.merge_from_dict(_read(path.parent / base)._cfg_dict)
        lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    merged.merge_from_dict(Config.fromstring("\n".join(lines), ".py")._cfg_dict)
    return merged


def _resolve_names(node: Any) -> None:
    """Replace registered names by their classes, wherever a part names its ``type``.

    A name that is not registered stays: a library looks it up itself.
    """
    for where, part in _parts(node):
        # Names below such keys are those of OpenMMLab, as in ``norm_cfg``.
        keys = where.split(".")
        theirs = any(key.endswith("_cfg") or key in ("nms", "visualizer") for key in keys)
        if isinstance(part["type"], str) and not theirs:
            part["type"] = find(part["type"]) or part["type"]


def check_values(values: Mapping[str, Any], known: ConfigKeys, origin: str) -> None:
    """Check the types and ranges of settings by their keys, and of arguments by their class.

    Args:
        values: settings by name, all of them known.
        known: the values each key takes.
        origin: what an error names.

    Raises:
        InputError: a value does not fit, or a class does not take an argument.
    """
    for key, value in values.items():
        require_fitting(f"{origin}: {key}", value, known[key])
    for where, part in _parts(values):
        if not _is_ours(part["type"]):
            continue
        for key in part:
            place = f"{where}.{key}"
            if key != "type" and not _takes(part["type"], key, others=True):
                near = did_you_mean(key, _parameters(part["type"]))
                raise InputError(f"{origin}: {place}: unknown key {key!r}{near}")
            require_fitting(f"{origin}: {place}", part[key], hints_of(part["type"]).get(key, Any))


def _is_ours(kind: Any) -> bool:
    """Whether the hints of a class hold: not those of libraries, except torch's optimisers."""
    module = getattr(kind, "__module__", "")
    return callable(kind) and (
        module.partition(".")[0] not in _LIBRARIES or module.startswith("torch.optim.")
    )


def apply_scale(config: Config, scale: str, origin: str) -> None:
    """Swap in the sizes of a scale (`configs/_base_/scales.py`), then the config's own ``scales``.

    Args:
        config: what is changed; its key ``scales`` is removed.
        scale: one of the table.
        origin: what an error names.

    Raises:
        InputError: there is no such scale, or one of the config's own sizes fits no part of it.
    """
    if scale not in SCALES:
        raise InputError(f"--scale {scale}: not one of {', '.join(SCALES)}")
    sizes = SCALES[scale]
    kind = "pretrain" if "method" in config else "finetune"
    for key, value in sizes[kind].items():
        # None means that the setting does not apply to this config at any scale.
        if config.get(key) is not None:
            config[key] = value
    of_config = config.pop("scales", {})
    own = {**of_config.get(sizes.get("of"), {}), **of_config.get(scale, {})}
    by_class: dict[str, list[ConfigDict]] = {}
    for _, part in _parts(config._cfg_dict):
        by_class.setdefault(getattr(part["type"], "__name__", ""), []).append(part)
    for name, parts in by_class.items():
        for key, value in sizes["parts"].get(name, {}).items():
            for part in parts:
                if key in part or _takes(part["type"], key):
                    part[key] = value
    for key, value in own.items():
        place = f"{origin}: scales[{scale!r}][{key!r}]"
        name, _, argument = key.partition(".")
        if name[:1].islower():
            _assign(config._cfg_dict, key, value, place)
        elif name not in by_class:
            raise InputError(f"{place}: no part of class {name}{did_you_mean(name, by_class)}")
        for part in by_class.get(name, ()):
            _assign(part, argument, value, place)


def _parts(node: Any, where: str = "") -> Iterator[tuple[str, ConfigDict]]:
    """The dictionaries with a class as their type, each after the path of its key."""
    if isinstance(node, dict):
        if "type" in node:
            yield where, node
        for key, value in node.items():
            yield from _parts(value, f"{where}.{key}".lstrip("."))
    elif isinstance(node, (list, tuple)):
        for number, value in enumerate(node):
            yield from _parts(value, f"{where}.{number}")


def set_option(config: Config, option: str, known: ConfigKeys = PRETRAIN_KEYS) -> None:
    """Apply one ``key.path=value``, see `read_option`.

    Raises:
        InputError: the key is not known, or does not take that value.
    """
    key, value, text = read_option(option, known)
    _assign(config._cfg_dict, key, value, f"--cfg-options {key}", text, known)


def _assign(
    node: Any,
    key: str,
    value: Any,
    origin: str,
    text: str | None = None,
    known: ConfigKeys | None = None,
) -> None:
    """Set a value below a config.

    Args:
        node: the dictionary that is changed.
        key: path to the value.
        value: the new one.
        origin: what an error names.
        text: the value as written; if given, the value has to fit.
        known: keys that may be new at the top level.
    """
    *parents, last = key.split(".")
    top = {} if parents or known is None else known
    done: list[str] = []
    for name in parents:
        node = _child(node, name, done, origin)
        done.append(name)
    kind = node.get("type") if isinstance(node, dict) else None
    if last in top or _takes(kind, last):
        old = node.get(last)
    else:
        old = _child(node, last, done, origin, others=[*top, *_parameters(kind)])
    if isinstance(node, tuple):
        raise InputError(f"{origin}: set all of {'.'.join(done)}, a tuple")
    if text is not None:
        if isinstance(old, type) and isinstance(value, str):
            raise InputError(f"{origin}: only a config file can name another class")
        hint = top.get(last, hints_of(kind).get(last, Any) if _is_ours(kind) else Any)
        value = fitting(value, text, _like(old) if hint is Any else hint, origin)
    node[int(last) if isinstance(node, list) else last] = value


def _like(old: Any) -> Any:
    """A hint for the replacement of a value that has no type hint."""
    for kind, hint in (
        (bool, bool),
        (str, str),
        ((int, float, list, tuple), float | list),
        (dict, dict),
    ):
        if isinstance(old, kind):
            return hint | None
    return Any


def _child(node: Any, name: str, done: list[str], origin: str, others: Sequence[str] = ()) -> Any:
    if isinstance(node, (list, tuple)):
        if name.isdigit() and int(name) < len(node):
            return node[int(name)]
        where = ".".join(done)
        raise InputError(f"{origin}: {where} has items 0 to {len(node) - 1}")
    if not isinstance(node, dict):
        raise InputError(f"{origin}: {'.'.join(done)} is a value, not a group of keys")
    if name not in node:
        raise InputError(
            f"{origin}: unknown key {name!r}{did_you_mean(name, sorted([*node, *others]))}"
        )
    return node[name]


def _parameters(cls: Any) -> list[str]:
    return [name for name in _signature(cls) if name not in ("self", "kwargs")]


def _signature(cls: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(cls).parameters if callable(cls) else {}


def _takes(cls: Any, name: str, others: bool = False) -> bool:
    """Whether a class names an argument or, if `others`, takes any."""
    return name in _parameters(cls) or (
        others and any(one.kind is one.VAR_KEYWORD for one in _signature(cls).values())
    )


def fill_paths(node: Any, root: str | Path) -> Any:
    """Replace ``{work}`` in every string by the folder all runs of this scale live in."""
    if isinstance(node, Config):
        node = node._cfg_dict
    if isinstance(node, str):
        return node.replace("{work}", str(root))
    if isinstance(node, dict):
        for key in list(node):
            node[key] = fill_paths(node[key], root)
        return node
    if isinstance(node, (list, tuple)):
        return type(node)(fill_paths(value, root) for value in node)
    return node


def to_plain(node: Any) -> Any:
    """The config as JSON-able values; classes become ``"module.Class"``."""
    if isinstance(node, Config):
        node = node._cfg_dict
    if isinstance(node, dict):
        return {str(key): to_plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [to_plain(value) for value in node]
    if node is None or isinstance(node, (str, int, float, bool)):
        return node
    name = getattr(node, "__qualname__", None) or getattr(node, "__name__", None)
    return f"{node.__module__}.{name}" if name else str(node)


def named_object(name: str) -> Any:
    """What ``"module.Class"`` names; the module is imported."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def from_plain(node: Any, find_class: Callable[[str], Any] = named_object) -> Any:
    """The inverse of `to_plain` for a config that this project wrote: names of classes to classes.

    A name without a module is one that a library looks up itself, as in ``norm_cfg``.

    Args:
        node: what `to_plain` returned.
        find_class: the class of a name with a module.
    """
    if isinstance(node, dict):
        values = {key: from_plain(value, find_class) for key, value in node.items()}
        if isinstance(values.get("type"), str) and "." in values["type"]:
            values["type"] = find_class(values["type"])
        return values
    if isinstance(node, list):
        return [from_plain(value, find_class) for value in node]
    return node


def config_differences(old: Any, new: Any, where: str = "") -> list[str]:
    """The leaves in which two plain configs differ, as ``key: old → new``."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            found += config_differences(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))
        return found
    return [] if old == new else [f"{where}: {old!r} → {new!r}"]
