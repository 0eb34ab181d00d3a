"""UNet (Ronneberger et al., MICCAI 2015) as an encoder: the maps of its decoder."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.nn.backbones.base import grouped, weight_arguments
from benchmark.registry import BACKBONES
from benchmark.type_hints import Count


def _unit(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    parts = {"conv": conv, "bn": nn.BatchNorm2d(out_channels), "activate": nn.ReLU(inplace=True)}
    return nn.Sequential(OrderedDict(parts))


class _Pair(nn.Module):
    """Two 3×3 units."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            _unit(in_channels, out_channels, 3), _unit(out_channels, out_channels, 3)
        )

    def forward(self, maps: Tensor) -> Tensor:
        return self.convs(maps)


class _Climb(nn.Module):
    """A stage of the decoder: enlarge, halve the width, put the skip in front, two 3×3 units."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        enlarge = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        halve = _unit(2 * out_channels, out_channels, 1)
        self.upsample = nn.ModuleDict({"interp_upsample": nn.Sequential(enlarge, halve)})
        self.conv_block = _Pair(2 * out_channels, out_channels)

    def forward(self, skip: Tensor, maps: Tensor) -> Tensor:
        maps = self.upsample["interp_upsample"](maps)
        return self.conv_block(torch.cat([skip, maps], dim=1))


@BACKBONES.register_module()
class UNetEncoder(nn.Module):
    """UNet with batch norms, padded convolutions and bilinear enlarging, without its classifier.

    The same network, under the same state-dict names and with the same initial weights, as
    mmsegmentation's `UNet`. The whole of it is pre-trained: maps are those of the decoder, at
    strides 1, 2, 4, …, and of the last stage of the encoder.

    Args:
        base_channels: width at full resolution; doubles from stage to stage.
        stages: stages of the encoder, each but the first at half the resolution of the one before.
        img_size: height and width of the images of the pre-training in pixels.
        in_channels: channels of the input.

    Raises:
        InputError: fewer than two stages, or an image size they cannot halve.
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
        down = [
            nn.Sequential(nn.MaxPool2d(2), _Pair(width // 2, width))  # half as wide one stage above
            for width in others
        ]
        self.encoder = nn.ModuleList([nn.Sequential(_Pair(in_channels, first)), *down])
        # Stage i of the decoder meets stage i of the encoder.
        self.decoder = nn.ModuleList(_Climb(width) for width in self.widths[:-1])
        # Stages of the decoder that are not run: the first ones, after `trim`.
        self._skipped = 0

    def forward(self, images: Tensor) -> list[Tensor]:
        """See `feature_maps`."""
        return self.feature_maps(images)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """See `Encoder`: maps of the decoder's stages and, coarsest, of the last of the encoder."""
        maps, skips = images, []
        for stage in self.encoder:
            maps = stage(maps)
            skips.append(maps)
        found = [maps]
        for number in reversed(range(self._skipped, len(self.decoder))):
            found.append(self.decoder[number](skips[number], found[-1]))
        return found[::-1]

    def layer_groups(self) -> list[list[str]]:
        """See `Encoder`: the stages down, the stages up, and nothing after them."""
        down = [(f"encoder.{number}.",) for number in range(len(self.encoder))]
        up = [(f"decoder.{number}.",) for number in reversed(range(len(self.decoder)))]
        return grouped(self, [*down, *up, ()])

    def trim(self, finest: int = 1, norm: bool = True) -> None:
        """See `Encoder`: stages of the decoder at smaller strides are dropped."""
        left_out = sum(stride < finest for stride in self.strides[:-1])
        for number in range(self._skipped, self._skipped + left_out):
            self.decoder[number] = nn.Identity()
        self._skipped += left_out
        self.strides, self.widths = self.strides[left_out:], self.widths[left_out:]
