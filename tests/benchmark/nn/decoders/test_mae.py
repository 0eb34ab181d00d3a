"""The MAE decoder: where visible and mask tokens go, and what comes back."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmark.nn.decoders.mae import MAEDecoder
from benchmark.nn.masking.random import mask_highest
from benchmark.nn.vit import sincos_position_embedding


def reference(decoder: MAEDecoder, latent: torch.Tensor, kept: list[list[int]]) -> torch.Tensor:
    """The decoder sample by sample and patch by patch; its blocks are timm's own."""
    table = torch.cat([torch.zeros(1, 16), sincos_position_embedding(16, (4, 4))])
    outputs = []
    for sample, ids in enumerate(kept):
        embedded = F.linear(
            latent[sample], decoder.decoder_embed.weight, decoder.decoder_embed.bias
        )
        sequence = [embedded[0] + table[0]]
        for patch in range(16):
            known = embedded[1 + ids.index(patch)] if patch in ids else decoder.mask_token[0, 0]
            sequence.append(known + table[1 + patch])
        tokens = torch.stack(sequence)[None]
        for block in decoder.decoder_blocks:
            tokens = block(tokens)
        norm = decoder.decoder_norm
        tokens = F.layer_norm(tokens, (16,), norm.weight, norm.bias, eps=1e-6)
        tokens = F.linear(tokens, decoder.decoder_pred.weight, decoder.decoder_pred.bias)
        outputs.append(tokens[0, 1:])
    return torch.stack(outputs)


@torch.no_grad()
def test_prediction_is_in_raster_order(tiny_decoder: MAEDecoder, tiny_views: dict) -> None:
    """Visible tokens at their own places, the mask token elsewhere, CLS dropped at the end."""
    tiny_decoder.decoder_pos_embed[0, 1:] = sincos_position_embedding(16, (4, 4))
    tiny_decoder.decoder_pos_embed[0, 0] = 0
    mask = mask_highest(tiny_views["mask_noise"], keep=5)
    latent = torch.randn(4, 6, 32, generator=torch.Generator().manual_seed(0))
    prediction = tiny_decoder(latent, mask.ids_restore)
    assert prediction.shape == (4, 16, 8 * 8 * 3)
    expected = reference(tiny_decoder, latent, mask.ids_keep.tolist())
    torch.testing.assert_close(prediction, expected, rtol=0, atol=2e-6)


@torch.no_grad()
def test_order_of_visible_tokens_is_irrelevant(tiny_decoder: MAEDecoder, tiny_views: dict) -> None:
    """The same visible set in another order, restored accordingly, gives the same prediction."""
    mask = mask_highest(tiny_views["mask_noise"], keep=5)
    latent = torch.randn(4, 6, 32, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([3, 1, 4, 0, 2])
    place_of = order.argsort()
    shuffled = torch.cat([latent[:, :1], latent[:, 1:][:, order]], dim=1)
    restore = mask.ids_restore.clone()
    visible = restore < 5
    restore[visible] = place_of[restore[visible]]
    torch.testing.assert_close(
        tiny_decoder(shuffled, restore), tiny_decoder(latent, mask.ids_restore), rtol=0, atol=2e-6
    )
    wrong = tiny_decoder(shuffled, mask.ids_restore)
    assert (wrong - tiny_decoder(latent, mask.ids_restore)).abs().max() > 1e-2


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
