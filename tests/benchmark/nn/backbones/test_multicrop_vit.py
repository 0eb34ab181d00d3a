"""Positions of small crops: torch's own resize, and nothing else than a plain ViT."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from benchmark.encoders.encoder import export_encoder, load_encoder
from benchmark.nn.backbones.multicrop_vit import MultiCropViT
from benchmark.nn.vit import VisionTransformer

SMALL = dict(img_size=112, patch_size=8, embed_dim=32, depth=1, num_heads=4)


@pytest.mark.parametrize("side", [6, 7, 11, 16])
def test_positions_match_the_official_code(side: int, randomise) -> None:
    """The table of 14×14 at the scale (side + 0.1)/14, CLS apart; never a row too few."""
    vit = randomise(MultiCropViT(**SMALL), 0)
    image = torch.zeros(1, 3, 8 * side, 8 * side)
    with torch.no_grad():
        vit.patch_embed.proj.bias.zero_()
        tokens = vit.embed(image)
        table = vit.pos_embed[:, 1:].reshape(1, 14, 14, 32).permute(0, 3, 1, 2)
        factor = (side + 0.1) / 14
        expected = F.interpolate(table, scale_factor=(factor, factor), mode="bicubic")
        torch.testing.assert_close(tokens[0, 1:], expected[0].flatten(1).T)
        torch.testing.assert_close(tokens[0, 0], (vit.cls_token + vit.pos_embed)[0, 0])


def test_at_its_own_size_it_is_a_plain_vit(tmp_path, randomise) -> None:
    vit = randomise(MultiCropViT(**SMALL), 0).eval()
    plain = VisionTransformer(**SMALL).eval()
    plain.load_state_dict(vit.state_dict(), strict=True)
    image = torch.randn(2, 3, 112, 112)
    assert torch.equal(vit(image), plain(image))
    card = export_encoder(tmp_path, vit, {})
    loaded, _ = load_encoder(tmp_path)
    assert card.architecture == "vit"
    assert type(loaded) is VisionTransformer
    assert torch.equal(loaded.eval()(image), vit(image))
