"""UNeXt-S, the vessel segmentor (Valanarasu and Patel, MICCAI 2022).

A U-Net with three convolutional and two tokenized MLP stages. A shifted MLP moves five groups of
channels by -2..2 pixels before each linear layer, so that a token-wise MLP sees its neighbourhood.
State-dict names match the weights released with VasoMIM.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.errors import InputError
from benchmark.registry import MODELS
from benchmark.type_hints import Count

_GROUPS = 5
# Total stride of three max-poolings and two patch embeddings.
_STRIDE = 32


def shift_kernel(channels: int, dim: int) -> Tensor:
    """Depth-wise kernel that shifts five channel groups by -2, -1, 0, 1 and 2 pixels.

    Equivalent to zero padding by 2, `torch.roll` per group and cropping, in one pass per direction;
    exact, since the only non-zero weight is 1. Groups are those of ``torch.chunk(5)``: ⌈C/5⌉
    channels each, except for the last.

    Returns:
        C×1×5×1 for `dim` 2 (vertical shift), C×1×1×5 for `dim` 3 (horizontal shift).
    """
    group = torch.arange(channels) // math.ceil(channels / _GROUPS)
    # A shift by +k reads the pixel k positions back.
    taps = F.one_hot(_GROUPS - 1 - group, _GROUPS).to(torch.get_default_dtype())
    return taps[:, None, :, None] if dim == 2 else taps[:, None, None, :]


def shift_channels(maps: Tensor, kernel: Tensor) -> Tensor:
    """Shift the channels of B×C×H×W maps by a `shift_kernel`, with zero padding."""
    padding = (kernel.shape[2] // 2, kernel.shape[3] // 2)
    return F.conv2d(maps, kernel.to(maps.dtype), padding=padding, groups=len(kernel))


def _to_tokens(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)


def _to_maps(tokens: Tensor, size: Sequence[int]) -> Tensor:
    return tokens.transpose(1, 2).unflatten(2, tuple(size))


class _DepthwiseConv(nn.Module):
    """3×3 depth-wise convolution; nested, to match the released state dict."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, maps: Tensor) -> Tensor:
        return self.dwconv(maps)


class ShiftedMLP(nn.Module):
    """Vertical shift, linear, depth-wise 3×3, GELU, horizontal shift, linear."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, channels)
        self.dwconv = _DepthwiseConv(channels)
        self.fc2 = nn.Linear(channels, channels)
        self.register_buffer("rows", shift_kernel(channels, dim=2), persistent=False)
        self.register_buffer("columns", shift_kernel(channels, dim=3), persistent=False)

    def forward(self, tokens: Tensor, size: Sequence[int]) -> Tensor:
        """B×HW×C tokens of an H×W grid (`size`) to B×HW×C."""
        maps = shift_channels(_to_maps(tokens, size), self.rows)
        maps = _to_maps(self.fc1(_to_tokens(maps)), size)
        maps = shift_channels(F.gelu(self.dwconv(maps)), self.columns)
        return self.fc2(_to_tokens(maps))


class ShiftedMLPBlock(nn.Module):
    """Pre-norm residual block, x + mlp(LayerNorm(x)); `norm2` as in the released state dict."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = ShiftedMLP(channels)

    def forward(self, tokens: Tensor, size: Sequence[int]) -> Tensor:
        return tokens + self.mlp(self.norm2(tokens), size)


class OverlapPatchEmbed(nn.Module):
    """Overlapping patch embedding: 3×3 convolution with stride 2, LayerNorm."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(channels)

    def forward(self, maps: Tensor) -> tuple[Tensor, torch.Size]:
        """B×C×H×W maps to B×HW/4×C' tokens and their grid size (H/2, W/2)."""
        maps = self.proj(maps)
        return self.norm(_to_tokens(maps)), maps.shape[2:]


@MODELS.register_module()
class UNeXt(nn.Module):
    """UNeXt; the default widths give UNeXt-S with 253,561 parameters.

    Args:
        in_channels: input channels (3: grayscale, repeated).
        channels: widths of the three convolutional and two tokenized stages.
        out_channels: output channels (logits).

    Raises:
        InputError: not five widths, or in `forward` a side that is not a multiple of 32.
    """

    def __init__(
        self,
        in_channels: Count = 3,
        channels: Sequence[Count] = (8, 16, 32, 64, 128),
        out_channels: Count = 1,
    ) -> None:
        super().__init__()
        if len(channels) != 5:
            raise InputError(f"channels {tuple(channels)}: UNeXt has five stages")
        c1, c2, c3, c4, c5 = channels
        self.encoder1 = nn.Conv2d(in_channels, c1, 3, padding=1)
        self.encoder2 = nn.Conv2d(c1, c2, 3, padding=1)
        self.encoder3 = nn.Conv2d(c2, c3, 3, padding=1)
        self.ebn1 = nn.BatchNorm2d(c1)
        self.ebn2 = nn.BatchNorm2d(c2)
        self.ebn3 = nn.BatchNorm2d(c3)

        self.patch_embed3 = OverlapPatchEmbed(c3, c4)
        self.patch_embed4 = OverlapPatchEmbed(c4, c5)
        # ModuleLists of one block, because released names carry a block index.
        self.block1 = nn.ModuleList([ShiftedMLPBlock(c4)])
        self.block2 = nn.ModuleList([ShiftedMLPBlock(c5)])
        self.norm3 = nn.LayerNorm(c4)
        self.norm4 = nn.LayerNorm(c5)

        self.decoder1 = nn.Conv2d(c5, c4, 3, padding=1)
        self.decoder2 = nn.Conv2d(c4, c3, 3, padding=1)
        self.decoder3 = nn.Conv2d(c3, c2, 3, padding=1)
        self.decoder4 = nn.Conv2d(c2, c1, 3, padding=1)
        self.decoder5 = nn.Conv2d(c1, c1, 3, padding=1)
        self.dbn1 = nn.BatchNorm2d(c4)
        self.dbn2 = nn.BatchNorm2d(c3)
        self.dbn3 = nn.BatchNorm2d(c2)
        self.dbn4 = nn.BatchNorm2d(c1)
        self.dblock1 = nn.ModuleList([ShiftedMLPBlock(c4)])
        self.dblock2 = nn.ModuleList([ShiftedMLPBlock(c3)])
        self.dnorm3 = nn.LayerNorm(c4)
        self.dnorm4 = nn.LayerNorm(c3)
        self.final = nn.Conv2d(c1, out_channels, 1)
        # Convolutions outside the tokenized stages keep torch's initialisation, as in UNeXt's code.
        embeddings = (self.patch_embed3, self.patch_embed4)
        for part in (*embeddings, self.block1, self.block2, self.dblock1, self.dblock2):
            part.apply(_init_weights)

    def forward(self, images: Tensor) -> Tensor:
        """Logits B×1×H×W of normalised images B×C×H×W; H and W are multiples of 32."""
        height, width = images.shape[-2:]
        if height % _STRIDE or width % _STRIDE:
            raise InputError(f"images of {height}×{width}: UNeXt needs multiples of {_STRIDE}")
        skip1 = _downsample(_conv_bn(self.encoder1, self.ebn1, images))
        skip2 = _downsample(_conv_bn(self.encoder2, self.ebn2, skip1))
        skip3 = _downsample(_conv_bn(self.encoder3, self.ebn3, skip2))
        tokens, size = self.patch_embed3(skip3)
        skip4 = _token_stage(tokens, size, self.block1, self.norm3)
        tokens, size = self.patch_embed4(skip4)
        maps = _token_stage(tokens, size, self.block2, self.norm4)

        maps = _upsample(_conv_bn(self.decoder1, self.dbn1, maps)) + skip4
        maps = _token_stage(_to_tokens(maps), maps.shape[2:], self.dblock1, self.dnorm3)
        maps = _upsample(_conv_bn(self.decoder2, self.dbn2, maps)) + skip3
        maps = _token_stage(_to_tokens(maps), maps.shape[2:], self.dblock2, self.dnorm4)
        maps = _upsample(_conv_bn(self.decoder3, self.dbn3, maps)) + skip2
        maps = _upsample(_conv_bn(self.decoder4, self.dbn4, maps)) + skip1
        return self.final(_upsample(self.decoder5(maps)))


def _downsample(maps: Tensor) -> Tensor:
    return F.relu(F.max_pool2d(maps, 2), inplace=True)


def _upsample(maps: Tensor) -> Tensor:
    return F.relu(F.interpolate(maps, scale_factor=2, mode="bilinear"), inplace=True)


def _token_stage(
    tokens: Tensor, size: Sequence[int], blocks: nn.ModuleList, norm: nn.LayerNorm
) -> Tensor:
    """Shifted-MLP blocks, then LayerNorm: B×HW×C tokens to B×C×H×W maps."""
    for block in blocks:
        tokens = block(tokens, size)
    return _to_maps(norm(tokens), size)


def _conv_bn(conv: nn.Conv2d, norm: nn.BatchNorm2d, maps: Tensor) -> Tensor:
    """Convolution and batch norm, fused in eval mode.

    UNeXt is memory-bound at full resolution; fusing saves one pass over the feature maps.
    """
    if norm.training:
        return norm(conv(maps))
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    weight = conv.weight * scale[:, None, None, None]
    bias = norm.bias + (conv.bias - norm.running_mean) * scale
    return F.conv2d(maps, weight, bias, padding=conv.padding)


def _init_weights(module: nn.Module) -> None:
    """Truncated normal (std 0.02) for linear layers, Kaiming normal (fan-out) for convolutions."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
        nn.init.normal_(module.weight, std=math.sqrt(2 * module.groups / fan_out))
        nn.init.zeros_(module.bias)
