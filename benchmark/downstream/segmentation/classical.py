"""The baseline without learning: vesselness, threshold and region growing as a segmentor."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.structures import PixelData
from torch import Tensor

from benchmark.anatomy.extraction import vessel_mask
from benchmark.registry import MODELS
from benchmark.type_hints import Natural


@MODELS.register_module()
class VesselnessSegmentor(BaseModel):
    """The extraction of the vascular anatomy as a model without trainable parameters.

    Args:
        kind: ridge filter; ``"sato"`` is what the released VasoMIM code calls its Frangi filter.
        alpha: percentile of the threshold (journal table X: 50, 80, 92).
        border: pixels ignored along every side.
    """

    def __init__(self, kind: str = "sato", alpha: float = 92.0, border: Natural = 20) -> None:
        super().__init__(data_preprocessor=BaseDataPreprocessor())
        self.kind = kind
        self.alpha = alpha
        self.border = border

    def forward(self, inputs: list[Tensor], data_samples: list[Any], mode: str) -> list[Any]:
        """Frames 3×H×W uint8; each sample gets `pred_sem_seg`. `mode` is always ``"predict"``."""
        for image, sample in zip(inputs, data_samples):
            grey = image[:1]
            mask = vessel_mask(grey, kind=self.kind, alpha=self.alpha, border=self.border)
            sample.pred_sem_seg = PixelData(data=mask.to(torch.uint8))
        return data_samples
