"""An exported encoder as a frozen part of a loss."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.encoders.encoder import load_encoder
from benchmark.errors import InputError
from benchmark.registry import MODELS


@MODELS.register_module()
class FrozenEncoder(nn.Module):
    """A frozen exported encoder; gradients pass through it to its input.

    Images come with the ImageNet normalisation of the views and are renormalised to the statistics
    of the encoder's pre-training.

    Args:
        checkpoint: the ``encoder.safetensors`` of an export; ``encoder.json`` lies beside it.

    Raises:
        InputError: not the weights file of an export, or it does not load strictly.
    """

    def __init__(self, checkpoint: str) -> None:
        super().__init__()
        path = Path(checkpoint)
        if path.name != "encoder.safetensors":
            raise InputError(f"{path}: name the encoder.safetensors of an exported encoder")
        self.encoder, card = load_encoder(path.parent)
        given = (torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD))
        wanted = (torch.tensor(card.mean), torch.tensor(card.std))
        scale, shift = given[1] / wanted[1], (given[0] - wanted[0]) / wanted[1]
        self.register_buffer("scale", scale[:, None, None], persistent=False)
        self.register_buffer("shift", shift[:, None, None], persistent=False)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> FrozenEncoder:
        super().train(mode)
        self.encoder.eval()
        return self

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """B×3×H×W, normalised as the views are, to the encoder's maps."""
        return self.encoder.feature_maps(images * self.scale + self.shift)
