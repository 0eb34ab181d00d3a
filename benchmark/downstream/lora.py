"""Fine-tuning by low-rank adaptation: the encoder is frozen, low-rank updates are trained."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from benchmark.nn.low_rank import add_low_rank
from benchmark.registry import MODELS
from benchmark.type_hints import Count, Positive


@MODELS.register_module()
class LowRankAdaptation:
    """LoRA of the encoder in a model (Hu et al., ICLR 2022).

    All pre-trained parameters are frozen: weights, affine parameters of LayerNorms, tokens and
    position embeddings. Parameters that a model adds within the backbone (the relative positions of
    ViTDet, which start at zero) are trained in full, as necks, decoders and heads are.

    Args:
        rank: r.
        alpha: α; an update is (α/r)·B·A.
        targets: ends of the names of linear layers, see `benchmark.nn.low_rank.add_low_rank`.
    """

    def __init__(self, rank: Count, alpha: Positive, targets: Sequence[str]) -> None:
        self.rank = rank
        self.alpha = alpha
        self.targets = tuple(targets)

    def adapt(self, model: nn.Module, seed: int) -> None:
        """Freeze the encoder of a model and add the updates.

        Args:
            model: its `backbone` is the encoder, with initial weights of the seed.
            seed: key of the initial updates.

        Raises:
            InputError: the encoder has no such layers, or they are smaller than the rank.
        """
        added = {
            id(parameter)
            for module in model.backbone.modules()
            for name, parameter in module.named_parameters(recurse=False)
            if name in getattr(module, "new_parameters", ())
        }
        for parameter in model.backbone.parameters():
            parameter.requires_grad_(id(parameter) in added)
        add_low_rank(model.backbone, self.targets, self.rank, self.alpha, seed)
