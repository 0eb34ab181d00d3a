"""The layers of the segmentors from scratch, each written out a second time as its formula."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.downstream.segmentation.scratch.rwkv_unet import (
    GLSP,
    ChannelMix,
    CrossChannelMix,
    RWKVUNet,
    SpatialMix,
)
from benchmark.downstream.segmentation.scratch.transunet import (
    Positions,
    ResNetStem,
    StandardConv2d,
    TransformerLayer,
)
from benchmark.downstream.segmentation.scratch.vm_unet import (
    PatchExpanding,
    PatchMerging,
    SelectiveScan2D,
    fold_paths,
    unfold_paths,
)

# TransUNet


def test_filters_are_standardised_one_by_one():
    conv = StandardConv2d(4, 3, 3)
    with torch.no_grad():
        conv.weight.mul_(7).add_(2)
    maps = torch.randn(2, 4, 9, 9)
    filters = []
    for weight in conv.weight.detach():
        centred = weight - weight.mean()
        filters.append(centred / (centred.square().mean() + 1e-5).sqrt())
    torch.testing.assert_close(conv(maps), F.conv2d(maps, torch.stack(filters), padding=1))


def test_resnet_halves_four_times_and_widens():
    """224² to 112, 56, 28 and 14, 64 to 1024 channels; the far row and column are pooled too."""
    with torch.device("meta"):
        maps = ResNetStem(64, (3, 4, 9), 32)(torch.empty(1, 3, 224, 224))
    expected = [(64, 112, 112), (256, 56, 56), (512, 28, 28), (1024, 14, 14)]
    assert [tuple(level.shape[1:]) for level in maps] == expected
    pooled = ResNetStem(8, (1, 1, 1), 4).pool(torch.arange(16.0).view(1, 1, 4, 4))
    assert pooled.tolist() == [[[[10, 11], [14, 15]]]]


def test_transformer_layer_written_out(randomise):
    layer = randomise(TransformerLayer(8, 2, 16, 0.1), 0).eval()
    tokens = torch.randn(2, 5, 8)
    normed = layer.attention_norm(tokens)
    weight, bias = layer.attention.qkv.weight, layer.attention.qkv.bias
    query, key, value = F.linear(normed, weight, bias).view(2, 5, 3, 2, 4).unbind(2)
    share = torch.einsum("bihd,bjhd->bhij", query, key).div(2).softmax(-1)
    mixed = torch.einsum("bhij,bjhd->bihd", share, value).flatten(2)
    after = tokens + layer.attention.proj(mixed)
    expected = after + layer.mlp.fc2(F.gelu(layer.mlp.fc1(layer.mlp_norm(after))))
    torch.testing.assert_close(layer(tokens), expected)


def test_positions_of_another_grid_are_interpolated():
    positions = Positions(2, 4)
    ramp = torch.arange(4.0).repeat_interleave(4)
    with torch.no_grad():
        positions.table.copy_(torch.stack([ramp, torch.ones(16)], dim=-1)[None])
    assert positions((4, 4)) is positions.table
    other = positions((8, 4)).view(8, 4, 2)
    assert other.shape == (8, 4, 2)
    rows = other[:, 0, 0]
    assert bool((rows.diff() > 0).all())
    torch.testing.assert_close(other[..., 1], torch.ones(8, 4))
    torch.testing.assert_close(rows.mean(), torch.tensor(1.5))


# VM-UNet


def test_the_four_paths_by_hand():
    maps = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[None, None]
    paths = unfold_paths(maps)
    assert paths[0, :, 0].tolist() == [
        [1, 2, 3, 4, 5, 6],
        [1, 4, 2, 5, 3, 6],
        [6, 5, 4, 3, 2, 1],
        [6, 3, 5, 2, 4, 1],
    ]
    assert torch.equal(fold_paths(paths, (2, 3)), 4 * maps)


def test_ss2d_is_four_scans_pixel_by_pixel(randomise):
    """The whole layer in fp64: gate, depth-wise convolution, one recurrence per path, norm."""
    layer = randomise(SelectiveScan2D(4, state=3), 0).double()
    maps = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    content, gate = layer.input(maps).split(8, dim=-1)
    content = F.silu(layer.conv(content.permute(0, 3, 1, 2)))[0]
    places = [(row, column) for row in range(2) for column in range(3)]
    by_columns = [(row, column) for column in range(3) for row in range(2)]
    summed = torch.zeros(8, 2, 3, dtype=torch.float64)
    for path, order in enumerate([places, by_columns, places[::-1], by_columns[::-1]]):
        h = torch.zeros(8, 3, dtype=torch.float64)
        for row, column in order:
            x = content[:, row, column]
            step, B, C = (layer.to_parameters[path] @ x).split([1, 3, 3])
            delta = F.softplus(layer.to_step[path] @ step + layer.step_bias[path])[:, None]
            A = -layer.log_decay[path].exp()
            h = torch.exp(delta * A) * h + delta * B * x[:, None]
            summed[:, row, column] += h @ C + layer.passage[path] * x
    gated = layer.norm(summed.permute(1, 2, 0)) * F.silu(gate[0])
    # Step sizes and decays are computed in fp32, whatever the precision around them.
    torch.testing.assert_close(layer(maps)[0], layer.output(gated), rtol=1e-5, atol=1e-6)


def test_mamba_starts_with_its_own_decays_and_step_sizes():
    layer = SelectiveScan2D(64, state=16)
    decay = torch.arange(1.0, 17.0).expand(4, 128, 16)
    torch.testing.assert_close(layer.log_decay.detach().exp(), decay)
    assert bool((layer.passage == 1).all())
    step = F.softplus(layer.step_bias.detach())
    assert 0.001 <= float(step.min()) < 0.002
    assert 0.05 < float(step.max()) <= 0.1001
    assert 0.008 < float(step.log().mean().exp()) < 0.0125  # the geometric middle


def test_patches_are_merged_and_expanded_in_place():
    """Merging gathers 2×2 neighbours; expanding is a pixel shuffle with the channels last."""
    maps = torch.arange(16.0).view(1, 4, 4, 1)
    merging = PatchMerging(1)
    seen: list[Tensor] = []
    merging.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    assert merging(maps).shape == (1, 2, 2, 2)
    assert seen[0][0, 1, 0].tolist() == [8, 12, 9, 13]

    expanding = PatchExpanding(8, 4, 2)
    maps = torch.randn(2, 3, 5, 8)
    wide = expanding.expand(maps).view(2, 3, 5, 4, 4).transpose(3, 4).flatten(3)
    shuffled = F.pixel_shuffle(wide.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    torch.testing.assert_close(expanding(maps), expanding.norm(shuffled))


# RWKV-UNet


def shift(maps: Tensor) -> Tensor:
    """Q-shift by rolling and clearing what came round."""
    shifted = maps.clone()
    quarter = maps.shape[1] // 4
    moves = [(1, 3, 0), (-1, 3, -1), (1, 2, 0), (-1, 2, -1)]
    for number, (step, dim, border) in enumerate(moves):
        part = slice(number * quarter, (number + 1) * quarter)
        rolled = maps[:, part].roll(step, dim)
        rolled.select(dim, border).zero_()
        shifted[:, part] = rolled
    return shifted


def mix_by_hand(mix: SpatialMix, maps: Tensor, bonus_share: float) -> Tensor:
    """The spatial mix with all T² weights."""
    x, near = (t.flatten(2).transpose(1, 2) for t in (maps, shift(maps)))
    key, value, gate = (
        getattr(mix, name)(x * blend.share + near * (1 - blend.share))
        for name, blend in (
            ("key", mix.blend_key),
            ("value", mix.blend_value),
            ("receptance", mix.blend_receptance),
        )
    )
    length = x.shape[1]
    place = torch.arange(length)
    distance = (place[:, None] - place).abs()
    decay = -(distance - 1)[..., None] / length * mix.decay
    own = torch.eye(length)[..., None]
    logits = torch.where(own > 0, mix.bonus * bonus_share, decay) + key[:, None]
    mean = (logits.softmax(dim=2) * value[:, None]).sum(2)
    return mix.output(torch.sigmoid(gate) * mix.norm(mean))


def test_glsp_block_written_out(randomise):
    block = randomise(GLSP(4, 4, nn.BatchNorm2d(4), 2.0, kernel=5, mix=True), 0).eval()
    maps = torch.randn(2, 4, 3, 5)
    inner = block.widen(block.norm(maps))
    mixed = block.mix_norm(mix_by_hand(block.mix, inner, bonus_share=1.0))
    inner = inner + mixed.transpose(1, 2).view_as(inner)
    conv, norm, _ = block.local
    assert (conv.groups, conv.kernel_size, conv.bias) == (8, (5, 5), None)
    inner = inner + F.silu(norm(conv(inner)))
    expected = maps + F.conv2d(inner, block.narrow.weight)
    torch.testing.assert_close(block(maps), expected, rtol=1e-4, atol=1e-5)


def test_the_official_code_divides_the_bonus_too(randomise):
    maps = torch.randn(1, 8, 4, 4)
    for official, bonus_share in ((False, 1.0), (True, 1 / 16)):
        mix = randomise(SpatialMix(8, official_code=official), 3)
        with torch.no_grad():
            mix.bonus.add_(2)
        expected = mix_by_hand(mix, maps, bonus_share)
        torch.testing.assert_close(mix(maps), expected, rtol=1e-4, atol=1e-5)


def test_a_halving_block_has_no_shortcut():
    block = GLSP(4, 6, nn.BatchNorm2d(4), 4.0, kernel=5, stride=2, residual=False).eval()
    assert block.mix is None
    maps = torch.randn(2, 4, 8, 8)
    expected = block.narrow(block.local(block.widen(block.norm(maps))))
    assert expected.shape == (2, 6, 4, 4)
    torch.testing.assert_close(block(maps), expected)


def test_cross_channel_mix_written_out(randomise):
    module = randomise(CrossChannelMix((8, 6, 4)), 0).eval()
    skips = [torch.randn(2, 8, 2, 2), torch.randn(2, 6, 4, 4), torch.randn(2, 4, 8, 8)]
    resize = nn.functional.interpolate
    joined = torch.cat(
        [conv(resize(s, (8, 8), mode="bilinear")) for conv, s in zip(module.gather, skips)], 1
    )
    mix: ChannelMix = module.mix
    x, near = (t.flatten(2).transpose(1, 2) for t in (joined, shift(joined)))
    blend = mix.blend_key.share
    hidden = mix.norm(mix.key(blend * x + (1 - blend) * near).clamp(min=0) ** 2)
    blend = mix.blend_receptance.share
    gate = torch.sigmoid(mix.receptance(blend * x + (1 - blend) * near))
    mixed = x + module.norm(gate * mix.value(hidden))
    parts = mixed.transpose(1, 2).view(2, 12, 8, 8).chunk(3, dim=1)
    for out, conv, part, skip in zip(module(skips), module.scatter, parts, skips):
        expected = resize(conv(part), skip.shape[2:], mode="bilinear")
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def test_only_coarse_blocks_mix_globally():
    with torch.device("meta"):
        stages = RWKVUNet().encoder
    assert [[block.mix is not None for block in stage] for stage in stages] == [
        [False] * 3,
        [False] * 3,
        [False] + [True] * 5,
        [False] + [True] * 2,
    ]
