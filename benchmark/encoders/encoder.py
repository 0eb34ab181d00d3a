"""Exported encoders: ``encoder.safetensors`` (timm names) and ``encoder.json`` (the card)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.encoders.card import Architecture, EncoderCard, read_encoder_card
from benchmark.encoders.fingerprint import TOLERANCE, Features, take_features
from benchmark.errors import InputError
from benchmark.files import atomic_write, sha256_bytes, write_json
from benchmark.nn.backbones.base import Encoder
from benchmark.nn.backbones.beit import BeitEncoder
from benchmark.nn.backbones.eva import EvaEncoder
from benchmark.nn.backbones.resnet import ResNetEncoder
from benchmark.nn.backbones.sam import SAMEncoder
from benchmark.nn.backbones.unet import UNetEncoder
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import build
from benchmark.type_hints import fits, hints_of, meaning
from benchmark.weights import load_strict, read_tensors

# Architectures that can be exported, by their name in the card.
ARCHITECTURES: dict[Architecture, type[Encoder]] = {
    "vit": VisionTransformer,
    "eva": EvaEncoder,
    "samvit": SAMEncoder,
    "beit": BeitEncoder,
    "resnet": ResNetEncoder,
    "unet": UNetEncoder,
}


def write_tensors(path: Path, module: nn.Module) -> str:
    """Write a module's state dict as safetensors; returns the sha256 of the file."""
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()
    }
    data = save(tensors)
    with atomic_write(path) as stream:
        stream.write(data)
    return sha256_bytes(data)


def architecture_of(module: nn.Module) -> str | None:
    """The name of a module's architecture; None if it cannot be exported."""
    for name, kind in ARCHITECTURES.items():
        if isinstance(module, kind):
            return name
    return None


def export_encoder(
    folder: Path,
    encoder: Encoder,
    provenance: dict[str, Any],
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    problems: list[str] | None = None,
) -> EncoderCard:
    """Write `encoder.safetensors` and `encoder.json`, and check that they load strictly.

    Args:
        encoder: of one of `ARCHITECTURES`.
        provenance: where the weights come from.
        mean, std: normalisation of intensities in [0, 1] the encoder was trained with, per channel.
        problems: if given, errors are appended to it instead of raised, and both files are written
            in any case, so that a finished training does not fail here.

    Raises:
        InputError: the features are not finite, and nothing is written; or the written encoder does
            not load, or computes other features.
    """
    features = None
    if problems is None:
        features = take_features(encoder)
    weights_sha256 = write_tensors(folder / "encoder.safetensors", encoder)
    if problems is not None:
        with _collect_errors(problems):
            features = take_features(encoder)
    card = EncoderCard(
        architecture=architecture_of(encoder),
        arguments=encoder.arguments,
        num_prefix_tokens=encoder.num_prefix_tokens,
        final_norm=encoder.norm_name,
        patch_size=encoder.patch_size,
        strides=list(encoder.strides),
        widths=list(encoder.widths),
        mean=list(mean),
        std=list(std),
        fingerprint=features.fingerprint if features else "",
        features=features.texts() if features else None,
        weights_sha256=weights_sha256,
        provenance=provenance,
    )
    write_json(folder / "encoder.json", card.model_dump())
    if features:
        with _collect_errors(problems):
            load_encoder(folder)
    return card


@contextmanager
def _collect_errors(problems: list[str] | None) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        if problems is None:
            raise
        problems.append(str(error))


def load_encoder(folder: str | Path | EncoderCard, **overrides: Any) -> tuple[Encoder, EncoderCard]:
    """Build an exported encoder and load its weights strictly.

    Args:
        folder: holds `encoder.safetensors` and `encoder.json`. A card alone gives an encoder with
            initial weights, into which those of a fine-tuned model are loaded.
        overrides: constructor arguments that do not affect the weights (`drop_path`,
            `learned_pos_embed`); each architecture declares its own.

    Raises:
        InputError: a file is missing or damaged; the weights are not the ones on the card, do not
            fit, or compute other features than when they were exported; or the architecture has
            no such override.
    """
    card = read_encoder_card(folder)
    origin = "the encoder of the model" if folder is card else folder
    kind = ARCHITECTURES[card.architecture]
    if foreign := sorted(overrides.keys() - kind.overrides):
        raise InputError(
            f"{origin}: an encoder of architecture {card.architecture!r} has no "
            f"{', '.join(foreign)}; remove it"
        )
    if folder is card:
        return _build(card, origin, overrides), card
    folder = Path(folder)
    path = folder / "encoder.safetensors"
    tensors: dict[str, Tensor] = read_tensors(path)
    encoder = _build(card, folder / "encoder.json", overrides)
    load_strict(encoder, tensors, path)
    _check_features(take_features(encoder, path), card, path)
    return encoder, card


def _check_features(found: Features, card: EncoderCard, path: Path) -> None:
    """Raise an `InputError` if an encoder computes other features than when it was exported."""
    description = path.with_suffix(".json")
    if card.features is None:
        raise InputError(f"{description}: without features, as they were not finite; retrain it")
    try:
        expected = Features.from_texts(card.features)
    except ValueError as error:
        raise InputError(f"{description}: damaged features ({error})") from None
    difference = expected.distance(found)
    detail = f"by {difference:.1g} of the largest value, where rounding is below {TOLERANCE:g}"
    if expected.fingerprint != card.fingerprint:
        detail = f"fingerprint {expected.fingerprint} instead of {card.fingerprint}"
    elif difference <= TOLERANCE:
        return
    raise InputError(f"{path}: features differ from when it was exported ({detail})")


def build_encoder(architecture: str, arguments: dict[str, Any], origin: str | Path) -> Encoder:
    """Build an encoder with initial weights; errors name the file `origin`.

    Raises:
        InputError: the constructor of the architecture does not accept these arguments.
    """
    kind = ARCHITECTURES[architecture]
    for key, value in arguments.items():
        hint = hints_of(kind).get(key, Any)
        if not fits(value, hint):
            raise InputError(f"{origin}: {key}={value!r} must be {meaning(hint)}")
    try:
        return build({"type": kind, **arguments})
    except InputError as error:  # an unknown argument, or sizes that do not fit
        raise InputError(f"{origin}: {error}") from None
    except (TypeError, ValueError, ArithmeticError, RuntimeError, AssertionError) as error:
        # Values that no constructor checks, such as a size that exceeds the memory.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{origin}: no {architecture} has these arguments ({reason})") from None


def _build(card: EncoderCard, path: str | Path, overrides: dict[str, Any]) -> Encoder:
    """The encoder of a card with initial weights."""
    encoder = build_encoder(card.architecture, {**card.arguments, **overrides}, path)
    found = dict(
        strides=list(encoder.strides), widths=list(encoder.widths), patch_size=encoder.patch_size
    )
    for key, value in found.items():
        if (described := getattr(card, key)) != value:
            raise InputError(f"{path}: {key}={described}, but its arguments give {value}")
    return encoder
