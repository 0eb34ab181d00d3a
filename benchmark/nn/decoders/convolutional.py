"""A convolutional decoder from one feature map to an image."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.registry import DECODERS
from benchmark.type_hints import Count


def _conv_bn_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


@DECODERS.register_module()
class ConvDecoder(nn.Module):
    """The decoder of Frepa (Chu et al., TMI 2025): stages double the size and halve the width.

    A stage upsamples (nearest neighbour) and convolves twice. The output convolution has no
    activation.

    Args:
        in_channels: channels C of the feature map; a multiple of `stride`.
        stride: stride of the feature map, a power of two: one stage per doubling.
        out_channels: channels of the image.

    Raises:
        InputError: `stride` is not a power of two, or does not divide the channels.
    """

    def __init__(self, in_channels: Count, stride: Count, out_channels: Count = 3) -> None:
        super().__init__()
        if stride < 2 or stride & (stride - 1):
            raise InputError(f"decoder: stride={stride} is not a power of two")
        if in_channels % stride:
            raise InputError(
                f"decoder: a map of {in_channels} channels cannot be halved to stride {stride}; "
                f"take a multiple of {stride}"
            )
        stages, width = [], in_channels
        for _ in range(stride.bit_length() - 1):
            half = width // 2
            parts = {
                "up": nn.Sequential(nn.Upsample(scale_factor=2), *_conv_bn_relu(width, half)),
                "conv": nn.Sequential(*_conv_bn_relu(half, half)),
            }
            stages.append(nn.Sequential(OrderedDict(parts)))
            width = half
        self.stages = nn.Sequential(*stages)
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """B×C×h×w to B×out×(stride·h)×(stride·w)."""
        return self.last(self.stages(features))
