"""``encoder.json``, the card of an exported encoder, read without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from benchmark.errors import InputError
from benchmark.schemas import NonEmpty, Schema, read_validated, version_type

Architecture = Literal["vit", "eva", "samvit", "beit", "resnet", "unet"]
"""Names of the architectures; `benchmark.encoders.encoder.ARCHITECTURES` has their classes."""


class EncoderCard(Schema):
    """Content of `encoder.json`."""

    remedy: ClassVar[str] = "export or convert the encoder again"

    # Version of this layout; the key ``schema`` of the file.
    schema_version: version_type(1) = Field(1, alias="schema")
    architecture: Architecture
    arguments: dict[str, Any]  # constructor arguments of the architecture
    num_prefix_tokens: int  # leading tokens that are not patches
    final_norm: str | None  # name of the norm after the last block; None if there is none
    patch_size: int | None  # side of a patch in pixels; None for a convolutional network
    # Pixels of the image per pixel of each feature map, finest first.
    strides: NonEmpty[Annotated[int, Field(ge=1)]]
    widths: NonEmpty[int]  # channels of each feature map
    # Normalisation of intensities in [0, 1], per channel.
    mean: NonEmpty[float]
    std: NonEmpty[float]
    fingerprint: str  # short hash of the features, see `Features.fingerprint`
    # Features of a fixed image, see `Features.texts`; None where they were not finite.
    features: NonEmpty[str] | None
    weights_sha256: str  # hash of the safetensors file
    # Method, run and pre-training dataset the weights come from.
    provenance: dict[str, Any] = Field(default_factory=dict)


def read_encoder_card(folder: str | Path | EncoderCard) -> EncoderCard:
    """Read and validate `encoder.json`; a card is returned as it is.

    Raises:
        InputError: missing, of another version, or a key that is missing, unknown or invalid.
    """
    if isinstance(folder, EncoderCard):
        return folder
    folder = Path(folder)
    path = folder / "encoder.json"
    if not path.is_file():
        released = folder.parent.name == "released"
        command = "convert_checkpoint.py NAME FILE" if released else "train.py CONFIG"
        raise InputError(f"{path}: no such file; make it with tools/{command}")
    return read_validated(path, EncoderCard)


def check_patches(card: EncoderCard, size: int) -> None:
    """Refuse an image size the encoder cannot cut into patches or halve often enough."""
    unit = card.strides[-1]
    if size % unit:
        what = "coarsest stride" if card.patch_size is None else "patch size"
        nearest = max(unit, unit * round(size / unit))
        raise InputError(
            f"image size {size} is no multiple of the {what} {unit} of the encoder; the nearest "
            f"that is: {nearest}"
        )
