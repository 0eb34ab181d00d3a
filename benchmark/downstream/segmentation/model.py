"""Segmentor of the benchmark: encoder, a pyramid of its maps, UNet decoder.

The layer plan is CheXWorld's `UNetAdapterConv`, written here as mmsegmentation parts: a backbone
that yields the image and the maps of the encoder, a neck that makes a pyramid of them, a decode
head that climbs the pyramid. `SimpleFPN` makes the pyramid from the single map of a ViT; the maps
of a convolutional network already are one, which `LateralPyramid` brings to the widths of the
decoder. Norms are BatchNorm; they become SyncBN when several GPUs train together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from benchmark.downstream.backbone import EncoderMaps, normalised_as
from benchmark.encoders.card import EncoderCard
from benchmark.errors import InputError
from benchmark.nn.objectives.dice import dice_loss
from benchmark.registry import MODELS
from benchmark.type_hints import Count

WIDTHS = (64, 128, 256, 512)
"""Channels of the levels of the pyramid, finest first (CheXWorld)."""
STEM = 32
"""Channels of the decoder at full resolution (CheXWorld)."""


@MODELS.register_module()
class EncoderBackbone(EncoderMaps):
    """An exported encoder as a backbone: image in, (image, maps …) out; see `EncoderMaps`."""

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """B×3×H×W to the same images and the maps, each B×width×(H/stride)×(W/stride)."""
        return images, *super().forward(images)


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


def _enlarge(in_channels: int, out_channels: int) -> list[nn.Module]:
    """2×2 transposed convolution of stride 2, and its norm."""
    return [
        nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2),
        nn.BatchNorm2d(out_channels),
    ]


def _levels_of_patch16(width: int, widths: Sequence[int]) -> list[nn.Module]:
    levels: list[nn.Module] = []
    for steps, out in zip((3, 2, 1), widths):
        chain = [width // 2**step for step in range(steps)] + [out]
        units = [_conv_unit(a, b, upsample=True) for a, b in pairwise(chain)]
        levels.append(nn.Sequential(*units))
    return [*levels, _conv_unit(width, widths[3], upsample=False)]


def _levels_of_patch8(width: int, widths: Sequence[int]) -> list[nn.Module]:
    half, quarter = width // 2, width // 4
    shrink = [nn.Conv2d(width, 2 * width, 2, stride=2), nn.BatchNorm2d(2 * width)]
    ways = [
        ([*_enlarge(width, half), nn.GELU(), *_enlarge(half, quarter)], quarter),
        (_enlarge(width, half), half),
        ([], width),
        (shrink, 2 * width),
    ]
    return [
        nn.Sequential(*way, *_conv_unit(channels, out, upsample=False))
        for (way, channels), out in zip(ways, widths)
    ]


_VARIANTS = {"patch16": _levels_of_patch16, "patch8": _levels_of_patch8}


@MODELS.register_module()
class SimpleFPN(nn.Module):
    """Pyramid at strides 2, 4, 8, 16 from the one map of a ViT (CheXWorld).

    ``patch16`` is CheXWorld's pyramid for patches of 16²: level i is made by 3 − i up-sampling
    units that halve the width on their way, the last one ending at widths[i]; the stride-16 level
    by a 1×1 convolution. ``patch8`` is the one for patches of 8²: transposed convolutions for
    strides 2 and 4, the map itself for 8, a convolution of stride 2 for 16, each followed by a 1×1
    unit. With other patch sizes both give the same pyramid relative to the map; the decoder resizes
    maps that do not match the image.

    Args:
        in_channels: width D of the ViT.
        widths: channels of the four levels, finest first.
        variant: ``"patch16"`` or ``"patch8"``.

    Raises:
        InputError: another variant, or not four widths.
    """

    def __init__(
        self, in_channels: Count, widths: Sequence[Count] = WIDTHS, variant: str = "patch16"
    ) -> None:
        super().__init__()
        if variant not in _VARIANTS:
            raise InputError(f"model.neck.variant={variant!r} is not one of {', '.join(_VARIANTS)}")
        if len(widths) != 4:
            raise InputError(f"model.neck.widths={tuple(widths)}: the pyramid has four levels")
        self.levels = nn.ModuleList(_VARIANTS[variant](in_channels, widths))

    def forward(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """(image, map) to (image, finest level, …, coarsest level)."""
        images, features = inputs
        return (images, *(level(features) for level in self.levels))


class LateralPyramid(nn.Module):
    """The pyramid of a convolutional encoder's own maps, at the widths of the decoder.

    Each map goes through a 1×1 convolution, norm and GELU, as the coarsest level of `SimpleFPN`.

    Args:
        in_channels: channels of the encoder's maps, finest first.
        widths: channels of the levels, equally many.
    """

    def __init__(self, in_channels: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            _conv_unit(a, b, upsample=False) for a, b in zip(in_channels, widths, strict=True)
        )

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """(image, maps …) to (image, finest level, …, coarsest level)."""
        images, *maps = inputs
        return (images, *(level(one) for level, one in zip(self.levels, maps, strict=True)))


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


@MODELS.register_module()
class UNetDecoder(BaseDecodeHead):
    """Decoder that climbs the pyramid to full resolution (CheXWorld, UNETR-like).

    Each step enlarges the coarser map to the size of the finer one (nearest), concatenates both
    and applies a residual block; the last finer map is a residual stem on the image itself.

    Args:
        widths: channels of the pyramid levels, finest first.
        stem: channels of the stem, and of the output.
        kwargs: arguments of mmsegmentation's `BaseDecodeHead` (classes, losses, threshold).
    """

    def __init__(self, widths: Sequence[Count] = WIDTHS, stem: Count = STEM, **kwargs: Any) -> None:
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


def losses_of_head(
    head: BaseDecodeHead, logits: Tensor, samples: list[SegDataSample]
) -> dict[str, Tensor]:
    """mmsegmentation's `BaseDecodeHead.loss_by_feat` without its accuracy, which is not logged.

    97 % of a frame is background, and overlapping classes have no accuracy; on a GPU the host would
    wait for it twice in every step.

    Args:
        head: its losses, its sampler and its way of resizing.
        logits: B×C×h×w.
        samples: B, with labels of 1×H×W.

    Returns:
        Name of a loss → its value; losses of one name are summed.
    """
    label = torch.stack([sample.gt_sem_seg.data for sample in samples])
    logits = resize(logits, size=label.shape[2:], mode="bilinear", align_corners=head.align_corners)
    weight = None if head.sampler is None else head.sampler.sample(logits, label)
    several = isinstance(head.loss_decode, nn.ModuleList)
    losses: dict[str, Tensor] = {}
    for loss in head.loss_decode if several else [head.loss_decode]:
        value = loss(logits, label.squeeze(1), weight=weight, ignore_index=head.ignore_index)
        name = loss.loss_name
        losses[name] = losses[name] + value if name in losses else value
    return losses


def compute_losses_only(model: nn.Module) -> None:
    """Make the decode heads of a segmentor compute their losses only, see `losses_of_head`.

    Heads with a `loss_by_feat` of their own keep it.
    """
    for head in model.modules():
        if getattr(type(head), "loss_by_feat", None) is BaseDecodeHead.loss_by_feat:
            head.loss_by_feat = MethodType(losses_of_head, head)


def class_masks(label: Tensor, classes: int) -> Tensor:
    """The masks of pictures of bits: B×H×W to float B×classes×H×W (see `LoadTruth`)."""
    bits = torch.arange(classes, device=label.device)
    return ((label[:, None] >> bits[:, None, None]) & 1).float()


@MODELS.register_module()
class BinaryCrossEntropy(nn.Module):
    """BCE on the logits of every class, in the calling convention of mmsegmentation's losses."""

    loss_name = "loss_bce"

    def forward(
        self, logits: Tensor, label: Tensor, weight: None = None, ignore_index: int = 255
    ) -> Tensor:
        target = class_masks(label, logits.shape[1])
        return F.binary_cross_entropy_with_logits(logits.float(), target)


@MODELS.register_module()
class BinaryDice(nn.Module):
    """1 − soft Dice (MONAI's), mean over images and classes; called as `BinaryCrossEntropy`."""

    loss_name = "loss_dice"

    def forward(
        self, logits: Tensor, label: Tensor, weight: None = None, ignore_index: int = 255
    ) -> Tensor:
        return dice_loss(logits.float(), class_masks(label, logits.shape[1]))


def fit_to_encoder(spec: dict[str, Any], card: EncoderCard) -> dict[str, Any]:
    """Fill what follows from the encoder into the config of a segmentor.

    Frames are normalised as in pre-training. A neck for one map gets the width of the coarsest.
    Where the encoder has several, `LateralPyramid` takes the place of `SimpleFPN`, with a level for
    each: the coarsest ones with the decoder's widths in the config, finer ones with its stem's.

    Args:
        spec: has `data_preprocessor`, `backbone`, `neck` and `decode_head`.
        card: card of the encoder in the backbone.

    Returns:
        A new config.
    """
    neck, head = spec["neck"], spec["decode_head"]
    fitted = {**spec, "data_preprocessor": normalised_as(spec["data_preprocessor"], card)}
    if len(card.strides) == 1:
        return {**fitted, "neck": {**neck, "in_channels": card.widths[0]}}
    if neck["type"] is not SimpleFPN:
        return {
            **fitted,
            "backbone": {**spec["backbone"], "finest": card.strides[-1]},
            "neck": {**neck, "in_channels": card.widths[-1]},
        }
    count, given = len(card.strides), tuple(neck.get("widths", WIDTHS))
    widths = (*[head.get("stem", STEM)] * (count - len(given)), *given[-count:])
    return {
        **fitted,
        "neck": {"type": LateralPyramid, "in_channels": list(card.widths), "widths": widths},
        "decode_head": {**head, "widths": widths},
    }
