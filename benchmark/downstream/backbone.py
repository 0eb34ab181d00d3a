"""An exported encoder of any kind as the backbone of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmark.encoders.card import EncoderCard, read_encoder_card
from benchmark.encoders.encoder import ARCHITECTURES, load_encoder
from benchmark.errors import InputError
from benchmark.type_hints import Rate

DROP_PATH = 0.1
"""Default stochastic depth of the last block, for encoders that have it."""


class EncoderMaps(nn.Module):
    """An exported encoder: image in, its feature maps out, finest first.

    All parameters are trained, the position table included. Layers that the maps in use do not need
    are dropped after loading, so every parameter gets a gradient.

    Args:
        folder: holds `encoder.safetensors` and `encoder.json`; loaded strictly. A card alone gives
            initial weights.
        drop_path: stochastic depth of the last block; None for 0.1 where the encoder has it.
        final_norm: apply the encoder's final norm to the map, if it has one.
        finest: maps of smaller strides are dropped, unless there is only one map.

    Raises:
        InputError: the encoder is missing, damaged, has no such setting, or does not take images
            of three channels.
    """

    card: EncoderCard

    def __init__(
        self,
        folder: str | EncoderCard,
        drop_path: Rate | None = None,
        final_norm: bool = True,
        finest: int = 1,
    ) -> None:
        super().__init__()
        known = ARCHITECTURES[read_encoder_card(folder).architecture].overrides
        overrides: dict[str, Any] = {}
        if drop_path is not None or "drop_path" in known:
            overrides["drop_path"] = DROP_PATH if drop_path is None else drop_path
        if "learned_pos_embed" in known:
            overrides["learned_pos_embed"] = True
        self.encoder, self.card = load_encoder(folder, **overrides)
        check_channels(self.card, folder)
        self.encoder.trim(finest=finest, norm=final_norm)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """B×3×H×W to maps B×width×(H/stride)×(W/stride)."""
        return tuple(self.encoder.feature_maps(images))


def check_channels(card: EncoderCard, folder: str | Path | EncoderCard) -> None:
    """Refuse an encoder that does not take the three equal channels of fine-tuning."""
    channels = card.arguments.get("in_channels", 3)
    if channels != 3:
        raise InputError(
            f"{folder}: takes in_channels={channels}, but fine-tuning uses 3; choose another "
            "encoder"
        )


def normalised_as(preprocessor: dict[str, Any], card: EncoderCard) -> dict[str, Any]:
    """The config of a data preprocessor that normalises as in the encoder's pre-training."""
    statistics = {"mean": [255 * m for m in card.mean], "std": [255 * s for s in card.std]}
    return {**preprocessor, **statistics}
