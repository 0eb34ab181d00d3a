"""ViT segmentor of the benchmark: encoder, SimpleFPN adaptor, UNet decoder.

The layer plan is CheXWorld's `UNetAdapterConv`, written here as mmsegmentation parts: a backbone
that yields the image and one feature map, a neck that makes a pyramid of it, a decode head that
climbs the pyramid. Norms are BatchNorm; they become SyncBN when several GPUs train together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from benchmark.engine.encoder import EncoderCard, load_encoder
from benchmark.errors import InputError
from benchmark.nn.losses import dice_loss


class EncoderBackbone(nn.Module):
    """An exported ViT as a backbone: image in, (image, last feature map) out.

    All parameters are trained, the position table included.

    Args:
        folder: holds `encoder.safetensors` and `encoder.json`; loaded strictly.
        drop_path: stochastic depth of the last block.
        final_norm: apply the encoder's final norm to the map.
    """

    card: EncoderCard

    def __init__(self, folder: str, drop_path: float = 0.1, final_norm: bool = True) -> None:
        super().__init__()
        self.vit, self.card = load_encoder(folder, drop_path=drop_path, learned_pos_embed=True)
        self.final_norm = final_norm
        if not final_norm:
            # The norm would get no gradient, which distributed training treats as an error.
            self.vit.norm.requires_grad_(False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """B×3×H×W to the same images and B×D×(H/P)×(W/P)."""
        (features,) = self.vit.feature_maps(images, norm=self.final_norm)
        return images, features


def _conv_unit(in_channels: int, out_channels: int, upsample: bool) -> nn.Sequential:
    """Nearest ×2 and 3×3 convolution, or a 1×1 convolution; then norm and GELU."""
    layers: list[nn.Module] = []
    if upsample:
        layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
    kernel = 3 if upsample else 1
    layers += [
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2),
        nn.BatchNorm2d(out_channels),
        nn.GELU(),
    ]
    return nn.Sequential(*layers)


class SimpleFPN(nn.Module):
    """Pyramid at strides 2, 4, 8, 16 from the one map of a patch-16 ViT (CheXWorld).

    Level i is made by 3 − i up-sampling units that halve the width on their way, the last one
    landing on width[i]; the stride-16 level by a 1×1 convolution. Other patch sizes give the same
    pyramid relative to the map; the decoder resizes what does not meet the image.

    Args:
        in_channels: width D of the ViT.
        widths: channels of the levels, finest first.
    """

    def __init__(self, in_channels: int, widths: Sequence[int] = (64, 128, 256, 512)) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        for steps, width in zip((3, 2, 1, 0), widths):
            if steps == 0:
                self.levels.append(_conv_unit(in_channels, width, upsample=False))
                continue
            chain = [in_channels // 2**step for step in range(steps)] + [width]
            units = [_conv_unit(a, b, upsample=True) for a, b in pairwise(chain)]
            self.levels.append(nn.Sequential(*units))

    def forward(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """(image, map) to (image, finest level, …, coarsest level)."""
        images, features = inputs
        return (images, *(level(features) for level in self.levels))


class ResidualBlock(nn.Module):
    """(3×3 convolution, norm, GELU) twice, plus the input (1×1 convolution if widths differ)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.GELU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.GELU(),
        )
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        return self.body(maps) + self.shortcut(maps)


class UNetDecoder(BaseDecodeHead):
    """Decoder that climbs the pyramid to full resolution (CheXWorld, UNETR-like).

    Each step enlarges the coarser map to the size of the finer one (nearest), concatenates both
    and applies a residual block; the last finer map is a residual stem on the image itself.

    Args:
        widths: channels of the pyramid levels, finest first.
        stem: channels of the stem, and of the output.
        kwargs: arguments of mmsegmentation's `BaseDecodeHead` (classes, losses, threshold).
    """

    def __init__(
        self, widths: Sequence[int] = (64, 128, 256, 512), stem: int = 32, **kwargs: Any
    ) -> None:
        super().__init__(
            in_channels=list(widths),
            in_index=list(range(len(widths))),
            input_transform="multiple_select",
            channels=stem,
            dropout_ratio=0.0,
            init_cfg=None,
            **kwargs,
        )
        self.stem = ResidualBlock(3, stem)
        finer = (stem, *widths[:-1])
        self.blocks = nn.ModuleList(
            ResidualBlock(coarse + fine, fine) for coarse, fine in zip(widths, finer)
        )

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """(image, finest level, …, coarsest level) to logits at image size."""
        images, *levels = inputs
        skips = [self.stem(images), *levels[:-1]]
        maps = levels[-1]
        for block, skip in zip(reversed(self.blocks), reversed(skips)):
            maps = F.interpolate(maps, size=skip.shape[2:], mode="nearest")
            maps = block(torch.cat([maps, skip], dim=1))
        return self.cls_seg(maps)


def class_masks(label: Tensor, classes: int) -> Tensor:
    """The masks of pictures of bits: B×H×W to float B×classes×H×W (see `LoadTruth`)."""
    bits = torch.arange(classes, device=label.device)
    return ((label[:, None] >> bits[:, None, None]) & 1).float()


class BinaryCrossEntropy(nn.Module):
    """BCE on the logits of every class, in the calling convention of mmsegmentation's losses."""

    loss_name = "loss_bce"

    def forward(
        self, logits: Tensor, label: Tensor, weight: None = None, ignore_index: int = 255
    ) -> Tensor:
        target = class_masks(label, logits.shape[1])
        return F.binary_cross_entropy_with_logits(logits.float(), target)


class BinaryDice(nn.Module):
    """1 − soft Dice (MONAI's), mean over images and classes; called as `BinaryCrossEntropy`."""

    loss_name = "loss_dice"

    def forward(
        self, logits: Tensor, label: Tensor, weight: None = None, ignore_index: int = 255
    ) -> Tensor:
        return dice_loss(logits.float(), class_masks(label, logits.shape[1]))


def check_patches(card: EncoderCard, size: int) -> None:
    """Refuse an image size the encoder cannot cut into patches."""
    if size % card.patch_size:
        raise InputError(
            f"image size {size} is no multiple of the encoder's patch size {card.patch_size}"
        )
