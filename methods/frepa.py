"""Frepa: frequency-aware pre-training (Chu et al., TMI 2025).

An image is corrupted in some of its cells, or in some cells of its spectrum, and the network
restores it. L = RMSE + |∇x̂ − ∇x| + 0.2·L_HFL, all on the full image: reconstruction error, error of
the finite differences, and error after high-pass filtering.

*From 512² to views of any size.* Cells, filters and noise keep their size relative to the image
(`benchmark.nn.corruptions.frequency`): at 224², a cell of the image is 14 px, one of the spectrum 7
coefficients. As downstream, 8-bit frames are divided by 255 instead of min-max normalised. The
random crop and flip common to all methods replace the random affine transform; the random histogram
shift stays. The released weights take the image's Frangi vesselness as a fourth channel, which the
published training script does not; here images have three, which share one noise sample, while the
code draws one per channel. As in the released code, the encoder has no CLS token and a neck, which
is exported with it. It sees normalised intensities; the decoder predicts intensities in [0, 1].
"""

from __future__ import annotations

from typing import ClassVar

import torch
from mmengine.dist import get_world_size
from torch import Tensor
from torch.distributed.nn.functional import all_reduce

from benchmark.method import Method, Progress
from benchmark.nn.backbones.sam import SAMEncoder
from benchmark.nn.batch_norm import convert_sync_batchnorm
from benchmark.nn.decoders.convolutional import ConvDecoder
from benchmark.nn.objectives.frequency import HighFrequencyLoss, gradient_difference
from benchmark.nn.precision import to_float32
from benchmark.nn.state_dict_names import Rules
from benchmark.registry import METHODS, build
from methods.mae import Part

# From the names of the official checkpoint (a plain state dict) to ours; its decoder stages are
# numbered from 5 downwards.
OFFICIAL_NAMES: Rules = (
    (r"(encoder\.blocks\.\d+\.mlp)\.lin", r"\1.fc"),
    (r"encoder\.", "encoder."),
    *((rf"decoder\.Up{5 - stage}\.up\.", f"decoder.stages.{stage}.up.") for stage in range(4)),
    *(
        (rf"decoder\.Up_conv{5 - stage}\.conv\.", f"decoder.stages.{stage}.conv.")
        for stage in range(4)
    ),
    (r"decoder\.Conv\.", "decoder.last."),
)
# Keeps the gradient of the square root finite at zero error.
_EPS = 1e-12


@METHODS.register_module()
class Frepa(Method):
    """Restoration in the image domain and in the frequency domain.

    The RMSE over a batch and batch normalisation couple the samples, so that a batch cannot be
    split into micro-batches.

    Args:
        views: `CorruptedView`: ``image`` and ``clean``.
        encoder: network with a single feature map.
        decoder: decodes the feature map to an image of three channels.
        high_frequency: `HighFrequencyLoss`.
        gradient_weight: weight of the gradient loss.
        high_frequency_weight: weight of L_HFL.
    """

    cross_sample: ClassVar[bool] = True
    encoder: SAMEncoder
    decoder: ConvDecoder
    high_frequency: HighFrequencyLoss

    def __init__(
        self,
        views: Part,
        encoder: Part,
        decoder: Part,
        high_frequency: Part,
        gradient_weight: float = 1.0,
        high_frequency_weight: float = 0.2,
    ) -> None:
        super().__init__(views)
        self.encoder = build(encoder)
        decoder = build(
            decoder, in_channels=self.encoder.widths[-1], stride=self.encoder.strides[-1]
        )
        self.decoder = convert_sync_batchnorm(decoder)
        self.high_frequency = build(high_frequency)
        self.gradient_weight = gradient_weight
        self.high_frequency_weight = high_frequency_weight

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        features = self.encoder.feature_maps(views["image"])[-1]
        self.observe(features.mean(dim=(2, 3)))
        restored = to_float32(self.decoder(features))
        target = views["clean"].expand_as(restored)
        gradient = gradient_difference(restored, target)
        high_frequency = self.high_frequency(restored, target)
        return {
            "loss_image": root_mean_square(restored - target),
            "loss_gradient": self.gradient_weight * gradient,
            "loss_high_frequency": self.high_frequency_weight * high_frequency,
        }


def root_mean_square(error: Tensor) -> Tensor:
    """√(mean error²) over the global batch; all processes must hold equally many samples."""
    mean = error.square().mean()
    if get_world_size() > 1:
        mean = all_reduce(mean) / get_world_size()
    return torch.sqrt(mean + _EPS)
