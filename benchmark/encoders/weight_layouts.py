"""Locating a network within a checkpoint: under which keys and name prefix.

Keys and names are treated alike: tensor ``b`` of a network under key ``a`` is ``a.b``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.errors import InputError
from benchmark.nn.state_dict_names import Rules

if TYPE_CHECKING:
    from torch import Tensor

Tensors = dict[str, "Tensor"]
# A conversion beyond renaming: changes the tensors in place and returns network arguments that
# depend on the file.
Finish = Callable[[Tensors], dict[str, Any]]

# Inserted into names by torch when a module is compiled, checkpointed or sharded.
_WRAPPED = frozenset({"_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"})
# Words that do not distinguish networks.
_NEUTRAL = _WRAPPED | {"module", "model", "state_dict", "backbone"}
# Roles of a network in a method; accepted if the file has only one.
_ROLES = frozenset({"encoder", "teacher", "student", "ema", "net", "network"})
_DEPTH = 20  # maximum nesting of keys


@dataclass(frozen=True)
class WeightLayout:
    """One layout of the tensors of a release."""

    marker: str  # regular expression that matches the start of some name in this layout
    rules: Rules  # names in the file → names in our network; None: not a weight of the encoder
    # Prefix of the network if the file holds several, such as ``teacher.backbone.``; words of
    # `_NEUTRAL` are ignored.
    prefix: str = ""
    finish: Finish = lambda tensors: {}  # see `Finish`

    @property
    def example(self) -> str:
        """A name that matches the marker."""
        return self.marker.replace("\\", "").rstrip("$.")

    def places(self, names: Collection[str]) -> list[str]:
        """Candidate prefixes of the network in a file, with a trailing dot."""
        found: dict[str, None] = {}
        for name in names:
            for start in (0, *(match.end() for match in re.finditer(r"\.", name))):
                if re.match(self.marker, name[start:]):
                    found[name[:start]] = None
        return list(found)


def flatten(content: Mapping[Any, Any]) -> dict[str, Any]:
    """All values of a file by their keys joined by dots, without the words torch inserts.

    A dictionary that occurs several times is visited once.
    """
    return dict(_leaves(content, "", {id(content)}))


def _leaves(node: Mapping[Any, Any], prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        name = f"{prefix}{key}"
        if not isinstance(value, Mapping):
            yield _unwrapped(name), value
        elif id(value) not in seen and name.count(".") < _DEPTH:
            seen.add(id(value))
            yield from _leaves(value, f"{name}.", seen)


def _unwrapped(name: str) -> str:
    return ".".join(word for word in name.split(".") if word not in _WRAPPED)


def _role(prefix: str) -> tuple[str, ...]:
    return tuple(word for word in prefix.split(".") if word and word not in _NEUTRAL)


def locate(
    layouts: Collection[WeightLayout], names: Collection[str], prefix: str | None = None
) -> tuple[WeightLayout, str]:
    """The layout of a file and the prefix of its network.

    Without a `prefix`, the prefix of a layout is used. If the file has none of those, its only
    candidate is used, provided it consists of `_NEUTRAL` words or, if no layout names a role, of
    `_ROLES`.

    Args:
        layouts: tried in this order.
        names: names of all values of the file, from `flatten`.
        prefix: prefix given by the user.

    Raises:
        InputError: the network is missing, or there are several candidates; the message lists the
            options to choose among them.
    """
    places = [(layout, layout.places(names)) for layout in layouts]
    found = {place: layout for layout, several in reversed(places) for place in several}
    if prefix is not None:
        place = _unwrapped(prefix.strip(".") + ".").lstrip(".")
        if place in found:
            return found[place], place
        raise InputError(f"--prefix {prefix or repr('')}: not there{_choices(found)}")
    for layout, several in places:
        named = [place for place in several if _role(place) == _role(layout.prefix)]
        if len(named) > 1:
            raise InputError(f"holds the network more than once{_choices(named)}")
        if named:
            return layout, named[0]
    if not found:
        some = ", ".join(repr(name) for name in list(names)[:4]) or "nothing"
        more = ", …" if len(names) > 4 else ""
        examples = " or ".join(dict.fromkeys(repr(layout.example) for layout in layouts))
        raise InputError(f"no name in it ends with {examples}; it holds {some}{more}")
    trusted = set() if any(_role(layout.prefix) for layout in layouts) else _ROLES
    if len(found) == 1:
        ((place, layout),) = found.items()
        if set(_role(place)) <= trusted:
            return layout, place
    raise InputError(f"not clear which network of it is meant{_choices(found)}")


def _choices(places: Collection[str]) -> str:
    options = " or ".join(f"--prefix {place or repr('')}" for place in sorted(places))
    return f"; pass {options}" if options else ""


def files_beside(names: Collection[str], place: str) -> dict[str, int]:
    """Values of a file outside the network: name prefix → count."""
    counts: dict[str, int] = {}
    along = place.split(".")
    for name in names:
        if not name.startswith(place):
            words = name.split(".")
            same = [one == other for one, other in zip(words, along)]
            start = ".".join(words[: same.index(False) + 1])
            counts[start] = counts.get(start, 0) + 1
    return counts
