"""SPT: segmentor-based pre-training, a baseline without masking (arXiv 2602.11536, figure 9).

A UNet is trained to segment the extracted vessels, used as pseudo-labels. The UNet without its 1×1
classifier is exported.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.anatomy.segmentor import supervision
from benchmark.method import Method, Progress
from benchmark.nn.backbones.unet import UNetEncoder
from benchmark.nn.batch_norm import convert_sync_batchnorm
from benchmark.registry import METHODS, build
from methods.mae import Part


@METHODS.register_module()
class SPT(Method):
    """Segmentation of the extracted vessels as pre-training.

    The papers do not state the loss; here it is that of VasoMIM's segmentor, 0.5·BCE +
    0.5·(1 − Dice), with Dice per frame, so that it does not depend on how a batch is split.

    Args:
        views: maker of one view per frame, with its anatomy.
        encoder: network whose finest feature map has the size of the image.
    """

    encoder: UNetEncoder

    def __init__(
        self,
        views: Part,
        encoder: Part,
    ) -> None:
        super().__init__(views)
        self.encoder = convert_sync_batchnorm(build(encoder))
        self.classifier = nn.Conv2d(self.encoder.widths[0], 1, 1)

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        images = views["image"].contiguous(memory_format=torch.channels_last)
        finest, *_, coarsest = self.encoder.feature_maps(images)
        self.observe(coarsest.mean(dim=(2, 3)))
        return supervision(self.classifier(finest), views["anatomy"], dice="sample")
