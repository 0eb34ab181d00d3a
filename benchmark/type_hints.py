"""Whether a value is what a type hint asks for, and what that is in plain English.

Configs and command lines bring values; constructors and tables of settings say by their hints what
they take. Hints beyond numbers, texts, lists and dictionaries are classes, built from dictionaries.
"""

from __future__ import annotations

import collections.abc
import math
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union


@dataclass(frozen=True)
class Range:
    """The finite numbers of a hint, ``Annotated[int, Range(least=1)]``."""

    # The ends, which are included.
    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf  # an excluded end

    def __contains__(self, value: float) -> bool:
        inside = self.least <= value <= self.most and -math.inf < value < math.inf
        return inside and (value > self.above or self.above == -math.inf)

    def __str__(self) -> str:
        if -math.inf < self.least and self.most < math.inf:
            return f"from {self.least:.15g} to {self.most:.15g}"
        words = [f"above {self.above:g}"] if self.above > -math.inf else []
        words += [f"of {self.least:g} or more"] if self.least > -math.inf else []
        words += [f"{'' if words else 'of '}at most {self.most:g}"] if self.most < math.inf else []
        return " and ".join(words)


@dataclass(frozen=True)
class Items:
    """The lists of a hint with so many items, ``Annotated[Sequence[str], Items(least=1)]``."""

    least: int

    def __contains__(self, value: Collection[Any]) -> bool:
        return len(value) >= self.least

    def __str__(self) -> str:
        return f"of {self.least} or more"


Count = Annotated[int, Range(least=1)]
Natural = Annotated[int, Range(least=0)]
Seed = Annotated[int, Range(least=0, most=2**32 - 1)]
Positive = Annotated[float, Range(above=0)]
Share = Annotated[float, Range(above=0, most=1)]
Rate = Annotated[float, Range(least=0, most=1)]

_SEQUENCES = (list, tuple, collections.abc.Sequence, collections.abc.Iterable, Collection)
_MAPPINGS = (dict, Mapping, collections.abc.MutableMapping)
_PLAIN = (str, Real, list, tuple, NoneType)


def fits(value: Any, hint: Any) -> bool:
    """Whether a value may stand where a hint is.

    An integer may stand for a number, a list for a tuple, a dictionary for what is built from it.
    True and False are not numbers.
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        bounds = [bound for bound in parts[1:] if isinstance(bound, (Range, Items))]
        return fits(value, parts[0]) and all(value in bound for bound in bounds)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    kind = origin or hint
    if kind in _SEQUENCES:
        return isinstance(value, (list, tuple)) and _items_fit(value, kind, parts)
    if kind in _MAPPINGS:
        good = isinstance(value, Mapping)
        return good and all(all(map(fits, item, parts)) for item in value.items())
    if kind in (int, float):
        number = Integral if kind is int else Real
        return isinstance(value, number) and not isinstance(value, bool)
    if kind in (None, bool, str, NoneType):
        return isinstance(value, kind or NoneType)
    if isinstance(value, _PLAIN) and isinstance(kind, type) and kind not in (Any, object):
        return getattr(kind, "_is_protocol", False) or isinstance(value, kind)
    return True


def _items_fit(value: list | tuple, kind: Any, parts: tuple[Any, ...]) -> bool:
    if kind is tuple and parts and parts[-1] is not Ellipsis:
        return len(value) == len(parts) and all(map(fits, value, parts))
    return all(fits(item, parts[0]) for item in value) if parts else True


_NAMES = {bool: "True or False", int: "an integer", float: "a number", str: "a text"}
_PLURALS = {int: "integers", float: "numbers", str: "texts", dict: "dictionaries"}


def meaning(hint: Any) -> str:
    """What a hint asks for, such as ``an integer of 1 or more or None``."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return " ".join([meaning(parts[0]), *map(str, parts[1:])])
    if origin in (Union, UnionType):
        return " or ".join(map(meaning, parts))
    if origin is Literal:
        return " or ".join(map(repr, parts))
    kind = origin or hint
    if kind in _SEQUENCES:
        if kind is tuple and parts and parts[-1] is not Ellipsis:
            return f"{len(parts)} {_several(parts[0])}"
        return f"a list of {_several(parts[0])}" if parts else "a list"
    if kind in _MAPPINGS:
        if not parts:
            return "a dictionary"
        keys = f" for {meaning(parts[0])}" if typing.get_origin(parts[0]) is Literal else ""
        return f"a dictionary of {_several(parts[1])}{keys}"
    if kind in (None, NoneType):
        return "None"
    return _NAMES.get(kind) or f"a {getattr(kind, '__name__', kind)}"


def _several(hint: Any) -> str:
    """The values of a list or of a dictionary."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return f"{_several(parts[0])} {' '.join(map(str, parts[1:]))}"
    kind = origin or hint
    return "lists" if kind in _SEQUENCES else _PLURALS.get(kind, "values")


@cache
def hints_of(cls: Any) -> dict[str, Any]:
    """Type hints of the constructor of a class, by name; empty if they cannot be resolved."""
    build = cls.__init__ if isinstance(cls, type) else cls
    try:
        found = typing.get_type_hints(build, include_extras=True)
    except (NameError, TypeError, AttributeError):  # of names only a type checker imports
        return {}
    return {name: hint for name, hint in found.items() if name != "return"}
