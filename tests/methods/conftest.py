"""Methods of the tiny size, and what they are compared with."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy_vit import (
    block,
    double_weights,
    layer_norm,
    linear,
    patch_tokens,
    to_patches,
    vit_layers,
)

from benchmark.anatomy.segmentor import FrozenSegmentor, JointSegmentor
from benchmark.anatomy.unext import UNeXt
from benchmark.data.views.single import SingleView
from benchmark.nn.masking.anatomy import AnatomyGuidedMasking
from benchmark.nn.masking.random import RandomMasking
from benchmark.nn.objectives.anatomical_consistency import AnatomicalConsistency
from benchmark.nn.objectives.pixels import PixelReconstruction
from methods.mae import MAE
from methods.vasomim import VasoMIM


class PaperMAE:
    """MAE written out in numpy double precision from its paper, with the weights of `method`."""

    def __init__(self, method: MAE) -> None:
        self.encoder = double_weights(method.encoder)
        self.decoder = double_weights(method.decoder)
        self.size = method.encoder.patch_size
        self.encoder_heads = method.encoder.blocks[0].attn.num_heads
        self.decoder_heads = method.decoder.decoder_blocks[0].attn.num_heads

    def predict(
        self, image: np.ndarray, visible: list[int], decoded: list[int] | None = None
    ) -> np.ndarray:
        """Prediction of patches of one image, N×(P·P·C), from its visible ones.

        Args:
            decoded: patches that are in the decoder's sequence; all if None.
        """
        encoder, decoder = self.encoder, self.decoder
        tokens = patch_tokens(image, encoder, self.size)
        x = vit_layers(tokens, encoder, self.encoder_heads, visible)[-1]
        latent = linear(layer_norm(x, encoder, "norm"), decoder, "decoder_embed")

        full = np.repeat(decoder["mask_token"][0], len(tokens), axis=0)
        full[visible] = latent[1:]
        x = np.concatenate([latent[:1], full]) + decoder["decoder_pos_embed"][0]
        if decoded is not None:
            x = x[[0, *(1 + patch for patch in decoded)]]
        blocks = {name.split(".")[1] for name in decoder if name.startswith("decoder_blocks.")}
        for number in range(len(blocks)):
            x = block(x, decoder, f"decoder_blocks.{number}", self.decoder_heads)
        return linear(layer_norm(x, decoder, "decoder_norm"), decoder, "decoder_pred")[1:]

    def reconstruct(
        self, image: np.ndarray, prediction: np.ndarray, masked: list[int]
    ) -> tuple[float, np.ndarray]:
        """Loss with per-patch normalised targets, and I′ = the de-normalised image."""
        size = self.size
        targets = to_patches(image, size)
        mean = targets.mean(axis=1, keepdims=True)
        deviation = np.sqrt(targets.var(axis=1, ddof=1, keepdims=True) + 1e-6)
        errors = ((prediction - (targets - mean) / deviation) ** 2).mean(axis=1)
        pixels = prediction * deviation + mean
        picture, columns = np.empty_like(image), image.shape[2] // size
        for patch, values in enumerate(pixels):
            top, left = patch // columns * size, patch % columns * size
            block = values.reshape(size, size, -1).transpose(2, 0, 1)
            picture[:, top : top + size, left : left + size] = block
        return float(errors[masked].mean()), picture


@pytest.fixture
def paper_mae() -> type[PaperMAE]:
    return PaperMAE


@pytest.fixture
def mae(tiny_vit, tiny_decoder) -> MAE:
    return MAE(
        views=dict(type=SingleView, size=32),
        encoder=tiny_vit,
        decoder=tiny_decoder,
        masking=dict(type=RandomMasking, ratio=0.75),
        objective=dict(type=PixelReconstruction),
    )


@pytest.fixture
def vasomim(tiny_vit, tiny_decoder, randomise) -> Callable[..., VasoMIM]:
    """A factory, with the same weights every time: arguments of the masking, and other parts."""

    def make(
        masking: dict[str, float] | None = None, joint: bool = False, **parts: object
    ) -> VasoMIM:
        torch.manual_seed(0)
        network = randomise(UNeXt(), 9)
        network.ebn1.running_mean.fill_(0.2)
        frozen = dict(type=FrozenSegmentor, network=network, checkpoint=None)
        defaults = dict(
            views=dict(type=SingleView, size=32),
            encoder=copy.deepcopy(tiny_vit),
            decoder=copy.deepcopy(tiny_decoder),
            masking=dict(type=AnatomyGuidedMasking, **(masking or {})),
            objective=dict(type=PixelReconstruction),
            segmentor=dict(type=JointSegmentor, network=network) if joint else frozen,
            consistency=dict(type=AnatomicalConsistency),
        )
        return VasoMIM(**{**defaults, **parts})

    return make
