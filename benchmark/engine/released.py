"""Encoders others have released, converted to the form in which fine-tuning takes its encoders.

A `Release` says what the network is, and how its files name their tensors. A file is read without
running anything of it, its names are translated, all of them must fit, and `export_encoder` writes
what any pre-training run writes. The releases themselves are in `benchmark.engine.releases`.
"""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.build import build
from benchmark.data.views import IMAGENET_MEAN, IMAGENET_STD
from benchmark.engine.encoder import ARCHITECTURES, EncoderCard, export_encoder
from benchmark.errors import InputError
from benchmark.files import sha256_file
from benchmark.nn.names import Rules, translate
from benchmark.weights import load_strict, read_tensors

Tensors = dict[str, Tensor]
# What cannot be said by names: changes the tensors in place, and returns arguments of the network
# that depend on the file.
Finish = Callable[[Tensors], dict[str, Any]]

# Only a holder of settings, which many training scripts save beside the weights.
_PLAIN_OBJECTS = [argparse.Namespace]
_GLOBAL = re.compile(r"Unsupported global: GLOBAL (\S+)")


@dataclass(frozen=True)
class Layout:
    """One way in which a file may hold the tensors of a release.

    Attributes:
        marker: a regular expression; in this layout the beginning of some name matches it.
        rules: from names in the file to names of our network; None: no weight of the encoder.
        key: where the names are in the file; None: at its top level.
        finish: see `Finish`.
    """

    marker: str
    rules: Rules
    key: str | None = None
    finish: Finish | None = None

    def find(self, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The part of a file that has this layout, if there is one."""
        part = content if self.key is None else content.get(self.key)
        if not isinstance(part, Mapping):
            return None
        fits = any(isinstance(name, str) and re.match(self.marker, name) for name in part)
        return part if fits else None


@dataclass(frozen=True)
class Release:
    """A released encoder.

    Attributes:
        name: id, that of its folder in `configs/` if it has one.
        title: name as printed.
        pretraining: corpus it was trained on.
        source: repository or model page, and file.
        architecture: a key of `benchmark.engine.encoder.ARCHITECTURES`.
        arguments: of the architecture.
        layouts: of its files, tried in this order.
        mean, std: normalisation of grey values in [0, 1] it was trained with, per channel.
        notes: what its user should know.
    """

    name: str
    title: str
    pretraining: str
    source: str
    architecture: str
    arguments: dict[str, Any]
    layouts: tuple[Layout, ...]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    notes: str = ""


def read_release_file(path: Path, trust: bool = False) -> Mapping[str, Any]:
    """What a released file holds: ``.safetensors``, or anything `torch.save` writes.

    Args:
        path: the file.
        trust: run what is pickled in it.

    Raises:
        InputError: it is missing or damaged, is no dictionary, or has foreign objects in it and is
            not trusted; the message names them.
    """
    if path.suffix == ".safetensors" or not path.is_file():
        return read_tensors(path)
    try:
        with torch.serialization.safe_globals(_PLAIN_OBJECTS):
            content = torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        foreign = _foreign_objects(path, error)
        if trust or not foreign:
            raise InputError(f"{path}: cannot be read ({_first_line(error)})") from None
        raise InputError(
            f"{path}: refused, since reading it runs code: it holds {', '.join(foreign)}; if you "
            "trust where it comes from, pass --trust"
        ) from None
    except Exception as error:
        # A file that is cut off makes torch's readers raise almost anything; a trusted one runs
        # code, which may.
        raise InputError(f"{path}: cannot be read ({_first_line(error)})") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}, not tensors by name")
    return content


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _foreign_objects(path: Path, error: Exception) -> list[str]:
    """Names of what a file wants to run, as far as it can be told without running it."""
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (ValueError, RuntimeError, pickle.UnpicklingError):
        # A file of the old format: the error names the first one.
        found = _GLOBAL.findall(str(error))
    plain = {f"{kind.__module__}.{kind.__qualname__}" for kind in _PLAIN_OBJECTS}
    return sorted(set(found) - plain)


def select(release: Release, content: Mapping[str, Any], path: Path) -> tuple[Layout, Tensors]:
    """The layout of a file, and its tensors.

    Raises:
        InputError: the file has none of the layouts of the release, or values that are no tensors.
    """
    for layout in release.layouts:
        part = layout.find(content)
        if part is None:
            continue
        others = [name for name, value in part.items() if not isinstance(value, Tensor)]
        if others:
            raise InputError(f"{path}: {others[0]!r} is no tensor ({len(others)} such)")
        return layout, dict(part)
    some = ", ".join(repr(name) for name in list(content)[:4]) or "nothing"
    more = ", …" if len(content) > 4 else ""
    keys = dict.fromkeys(layout.key or "the top level" for layout in release.layouts)
    raise InputError(
        f"{path}: not a file of {release.name}, whose tensors are under {' or '.join(keys)}; this "
        f"one holds {some}{more}"
    )


def rename(tensors: Mapping[str, Tensor], layout: Layout) -> tuple[Tensors, dict[str, Any]]:
    """Our names of the tensors of the encoder, and arguments of the network only the file tells.

    A name without a rule is kept, marked, and so counts among what does not fit.
    """
    renamed: Tensors = {}
    for name, value in tensors.items():
        try:
            ours = translate(name, layout.rules)
        except InputError:
            ours = f"{name} (no rule)"
        if ours is not None:
            renamed[ours] = value
    return renamed, layout.finish(renamed) if layout.finish else {}


def convert(
    release: Release,
    path: Path,
    folder: Path,
    trust: bool = False,
    arguments: Mapping[str, Any] | None = None,
) -> EncoderCard:
    """Write `encoder.safetensors` and `encoder.json` from a released file.

    Args:
        release: what the file is.
        path: the file.
        folder: where to.
        trust: run what is pickled in the file.
        arguments: of the network, where it is of another size than the release says.

    Raises:
        InputError: the file cannot be read, its tensors do not fit the network (counted, the first
            named), or its features are not finite.
    """
    layout, tensors = select(release, read_release_file(path, trust), path)
    try:
        renamed, found = rename(tensors, layout)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    kind = ARCHITECTURES[release.architecture]
    encoder = build({"type": kind, **release.arguments, **found, **(arguments or {})})
    load_strict(encoder, renamed, path)
    provenance = {
        "release": release.name,
        "title": release.title,
        "pretraining": release.pretraining,
        "source": release.source,
        "file": path.name,
        "file_sha256": sha256_file(path),
    }
    return export_encoder(folder, encoder, provenance, release.mean, release.std)
