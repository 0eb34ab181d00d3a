"""Speed and agreement of the frozen UNeXt against the same network layer by layer in torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.anatomy.segmentor import FrozenSegmentor
from benchmark.anatomy.unext import ShiftedMLPBlock, UNeXt
from benchmark.errors import InputError
from benchmark.speed.timing import TimingRow, compare, cpu_threads, show_rows


def layer_by_layer(network: UNeXt, images: Tensor) -> Tensor:
    """UNeXt as its authors wrote it: separate batch norms, pooling, rolled shifts and upsampling.

    Args:
        network: in evaluation mode.
        images: B×3×H×W.

    Returns:
        B×1×H×W logits.
    """
    n = network

    def rolled(maps: Tensor, dim: int) -> Tensor:
        height, width = maps.shape[2:]
        groups = F.pad(maps, (2, 2, 2, 2)).chunk(5, 1)
        moved = [torch.roll(group, step, dim) for group, step in zip(groups, range(-2, 3))]
        return torch.cat(moved, 1).narrow(2, 2, height).narrow(3, 2, width)

    def tokens_of(maps: Tensor) -> Tensor:
        return maps.flatten(2).transpose(1, 2)

    def mixed(block: ShiftedMLPBlock, norm: nn.LayerNorm, maps: Tensor) -> Tensor:
        tokens, size = tokens_of(maps), maps.shape[2:]
        inner = block.norm2(tokens).transpose(1, 2).unflatten(2, size)
        inner = block.mlp.fc1(tokens_of(rolled(inner, 2))).transpose(1, 2).unflatten(2, size)
        inner = rolled(F.gelu(block.mlp.dwconv(inner)), 3)
        tokens = norm(tokens + block.mlp.fc2(tokens_of(inner)))
        return tokens.transpose(1, 2).unflatten(2, size)

    def embedded(embed: nn.Module, maps: Tensor) -> Tensor:
        maps = embed.proj(maps)
        return embed.norm(tokens_of(maps)).transpose(1, 2).unflatten(2, maps.shape[2:])

    def doubled(maps: Tensor) -> Tensor:
        return F.relu(F.interpolate(maps, scale_factor=2, mode="bilinear"))

    t1 = F.relu(F.max_pool2d(n.ebn1(n.encoder1(images)), 2))
    t2 = F.relu(F.max_pool2d(n.ebn2(n.encoder2(t1)), 2))
    t3 = F.relu(F.max_pool2d(n.ebn3(n.encoder3(t2)), 2))
    t4 = mixed(n.block1[0], n.norm3, embedded(n.patch_embed3, t3))
    maps = mixed(n.block2[0], n.norm4, embedded(n.patch_embed4, t4))
    maps = mixed(n.dblock1[0], n.dnorm3, doubled(n.dbn1(n.decoder1(maps))) + t4)
    maps = mixed(n.dblock2[0], n.dnorm4, doubled(n.dbn2(n.decoder2(maps))) + t3)
    maps = doubled(n.dbn3(n.decoder3(maps))) + t2
    maps = doubled(n.dbn4(n.decoder4(maps))) + t1
    return n.final(doubled(n.decoder5(maps)))


def bench_segmentor(
    batch: int = 16,
    view: int = 224,
    threads: int = 1,
    repeats: int = 11,
    out: str | os.PathLike[str] | None = None,
) -> list[TimingRow]:
    """Time what VasoMIM needs of its segmentor: S(I), and S(I′) with the gradient w.r.t. I′.

    Agreement is the share of the pixels of a frame that are on the same side of the threshold, and
    of those with the same gradient to 1e-3. Where rounding decides between two maxima, the gradient
    differs for all pixels in their receptive fields.

    The arguments are options of ``tools/bench.py``; with one thread, processor time counts.

    Raises:
        InputError: the view is not a multiple of 32.
    """
    if view % 32:
        raise InputError(f"--view {view}: UNeXt needs a multiple of 32")
    torch.manual_seed(0)
    segmentor = FrozenSegmentor(UNeXt(), checkpoint=None)
    images = torch.randn(batch, 1, view, view).expand(-1, 3, -1, -1).contiguous()
    upstream = torch.randn(batch, 1, view, view)

    def without(forward: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.no_grad():
            return forward(images) > 0

    def through(forward: Callable[[Tensor], Tensor]) -> Tensor:
        inputs = images.clone().requires_grad_()
        return torch.autograd.grad(forward(inputs), inputs, upstream)[0]

    def agreement(found: Tensor, expected: Tensor) -> np.ndarray:
        alike = torch.isclose(found.double(), expected.double(), rtol=1e-3, atol=1e-3)
        return alike.flatten(1).double().mean(1).numpy()

    plain = partial(layer_by_layer, segmentor.network)
    clock = "processor time" if threads == 1 else "wall time"
    with cpu_threads(threads):
        rows = [
            compare(
                f"segmentor {what}, {batch} frames {view}x{view}, {threads} thread(s), {clock}",
                f"torch {torch.__version__}, layer by layer",
                (partial(work, segmentor), partial(work, plain)),
                batch,
                repeats,
                agreement,
                processor_time=threads == 1,
            )
            for what, work in (("S(I)", without), ("S(I'), there and back", through))
        ]
    show_rows(rows, out, "segmentor", threads)
    return rows
