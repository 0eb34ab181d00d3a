"""The ViTDet backbone against the formulas of its papers, written out as loops in fp64."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Attention, Block
from torch import Tensor, nn

from benchmark.downstream.detection.vitdet import (
    RelativeAttention,
    ViTDet,
    ViTDetBlock,
    relative_positions,
    window_merge,
    window_partition,
)
from benchmark.encoders.encoder import export_encoder, load_encoder
from benchmark.errors import InputError
from benchmark.nn.vit import VisionTransformer

Randomise = Callable[[nn.Module, int], nn.Module]


def attention_by_loops(state: dict[str, Tensor], maps: Tensor, heads: int) -> Tensor:
    """One query and one key at a time: q·k/√C + q·R_h[i − i'] + q·R_w[j − j']."""
    batch, height, width, dim = maps.shape
    channels = dim // heads
    middle_h, middle_w = (len(state[f"rel_pos_{axis}"]) // 2 for axis in "hw")
    places = [(i, j) for i in range(height) for j in range(width)]
    result = torch.zeros_like(maps)
    for b in range(batch):
        qkv = maps[b] @ state["qkv.weight"].T + state["qkv.bias"]
        for head in range(heads):
            part = slice(head * channels, (head + 1) * channels)
            q, k, v = (qkv[..., n * dim : (n + 1) * dim][..., part] for n in range(3))
            for i, j in places:
                logits = torch.stack(
                    [
                        q[i, j] @ k[y, x] / math.sqrt(channels)
                        + q[i, j] @ state["rel_pos_h"][i - y + middle_h]
                        + q[i, j] @ state["rel_pos_w"][j - x + middle_w]
                        for y, x in places
                    ]
                )
                weights = (logits - logits.max()).exp()
                weights = weights / weights.sum()
                values = torch.stack([v[y, x] for y, x in places])
                result[b, i, j, part] = weights @ values
    return result @ state["proj.weight"].T + state["proj.bias"]


def relative(size: int, randomise: Randomise, dim: int = 8, heads: int = 2) -> RelativeAttention:
    attention = RelativeAttention(Attention(dim, heads, qkv_bias=True), size)
    return randomise(attention, 3).double()


def test_attention_is_the_formula_and_so_are_its_gradients(randomise):
    attention = relative(4, randomise)
    maps = torch.randn(2, 4, 4, 8, dtype=torch.float64)
    direction = torch.randn_like(maps)
    found = attention(maps)
    (found * direction).sum().backward()
    state = {name: value.detach().requires_grad_() for name, value in attention.named_parameters()}
    expected = attention_by_loops(state, maps, heads=2)
    (expected * direction).sum().backward()
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    for name, parameter in attention.named_parameters():
        torch.testing.assert_close(parameter.grad, state[name].grad, rtol=1e-9, atol=1e-9)
    assert attention.rel_pos_h.grad.abs().min() > 0  # every offset occurs


def test_tables_of_another_size_are_resampled_linearly():
    """Half-pixel centres, as everywhere in torch: 3 entries over 5 places."""
    table = torch.tensor([[0.0], [3.0], [9.0]])
    found = relative_positions(table, 3)[..., 0]
    # Places (n + 1/2)·3/5 − 1/2 of the table: −0.2, 0.4, 1.0, 1.6, 2.2.
    resampled = [0.0, 1.2, 3.0, 6.6, 9.0]
    for query in range(3):
        for key in range(3):
            assert found[query, key] == pytest.approx(resampled[query - key + 2])


@pytest.mark.parametrize(("height", "width", "window"), [(6, 6, 3), (5, 7, 3), (2, 9, 4)])
def test_windows_are_cut_in_raster_order_and_filled_with_zeros(height, width, window):
    maps = torch.randn(2, height, width, 5)
    windows, padded = window_partition(maps, window)
    rows, columns = math.ceil(height / window), math.ceil(width / window)
    assert padded == (rows * window, columns * window)
    assert windows.shape == (2 * rows * columns, window, window, 5)
    for b in range(2):
        for row in range(rows):
            for column in range(columns):
                one = windows[(b * rows + row) * columns + column]
                for i in range(window):
                    for j in range(window):
                        y, x = row * window + i, column * window + j
                        inside = y < height and x < width
                        value = maps[b, y, x] if inside else torch.zeros(5)
                        assert torch.equal(one[i, j], value)
    assert torch.equal(window_merge(windows, padded, (height, width)), maps)


def test_a_window_block_attends_within_its_windows(randomise):
    """Each window on its own, the filling included; norms, residuals and MLP outside."""
    block = ViTDetBlock(Block(8, 2, qkv_bias=True), window=3, grid=5)
    randomise(block, 1).double().eval()
    maps = torch.randn(1, 5, 4, 8, dtype=torch.float64)
    state = dict(block.attn.named_parameters())
    with torch.no_grad():
        normed = block.norm1(maps)
        filled = torch.zeros(1, 6, 6, 8, dtype=torch.float64)
        filled[:, :5, :4] = normed
        attended = torch.zeros_like(filled)
        for y in (0, 3):
            for x in (0, 3):
                window = filled[:, y : y + 3, x : x + 3]
                attended[:, y : y + 3, x : x + 3] = attention_by_loops(state, window, 2)
        expected = maps + attended[:, :5, :4]
        expected = expected + block.mlp(block.norm2(expected))
        torch.testing.assert_close(block(maps), expected, rtol=1e-9, atol=1e-9)
    assert block.attn.rel_pos_h.shape == (5, 4)
    assert ViTDetBlock(Block(8, 2), window=None, grid=5).attn.rel_pos_w.shape == (9, 4)


def export(folder: Path, class_token: bool, depth: int = 4) -> Path:
    torch.manual_seed(1)
    vit = VisionTransformer(32, 8, 16, depth, num_heads=2, class_token=class_token)
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    export_encoder(folder, vit, {"run": "test"})
    return folder


def test_it_starts_as_the_plain_encoder(tmp_path):
    """All blocks global, no class token to leave out, the size of the pre-training."""
    folder = export(tmp_path, class_token=False)
    backbone = ViTDet(str(folder), img_size=32, global_blocks=4).eval()
    vit, _ = load_encoder(folder)
    vit.trim(norm=False)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        (found,) = backbone(images)
        (expected,) = vit.eval().feature_maps(images)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_with_windows_it_starts_as_the_encoder_on_windows(tmp_path):
    """48² pixels on an encoder of 32²: 6×6 patches in windows of 4, blocks 1 and 3 global.

    The class token is dropped, positions are resampled, and timm's own blocks attend to the tokens
    of one window at a time.
    """
    folder = export(tmp_path, class_token=True)
    backbone = ViTDet(str(folder), img_size=48, window_size=4, global_blocks=2).eval()
    assert [block.window for block in backbone.blocks] == [4, None, 4, None]
    vit, _ = load_encoder(folder)
    vit.eval()
    images = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        table = vit.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (4, 4))
        table = F.interpolate(table, (6, 6), mode="bicubic", align_corners=False)
        maps = F.conv2d(
            images, vit.patch_embed.proj.weight, vit.patch_embed.proj.bias, stride=8
        ).add(table)
        maps = maps.permute(0, 2, 3, 1)
        for number, block in enumerate(vit.blocks):
            normed, size = block.norm1(maps), 4 if number % 2 == 0 else 6
            filled = F.pad(normed, (0, 0, 0, -6 % size, 0, -6 % size))
            attended = torch.zeros_like(filled)
            for y in range(0, filled.shape[1], size):
                for x in range(0, filled.shape[2], size):
                    window = filled[:, y : y + size, x : x + size]
                    tokens = block.attn(window.flatten(1, 2))
                    attended[:, y : y + size, x : x + size] = tokens.unflatten(1, (size, size))
            maps = maps + attended[:, :6, :6]
            maps = maps + block.mlp(block.norm2(maps))
        (found,) = backbone(images)
    torch.testing.assert_close(found, maps.permute(0, 3, 1, 2), rtol=1e-5, atol=1e-5)


def test_the_blocks_of_vit_b_are_those_of_the_authors(tmp_path):
    """2, 5, 8 and 11 of 12 attend globally; tables of 27 and, for 512² pixels, of 63 entries."""
    export_encoder(tmp_path, VisionTransformer(224, 16, 24, depth=12, num_heads=2), {})
    backbone = ViTDet(str(tmp_path))
    lengths = [len(block.attn.rel_pos_h) for block in backbone.blocks]
    assert lengths == [27, 27, 63] * 4
    assert [n for n, block in enumerate(backbone.blocks) if block.window is None] == [2, 5, 8, 11]
    assert {block.window for block in backbone.blocks} == {14, None}


@pytest.mark.parametrize("no_embed_class", [False, True])
def test_registers_and_their_positions_are_dropped(tmp_path, no_embed_class):
    """With layer scale, and with places of the registers in the position table or without."""
    torch.manual_seed(1)
    vit = VisionTransformer(
        32, 8, 16, 2, 2, reg_tokens=3, no_embed_class=no_embed_class, layer_scale=0.5
    )
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    export_encoder(tmp_path, vit, {})
    backbone = ViTDet(str(tmp_path), img_size=32, global_blocks=2).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        tokens = F.conv2d(
            images, vit.patch_embed.proj.weight, vit.patch_embed.proj.bias, stride=8
        ).flatten(2)
        tokens = tokens.transpose(1, 2) + vit.pos_embed[:, -16:]
        for block in vit.eval().blocks:
            tokens = block(tokens)
        (found,) = backbone(images)
    expected = tokens.transpose(1, 2).unflatten(2, (4, 4))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_every_parameter_is_trained_and_drop_path_rises(tmp_path):
    backbone = ViTDet(str(export(tmp_path, True)), 48, 4, global_blocks=2, drop_path=0.3)
    rates = [getattr(block.drop_path2, "drop_prob", 0.0) for block in backbone.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])
    for block in backbone.blocks:
        assert block.attn.rel_pos_h.abs().max() == block.attn.rel_pos_w.abs().max() == 0
    backbone.eval()  # without drop path, which may skip a whole block
    backbone(torch.randn(2, 3, 48, 48))[0].square().sum().backward()
    without = [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    names = {name for name, _ in backbone.named_parameters()}
    assert {"pos_embed", "patch_embed.proj.weight", "blocks.3.attn.rel_pos_w"} <= names
    assert not any(name.startswith(("norm", "cls_token")) for name in names)
    assert backbone.pos_embed.shape == (1, 16, 16)


def test_what_does_not_fit_is_refused_in_one_line(tmp_path):
    folder = str(export(tmp_path, True))
    with pytest.raises(InputError, match=r"size 50 is no multiple of the patch size 8 .* 48$"):
        ViTDet(folder, img_size=50)
    with pytest.raises(InputError, match=r"global_blocks=3 does not divide the 4 blocks"):
        ViTDet(folder, img_size=48, global_blocks=3)
    with pytest.raises(InputError, match=r"attention has k_norm, q_norm;.*plain ViTs only"):
        RelativeAttention(Attention(8, 2, qk_norm=True, norm_layer=nn.LayerNorm), 4)
    extended = Block(8, 2)
    extended.adapter = nn.Linear(8, 8)
    with pytest.raises(InputError, match=r"block has adapter"):
        ViTDetBlock(extended, None, 4)
