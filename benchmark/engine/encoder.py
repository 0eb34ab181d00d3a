"""An exported encoder: ``encoder.safetensors`` (timm names) and ``encoder.json`` (what it is)."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from benchmark.build import build
from benchmark.data.views import IMAGENET_MEAN, IMAGENET_STD
from benchmark.errors import InputError
from benchmark.files import atomic_write, read_json, sha256_bytes, sha256_file, write_json
from benchmark.nn.vit import VisionTransformer
from benchmark.weights import load_strict, read_tensors

SCHEMA = 1
# Architectures an exported encoder may have, by the name in its JSON.
ARCHITECTURES: dict[str, type[nn.Module]] = {"vit": VisionTransformer}


@dataclass(frozen=True)
class EncoderCard:
    """What `encoder.json` says.

    Attributes:
        architecture: key of `ARCHITECTURES`.
        arguments: constructor arguments of the architecture.
        num_prefix_tokens: leading tokens that are not patches.
        final_norm: name of the norm after the last block.
        patch_size: side of a patch in pixels.
        mean, std: normalisation of grey values in [0, 1], per channel.
        fingerprint: see `fingerprint`.
        weights_sha256: hash of the safetensors file.
        provenance: method, run and corpus the weights come from.
    """

    architecture: str
    arguments: dict[str, Any]
    num_prefix_tokens: int
    final_norm: str
    patch_size: int
    mean: list[float]
    std: list[float]
    fingerprint: str
    weights_sha256: str
    provenance: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA


def write_tensors(path: Path, module: nn.Module) -> str:
    """Write a module's state dict as safetensors; returns the sha256 of the file."""
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()
    }
    data = save(tensors)
    with atomic_write(path) as stream:
        stream.write(data)
    return sha256_bytes(data)


@torch.no_grad()
def fingerprint(encoder: VisionTransformer) -> str:
    """A short hash of the features of a fixed image, to prove which weights were loaded.

    Features are rounded to three decimals of their own scale, so that the fingerprint is the same
    on machines whose arithmetic differs in the last bits.
    """
    size = encoder.img_size
    ramp = torch.linspace(-1, 1, size)
    image = torch.sin(5 * ramp[:, None] ** 2 + 9 * ramp[None, :]) + ramp[None, :]
    device = encoder.pos_embed.device
    was_training = encoder.training
    encoder.eval()
    features = encoder(image.expand(1, 3, size, size).to(device)).float().cpu()[0]
    encoder.train(was_training)
    statistics = torch.cat([features.mean(dim=0), features.std(dim=0)])
    rounded = (statistics / statistics.abs().max() * 1000).round().to(torch.int16)
    return hashlib.sha256(rounded.numpy().tobytes()).hexdigest()[:16]


def export_encoder(
    folder: Path, encoder: VisionTransformer, provenance: dict[str, Any]
) -> EncoderCard:
    """Write `encoder.safetensors` and `encoder.json`, and prove that they load strictly."""
    weights_sha256 = write_tensors(folder / "encoder.safetensors", encoder)
    card = EncoderCard(
        architecture="vit",
        arguments=encoder.arguments,
        num_prefix_tokens=encoder.num_prefix_tokens,
        final_norm="norm",
        patch_size=encoder.patch_size,
        mean=list(IMAGENET_MEAN),
        std=list(IMAGENET_STD),
        fingerprint=fingerprint(encoder),
        weights_sha256=weights_sha256,
        provenance=provenance,
    )
    write_json(folder / "encoder.json", asdict(card))
    load_encoder(folder)
    return card


def read_card(folder: Path) -> EncoderCard:
    """Read and check `encoder.json`.

    Raises:
        InputError: missing, of another schema, or of an unknown architecture.
    """
    path = folder / "encoder.json"
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise InputError(f"{path}: not an encoder description of schema {SCHEMA}")
    missing = EncoderCard.__dataclass_fields__.keys() - content.keys()
    if missing:
        raise InputError(f"{path}: without {', '.join(sorted(missing))}")
    card = EncoderCard(**{key: content[key] for key in EncoderCard.__dataclass_fields__})
    if card.architecture not in ARCHITECTURES:
        raise InputError(f"{path}: unknown architecture {card.architecture!r}")
    return card


def load_encoder(folder: str | Path, **overrides: Any) -> tuple[VisionTransformer, EncoderCard]:
    """Build the encoder of an export and load it strictly.

    Args:
        folder: holds `encoder.safetensors` and `encoder.json`.
        overrides: constructor arguments that do not change the weights (`drop_path`,
            `learned_pos_embed`).

    Raises:
        InputError: a file is missing or damaged, the weights are not the ones described, do not
            fit, or give other features than when they were written.
    """
    folder = Path(folder)
    card = read_card(folder)
    path = folder / "encoder.safetensors"
    tensors: dict[str, Tensor] = read_tensors(path)
    if sha256_file(path) != card.weights_sha256:
        raise InputError(f"{path}: not the weights encoder.json describes (sha256 differs)")
    arguments = {**card.arguments, **overrides}
    try:
        encoder = build({"type": ARCHITECTURES[card.architecture], **arguments})
    except InputError as error:  # an argument this version does not know, or sizes that do not fit
        raise InputError(f"{folder / 'encoder.json'}: {error}") from None
    load_strict(encoder, tensors, path)
    found = fingerprint(encoder)
    if found != card.fingerprint:
        raise InputError(
            f"{path}: features differ from when it was exported "
            f"(fingerprint {found} instead of {card.fingerprint})"
        )
    return encoder, card
