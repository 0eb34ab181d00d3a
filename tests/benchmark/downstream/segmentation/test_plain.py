"""The decoder of protocol `aaai`: counted by hand, climbing step by step."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from benchmark.downstream.segmentation.model import BinaryCrossEntropy
from benchmark.downstream.segmentation.plain import PatchMap, PlainUNetDecoder


def decoder(widths: tuple[int, ...] = (8, 12, 16, 20), stem: int = 4) -> PlainUNetDecoder:
    return PlainUNetDecoder(
        widths,
        stem,
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=dict(type=BinaryCrossEntropy),
    )


def test_blocks_halve_the_width_and_the_last_meets_the_image():
    with torch.device("meta"):
        head = decoder((64, 128, 256, 512), 32)
    ends = [(block.body[0].in_channels, block.body[3].out_channels) for block in head.blocks]
    assert ends == [(512, 256), (256, 128), (128, 64), (96, 32)]

    def conv(inside: int, outside: int, kernel: int) -> int:
        return inside * outside * kernel**2 + outside

    def block(inside: int, outside: int) -> int:
        return (
            conv(inside, outside, 3)
            + conv(outside, outside, 3)
            + 4 * outside
            + conv(inside, outside, 1)
        )

    expected = sum(block(*pair) for pair in ends) + block(3, 32) + conv(32, 1, 1)
    assert sum(p.numel() for p in head.parameters()) == expected


@torch.no_grad()
@pytest.mark.parametrize("grid", [4, 8, 5])
def test_decoder_climbs_in_steps_of_two(grid, randomise):
    """Maps of patches of 16, of 8 and of neither go through the same sizes."""
    head = randomise(decoder(), 3).eval()
    image, maps = torch.randn(2, 3, 64, 64), torch.randn(2, 20, grid, grid)
    x = maps
    for size, block in zip((8, 16, 32), head.blocks):
        x = block(F.interpolate(x, size=(size, size), mode="nearest"))
    x = F.interpolate(x, scale_factor=2, mode="nearest")
    x = head.conv_seg(head.blocks[3](torch.cat([x, head.stem(image)], dim=1)))
    torch.testing.assert_close(head((image, maps)), x)
    assert x.shape == (2, 1, 64, 64)


@torch.no_grad()
def test_the_map_is_projected_pixel_by_pixel(randomise):
    neck = randomise(PatchMap(6, 4), 1).eval()
    image, maps = torch.randn(2, 3, 8, 8), torch.randn(2, 6, 3, 3)
    passed, projected = neck((image, maps))
    assert passed is image
    convolution, norm, _ = neck.project
    at = maps[1, :, 2, 0] @ convolution.weight[:, :, 0, 0].T + convolution.bias
    expected = F.gelu(at / (1 + norm.eps) ** 0.5 * norm.weight + norm.bias)
    torch.testing.assert_close(projected[1, :, 2, 0], expected)
