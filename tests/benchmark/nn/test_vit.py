"""The ViT against timm's own, and its position table against a loop."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer as TimmViT
from torch import nn

from benchmark.anatomy.unext import UNeXt
from benchmark.errors import InputError
from benchmark.nn.decoders.mae import MAEDecoder
from benchmark.nn.vit import VisionTransformer, sincos_position_embedding


def timm_twin(vit: VisionTransformer, **arguments) -> TimmViT:
    """timm's ViT of the same sizes with the same weights, loaded strictly."""
    twin = TimmViT(
        img_size=vit.img_size,
        patch_size=vit.patch_size,
        embed_dim=vit.embed_dim,
        depth=len(vit.blocks),
        num_heads=vit.blocks[0].attn.num_heads,
        num_classes=0,
        global_pool="",
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        **arguments,
    )
    twin.load_state_dict(vit.state_dict(), strict=True)
    return twin.eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(4))


@torch.no_grad()
@pytest.mark.parametrize("no_embed_class", [False, True])
def test_registers_match_timm(randomise, images: torch.Tensor, no_embed_class: bool) -> None:
    """After CLS, with places of their own in the position table or without; also at 48×32."""
    arguments = dict(reg_tokens=3, no_embed_class=no_embed_class)
    vit = VisionTransformer(32, 8, 32, depth=2, num_heads=4, **arguments)
    randomise(vit, 5)
    twin = timm_twin(vit, **arguments, dynamic_img_size=True)
    assert (vit.num_prefix_tokens, vit.pos_embed.shape[1]) == (4, 16 if no_embed_class else 20)
    for inputs in (images, torch.randn(1, 3, 48, 32)):
        expected = twin.forward_features(inputs)
        torch.testing.assert_close(vit(inputs), expected, rtol=0, atol=4e-6)
    kept = vit.embed(images, torch.tensor([[5, 2]]).expand(3, -1))
    expected = vit.embed(images)[:, [0, 1, 2, 3, 9, 6]]
    torch.testing.assert_close(kept, expected, rtol=0, atol=1e-5)


def test_a_network_without_memory_has_the_shapes_of_one_with() -> None:
    """Large sizes are counted on the meta device, drop path and position table included."""
    sizes = dict(embed_dim=16, depth=2, num_heads=2, drop_path=0.1, reg_tokens=2)
    with torch.device("meta"):
        empty = VisionTransformer(32, 8, **sizes)
    assert all(value.is_meta for value in empty.state_dict().values())
    full = VisionTransformer(32, 8, **sizes)
    assert [v.shape for v in empty.parameters()] == [v.shape for v in full.parameters()]


@torch.no_grad()
def test_mask_token_replaces_patches_but_not_positions(
    tiny_vit: VisionTransformer, images: torch.Tensor
) -> None:
    mask = torch.zeros(3, 16)
    mask[0, 3] = mask[2, 15] = 1
    token = torch.randn(1, 1, 32)
    tokens = tiny_vit.embed(images, replace=(mask, token))
    expected = tiny_vit.embed(images)
    for sample, patch in ((0, 3), (2, 15)):
        expected[sample, 1 + patch] = token[0, 0] + tiny_vit.pos_embed[0, 1 + patch]
    torch.testing.assert_close(tokens, expected, rtol=0, atol=0)
    # The last of the layers is what the final norm, and so the encoder's output, is made of.
    torch.testing.assert_close(
        tiny_vit.norm(tiny_vit.layers(tiny_vit.embed(images))[1]), tiny_vit(images)
    )


@torch.no_grad()
def test_dropped_tokens_leave_the_others_in_place(
    tiny_vit: VisionTransformer, images: torch.Tensor
) -> None:
    ids_keep = torch.tensor([[3, 0, 9], [15, 14, 2], [7, 1, 8]])
    changed = images.clone()
    changed[0, :, 8:16, 8:16] += 10  # patch 5, dropped in sample 0
    assert torch.equal(tiny_vit(changed, ids_keep), tiny_vit(images, ids_keep))
    changed[0, :, 0:8, 0:8] += 10  # patch 0, visible
    assert not torch.equal(tiny_vit(changed, ids_keep)[0], tiny_vit(images, ids_keep)[0])


@pytest.mark.parametrize(("dim", "grid"), [(8, (3, 5)), (32, (4, 4)), (768, (14, 14))])
def test_position_table(dim: int, grid: tuple[int, int]) -> None:
    """[column | row], each [sin | cos] of position / 10000^(4k/D), patches in raster order."""
    quarter = dim // 4
    expected = np.zeros((grid[0] * grid[1], dim))
    for row in range(grid[0]):
        for column in range(grid[1]):
            for k in range(quarter):
                frequency = 1 / 10000 ** (k / quarter)
                values = (
                    math.sin(column * frequency),
                    math.cos(column * frequency),
                    math.sin(row * frequency),
                    math.cos(row * frequency),
                )
                for part, value in enumerate(values):
                    expected[row * grid[1] + column, part * quarter + k] = value
    table = sincos_position_embedding(dim, grid)
    assert table.dtype == torch.float32
    np.testing.assert_allclose(table.numpy(), expected, rtol=0, atol=6e-8)


@torch.no_grad()
def test_positions_are_resampled(tiny_vit: VisionTransformer) -> None:
    images = torch.randn(2, 3, 24, 48, generator=torch.Generator().manual_seed(6))
    own = tiny_vit.pos_embed[:, 1:].reshape(1, 4, 4, 32).permute(0, 3, 1, 2)
    resized = F.interpolate(own, (3, 6), mode="bicubic", align_corners=False)
    positions = tiny_vit.embed(images) - torch.cat(
        [tiny_vit.cls_token.expand(2, -1, -1), tiny_vit.patch_embed(images)], dim=1
    )
    torch.testing.assert_close(positions[0, 0], tiny_vit.pos_embed[0, 0], rtol=0, atol=4e-6)
    expected = resized.flatten(2).transpose(1, 2).expand(2, -1, -1)
    torch.testing.assert_close(positions[:, 1:], expected, rtol=0, atol=2e-6)
    (last,) = tiny_vit.feature_maps(images)
    assert last.shape == (2, 32, 3, 6)


@torch.no_grad()
def test_rad_dino_at_224_resamples_like_the_official_code() -> None:
    """37×37 positions on a grid of 16×16, written out: Keys' kernel (a = −0.75) at pixel centres.

    With antialiasing, as timm resamples, half the fine structure of the table would be lost.
    """
    vit = VisionTransformer(518, 14, 16, depth=1, num_heads=2)
    vit.pos_embed.normal_(generator=torch.Generator().manual_seed(8))
    table = vit.pos_embed[0, 1:].unflatten(0, (37, 37)).double().numpy()
    weights = np.zeros((16, 37))
    for new in range(16):
        centre = (new + 0.5) * 37 / 16 - 0.5
        for old in range(math.floor(centre) - 1, math.floor(centre) + 3):
            x, a = abs(centre - old), -0.75
            near = (a + 2) * x**3 - (a + 3) * x**2 + 1
            far = a * (x**3 - 5 * x**2 + 8 * x - 4)
            weights[new, min(max(old, 0), 36)] += near if x < 1 else far
    expected = np.einsum("ir,rcd,jc->ijd", weights, table, weights).reshape(256, 16)
    tokens = vit.embed(torch.zeros(1, 3, 224, 224))[0, 1:] - vit.patch_embed.proj.bias
    np.testing.assert_allclose(tokens.numpy(), expected, rtol=0, atol=1e-5)
    smooth = resample_abs_pos_embed(vit.pos_embed, [16, 16], [37, 37], 1)[0, 1:]
    assert smooth.std() < 0.6 * tokens.std()


def test_initial_values() -> None:
    """The MAE code's initialisation: the table fixed, CLS slot 0, xavier bounds, zero biases.

    Only the patch embedding keeps the default bias of convolutions, uniform within 1/√fan_in.
    """
    torch.manual_seed(0)
    vit = VisionTransformer(img_size=32, patch_size=8, embed_dim=64, depth=1, num_heads=4)
    assert torch.equal(vit.pos_embed[0, 0], torch.zeros(64))
    assert torch.equal(vit.pos_embed[0, 1:], sincos_position_embedding(64, (4, 4)))
    assert not vit.pos_embed.requires_grad
    for weight in (vit.patch_embed.proj.weight.flatten(1), vit.blocks[0].attn.qkv.weight):
        bound = math.sqrt(6 / (weight.shape[0] + weight.shape[1]))
        assert 0.97 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert vit.cls_token.std().item() == pytest.approx(0.02, rel=0.3)
    biases = {name: p for name, p in vit.named_parameters() if name.endswith("bias")}
    patches = biases.pop("patch_embed.proj.bias")
    assert all(not bias.any() for bias in biases.values())
    bound = 1 / math.sqrt(3 * 8 * 8)
    assert 0.8 * bound < patches.abs().max() <= bound
    assert patches.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.2)


def test_drop_path_rises_linearly() -> None:
    vit = VisionTransformer(32, 8, 32, depth=3, num_heads=4, drop_path=0.4)
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in vit.blocks]
    assert rates == pytest.approx([0.0, 0.2, 0.4])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"img_size": 30, "patch_size": 8}, "patch_size=8 does not divide img_size=30"),
        ({"embed_dim": 30, "num_heads": 3}, "embed_dim=30 must be a multiple"),
        ({"embed_dim": 32, "num_heads": 5}, "embed_dim=32 must be a multiple"),
    ],
)
def test_indivisible_sizes_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VisionTransformer(**arguments)


def _count(module: nn.Module) -> int:
    """Parameters without the fixed sine-cosine tables."""
    return sum(p.numel() for name, p in module.named_parameters() if "pos_embed" not in name)


def test_paper_parameter_count() -> None:
    """MAE ViT-B/16 with its 8×512 decoder has 111.66 M parameters, with UNeXt-S 111.91 M.

    Every block has the same size, so depths 1 and 2 of the paper's widths give the rest.
    """
    encoder = [_count(VisionTransformer(depth=depth)) for depth in (1, 2)]
    decoder = [_count(MAEDecoder(768, (14, 14), 16, depth=depth)) for depth in (1, 2)]
    total = encoder[0] + 11 * (encoder[1] - encoder[0])
    assert total == 85_647_360, "timm's vit_base_patch16_224 without head and table"
    total += decoder[0] + 7 * (decoder[1] - decoder[0])
    assert round(total / 1e6, 2) == 111.66
    assert round((total + _count(UNeXt())) / 1e6, 2) == 111.91


def test_patch_projection_matches_a_convolution(
    tiny_vit: VisionTransformer, images: torch.Tensor
) -> None:
    projection = tiny_vit.patch_embed.proj
    convolved = projection(images).flatten(2).transpose(1, 2) + tiny_vit.pos_embed[:, 1:]
    torch.testing.assert_close(tiny_vit.embed(images)[:, 1:], convolved, rtol=0, atol=1e-5)
    ids = torch.tensor([[5, 2], [0, 15], [7, 6]])
    rows = torch.arange(3)[:, None]
    some = tiny_vit.embed(images, ids)[:, 1:]
    torch.testing.assert_close(some, convolved[rows, ids], rtol=0, atol=1e-5)
    found = torch.autograd.grad(some.square().sum(), projection.weight)[0]
    expected = torch.autograd.grad(convolved[rows, ids].square().sum(), projection.weight)[0]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
