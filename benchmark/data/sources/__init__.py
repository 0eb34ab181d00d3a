"""The datasets that can be read, by name."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, Literal

from benchmark.data.frame import Source
from benchmark.data.sources.arcade import Arcade
from benchmark.data.sources.cadica import Cadica
from benchmark.data.sources.caxf import Caxf
from benchmark.data.sources.coronary_dominance import CoronaryDominance
from benchmark.data.sources.corpora.xa20k import Xa20k
from benchmark.data.sources.corpora.xa170k import Xa170k
from benchmark.data.sources.dca1 import Dca1
from benchmark.data.sources.files import Raw
from benchmark.data.sources.folder import Folder
from benchmark.data.sources.paired import Paired
from benchmark.data.sources.stenosis import DanilovStenosis
from benchmark.data.sources.syntax import Syntax
from benchmark.data.sources.synthetic import Synthetic
from benchmark.data.sources.xcad import Xcad
from benchmark.data.sources.xcav import Xcav
from benchmark.errors import InputError, one_of
from benchmark.type_hints import fits, meaning

SOURCES: dict[str, type[Source]] = {
    source.name: source
    for source in (
        *(Arcade, Cadica, Caxf, CoronaryDominance, Dca1, Folder, Paired, DanilovStenosis),
        *(Syntax, Synthetic, Xa20k, Xa170k, Xcad, Xcav),
    )
}


def source_options(name: str) -> dict[str, tuple[Any, Any]]:
    """Options of a source: name → (type hint, default).

    Raises:
        InputError: there is no source of this name.
    """
    constructor = SOURCES[one_of("source", name, SOURCES)].__init__
    hints = typing.get_type_hints(constructor, include_extras=True)
    return {
        key: (hints[key], default) for key, default in (constructor.__kwdefaults__ or {}).items()
    }


def open_source(
    name: str, /, raw: Raw | Mapping[str, Raw] = None, **options: str | int | float
) -> Source:
    """Open a dataset.

    Args:
        name: a key of `SOURCES`.
        raw: folder of the download; None for a source that reads nothing. ``xa20k`` and
            ``xa170k`` also take a folder for each of their parts.
        options: options of the source (see `source_options`); text is converted to their type.

    Raises:
        InputError: unknown source or option (the message names the nearest), a value of the wrong
            type or out of range, or a folder that is missing or is not this dataset.
    """
    known = source_options(name)
    for key, value in options.items():
        one_of(f"option of {name}", key, known or ["(this source has no options)"])
        hint, default = known[key]
        kind = type(default)
        try:
            options[key] = kind(str(value))
        except ValueError:
            raise InputError(f"option {key}={value}: not of type {kind.__name__}") from None
        if typing.get_origin(hint) is Literal:
            one_of(key, options[key], typing.get_args(hint))
        elif not fits(options[key], hint):
            raise InputError(f"option {key}={value}: must be {meaning(hint)}")
    return SOURCES[name](raw, **options)
