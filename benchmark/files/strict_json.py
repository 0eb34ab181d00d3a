"""Unambiguous JSON: what parsers disagree about is rejected."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from benchmark.errors import InputError

MAX_DEPTH = 64
"""Deeper nesting is rejected: settings have some ten levels, and recursive code must not run out of
stack."""

MAX_DIGITS = 100
"""Longer numbers are rejected."""


def parse_json(content: bytes | str, where: str, finite: bool = True) -> Any:
    """The value of a JSON text that all parsers read alike.

    Rejected anywhere in it: a duplicate key in an object, of which most parsers keep the last;
    ``NaN``, ``Infinity`` and numbers beyond float64; numbers of more than `MAX_DIGITS` digits; more
    than `MAX_DEPTH` levels; a lone surrogate, which UTF-8 cannot encode; bytes that are not UTF-8,
    and a byte order mark.

    Args:
        finite: False accepts ``NaN``, ``Infinity`` and numbers beyond float64 as floats, for
            third-party files whose numbers are checked later.

    Raises:
        InputError: it is rejected; one line with the file and the reason.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        if text.startswith("\ufeff"):
            raise ValueError("it begins with a byte order mark; save it as UTF-8 without one")
        value = (_FINITE if finite else _LENIENT).decode(text)
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _check_depth(value)
        if "\\ud" in text or "\\uD" in text:  # lone surrogates can only be escaped
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InputError(f"{where}: not a JSON file (half a surrogate pair)") from None
    except RecursionError:
        raise InputError(f"{where}: not a JSON file ({_DEEP})") from None
    except ValueError as error:
        raise InputError(f"{where}: not a JSON file ({error})") from None
    return value


_DEEP = f"nested deeper than {MAX_DEPTH} levels"


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            item
            for group in level
            for item in (group.values() if isinstance(group, dict) else group)
            if isinstance(item, (dict, list))
        ]
    if level:
        raise ValueError(_DEEP)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"key {key!r:.60} is there twice")
    return found


def _check_length(digits: str) -> None:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")


def _integer(digits: str) -> int:
    _check_length(digits)
    return int(digits)


def _float(digits: str) -> float:
    _check_length(digits)
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is beyond float64")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_LENIENT = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer)
_FINITE = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
