"""Models Genesis: self-taught by restoring corrupted images (Zhou et al., MICCAI 2019; MedIA 2021).

An image is flipped, shuffled locally, sent through a non-linear curve and painted over; the network
restores it. The loss is the squared error of the whole image, L = mean (σ(x̂) − x)², with grey
values in [0, 1]; the sigmoid is part of the official network.

*Two dimensions.* The released code is three-dimensional: cubes of CT and a U-Net. This is a port to
images and to the encoder all methods share. The corruptions keep their order, their probabilities
and their sizes relative to the image (`benchmark.nn.corruptions.genesis`). The encoder sees all
tokens, and one linear layer turns each into its patch: U-Net's decoder is pre-trained and used
downstream as well, whereas here only the encoder is exported, and a head that can do nothing alone
leaves the work to it. For the same reason there is no key rule for the released checkpoint: its
three-dimensional kernels have no place in a ViT.
"""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from benchmark.method import Method, Progress
from benchmark.nn.decoders.mae import LinearDecoder
from benchmark.nn.patches import patchify
from benchmark.nn.precision import to_float32
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import METHODS, build
from methods.mae import Part


@METHODS.register_module()
class ModelsGenesis(Method):
    """Restoration of a corrupted grey image.

    Args:
        views: `CorruptedView`: ``image`` and ``clean``.
        encoder: ViT.
        decoder: predicts the grey values of every patch, before the sigmoid, from its own token.
    """

    encoder: VisionTransformer
    decoder: LinearDecoder

    def __init__(
        self,
        views: BaseDataPreprocessor | dict[str, Any],
        encoder: Part,
        decoder: Part,
    ) -> None:
        super().__init__(views)
        self.encoder = build(encoder)
        self.decoder = build(
            decoder,
            encoder_dim=self.encoder.embed_dim,
            patch_size=self.encoder.patch_size,
            in_channels=1,
        )

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        tokens = self.encoder(views["image"])[:, self.encoder.num_prefix_tokens :]
        self.observe(tokens.mean(dim=1))
        restored = to_float32(self.decoder(tokens)).sigmoid()
        target = patchify(views["clean"], self.encoder.patch_size)
        return {"loss_restoration": (restored - target).square().mean()}
