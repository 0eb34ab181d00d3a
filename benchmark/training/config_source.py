"""A resolved config as the source of a config file, for `--print-config`."""

from __future__ import annotations

import keyword
import math
from collections.abc import Iterable
from typing import Any

from mmengine.config import Config

_WIDTH = 100


def print_config(config: Config) -> None:
    """Print a resolved config as a Python file with the same settings, and thus the same hash.

    Scale, overrides and paths are in it: it is to be run without them.
    """
    print(config_source(config))


def config_source(config: Config) -> str:
    """The source of a pure-Python config: classes are imported, and settings are in their order.

    Read again with `load_config` at scale ``paper``, it is `config`.
    """
    values = dict(config._cfg_dict)
    names = _Names(values)
    settings = [f"{key} = {_source(value, names, len(key) + 3)}" for key, value in values.items()]
    imports = [f"from {module} import {what}" for module, what in sorted(names.imports)]
    return "\n".join([*imports, "", *settings])


class _Names:
    """The names of classes and functions in a file, and the imports that bring them.

    Args:
        taken: names that mean something else there.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self.imports: set[tuple[str, str]] = set()
        self._owner: dict[str, Any] = dict.fromkeys(taken)

    def of(self, value: Any) -> str:
        """The name of a class or function; a number tells apart those of the same name."""
        top, *rest = value.__qualname__.split(".")
        owner = (value.__module__, top)
        name, number = top, 1
        while self._owner.setdefault(name, owner) != owner:
            number += 1
            name = f"{top}{number}"
        self.imports.add((value.__module__, top if name == top else f"{top} as {name}"))
        return ".".join([name, *rest])


def _source(value: Any, names: _Names, used: int = 0, indent: int = 0) -> str:
    """The source of a value: on one line if it fits behind `used` characters, else one per item.

    Args:
        used: width that is taken on the first line.
        indent: of the lines that follow it.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if not isinstance(value, (dict, list, tuple)):
        return names.of(value) if hasattr(value, "__qualname__") else _literal(value)
    before, after = "[]" if isinstance(value, list) else "()"
    items = [("", item) for item in value]
    if isinstance(value, dict):
        keywords = all(isinstance(key, str) and _is_keyword(key) for key in value)
        before, after = ("dict(", ")") if keywords else "{}"
        items = [(f"{k}=" if keywords else f"{_literal(k)}: ", value[k]) for k in value]
    flat = ", ".join(f"{start}{_source(item, names)}" for start, item in items)
    if isinstance(value, tuple) and len(value) == 1:
        flat += ","
    if used + len(before) + len(flat) + len(after) < _WIDTH and "\n" not in flat:
        return f"{before}{flat}{after}"
    space = " " * (indent + 4)
    lines = [
        f"{space}{start}{_source(item, names, indent + 4 + len(start), indent + 4)},"
        for start, item in items
    ]
    return "\n".join([before, *lines, " " * indent + after])


def _is_keyword(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _literal(value: Any) -> str:
    """As `repr`, with double quotes where that is the same."""
    text = repr(value)
    if isinstance(value, str) and '"' not in text and "\\" not in text:
        return f'"{value}"'
    return text
