"""ResNet (He et al., CVPR 2016) with the feature maps of all stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import Tensor

from benchmark.errors import InputError
from benchmark.nn.backbones.base import group_parameters, weight_arguments
from benchmark.registry import BACKBONES
from benchmark.type_hints import Count

_BLOCKS = {"basic": BasicBlock, "bottleneck": Bottleneck}


@BACKBONES.register_module()
class ResNetEncoder(ResNet):
    """timm's `ResNet` without a head; state-dict names are timm's, which are torchvision's.

    The defaults are ResNet-50. Maps have strides 2 (the stem), 4, 8, 16 and 32.

    Args:
        block: ``"basic"``, two 3×3 convolutions, or ``"bottleneck"``, 1×1, 3×3 and 1×1.
        layers: number of blocks of each of the four stages.
        channels: width of the 3×3 convolutions of each stage.
        img_size: height and width of the pre-training images in pixels.
        in_channels: channels of the input.

    Raises:
        InputError: not four stages.
    """

    overrides: ClassVar[frozenset[str]] = frozenset()
    unproven: ClassVar[frozenset[str]] = frozenset({"img_size"})

    def __init__(
        self,
        block: Literal["basic", "bottleneck"] = "bottleneck",
        layers: Sequence[Count] = (3, 4, 6, 3),
        channels: Sequence[Count] = (64, 128, 256, 512),
        img_size: Count = 224,
        in_channels: Count = 3,
    ) -> None:
        arguments = weight_arguments(ResNetEncoder, locals())
        if not len(layers) == len(channels) == 4:
            raise InputError(f"ResNet: layers={layers} and channels={channels} must be four each")
        super().__init__(
            block=_BLOCKS[block],
            layers=tuple(layers),
            channels=tuple(channels),
            num_classes=0,
            in_chans=in_channels,
        )
        self.arguments = arguments
        self.img_size = img_size
        self.patch_size = None
        self.num_prefix_tokens = 0
        self.norm_name = None
        self.strides: tuple[int, ...] = tuple(part["reduction"] for part in self.feature_info)
        self.widths: tuple[int, ...] = tuple(part["num_chs"] for part in self.feature_info)

    def init_weights(self, zero_init_last: bool | None = None) -> None:
        """timm's, called by its constructor; a no-op when mmengine calls it without arguments."""
        if zero_init_last is not None:
            super().init_weights(zero_init_last=zero_init_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.feature_maps(images)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """Maps after the stem and after each stage."""
        maps = [self.act1(self.bn1(self.conv1(images)))]
        features = self.maxpool(maps[0])
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = stage(features)
            maps.append(features)
        return maps[-len(self.strides) :]

    def layer_groups(self) -> list[list[str]]:
        """The stem, every stage, and nothing after them."""
        stages = [(f"layer{number}.",) for number in range(1, 5)]
        return group_parameters(self, [("conv1.", "bn1."), *stages, ()])

    def trim(self, finest: int = 1, norm: bool = True) -> None:
        """All stages are kept: the coarsest map depends on them."""
        dropped = sum(stride < finest for stride in self.strides)
        self.strides, self.widths = self.strides[dropped:], self.widths[dropped:]
