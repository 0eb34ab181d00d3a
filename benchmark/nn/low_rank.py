"""Low-rank updates of linear layers (LoRA; Hu et al., ICLR 2022): W + (α/r)·B·A."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from benchmark.errors import InputError
from benchmark.randomness import seed_torch

_FUSED = "qkv"
"""Name of the layers, of timm and of this project, whose rows are those of q, k and v in turn."""


class LowRankUpdate(nn.Module):
    """Adds (α/r)·B·A to consecutive rows of a weight, as a parametrization of torch.

    A is r×in, Kaiming-uniform with a = √5 as in the authors' code (the paper: Gaussian); B is
    rows×r and zero, so that a layer starts as it was. The weight is formed before it is used, which
    also reaches layers whose network reads their weight instead of calling them. It is formed in
    the precision of the parameters, also under autocast.

    Args:
        columns: inputs of the layer.
        rows: the outputs that are adapted, as a range.
        rank: r, at most that of a matrix of these rows and columns.
        alpha: α.
    """

    def __init__(self, columns: int, rows: range, rank: int, alpha: float) -> None:
        super().__init__()
        self.rows = rows
        self.scale = alpha / rank
        self.lora_a = nn.Parameter(torch.empty(rank, columns))
        self.lora_b = nn.Parameter(torch.zeros(len(rows), rank))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight out×in of the layer, updated."""
        with torch.autocast(weight.device.type, enabled=False):
            update = self.scale * (self.lora_b @ self.lora_a)
        above, below = self.rows.start, len(weight) - self.rows.stop
        return weight + F.pad(update, (0, 0, above, below))


def add_low_rank(
    network: nn.Module, targets: Sequence[str], rank: int, alpha: float, seed: int
) -> int:
    """Add a low-rank update to the linear layers of a network whose names end in a target.

    ``"proj"`` and ``"attn.proj"`` are the layers ``blocks.0.attn.proj``, …. In a layer ``qkv``,
    which yields queries, keys and values, ``"q"``, ``"k"`` and ``"v"`` each adapt one third with
    its own update; ``"qkv"`` adapts all of it with a single one.

    Args:
        network: gets the updates; its own parameters stay as they are.
        targets: ends of names, at a dot.
        rank, alpha: see `LowRankUpdate`.
        seed: key of the initial A of every update, together with the name of its layer.

    Returns:
        The number of updates.

    Raises:
        InputError: there is no target; no layer has such a name, the message names those there
            are; or the rank is larger than that of a layer.
    """
    if not targets:
        raise InputError("lora.targets: none; name at least one")
    known = list(_adaptable(network))
    for target in targets:
        if not any(_ends_in(name, target) for name, *_ in known):
            ends = dict.fromkeys(name.rpartition(".")[2] for name, *_ in known)
            found = f"it has {', '.join(ends)}" if ends else "it has no linear layers at all"
            raise InputError(f"lora.targets: no {target!r} in the encoder to adapt; {found}")
    chosen = [one for one in known if any(_ends_in(one[0], target) for target in targets)]
    for name, layer, rows in chosen:
        if rank > (most := min(len(rows), layer.in_features)):
            raise InputError(f"lora.rank={rank}: {name} has rank {most} at most")
    for name, layer, rows in chosen:
        seed_torch(seed, "low rank", name)
        update = LowRankUpdate(layer.in_features, rows, rank, alpha).to(layer.weight)
        parametrize.register_parametrization(layer, "weight", update)
    return len(chosen)


def merge_low_rank(network: nn.Module) -> None:
    """Replace the weights of the layers by the updated ones: equal outputs, bit for bit."""
    for layer in list(network.modules()):
        if parametrize.is_parametrized(layer, "weight") and all(
            isinstance(one, LowRankUpdate) for one in layer.parametrizations.weight
        ):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def _adaptable(network: nn.Module) -> Iterator[tuple[str, nn.Linear, range]]:
    """Name, layer and rows of all that can be adapted."""
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Linear):
            continue
        yield name, layer, range(layer.out_features)
        parent, _, own = name.rpartition(".")
        if own == _FUSED:
            third = layer.out_features // 3
            for number, part in enumerate(_FUSED):
                rows = range(number * third, (number + 1) * third)
                yield f"{parent}.{part}".lstrip("."), layer, rows


def _ends_in(name: str, target: str) -> bool:
    return f".{name}".endswith(f".{target}")
