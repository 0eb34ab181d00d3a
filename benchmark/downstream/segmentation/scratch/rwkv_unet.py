"""RWKV-UNet (Jiang et al., 2025): a convolutional UNet with the spatial mix of Vision-RWKV.

The encoder's Global-Local Spatial Perception (GLSP) block is an inverted residual whose widened
map passes through the spatial mix of Vision-RWKV (global, linear cost) and a depth-wise
convolution (local). The skips are mixed across channels and scales by one channel mix (CCM); the
decoder is depth-wise convolutions of large kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from timm.layers import DropPath, LayerNorm2d, SqueezeExcite
from torch import Tensor, nn

from benchmark.downstream.segmentation.scratch import check_size, initialise
from benchmark.errors import InputError
from benchmark.nn.wkv import bidirectional_wkv, q_shift
from benchmark.registry import MODELS
from benchmark.type_hints import Count, Rate

STRIDE = 16
STEM = 24


def _tokens(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)


def _maps(tokens: Tensor, like: Tensor) -> Tensor:
    return tokens.transpose(1, 2).unflatten(2, like.shape[2:])


class _Blend(nn.Module):
    """μ·x + (1 − μ)·shifted, with one μ per channel, 0.5 at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.empty(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.constant_(self.share, 0.5)

    def forward(self, tokens: Tensor, shifted: Tensor) -> Tensor:
        return torch.lerp(shifted, tokens, self.share.to(tokens.dtype))


class SpatialMix(nn.Module):
    """Spatial mix of Vision-RWKV: Bi-WKV of Q-shifted keys and values, gated by a receptance.

    In the official code the bonus u is divided by the number of tokens, like the decay; the
    equation of the paper divides the decay only.
    """

    def __init__(self, width: int, official_code: bool = False) -> None:
        super().__init__()
        self.official_code = official_code
        self.decay = nn.Parameter(torch.empty(width))
        self.bonus = nn.Parameter(torch.empty(width))
        self.blend_key, self.blend_value, self.blend_receptance = (_Blend(width) for _ in range(3))
        linear = partial(nn.Linear, width, width, bias=False)
        self.key, self.value, self.receptance, self.output = (linear() for _ in range(4))
        self.norm = nn.LayerNorm(width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """No decay and no bonus: every token starts as the mean of all."""
        nn.init.zeros_(self.decay)
        nn.init.zeros_(self.bonus)

    def forward(self, maps: Tensor) -> Tensor:
        """B×C×H×W to tokens B×HW×C."""
        tokens, shifted = _tokens(maps), _tokens(q_shift(maps))
        key = self.key(self.blend_key(tokens, shifted))
        value = self.value(self.blend_value(tokens, shifted))
        gate = torch.sigmoid(self.receptance(self.blend_receptance(tokens, shifted)))
        bonus = self.bonus / tokens.shape[1] if self.official_code else self.bonus
        mixed = bidirectional_wkv(self.decay, bonus, key, value)
        return self.output(gate * self.norm(mixed))


class ChannelMix(nn.Module):
    """Channel mix of Vision-RWKV: a gated MLP with squared ReLU on Q-shifted maps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 2 * width
        self.blend_key, self.blend_receptance = _Blend(width), _Blend(width)
        self.key = nn.Linear(width, hidden, bias=False)
        self.norm = nn.LayerNorm(hidden)
        self.value = nn.Linear(hidden, width, bias=False)
        self.receptance = nn.Linear(width, width, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """B×C×H×W to tokens B×HW×C."""
        tokens, shifted = _tokens(maps), _tokens(q_shift(maps))
        hidden = self.norm(F.relu(self.key(self.blend_key(tokens, shifted))).square())
        gate = torch.sigmoid(self.receptance(self.blend_receptance(tokens, shifted)))
        return gate * self.value(hidden)


def _conv_unit(
    in_channels: int,
    out_channels: int,
    activation: type[nn.Module],
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Convolution without bias, batch norm, activation."""
    conv = nn.Conv2d(
        in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels, eps=1e-6), activation())


class GLSP(nn.Module):
    """Global-Local Spatial Perception block: norm, widen, mix globally, mix locally, narrow.

    Args:
        norm: norm of the input.
        expansion: width inside relative to `in_channels`.
        kernel: side of the depth-wise convolution.
        stride: 2 halves the map, which requires `residual` to be False.
        mix: use the spatial mix, or the convolution only.
        residual: add the input, and the input of the depth-wise convolution to its output.
        attend: weigh the channels by squeeze and excitation after the depth-wise convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: nn.Module,
        expansion: float,
        kernel: int,
        stride: int = 1,
        mix: bool = False,
        residual: bool = True,
        attend: bool = False,
        drop_path: float = 0.0,
        official_code: bool = False,
    ) -> None:
        super().__init__()
        inner = int(in_channels * expansion)
        self.residual = residual
        self.norm = norm
        self.widen = _conv_unit(in_channels, inner, nn.ReLU)
        self.mix = SpatialMix(inner, official_code) if mix else None
        self.mix_norm = nn.LayerNorm(inner) if mix else None
        self.local = _conv_unit(inner, inner, nn.SiLU, kernel, stride, groups=inner)
        self.attend = (
            SqueezeExcite(inner, rd_channels=inner, act_layer=nn.SiLU) if attend else nn.Identity()
        )
        self.narrow = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.drop_path = DropPath(drop_path)

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.widen(self.norm(maps))
        if self.mix is not None:
            mixed = self.drop_path(self.mix_norm(self.mix(inner)))
            inner = inner + _maps(mixed, like=inner)
        local = self.attend(self.local(inner))
        if not self.residual:
            return self.narrow(local)
        return maps + self.drop_path(self.narrow(inner + local))


class CrossChannelMix(nn.Module):
    """CCM: bring all skips, coarsest first, to size and width of the finest, mix, and return."""

    def __init__(self, widths: Sequence[int], drop_path: float = 0.05) -> None:
        super().__init__()
        self.width = widths[-1]
        joined = len(widths) * self.width
        self.gather = nn.ModuleList(nn.Conv2d(width, self.width, 1) for width in widths)
        self.mix = ChannelMix(joined)
        self.norm = nn.LayerNorm(joined)
        self.drop_path = DropPath(drop_path)
        self.scatter = nn.ModuleList(nn.Conv2d(self.width, width, 1) for width in widths)

    def forward(self, skips: Sequence[Tensor]) -> list[Tensor]:
        """Maps B×C_i×H_i×W_i, coarsest first, to maps of the same shapes."""
        finest = skips[-1].shape[2:]
        joined = torch.cat(
            [gather(_resize(skip, finest)) for gather, skip in zip(self.gather, skips)], dim=1
        )
        joined = joined + _maps(self.drop_path(self.norm(self.mix(joined))), like=joined)
        return [
            _resize(scatter(part), skip.shape[2:])
            for scatter, part, skip in zip(self.scatter, joined.split(self.width, dim=1), skips)
        ]


def _resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


class RWKVUpBlock(nn.Module):
    """1×1, large depth-wise and 1×1 convolution, then bilinear ×2."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv_unit(in_channels, in_channels, nn.ReLU),
            _conv_unit(in_channels, in_channels, nn.SiLU, kernel, groups=in_channels),
            _conv_unit(in_channels, out_channels, nn.ReLU),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return F.interpolate(self.body(maps), scale_factor=2, mode="bilinear", align_corners=False)


@MODELS.register_module()
class RWKVUNet(nn.Module):
    """RWKV-UNet without its output layer.

    The defaults are the base model. The paper reports 17.13 M parameters for it, 9.70 M for S
    (dims 32, 64, 128, 192; expansions 2, 2.5, 3, 4) and 3.15 M for T (dims 32, 48, 96, 160;
    depths 2, 2, 4, 2; expansions 2, 2.5, 3, 3.5), which are the numbers here. The modules of the
    authors' code include more that is built but never used. The paper starts from an encoder
    trained on ImageNet; here linear layers are normal with std 0.02 and the rest PyTorch's
    default, as the authors' encoder before that training.

    Args:
        dims: channels at strides 2, 4, 8 and 16.
        depths: GLSP blocks at these strides; the first of each halves the map without mixing.
        expansions: width inside the blocks relative to theirs; doubled in the first of a stage.
        stem: channels at full resolution, at both ends of the network.
        kernel: side of the depth-wise convolutions of the encoder.
        decoder_kernel: side of those of the decoder.
        drop_path: stochastic depth of the last block of the encoder, rising from 0.
        official_code: see `SpatialMix`.

    Raises:
        InputError: `dims`, `depths` and `expansions` are not four each.
    """

    def __init__(
        self,
        dims: Sequence[Count] = (48, 72, 144, 240),
        depths: Sequence[int] = (3, 3, 6, 3),
        expansions: Sequence[float] = (2.0, 2.5, 4.0, 4.0),
        stem: Count = STEM,
        kernel: Count = 5,
        decoder_kernel: Count = 9,
        drop_path: Rate = 0.05,
        official_code: bool = False,
    ) -> None:
        super().__init__()
        if not len(dims) == len(depths) == len(expansions) == 4:
            raise InputError("RWKV-UNet: dims, depths and expansions must be four each")
        rates = iter(np.linspace(0, drop_path, sum(depths)).tolist())
        self.stem = GLSP(3, stem, nn.Identity(), 1.0, kernel, residual=False, attend=True)
        self.encoder = nn.ModuleList()
        channels = stem
        for number, (width, depth, expansion) in enumerate(zip(dims, depths, expansions)):
            # Global mixing is for the coarse half, where channels are normalised per position.
            coarse = number >= 2
            norm = LayerNorm2d if coarse else partial(nn.BatchNorm2d, eps=1e-6)
            stage = nn.Sequential()
            for block in range(depth):
                first = block == 0
                stage.append(
                    GLSP(
                        channels,
                        width,
                        norm(channels),
                        2 * expansion if first else expansion,
                        kernel,
                        stride=2 if first else 1,
                        mix=coarse and not first,
                        residual=not first,
                        drop_path=next(rates),
                        official_code=official_code,
                    )
                )
                channels = width
            self.encoder.append(stage)
        self.cross_mix = CrossChannelMix(dims[2::-1])
        up = [(dims[3], dims[2]), (2 * dims[2], dims[1]), (2 * dims[1], dims[0])]
        self.decoder = nn.ModuleList(
            RWKVUpBlock(wide, narrow, decoder_kernel) for wide, narrow in [*up, (2 * dims[0], stem)]
        )
        self.init_weights()

    def init_weights(self) -> None:
        initialise(self, partial(nn.init.trunc_normal_, std=0.02))

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """B×3×H×W, H and W multiples of 16, to one map B×stem×H×W."""
        check_size(images, STRIDE, "RWKV-UNet")
        maps = self.stem(images)
        skips = []
        for stage in self.encoder[:-1]:
            maps = stage(maps)
            skips.append(maps)
        maps = self.decoder[0](self.encoder[-1](maps))
        for block, skip in zip(self.decoder[1:], self.cross_mix(skips[::-1])):
            maps = block(torch.cat([maps, skip], dim=1))
        return (maps,)
