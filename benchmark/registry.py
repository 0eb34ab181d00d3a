"""Config dictionaries to objects, without registries or string look-ups."""

from __future__ import annotations

from typing import Any

from benchmark.errors import InputError


def build(spec: Any, **defaults: Any) -> Any:
    """Build ``dict(type=Class, **arguments)``; anything that is not such a dict is returned as is.

    `defaults` are arguments known to the caller only (for instance the width of the encoder a
    decoder belongs to); what the config says wins.

    Raises:
        InputError: the dict has no `type`, or the class does not take these arguments.
    """
    if not isinstance(spec, dict):
        return spec
    arguments = {**defaults, **{key: value for key, value in spec.items() if key != "type"}}
    cls = spec.get("type")
    if not callable(cls):
        raise InputError(f"config: a part without a class as its type: {dict(spec)}")
    try:
        return cls(**arguments)
    except TypeError as error:
        # Only a wrong signature is the user's mistake; a TypeError from inside is a defect.
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise InputError(f"config: {cls.__name__}: {error}") from None
        raise
