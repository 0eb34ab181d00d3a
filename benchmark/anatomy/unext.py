"""UNeXt-S, the vessel segmentor (Valanarasu and Patel, MICCAI 2022).

Three convolutional stages, then two stages of tokens that are mixed by a shifted MLP: the channels
are moved by -2..2 pixels in five groups before each linear layer, which lets a per-pixel MLP see
its neighbourhood. State-dict names are those of the weights released with VasoMIM.
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
# Three max-poolings and two patch embeddings, each halving the size.
_DIVISOR = 32


def shift_kernel(channels: int, dim: int) -> Tensor:
    """A depth-wise kernel that moves five groups of channels by -2, -1, 0, 1, 2 pixels.

    As a convolution, the shift is one pass over the maps in each direction, and a multiplication by
    1 is exact. Equal to padding with two zeros, `torch.roll` of every group, and cropping: no pixel
    travels further than the padding, so a roll never wraps around into the crop. Groups are those
    of ``torch.chunk(5)``: all but the last of ⌈C/5⌉ channels.

    Returns:
        C×1×5×1 for `dim` 2 (rows, vertically), C×1×1×5 for 3 (columns, horizontally).
    """
    group = torch.arange(channels) // math.ceil(channels / _GROUPS)
    # A channel that moves by +k takes the value of the pixel k before.
    taps = F.one_hot(_GROUPS - 1 - group, _GROUPS).to(torch.get_default_dtype())
    return taps[:, None, :, None] if dim == 2 else taps[:, None, None, :]


def shift_channels(maps: Tensor, kernel: Tensor) -> Tensor:
    """Move the channels of B×C×H×W maps as a `shift_kernel` says; zeros move in."""
    padding = (kernel.shape[2] // 2, kernel.shape[3] // 2)
    return F.conv2d(maps, kernel.to(maps.dtype), padding=padding, groups=len(kernel))


def _to_tokens(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)


def _to_maps(tokens: Tensor, size: Sequence[int]) -> Tensor:
    return tokens.transpose(1, 2).unflatten(2, tuple(size))


class _DepthwiseConv(nn.Module):
    """A 3×3 depth-wise convolution under the names of the released weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, maps: Tensor) -> Tensor:
        return self.dwconv(maps)


class ShiftedMLP(nn.Module):
    """Shift vertically, linear, depth-wise 3×3, GELU, shift horizontally, linear."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, channels)
        self.dwconv = _DepthwiseConv(channels)
        self.fc2 = nn.Linear(channels, channels)
        self.register_buffer("rows", shift_kernel(channels, dim=2), persistent=False)
        self.register_buffer("columns", shift_kernel(channels, dim=3), persistent=False)

    def forward(self, tokens: Tensor, size: Sequence[int]) -> Tensor:
        """Tokens B×HW×C of a map of `size` (H, W) to tokens of the same shape."""
        maps = shift_channels(_to_maps(tokens, size), self.rows)
        maps = _to_maps(self.fc1(_to_tokens(maps)), size)
        maps = shift_channels(F.gelu(self.dwconv(maps)), self.columns)
        return self.fc2(_to_tokens(maps))


class ShiftedMLPBlock(nn.Module):
    """x + mlp(LayerNorm(x)). The norm is called `norm2` in the released weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = ShiftedMLP(channels)

    def forward(self, tokens: Tensor, size: Sequence[int]) -> Tensor:
        return tokens + self.mlp(self.norm2(tokens), size)


class OverlapPatchEmbed(nn.Module):
    """A 3×3 convolution with stride 2 and a LayerNorm: tokens at half the size."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(channels)

    def forward(self, maps: Tensor) -> tuple[Tensor, torch.Size]:
        """Maps B×C×H×W to tokens B×HW/4×C' and their size (H/2, W/2)."""
        maps = self.proj(maps)
        return self.norm(_to_tokens(maps)), maps.shape[2:]


@MODELS.register_module()
class UNeXt(nn.Module):
    """UNeXt; the default widths are UNeXt-S with 253,561 parameters.

    Args:
        in_channels: channels of the input (3: gray repeated).
        channels: widths of the three convolutional and the two token stages.
        out_channels: logit maps.
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
        # Lists of one: the released names carry the index of the block in its stage.
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
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """B×C×H×W images, normalised as in training, H and W multiples of 32, to B×1×H×W logits."""
        height, width = images.shape[-2:]
        if height % _DIVISOR or width % _DIVISOR:
            raise InputError(f"images of {height}×{width}: UNeXt needs multiples of {_DIVISOR}")
        t1 = _halve(_convolve(self.encoder1, self.ebn1, images))
        t2 = _halve(_convolve(self.encoder2, self.ebn2, t1))
        t3 = _halve(_convolve(self.encoder3, self.ebn3, t2))
        tokens, size = self.patch_embed3(t3)
        t4 = _token_stage(tokens, size, self.block1, self.norm3)
        tokens, size = self.patch_embed4(t4)
        maps = _token_stage(tokens, size, self.block2, self.norm4)

        maps = _double(_convolve(self.decoder1, self.dbn1, maps)) + t4
        maps = _token_stage(_to_tokens(maps), maps.shape[2:], self.dblock1, self.dnorm3)
        maps = _double(_convolve(self.decoder2, self.dbn2, maps)) + t3
        maps = _token_stage(_to_tokens(maps), maps.shape[2:], self.dblock2, self.dnorm4)
        maps = _double(_convolve(self.decoder3, self.dbn3, maps)) + t2
        maps = _double(_convolve(self.decoder4, self.dbn4, maps)) + t1
        return self.final(_double(self.decoder5(maps)))


def _halve(maps: Tensor) -> Tensor:
    return F.relu(F.max_pool2d(maps, 2), inplace=True)


def _double(maps: Tensor) -> Tensor:
    return F.relu(F.interpolate(maps, scale_factor=2, mode="bilinear"), inplace=True)


def _token_stage(
    tokens: Tensor, size: Sequence[int], blocks: nn.ModuleList, norm: nn.LayerNorm
) -> Tensor:
    """Shifted-MLP blocks and a LayerNorm; tokens B×HW×C to maps B×C×H×W."""
    for block in blocks:
        tokens = block(tokens, size)
    return _to_maps(norm(tokens), size)


def _convolve(convolution: nn.Conv2d, norm: nn.BatchNorm2d, maps: Tensor) -> Tensor:
    """A convolution and its batch norm, folded into one where the statistics are fixed.

    UNeXt spends its time on maps at full size, which the norm would read and write once more.
    """
    if norm.training:
        return norm(convolution(maps))
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    weight = convolution.weight * scale[:, None, None, None]
    bias = norm.bias + (convolution.bias - norm.running_mean) * scale
    return F.conv2d(maps, weight, bias, padding=convolution.padding)


def _initialise(module: nn.Module) -> None:
    """Linear layers: truncated normal, std 0.02. Convolutions: normal, std √(2 / fan-out)."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
        nn.init.normal_(module.weight, std=math.sqrt(2 * module.groups / fan_out))
        nn.init.zeros_(module.bias)
