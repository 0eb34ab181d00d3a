"""TransUNet (Chen et al., 2021): a ResNet-50, a ViT on its last map, and a UNet decoder.

R50-ViT-B/16 of the paper: the three stages of the hybrid ViT's ResNet (weight-standardised
convolutions and group norm, Kolesnikov et al. 2020) bring the image to stride 16; each position
is a token of the transformer; the cascaded up-sampler (CUP) climbs back with the maps of the
ResNet at strides 8, 4 and 2 as skips.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from timm.layers import Mlp, resample_abs_pos_embed
from timm.models.vision_transformer import Attention
from torch import Tensor, nn

from benchmark.downstream.segmentation.scratch import check_size, initialise
from benchmark.errors import InputError
from benchmark.registry import MODELS
from benchmark.type_hints import Count, Rate

STRIDE = 16


class StandardConv2d(nn.Conv2d):
    """Convolution without bias whose filters have mean 0 and variance 1 (Qiao et al., 2019)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) * torch.rsqrt(variance + 1e-5)
        return F.conv2d(maps, weight, None, self.stride, self.padding)


class Bottleneck(nn.Module):
    """1×1, 3×3 (strided) and 1×1 convolution, each with group norm, around a shortcut.

    The output has four times the `middle` channels of the 3×3 convolution.
    """

    def __init__(self, in_channels: int, middle: int, stride: int, groups: int) -> None:
        super().__init__()
        out_channels = 4 * middle
        norm = partial(nn.GroupNorm, groups, eps=1e-6)
        self.body = nn.Sequential(
            StandardConv2d(in_channels, middle, 1),
            norm(middle),
            nn.ReLU(),
            StandardConv2d(middle, middle, 3, stride),
            norm(middle),
            nn.ReLU(),
            StandardConv2d(middle, out_channels, 1),
            norm(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            # One group per channel, as in the paper's code.
            self.shortcut = nn.Sequential(
                StandardConv2d(in_channels, out_channels, 1, stride),
                nn.GroupNorm(out_channels, out_channels),
            )

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.shortcut(maps) + self.body(maps))


class ResNetStem(nn.Module):
    """ResNet without its last stage: `width` channels at stride 2, then 4, 8 and 16 times."""

    def __init__(self, width: int, units: Sequence[int], groups: int) -> None:
        super().__init__()
        self.root = nn.Sequential(
            StandardConv2d(3, width, 7, stride=2), nn.GroupNorm(groups, width, eps=1e-6), nn.ReLU()
        )
        # Padded at the far ends only ("same" of the hybrid ViT): 224² becomes 56², not 55².
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.stages = nn.ModuleList()
        channels = width
        for number, depth in enumerate(units):
            middle = width * 2**number
            stage = nn.Sequential()
            for unit in range(depth):
                stride = 2 if number and not unit else 1
                stage.append(Bottleneck(channels, middle, stride, groups))
                channels = 4 * middle
            self.stages.append(stage)

    def forward(self, images: Tensor) -> list[Tensor]:
        """B×3×H×W to maps at strides 2, 4, 8 and 16, finest first."""
        maps = [self.root(images)]
        current = self.pool(maps[0])
        for stage in self.stages:
            current = stage(current)
            maps.append(current)
        return maps


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and MLP (Dosovitskiy et al., 2021), with dropout in the MLP."""

    def __init__(self, width: int, heads: int, mlp_width: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, heads, qkv_bias=True)
        self.mlp_norm = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, mlp_width, drop=dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.attention_norm(tokens))
        return tokens + self.mlp(self.mlp_norm(tokens))


class Positions(nn.Module):
    """Learned position table of a square grid of tokens, resampled (bicubic) for another grid."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.grid = (side, side)
        self.table = nn.Parameter(torch.empty(1, side * side, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, grid: tuple[int, int]) -> Tensor:
        """The table for this grid, 1×(rows·columns)×D."""
        if grid == self.grid:
            return self.table
        return resample_abs_pos_embed(
            self.table, grid, self.grid, num_prefix_tokens=0, verbose=False
        )


def _conv_unit(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]


class TransUNetUpBlock(nn.Module):
    """Bilinear ×2, concatenation with the skip, and two 3×3 convolutions (CUP)."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv_unit(in_channels + skip_channels, out_channels),
            *_conv_unit(out_channels, out_channels),
        )

    def forward(self, maps: Tensor, skip: Tensor | None) -> Tensor:
        maps = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=True)
        return self.body(maps if skip is None else torch.cat([maps, skip], dim=1))


@MODELS.register_module()
class TransUNet(nn.Module):
    """TransUNet R50-ViT-B/16 without its output layer.

    The defaults are the paper's, and have 105.28 M parameters at 224², the number reported for
    the authors' code. Deviations: the output layer is a 1×1 instead of a 3×3 convolution
    (+17 instead of +145 parameters for one class), and the pooling keeps its last row and column,
    which the authors' code drops before the second stage and fills with zeros in the skip.
    The authors always start from ImageNet-21k weights; here linear layers are Xavier-uniform and
    positions normal with std 0.02, as in ViT, and convolutions PyTorch's default.

    Args:
        img_size: side in pixels the position table is made for; a multiple of 16.
        resnet_width: channels of the ResNet at stride 2.
        resnet_units: bottlenecks of its three stages.
        norm_groups: groups of its norms; divides `resnet_width`.
        embed_dim: width of the transformer.
        depth: its layers.
        num_heads: its attention heads.
        mlp_ratio: hidden width of its MLPs relative to its width.
        dropout: after the positions and within the MLPs.
        bridge: channels of the convolution between transformer and decoder.
        decoder: channels at strides 8, 4, 2 and 1; the last is the width of the output.

    Raises:
        InputError: sizes that do not divide.
    """

    def __init__(
        self,
        img_size: Count = 224,
        resnet_width: Count = 64,
        resnet_units: Sequence[Count] = (3, 4, 9),
        norm_groups: Count = 32,
        embed_dim: Count = 768,
        depth: Count = 12,
        num_heads: Count = 12,
        mlp_ratio: float = 4.0,
        dropout: Rate = 0.1,
        bridge: Count = 512,
        decoder: Sequence[Count] = (256, 128, 64, 16),
    ) -> None:
        super().__init__()
        if img_size % STRIDE:
            raise InputError(f"TransUNet: img_size={img_size} is no multiple of {STRIDE}")
        if resnet_width % norm_groups:
            raise InputError(
                f"TransUNet: norm_groups={norm_groups} does not divide resnet_width={resnet_width}"
            )
        if embed_dim % num_heads:
            raise InputError(
                f"TransUNet: num_heads={num_heads} does not divide embed_dim={embed_dim}"
            )
        self.resnet = ResNetStem(resnet_width, resnet_units, norm_groups)
        self.embedding = nn.Conv2d(16 * resnet_width, embed_dim, 1)
        self.positions = Positions(embed_dim, img_size // STRIDE)
        self.dropout = nn.Dropout(dropout)
        self.transformer = nn.Sequential(
            *(
                TransformerLayer(embed_dim, num_heads, int(mlp_ratio * embed_dim), dropout)
                for _ in range(depth)
            )
        )
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.bridge = nn.Sequential(*_conv_unit(embed_dim, bridge))
        skips = (8 * resnet_width, 4 * resnet_width, resnet_width, 0)
        self.decoder = nn.ModuleList(
            TransUNetUpBlock(coarse, skip, fine)
            for coarse, skip, fine in zip((bridge, *decoder[:-1]), skips, decoder)
        )
        self.init_weights()

    def init_weights(self) -> None:
        initialise(self, nn.init.xavier_uniform_)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """B×3×H×W, H and W multiples of 16, to one map B×C×H×W, C the last of `decoder`."""
        check_size(images, STRIDE, "TransUNet")
        *skips, maps = self.resnet(images)
        maps = self.embedding(maps)
        grid = (maps.shape[2], maps.shape[3])
        tokens = self.dropout(maps.flatten(2).transpose(1, 2) + self.positions(grid))
        tokens = self.norm(self.transformer(tokens))
        maps = self.bridge(tokens.transpose(1, 2).unflatten(2, grid))
        for block, skip in zip(self.decoder, (*reversed(skips), None)):
            maps = block(maps, skip)
        return (maps,)
