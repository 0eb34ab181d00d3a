"""Conversion of released encoders into exported encoders for fine-tuning.

A `Release` describes the network and the tensor names of its files. A file is read without running
any of its code, its tensor names are translated and must all fit, and `export_encoder` writes the
same files as a pre-training run. The releases are listed in `benchmark.encoders.releases`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmark.encoders.card import EncoderCard
from benchmark.encoders.encoder import ARCHITECTURES, build_encoder, export_encoder
from benchmark.encoders.releases import Release
from benchmark.encoders.torchscript import read_torchscript
from benchmark.encoders.weight_layouts import Tensors, files_beside, flatten, locate
from benchmark.errors import InputError, did_you_mean
from benchmark.files import read_object, sha256_file
from benchmark.files.contents import is_torchscript
from benchmark.files.locking import hold_folder
from benchmark.nn.state_dict_names import translate
from benchmark.type_hints import fits, hints_of, meaning
from benchmark.weights import Refused, load_plain, load_strict

# Arguments that depend on the size of a network, and the size they depend on.
_OF_SIZE = {"num_heads": "embed_dim", "global_blocks": "depth"}


def read_release_file(path: Path, trust: bool = False) -> Mapping[str, Any]:
    """Read a released file: safetensors, TorchScript, or anything `torch.save` writes.

    Raises:
        InputError: it is missing or damaged, not a dictionary, or holds foreign objects and is not
            to be trusted; the message names them.
    """
    if is_torchscript(path):
        return read_torchscript(path)
    try:
        content = load_plain(path, trust=trust)
    except Refused as error:
        message = f"{error}; if you trust where it comes from, pass --trust"
        raise InputError(message) from None
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}, not tensors by name")
    return content


@dataclass(frozen=True)
class TensorSelection:
    """The network in a file."""

    prefix: str  # prefix of the network's tensor names
    # Tensors of the network under our names. Those without a rule are kept under a marked name, so
    # that they are reported as not fitting.
    tensors: Tensors
    # Arguments of the network that the file gives beyond the shapes of its tensors.
    arguments: dict[str, Any]
    skipped: dict[str, int]  # name prefix → number of values that are not weights of the network


def select(
    release: Release, content: Mapping[str, Any], path: Path, prefix: str | None = None
) -> TensorSelection:
    """Select the network of a release in a file.

    Raises:
        InputError: it is missing, ambiguous (see `locate`), has values that are not tensors, or is
            another one (see `WeightLayout.finish`).
    """
    values = flatten(content)
    try:
        layout, place = locate(release.layouts, values, prefix)
    except InputError as error:
        raise InputError(f"{path}: as a file of {release.name}: {error}") from None
    part = {name[len(place) :]: value for name, value in values.items() if name.startswith(place)}
    others = [name for name, value in part.items() if not isinstance(value, Tensor)]
    if others:
        raise InputError(f"{path}: {place + others[0]!r} is not a tensor ({len(others)} such)")
    tensors: Tensors = {}
    skipped = files_beside(values, place)
    for name, value in part.items():
        try:
            ours = translate(name, layout.rules)
        except InputError:
            ours = f"{name} (no rule)"
        if ours is not None:
            tensors[ours] = value
        else:
            start = place + name.partition(".")[0]
            skipped[start] = skipped.get(start, 0) + 1
    try:
        arguments = layout.finish(tensors)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return TensorSelection(place, tensors, arguments, skipped)


def sizes_of(tensors: Tensors, expected: Mapping[str, Any]) -> dict[str, int]:
    """The sizes of a transformer, inferred from its tensors; empty if it has no patches.

    The number of its prefix tokens is the one of the `expected` arguments.

    Raises:
        InputError: patches or images are not square.
    """
    kernel, table = tensors.get("patch_embed.proj.weight"), tensors.get("pos_embed")
    if kernel is None or kernel.ndim != 4:
        return {}
    width, channels, patch, other = kernel.shape
    if patch != other:
        raise InputError(f"patch_embed.proj.weight: patches of {patch}×{other} are not square")
    blocks = {name.split(".")[1] for name in tensors if name.startswith("blocks.")}
    sizes = dict(embed_dim=width, depth=len(blocks), patch_size=patch, in_channels=channels)
    if table is None or table.ndim not in (3, 4):
        return sizes
    if table.ndim == 4:
        rows, columns = table.shape[1:3]
    else:
        class_token = expected.get("class_token", True)
        prefix = (
            0 if expected.get("no_embed_class") else class_token + expected.get("reg_tokens", 0)
        )
        count = table.shape[1] - prefix
        rows = columns = isqrt(max(count, 0))
        if rows**2 != count:
            if class_token != ("cls_token" in tensors):
                return sizes  # a different network
            raise InputError(
                f"pos_embed: {count} patches are not a square; only encoders trained on square "
                "images can be converted"
            )
    if rows != columns:
        raise InputError(f"pos_embed: {rows}×{columns} patches: the images are not square")
    return {**sizes, "img_size": rows * patch}


def network_arguments(
    release: Release, selection: TensorSelection, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of the network in a file, none of which is guessed.

    Raises:
        InputError: a given argument contradicts the file; the size of the network is not that of
            the release; or an argument that cannot be inferred from tensors is neither given nor
            part of the release. The message says which option to add.
    """
    kind = ARCHITECTURES[release.architecture]
    parameters = inspect.signature(kind).parameters.values()
    stated = {**{one.name: one.default for one in parameters}, **release.arguments}
    found = selection.arguments
    expected = {**stated, **found, **given}
    proven = {**sizes_of(selection.tensors, expected), **found}
    for key in given.keys() & proven.keys():
        if given[key] != proven[key]:
            raise InputError(f"{key} is {proven[key]} by its tensors, not {given[key]}")
    wrong = {key: value for key, value in proven.items() if expected[key] != value}
    # Size-dependent arguments of a release do not apply to a network of another size.
    resized = {key for key, value in proven.items() if stated[key] != value}
    told = {key for key in release.arguments if _OF_SIZE.get(key) not in resized}
    untold = sorted(kind.unproven - told - given.keys() - found.keys())
    if not wrong and not untold:
        return {key: value for key, value in expected.items() if key not in kind.overrides}
    reasons, options = [], [f"{key}={value}" for key, value in wrong.items()]
    if wrong:
        sizes = ", ".join(
            f"{key} {value} instead of {expected[key]}" for key, value in wrong.items()
        )
        reasons.append(f"its tensors are of another size than {release.name} ({sizes})")
    if untold:
        reasons.append(f"tensors do not tell {' and '.join(untold)}")
        options += [f"{name}=…" for name in untold]
    raise InputError(f"{'; '.join(reasons)}: add --arguments {' '.join(options)}")


def _check_given(kind: type, given: Mapping[str, Any]) -> None:
    known = inspect.signature(kind).parameters.keys() - kind.overrides
    for key, value in given.items():
        if key not in known:
            raise InputError(f"--arguments {key}: unknown{did_you_mean(key, sorted(known))}")
        hint = hints_of(kind)[key]
        if not fits(value, hint):
            raise InputError(f"--arguments {key}={value}: must be {meaning(hint)}")


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion."""

    card: EncoderCard
    selection: TensorSelection  # the converted part of the file
    proven: dict[str, Any]  # arguments inferred from the tensors
    on_trust: dict[str, Any]  # arguments taken from the release or the user


def convert(
    release: Release,
    path: Path,
    folder: Path,
    trust: bool = False,
    arguments: Mapping[str, Any] | None = None,
    prefix: str | None = None,
) -> Conversion:
    """Write `encoder.safetensors` and `encoder.json` from a released file.

    Args:
        trust: unpickle arbitrary objects in the file.
        arguments: arguments of a network of another size than the release.
        prefix: prefix of the network, if the file holds several.

    Raises:
        InputError: the file cannot be read, its network is missing or contradicts the arguments,
            its tensors do not fit (counted, the first one named), or its features are not finite.
    """
    given = dict(arguments or {})
    _check_given(ARCHITECTURES[release.architecture], given)
    selection = select(release, read_release_file(path, trust), path, prefix)
    try:
        network = network_arguments(release, selection, given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    encoder = build_encoder(release.architecture, network, path)
    load_strict(encoder, selection.tensors, path)
    provenance = {
        "release": release.name,
        "title": release.title,
        "pretraining": release.pretraining,
        "source": release.source,
        "file": path.name,
        "file_sha256": sha256_file(path),
        "prefix": selection.prefix,
        "arguments": {k: list(v) if isinstance(v, tuple) else v for k, v in given.items()},
    }
    with hold_folder(folder, "being written"):
        _refuse_trained(folder)
        card = export_encoder(folder, encoder, provenance, release.mean, release.std)
    untold = encoder.unproven - selection.arguments.keys()
    proven = {key: value for key, value in card.arguments.items() if key not in untold}
    on_trust = {key: value for key, value in card.arguments.items() if key in untold}
    return Conversion(card, selection, proven, on_trust)


def _refuse_trained(folder: Path) -> None:
    """Replace converted encoders only, never trained ones."""
    description = folder / "encoder.json"
    if not description.exists() and not (folder / "encoder.safetensors").exists():
        return
    provenance = read_object(description).get("provenance") if description.exists() else None
    if not isinstance(provenance, dict) or "release" not in provenance:
        raise InputError(
            f"{folder}: holds an encoder that no release was converted to; use another --out"
        )
