"""VM-UNet (Ruan and Xiang, 2024): a UNet of the visual state-space blocks of VMamba.

Encoder and decoder are stages of VSS blocks (Liu et al. 2024): a gated residual layer around
SS2D, which reads the map as four sequences (by rows, by columns, and both backwards), runs a
selective scan over each and adds the results. Maps are channels-last, B×H×W×C, throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from benchmark.downstream.segmentation.scratch import check_size, initialise
from benchmark.errors import InputError
from benchmark.nn.selective_scan import selective_scan
from benchmark.registry import MODELS
from benchmark.type_hints import Count, Rate

PATCH = 4
PATHS = 4
STEP_RANGE = (1e-3, 1e-1)
"""Range of the step sizes Δ at the start, log-uniform (Mamba)."""


def unfold_paths(maps: Tensor) -> Tensor:
    """By rows, by columns, rows backwards, columns backwards: B×C×H×W to B×4×C×HW."""
    forwards = torch.stack([maps.flatten(2), maps.transpose(2, 3).flatten(2)], dim=1)
    return torch.cat([forwards, forwards.flip(-1)], dim=1)


def fold_paths(sequences: Tensor, size: tuple[int, int]) -> Tensor:
    """Put the elements of B×4×C×HW sequences back where they came from, added up: B×C×H×W."""
    height, width = size
    rows, columns = (sequences[:, :2] + sequences[:, 2:].flip(-1)).unbind(dim=1)
    by_columns = columns.unflatten(2, (width, height)).transpose(2, 3)
    return rows.unflatten(2, size) + by_columns


class SelectiveScan2D(nn.Module):
    """SS2D of VMamba: selective scans of a map along four paths, each with its own parameters.

    A channel has a hidden state of `state` numbers.
    """

    def __init__(self, width: int, state: int = 16) -> None:
        super().__init__()
        inner = 2 * width
        self.state = state
        self.rank = math.ceil(width / 16)
        self.input = nn.Linear(width, 2 * inner, bias=False)
        self.conv = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.to_parameters = nn.Parameter(torch.empty(PATHS, self.rank + 2 * state, inner))
        self.to_step = nn.Parameter(torch.empty(PATHS, inner, self.rank))
        self.step_bias = nn.Parameter(torch.empty(PATHS, inner))
        self.log_decay = nn.Parameter(torch.empty(PATHS, inner, state))
        self.passage = nn.Parameter(torch.empty(PATHS, inner))
        self.norm = nn.LayerNorm(inner)
        self.output = nn.Linear(inner, width, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Mamba's start: A = −(1, …, N), D = 1, softplus(bias) log-uniform in `STEP_RANGE`."""
        paths, _, inner = self.to_parameters.shape
        bound = inner**-0.5
        nn.init.uniform_(self.to_parameters, -bound, bound)
        bound = self.rank**-0.5
        nn.init.uniform_(self.to_step, -bound, bound)
        low, high = map(math.log, STEP_RANGE)
        step = torch.empty(paths, inner).uniform_(low, high).exp()
        with torch.no_grad():
            self.step_bias.copy_(step + torch.log(-torch.expm1(-step)))
            self.log_decay.copy_(torch.arange(1, self.state + 1).log().expand_as(self.log_decay))
        nn.init.ones_(self.passage)

    def scan(self, maps: Tensor) -> Tensor:
        """The four scans, added: B×C×H×W to the same shape, in fp32."""
        sequences = unfold_paths(maps)
        parameters = torch.einsum("bkdl,kcd->bkcl", sequences, self.to_parameters)
        step, B, C = parameters.split([self.rank, self.state, self.state], dim=2)
        step = torch.einsum("bkrl,kdr->bkdl", step, self.to_step).float()
        step = F.softplus(step + self.step_bias[..., None])
        decay = -torch.exp(self.log_decay.float())
        scanned = selective_scan(sequences, step, decay, B, C, self.passage)
        return fold_paths(scanned, (maps.shape[2], maps.shape[3]))

    def forward(self, maps: Tensor) -> Tensor:
        """B×H×W×C to the same shape."""
        content, gate = self.input(maps).chunk(2, dim=-1)
        content = F.silu(self.conv(content.permute(0, 3, 1, 2)))
        content = self.norm(self.scan(content).permute(0, 2, 3, 1))
        return self.output(content * F.silu(gate))


class VSSBlock(nn.Module):
    """Residual layer norm and SS2D."""

    def __init__(self, width: int, state: int, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.scan = SelectiveScan2D(width, state)
        self.drop_path = DropPath(drop_path)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.drop_path(self.scan(self.norm(maps)))


class PatchMerging(nn.Module):
    """2×2 neighbours to one position of twice the width (Swin, Liu et al. 2021)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        corners = [maps[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, dim=-1)))


class PatchExpanding(nn.Module):
    """One position to scale×scale positions (Swin-Unet, Cao et al. 2022)."""

    def __init__(self, width: int, out_width: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.expand = nn.Linear(width, scale**2 * out_width, bias=False)
        self.norm = nn.LayerNorm(out_width)

    def forward(self, maps: Tensor) -> Tensor:
        """B×H×W×C to B×(scale·H)×(scale·W)×out_width."""
        batch, height, width, _ = maps.shape
        parts = self.expand(maps).unflatten(3, (self.scale, self.scale, -1))
        enlarged = parts.permute(0, 1, 3, 2, 4, 5)
        size = (batch, self.scale * height, self.scale * width, -1)
        return self.norm(enlarged.reshape(size))


@MODELS.register_module()
class VMUNet(nn.Module):
    """VM-UNet without its output layer.

    The defaults are those of the paper's runs on skin lesions (ISIC), and have 27.43 M
    parameters, the number reported for them. The larger number that is also seen, 44.27 M, is
    the same network with the depths of VMamba-T, (2, 2, 9, 2) and (2, 9, 2, 2). The paper starts
    from VMamba's ImageNet weights; here everything starts as VMamba does before its training.

    What the decoder adds on its way up is what enters the encoder's stages, as in the authors'
    code, from stride 32 to stride 8.

    Args:
        dims: channels at strides 4, 8, 16 and 32; multiples of 4, each twice the one before.
        depths: VSS blocks of the encoder at these strides.
        decoder_depths: VSS blocks of the decoder, from stride 32 to stride 4.
        state: hidden state per channel.
        drop_path: stochastic depth of the deepest blocks, 0.2 in the authors' configs; 0 at both
            ends of the network.

    Raises:
        InputError: widths that do not double, or numbers of stages that differ.
    """

    def __init__(
        self,
        dims: Sequence[Count] = (96, 192, 384, 768),
        depths: Sequence[int] = (2, 2, 2, 2),
        decoder_depths: Sequence[int] = (2, 2, 2, 1),
        state: Count = 16,
        drop_path: Rate = 0.2,
    ) -> None:
        super().__init__()
        if any(wide != 2 * narrow for narrow, wide in pairwise(dims)) or dims[0] % PATCH:
            raise InputError(f"VM-UNet: dims={tuple(dims)} must double from a multiple of {PATCH}")
        if not len(dims) == len(depths) == len(decoder_depths):
            raise InputError("VM-UNet: dims, depths and decoder_depths must be equally many")
        self.stride = PATCH * 2 ** (len(dims) - 1)
        self.embedding = nn.Conv2d(3, dims[0], PATCH, stride=PATCH)
        self.embedding_norm = nn.LayerNorm(dims[0])
        make = partial(_stages, state=state, drop_path=drop_path)
        self.encoder = make(dims, depths)
        self.merging = nn.ModuleList(PatchMerging(width) for width in dims[:-1])
        up = tuple(reversed(dims))
        # The same rule from the other end: the deepest blocks are the first of the decoder.
        self.decoder = make(up, decoder_depths, falling=True)
        self.expanding = nn.ModuleList(PatchExpanding(wide, wide // 2, 2) for wide in up[:-1])
        self.to_pixels = PatchExpanding(dims[0], dims[0] // PATCH, PATCH)
        self.init_weights()

    def init_weights(self) -> None:
        initialise(self, partial(nn.init.trunc_normal_, std=0.02))

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """B×3×H×W, H and W multiples of the deepest stride (32), to one map B×(dims[0]/4)×H×W."""
        check_size(images, self.stride, "VM-UNet")
        maps = self.embedding_norm(self.embedding(images).permute(0, 2, 3, 1))
        skips = []
        for stage, merge in zip(self.encoder, self.merging):
            maps = merge(stage(maps))
            skips.append(maps)
        maps = self.decoder[0](self.encoder[-1](maps))
        for expand, stage in zip(self.expanding, self.decoder[1:]):
            maps = stage(expand(maps + skips.pop()))
        return (self.to_pixels(maps).permute(0, 3, 1, 2),)


def _stages(
    widths: Sequence[int],
    depths: Sequence[int],
    state: int,
    drop_path: float,
    falling: bool = False,
) -> nn.ModuleList:
    """One sequence of VSS blocks per width; drop path rises over all of them, or falls."""
    rates = np.linspace(0, drop_path, sum(depths)).tolist()
    remaining = iter(reversed(rates) if falling else rates)
    return nn.ModuleList(
        nn.Sequential(*(VSSBlock(width, state, next(remaining)) for _ in range(depth)))
        for width, depth in zip(widths, depths)
    )
