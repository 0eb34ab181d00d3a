"""Models Genesis: self-taught by restoring corrupted images (Zhou et al., MICCAI 2019; MedIA 2021).

An image is corrupted by flips, local pixel shuffling, a non-linear intensity transformation and
in- or out-painting; the network restores it. The loss is the mean squared error over the full
image, L = mean (σ(x̂) − x)², with intensities in [0, 1]; σ is part of the official network.

*Two dimensions.* The released code is three-dimensional: CT volumes and a U-Net. This is a port to
images and to the encoder that all methods share. The corruptions keep their order, probabilities
and sizes relative to the image (`benchmark.nn.corruptions.genesis`). The encoder sees all tokens,
and one linear layer maps each to its patch: the official U-Net's decoder is transferred as well,
whereas here only the encoder is exported, so the head should leave the work to it. There are no
name rules for the released checkpoint, whose three-dimensional kernels do not fit into a ViT.
"""

from __future__ import annotations

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
    """Restoration of a corrupted grayscale image.

    Args:
        views: `CorruptedView`: ``image`` and ``clean``.
        encoder: ViT.
        decoder: predicts the intensities of every patch, before the sigmoid, from its own token.
    """

    encoder: VisionTransformer
    decoder: LinearDecoder

    def __init__(
        self,
        views: Part,
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
