"""The ViT segmentor against CheXWorld's layer table, written out a second time as functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from benchmark.downstream.segmentation.model import (
    BinaryCrossEntropy,
    BinaryDice,
    EncoderBackbone,
    LateralPyramid,
    ResidualBlock,
    SimpleFPN,
    UNetDecoder,
)
from benchmark.encoders.encoder import load_encoder
from benchmark.errors import InputError

State = dict[str, Tensor]
Randomise = Callable[[nn.Module, int], nn.Module]


def decoder(widths: Sequence[int] = (8, 16, 24, 32), stem: int = 4) -> UNetDecoder:
    return UNetDecoder(
        widths,
        stem,
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=[dict(type=BinaryCrossEntropy), dict(type=BinaryDice)],
    )


def settled(module: nn.Module, randomise: Randomise, seed: int = 0) -> State:
    """Random weights and random running statistics, so that no term can hide; for evaluation."""
    randomise(module, seed)
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
    module.eval()
    return module.state_dict()


def batch_norm(maps: Tensor, state: State, name: str) -> Tensor:
    mean, variance = (state[f"{name}.running_{kind}"][:, None, None] for kind in ("mean", "var"))
    scale, shift = (state[f"{name}.{kind}"][:, None, None] for kind in ("weight", "bias"))
    return (maps - mean) / (variance + 1e-5).sqrt() * scale + shift


def unit(maps: Tensor, state: State, name: str, first: int) -> Tensor:
    """Convolution `first`, batch norm and GELU of a sequence, as functions."""
    weight, bias = state[f"{name}.{first}.weight"], state[f"{name}.{first}.bias"]
    maps = F.conv2d(maps, weight, bias, padding=weight.shape[-1] // 2)
    return F.gelu(batch_norm(maps, state, f"{name}.{first + 1}"))


def up(maps: Tensor) -> Tensor:
    return maps.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def residual(maps: Tensor, state: State, name: str) -> Tensor:
    body = unit(unit(maps, state, f"{name}.body", 0), state, f"{name}.body", 3)
    if f"{name}.shortcut.weight" not in state:
        return body + maps
    weight, bias = state[f"{name}.shortcut.weight"], state[f"{name}.shortcut.bias"]
    return body + F.conv2d(maps, weight, bias)


def test_the_pyramid_of_vit_b16_is_the_table_of_chexworld(randomise):
    """Four levels of 64, 128, 256, 512 channels at strides 2, 4, 8, 16 of a 224² image."""
    neck = SimpleFPN(768)
    state = settled(neck, randomise)
    features = torch.randn(1, 768, 14, 14)
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        first, *levels = neck((image, features))
        assert first is image
        found = [(level.shape[1], level.shape[2], level.shape[3]) for level in levels]
        assert found == [(64, 112, 112), (128, 56, 56), (256, 28, 28), (512, 14, 14)]
        for number, steps in enumerate((3, 2, 1)):
            maps = features
            for step in range(steps):
                maps = unit(up(maps), state, f"levels.{number}.{step}", 1)
            torch.testing.assert_close(levels[number], maps, rtol=1e-4, atol=1e-4)
        coarsest = unit(features, state, "levels.3", 0)
        torch.testing.assert_close(levels[3], coarsest, rtol=1e-4, atol=1e-4)
    halved = [state[f"levels.0.{step}.1.weight"].shape[:2] for step in range(3)]
    assert halved == [(384, 768), (192, 384), (64, 192)]
    assert state["levels.3.0.weight"].shape == (512, 768, 1, 1)


def enlarged(maps: Tensor, state: State, name: str, first: int) -> Tensor:
    """2×2 transposed convolution of stride 2, every pixel a square of its own, and batch norm."""
    weight, bias = state[f"{name}.{first}.weight"], state[f"{name}.{first}.bias"]
    squares = torch.einsum("bchw,coij->bohiwj", maps, weight).flatten(4, 5).flatten(2, 3)
    return batch_norm(squares + bias[:, None, None], state, f"{name}.{first + 1}")


def test_the_pyramid_of_vit_b8_is_the_table_of_chexworld(randomise):
    """Strides 2 and 4 by transposed convolutions, 8 by none, 16 by one of stride 2."""
    neck = SimpleFPN(24, (4, 6, 8, 10), variant="patch8")
    state = settled(neck, randomise)
    features, image = torch.randn(2, 24, 6, 4), torch.randn(2, 3, 48, 32)
    squares = features.unflatten(2, (3, 2)).unflatten(4, (2, 2))  # B×D×rows×2×columns×2
    halved = torch.einsum("bchiwj,ocij->bohw", squares, state["levels.3.0.weight"])
    halved = halved + state["levels.3.0.bias"][:, None, None]
    finest = F.gelu(enlarged(features, state, "levels.0", 0))
    ways = [
        (enlarged(finest, state, "levels.0", 3), 5),
        (enlarged(features, state, "levels.1", 0), 2),
        (features, 0),
        (batch_norm(halved, state, "levels.3.1"), 2),
    ]
    with torch.no_grad():
        first, *levels = neck((image, features))
    assert first is image
    assert [48 // level.shape[2] for level in levels] == [2, 4, 8, 16]
    for number, (level, (way, last)) in enumerate(zip(levels, ways, strict=True)):
        expected = unit(way, state, f"levels.{number}", last)
        torch.testing.assert_close(level, expected, rtol=1e-4, atol=1e-4)


def test_pyramids_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match="variant='patch14' is not one of patch16, patch8"):
        SimpleFPN(8, variant="patch14")
    with pytest.raises(InputError, match=r"widths=\(8, 8\): the pyramid has four levels"):
        SimpleFPN(8, (8, 8))


def test_a_pyramid_that_is_there_is_brought_to_the_widths(randomise):
    neck = LateralPyramid((5, 7), (3, 4))
    state = settled(neck, randomise)
    image, maps = torch.randn(2, 3, 8, 8), [torch.randn(2, 5, 8, 8), torch.randn(2, 7, 4, 4)]
    with torch.no_grad():
        first, *levels = neck((image, *maps))
    assert first is image
    for number, (level, one) in enumerate(zip(levels, maps, strict=True)):
        expected = unit(one, state, f"levels.{number}", 0)
        torch.testing.assert_close(level, expected, rtol=1e-5, atol=1e-5)
    assert state["levels.1.0.weight"].shape == (4, 7, 1, 1)


def conv(inside: int, outside: int, kernel: int) -> int:
    return inside * outside * kernel**2 + outside


def test_residual_block_adds_and_does_not_activate_the_sum(randomise):
    maps = torch.randn(2, 6, 8, 8)
    for outside in (6, 4):
        block = nn.ModuleDict({"block": ResidualBlock(6, outside)})
        state = settled(block, randomise)
        with torch.no_grad():
            result = block["block"](maps)
        torch.testing.assert_close(result, residual(maps, state, "block"), rtol=1e-5, atol=1e-5)
        # GELU never goes below −0.17; a sum that is not activated does.
        assert result.min() < -0.5
    assert isinstance(ResidualBlock(6, 6).shortcut, nn.Identity)


def test_decoder_blocks_take_three_widths_and_leave_one():
    """2c channels from below and c from the side become c, for c of 256, 128, 64 and 32."""
    with torch.device("meta"):
        head = decoder((64, 128, 256, 512), 32)
    ends = [(block.body[0].in_channels, block.body[3].out_channels) for block in head.blocks]
    assert ends == [(96, 32), (192, 64), (384, 128), (768, 256)]
    assert head.stem.body[0].in_channels == 3
    assert head.conv_seg.weight.shape == (1, 32, 1, 1)

    def residual_block(inside: int, outside: int) -> int:
        shortcut = conv(inside, outside, 1) if inside != outside else 0
        return conv(inside, outside, 3) + conv(outside, outside, 3) + 4 * outside + shortcut

    blocks = sum(residual_block(3 * c, c) for c in (32, 64, 128, 256))
    expected = blocks + residual_block(3, 32) + conv(32, 1, 1)
    assert sum(p.numel() for p in head.parameters()) == expected


def test_decoder_climbs_the_pyramid_to_image_size(randomise):
    head = decoder()
    state = settled(head, randomise)
    image = torch.randn(2, 3, 32, 32)
    levels = [torch.randn(2, width, 16 >> i, 16 >> i) for i, width in enumerate((8, 16, 24, 32))]
    with torch.no_grad():
        maps = levels[3]
        stem = residual(image, state, "stem")
        for number, skip in zip((3, 2, 1, 0), (levels[2], levels[1], levels[0], stem)):
            maps = residual(torch.cat([up(maps), skip], dim=1), state, f"blocks.{number}")
        expected = F.conv2d(maps, state["conv_seg.weight"], state["conv_seg.bias"])
        logits = head((image, *levels))
    assert logits.shape == (2, 1, 32, 32)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_losses_of_several_classes_are_means_over_each_alone():
    """Every class of a picture of bits is one more channel."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 8, 8, generator=generator)
    masks = torch.rand(2, 3, 8, 8, generator=generator) < 0.5
    label = (masks * torch.tensor([1, 2, 4])[:, None, None]).sum(dim=1)
    for loss in (BinaryCrossEntropy(), BinaryDice()):
        alone = [loss(logits[:, c : c + 1], masks[:, c].long()) for c in range(3)]
        torch.testing.assert_close(loss(logits, label), sum(alone) / 3)


def test_losses_are_cross_entropy_and_dice_written_out():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(3, 1, 16, 16, generator=generator)
    label = (torch.rand(3, 16, 16, generator=generator) < 0.3).long()
    label[2] = 0  # an image without vessel
    probability, target = logits[:, 0].sigmoid(), label.float()
    bce = F.binary_cross_entropy(probability, target)
    scores = [
        (2 * (p * t).sum() + 1e-5) / (p.sum() + t.sum() + 1e-5) for p, t in zip(probability, target)
    ]
    dice = 1 - sum(scores) / 3
    torch.testing.assert_close(BinaryCrossEntropy()(logits, label), bce)
    torch.testing.assert_close(BinaryDice()(logits, label), dice)

    samples = [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in label]
    terms = decoder().loss_by_feat(logits, samples)
    torch.testing.assert_close(terms["loss_bce"], bce)
    torch.testing.assert_close(terms["loss_dice"], dice)
    assert [name for name in terms if "loss" in name] == ["loss_bce", "loss_dice"]


def test_the_backbone_is_the_exported_encoder(tmp_path, export_vit):
    folder = export_vit(tmp_path / "run", seed=4)
    backbone = EncoderBackbone(str(folder), drop_path=0.1).eval()
    encoder, card = load_encoder(folder)
    own, exported = backbone.encoder.state_dict(), encoder.state_dict()
    assert own.keys() == exported.keys()
    assert all(torch.equal(own[name], exported[name]) for name in own)
    assert backbone.card == card
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        same, features = backbone(images)
        tokens = encoder.eval()(images)[:, 1:]
        before_norm = EncoderBackbone(str(folder), final_norm=False).eval()(images)[1]
    assert same is images
    for row in range(4):
        for column in range(4):
            assert torch.equal(features[:, :, row, column], tokens[:, 4 * row + column])
    normed = encoder.norm(before_norm.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(normed, features)


def test_gradient_reaches_the_whole_encoder_without_its_last_norm(tmp_path, export_vit):
    backbone = EncoderBackbone(str(export_vit(tmp_path)), drop_path=0.0, final_norm=False)
    neck, head = SimpleFPN(32, (8, 16, 24, 32)), decoder()
    label = (torch.rand(2, 64, 64) < 0.2).long()
    logits = head(neck(backbone(torch.randn(2, 3, 64, 64))))
    (BinaryCrossEntropy()(logits, label) + BinaryDice()(logits, label)).backward()
    for name, parameter in backbone.encoder.named_parameters():
        assert not name.startswith("norm."), "what is not used is dropped"
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name
