"""Heads between an encoder and a loss on features: projectors, predictors and prototypes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.nn.batch_norm import SyncBatchNorm1d
from benchmark.nn.precision import to_float32
from benchmark.registry import MODELS
from benchmark.type_hints import Count


@MODELS.register_module()
class ProjectionMLP(nn.Sequential):
    """Projector and predictor of MoCo v3 (Chen et al., ICCV 2021, §4; official code).

    Linear layers without bias, each followed by synchronised batch normalisation, with ReLU after
    all but the last. The last normalisation is not affine. B×in_dim to B×out_dim.

    Args:
        in_dim: width of the input.
        layers: linear layers; 3 for the projector, 2 for the predictor.
        hidden: width of the hidden layers.
        out_dim: width of the output.
    """

    def __init__(
        self, in_dim: Count, layers: Count = 3, hidden: Count = 4096, out_dim: Count = 256
    ) -> None:
        widths = [in_dim, *[hidden] * (layers - 1), out_dim]
        parts: list[nn.Module] = []
        for number in range(layers):
            last = number == layers - 1
            parts.append(nn.Linear(widths[number], widths[number + 1], bias=False))
            parts.append(SyncBatchNorm1d(widths[number + 1], affine=not last))
            if not last:
                parts.append(nn.ReLU())
        super().__init__(*parts)
        self.out_dim = out_dim


class Prototypes(nn.Module):
    """Weight-normalised linear layer without bias; each row is a prototype.

    Rows are g·v/‖v‖ (weight normalisation, Salimans & Kingma, NeurIPS 2016), with lengths g that
    stay at 1 unless they are learned. State-dict names are those of the official checkpoints.
    """

    def __init__(self, in_dim: int, count: int, learned_lengths: bool = False) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(count, 1), requires_grad=learned_lengths)
        self.weight_v = nn.Parameter(torch.empty(count, in_dim))
        nn.init.kaiming_uniform_(self.weight_v, a=math.sqrt(5))  # as in nn.Linear

    def forward(self, features: Tensor) -> Tensor:
        """Logits, …×in_dim to …×count, at least in float32."""
        # The teacher divides logits by a temperature of 0.04: bf16 would change its targets.
        with torch.autocast(features.device.type, enabled=False):
            rows = self.weight_g * F.normalize(self.weight_v, dim=1)
            return F.linear(to_float32(features), rows)


@MODELS.register_module()
class PrototypeHead(nn.Module):
    """Head of DINO (Caron et al., ICCV 2021, appendix C), shared by CLS and patches in iBOT.

    A three-layer MLP with GELU, ℓ2 normalisation, and `Prototypes`.

    Args:
        in_dim: width of the tokens.
        hidden: width of the hidden layers.
        bottleneck: width of the normalised embedding.
        prototypes: K, number of prototypes; 65536 in DINO, 8192 in iBOT.
        learned_lengths: see `Prototypes`; ``norm_last_layer=False`` in the official code.
    """

    def __init__(
        self,
        in_dim: Count,
        hidden: Count = 2048,
        bottleneck: Count = 256,
        prototypes: Count = 65536,
        learned_lengths: bool = False,
    ) -> None:
        super().__init__()
        self.prototypes = prototypes
        self.mlp = nn.Sequential(
            nn.Linear(in_dim, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, bottleneck),
        )
        self.last_layer = Prototypes(bottleneck, prototypes, learned_lengths)
        for layer in self.mlp[::2]:
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def project(self, tokens: Tensor) -> Tensor:
        """ℓ2-normalised embedding before the prototypes, …×in_dim to …×bottleneck."""
        return F.normalize(to_float32(self.mlp(tokens)), dim=-1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, …×in_dim to …×K."""
        return self.last_layer(self.project(tokens))
