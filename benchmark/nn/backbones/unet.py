"""UNet (Ronneberger et al., MICCAI 2015) as an encoder: the feature maps of its decoder."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.nn.backbones.base import group_parameters, weight_arguments
from benchmark.registry import BACKBONES
from benchmark.type_hints import Count


def _conv_bn_relu(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    parts = {"conv": conv, "bn": nn.BatchNorm2d(out_channels), "activate": nn.ReLU(inplace=True)}
    return nn.Sequential(OrderedDict(parts))


class _DoubleConv(nn.Module):
    """Two 3×3 convolutions with batch norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            _conv_bn_relu(in_channels, out_channels, 3),
            _conv_bn_relu(out_channels, out_channels, 3),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return self.convs(maps)


class _UpBlock(nn.Module):
    """Decoder stage: upsample, halve the width, concatenate the skip connection, convolve twice."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        halve = _conv_bn_relu(2 * out_channels, out_channels, 1)
        self.upsample = nn.ModuleDict({"interp_upsample": nn.Sequential(upsample, halve)})
        self.conv_block = _DoubleConv(2 * out_channels, out_channels)

    def forward(self, skip: Tensor, maps: Tensor) -> Tensor:
        maps = self.upsample["interp_upsample"](maps)
        return self.conv_block(torch.cat([skip, maps], dim=1))


@BACKBONES.register_module()
class UNetEncoder(nn.Module):
    """UNet with batch norm, padded convolutions and bilinear upsampling, without its classifier.

    The same network, under the same state-dict names and with the same initial weights, as
    mmsegmentation's `UNet`. Encoder and decoder are pre-trained: feature maps are those of the
    decoder, at strides 1, 2, 4, …, and of the last stage of the encoder.

    Args:
        base_channels: width at full resolution; doubles with every stage.
        stages: number of encoder stages, each at half the resolution of the previous one.
        img_size: height and width of the pre-training images in pixels.
        in_channels: channels of the input.

    Raises:
        InputError: fewer than two stages, or an indivisible image size.
    """

    overrides: ClassVar[frozenset[str]] = frozenset()
    unproven: ClassVar[frozenset[str]] = frozenset({"img_size"})

    def __init__(
        self,
        base_channels: Count = 64,
        stages: Count = 5,
        img_size: Count = 224,
        in_channels: Count = 3,
    ) -> None:
        arguments = weight_arguments(UNetEncoder, locals())
        super().__init__()
        if stages < 2 or img_size % 2 ** (stages - 1):
            raise InputError(
                f"UNet: stages={stages} must be 2 or more, and img_size={img_size} a multiple of "
                f"2^(stages − 1)"
            )
        self.arguments = arguments
        self.img_size = img_size
        self.patch_size = None
        self.num_prefix_tokens = 0
        self.norm_name = None
        self.strides: tuple[int, ...] = tuple(2**stage for stage in range(stages))
        self.widths: tuple[int, ...] = tuple(base_channels * stride for stride in self.strides)
        first, *others = self.widths
        # The previous stage has half the width.
        down = [nn.Sequential(nn.MaxPool2d(2), _DoubleConv(width // 2, width)) for width in others]
        self.encoder = nn.ModuleList([nn.Sequential(_DoubleConv(in_channels, first)), *down])
        # Decoder stage i takes the skip connection of encoder stage i.
        self.decoder = nn.ModuleList(_UpBlock(width) for width in self.widths[:-1])
        # Number of finest decoder stages removed by `trim`.
        self._skipped = 0

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.feature_maps(images)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """Maps of the decoder stages and, coarsest, of the last encoder stage."""
        maps, skips = images, []
        for stage in self.encoder:
            maps = stage(maps)
            skips.append(maps)
        outputs = [maps]
        for number in reversed(range(self._skipped, len(self.decoder))):
            outputs.append(self.decoder[number](skips[number], outputs[-1]))
        return outputs[::-1]

    def layer_groups(self) -> list[list[str]]:
        """The encoder stages, the decoder stages, and nothing after them."""
        down = [(f"encoder.{number}.",) for number in range(len(self.encoder))]
        up = [(f"decoder.{number}.",) for number in reversed(range(len(self.decoder)))]
        return group_parameters(self, [*down, *up, ()])

    def trim(self, finest: int = 1, norm: bool = True) -> None:
        """Decoder stages of smaller strides are dropped."""
        dropped = sum(stride < finest for stride in self.strides[:-1])
        for number in range(self._skipped, self._skipped + dropped):
            self.decoder[number] = nn.Identity()
        self._skipped += dropped
        self.strides, self.widths = self.strides[dropped:], self.widths[dropped:]
