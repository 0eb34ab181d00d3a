"""Positions of the transformers at the grid of any image, written out as loops in fp64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.nn.backbones.beit import BeitEncoder, relative_bias
from benchmark.nn.backbones.eva import EvaEncoder
from benchmark.nn.backbones.sam import SAMEncoder


def jumble(module: nn.Module) -> nn.Module:
    """Every parameter off its initial value, in double precision, for evaluation."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module.double().eval()


def split_heads(attention: nn.Module, tokens: Tensor, heads: int) -> list[Tensor]:
    """Query, key and value of one image, each heads×N×C, before any position."""
    qkv = (tokens @ attention.qkv.weight.T).unflatten(1, (3, heads, -1))
    return [part.transpose(0, 1) for part in qkv.unbind(1)]


def finish(attention: nn.Module, logits: Tensor, value: Tensor) -> Tensor:
    """Softmax, weighted sum, heads side by side, projection."""
    mixed = (logits.softmax(dim=2) @ value).transpose(0, 1).flatten(1)
    return mixed @ attention.proj.weight.T + attention.proj.bias


def rotated(vector: Tensor, row: int, column: int, grid: tuple[int, int]) -> Tensor:
    """A query or key of a patch, turned by its place as DINOv3 describes it.

    The centre of the patch lies in [−1, 1] on both axes. Component i of the first half and the
    same of the second are a plane, turned by 2π·coordinate/period; the first half of the planes
    follows the row, the other the column; periods are 100^(i/planes per axis).
    """
    half = len(vector) // 2
    each = half // 2
    turned = vector.clone()
    for plane in range(half):
        place = (row, column)[plane // each]
        centre = 2 * (place + 0.5) / grid[plane // each] - 1
        angle = 2 * math.pi * centre / 100 ** ((plane % each) / each)
        first, second = vector[plane], vector[plane + half]
        turned[plane] = first * math.cos(angle) - second * math.sin(angle)
        turned[plane + half] = second * math.cos(angle) + first * math.sin(angle)
    return turned


@torch.no_grad()
@pytest.mark.parametrize("grid", [(2, 2), (3, 2)])
def test_eva_rotates_only_patch_tokens(grid: tuple[int, int]) -> None:
    encoder = EvaEncoder(16, 8, 16, depth=1, num_heads=2, reg_tokens=2, layer_scale=1.0)
    jumble(encoder)
    images = torch.randn(1, 3, 8 * grid[0], 8 * grid[1], dtype=torch.float64)
    patches = F.conv2d(
        images, encoder.patch_embed.proj.weight, encoder.patch_embed.proj.bias, stride=8
    )
    special = [encoder.cls_token[0], encoder.reg_token[0]]
    tokens = torch.cat([*special, patches[0].flatten(1).T])
    block = encoder.blocks[0]
    query, key, value = split_heads(block.attn, block.norm1(tokens), heads=2)
    for part in (query, key):
        for head in range(2):
            for row in range(grid[0]):
                for column in range(grid[1]):
                    number = 3 + row * grid[1] + column
                    part[head, number] = rotated(part[head, number].clone(), row, column, grid)
    logits = query @ key.transpose(1, 2) / math.sqrt(8)
    tokens = tokens + block.gamma_1 * finish(block.attn, logits, value)
    tokens = tokens + block.gamma_2 * block.mlp(block.norm2(tokens))
    torch.testing.assert_close(encoder(images)[0], encoder.norm(tokens), rtol=1e-6, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("side", [4, 3])
def test_sam_interpolates_relative_positions_linearly(side: int) -> None:
    """A global block for a grid of 4×4, at that and at 3×3, where 7 entries become 5."""
    encoder = SAMEncoder(
        32, 8, 8, 1, 2, window_size=0, global_blocks=(), abs_pos=False, neck_channels=4
    )
    attention = jumble(encoder).blocks[0].attn
    tables = []
    for table in (attention.rel_pos_h, attention.rel_pos_w):
        places = [(n + 0.5) * len(table) / (2 * side - 1) - 0.5 for n in range(2 * side - 1)]
        rows = []
        for place in places:
            low = min(max(place, 0.0), len(table) - 1.0)
            first = min(int(low), len(table) - 2)
            rows.append(table[first] + (low - first) * (table[first + 1] - table[first]))
        tables.append(torch.stack(rows))
    maps = torch.randn(side, side, 8, dtype=torch.float64)
    qkv = (maps.flatten(0, 1) @ attention.qkv.weight.T + attention.qkv.bias).unflatten(1, (3, 2, 4))
    query, key, value = (part.transpose(0, 1) for part in qkv.unbind(1))
    logits = query @ key.transpose(1, 2) / 2
    for q in range(side**2):
        for k in range(side**2):
            down, right = q // side - k // side, q % side - k % side
            for head in range(2):
                both = tables[0][down + side - 1] + tables[1][right + side - 1]
                logits[head, q, k] += query[head, q] @ both
    expected = finish(attention, logits, value).unflatten(0, (side, side))
    torch.testing.assert_close(attention(maps[None])[0], expected, rtol=1e-6, atol=1e-6)


def bias_by_loops(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """Entry of every pair: by offset for two patches, one of the last three with CLS."""
    count = 1 + grid[0] * grid[1]
    bias = torch.empty(table.shape[1], count, count, dtype=table.dtype)
    for query in range(count):
        for key in range(count):
            if query == 0 or key == 0:
                entry = {(True, False): -3, (False, True): -2, (True, True): -1}[
                    query == 0, key == 0
                ]
            else:
                down = (query - 1) // grid[1] - (key - 1) // grid[1] + grid[0] - 1
                right = (query - 1) % grid[1] - (key - 1) % grid[1] + grid[1] - 1
                entry = down * (2 * grid[1] - 1) + right
            bias[:, query, key] = table[entry]
    return bias


def test_beit_looks_up_the_offset_of_every_pair() -> None:
    table = torch.randn(5 * 3 + 3, 2, dtype=torch.float64)
    found = relative_bias(table, (3, 2), (3, 2))
    assert torch.equal(found[0], bias_by_loops(table, (3, 2)))


def cubic_weights(old: int, new: int) -> Tensor:
    """Keys' convolution with a = −3/4 (torch's), half-pixel centres, edges repeated: new×old."""

    def kernel(distance: float) -> float:
        d, a = abs(distance), -0.75
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0

    weights = torch.zeros(new, old, dtype=torch.float64)
    for place in range(new):
        centre = (place + 0.5) * old / new - 0.5
        for source in range(math.floor(centre) - 1, math.floor(centre) + 3):
            weights[place, min(max(source, 0), old - 1)] += kernel(centre - source)
    return weights


@pytest.mark.parametrize("grid", [(2, 3), (5, 4)])
def test_beit_interpolates_its_table_but_not_cls_entries(grid: tuple[int, int]) -> None:
    """3×4 patches have 5×7 offsets."""
    table = torch.randn(5 * 7 + 3, 2, dtype=torch.float64)
    down, right = cubic_weights(5, 2 * grid[0] - 1), cubic_weights(7, 2 * grid[1] - 1)
    spatial = table[:-3].unflatten(0, (5, 7))
    resampled = torch.einsum("ia,jb,abh->ijh", down, right, spatial).flatten(0, 1)
    expected = bias_by_loops(torch.cat([resampled, table[-3:]]), grid)
    torch.testing.assert_close(relative_bias(table, (3, 4), grid)[0], expected)


@torch.no_grad()
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("grid", [(2, 2), (3, 2)])
def test_beit_adds_the_bias_in_every_block(shared: bool, grid: tuple[int, int]) -> None:
    encoder = BeitEncoder(
        16,
        8,
        8,
        depth=2,
        num_heads=2,
        rel_pos_bias=not shared,
        shared_rel_pos_bias=shared,
        layer_scale=1.0,
    )
    jumble(encoder)
    images = torch.randn(1, 3, 8 * grid[0], 8 * grid[1], dtype=torch.float64)
    patches = F.conv2d(
        images, encoder.patch_embed.proj.weight, encoder.patch_embed.proj.bias, stride=8
    )
    tokens = torch.cat([encoder.cls_token[0], patches[0].flatten(1).T])
    for block in encoder.blocks:
        attention = block.attn
        query, key, value = split_heads(attention, block.norm1(tokens), heads=2)
        query = query + attention.q_bias.unflatten(0, (2, 1, 4))
        value = value + attention.v_bias.unflatten(0, (2, 1, 4))
        owner = encoder.rel_pos_bias if shared else attention
        bias = relative_bias(owner.relative_position_bias_table, (2, 2), grid)[0]
        logits = query @ key.transpose(1, 2) / 2 + bias
        tokens = tokens + block.gamma_1 * finish(attention, logits, value)
        tokens = tokens + block.gamma_2 * block.mlp(block.norm2(tokens))
    torch.testing.assert_close(encoder(images)[0], encoder.norm(tokens), rtol=1e-9, atol=1e-9)
