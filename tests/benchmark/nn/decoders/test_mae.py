"""The MAE decoder: where visible and mask tokens go, and what comes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from benchmark.errors import InputError
from benchmark.nn.decoders.cross_attention import CrossAttentionDecoder
from benchmark.nn.decoders.feature_predictors import JEPAPredictor
from benchmark.nn.decoders.local import LocalDecoder
from benchmark.nn.decoders.mae import MAEDecoder
from benchmark.nn.vit import sincos_position_embedding


@torch.no_grad()
def test_depth_zero_is_linear_per_token() -> None:
    """Without blocks and CLS, a patch's prediction is pred(norm(embed + position)) by hand."""
    torch.manual_seed(0)
    decoder = MAEDecoder(8, (2, 2), 4, width=16, depth=0, num_heads=2, num_prefix_tokens=0)
    latent = torch.randn(1, 2, 8)
    ids_restore = torch.tensor([[2, 1, 0, 3]])  # visible: patch 2, then patch 1
    prediction = decoder(latent, ids_restore)
    table = sincos_position_embedding(16, (2, 2))
    tokens = [decoder.mask_token[0, 0], decoder.decoder_embed(latent[0, 1])]
    tokens += [decoder.decoder_embed(latent[0, 0]), decoder.mask_token[0, 0]]
    for patch in range(4):
        token = tokens[patch] + table[patch]
        token = (token - token.mean()) / (token.var(unbiased=False) + 1e-6).sqrt()
        expected = decoder.decoder_pred.weight @ token + decoder.decoder_pred.bias
        torch.testing.assert_close(prediction[0, patch], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MAEDecoder(24, (2, 2), 4, width=18, depth=1, num_heads=3),
        lambda: LocalDecoder(24, (4, 4), 9, 1, width=18, num_heads=3),
        lambda: CrossAttentionDecoder(24, (2, 2), 2, 3, width=18, depth=1, num_heads=3),
        lambda: JEPAPredictor(8, (2, 2), num_heads=3, width=18),
    ],
)
def test_indivisible_widths_are_refused(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(InputError, match="width=18 must be a multiple of 4 and of num_heads=3"):
        make()
