"""The image encoder of Segment Anything (Kirillov et al., ICCV 2023), which LVM-Med fine-tunes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from timm.models.vision_transformer_sam import VisionTransformerSAM
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.nn.backbones.base import TimmTransformer, block_groups, check_sizes
from benchmark.registry import BACKBONES
from benchmark.type_hints import Count, Natural, Positive, Rate


@BACKBONES.register_module()
class SAMEncoder(TimmTransformer, VisionTransformerSAM):
    """timm's `VisionTransformerSAM` without a head; state-dict names are timm's.

    Window attention in all but a few blocks, with decomposed relative positions (Li et al., ViTDet,
    ECCV 2022) that are interpolated linearly at other image sizes; no CLS token. The defaults are
    SAM's ViT-B. LVM-Med's (Nguyen et al., NeurIPS 2023) has `abs_pos=False`; Frepa's (Chu et al.,
    TMI 2025) has `window_size=0`, `rel_pos=False`, `neck_channels=128` and `norm_eps=1e-5`.

    The neck (1×1 convolution, norm, 3×3 convolution, norm) is always applied. Without a neck, a
    final LayerNorm follows the last block, which is also named `neck`.

    Args:
        img_size, patch_size, embed_dim, depth, num_heads, mlp_ratio, in_channels, drop_path: see
            `TimmTransformer`.
        window_size: side of the windows in patches; 0 for global attention everywhere.
        global_blocks: blocks, from 0, that attend globally.
        abs_pos: absolute position embedding.
        rel_pos: relative positions in every block.
        neck_channels: channels of the neck and the feature map; None for no neck.
        norm_eps: epsilon of the LayerNorms of the blocks.

    Raises:
        InputError: indivisible sizes, or a global block that does not exist.
    """

    overrides: ClassVar[frozenset[str]] = frozenset({"drop_path"})
    unproven: ClassVar[frozenset[str]] = frozenset(
        {"num_heads", "norm_eps", "window_size", "global_blocks", "img_size"}
    )

    def __init__(
        self,
        img_size: Count = 1024,
        patch_size: Count = 16,
        embed_dim: Count = 768,
        depth: Count = 12,
        num_heads: Count = 12,
        mlp_ratio: Positive = 4.0,
        window_size: Natural = 14,
        global_blocks: Sequence[Natural] = (2, 5, 8, 11),
        abs_pos: bool = True,
        rel_pos: bool = True,
        neck_channels: Count | None = 256,
        norm_eps: Positive = 1e-6,
        in_channels: Count = 3,
        drop_path: Rate = 0.0,
    ) -> None:
        check_sizes("SAM", img_size, patch_size, embed_dim, num_heads)
        if not set(global_blocks) <= set(range(depth)):
            raise InputError(f"SAM: global_blocks={global_blocks}: there are 0 to {depth - 1}")
        self.build_timm(
            SAMEncoder,
            locals(),
            nn.LayerNorm,
            use_abs_pos=abs_pos,
            use_rel_pos=rel_pos,
            window_size=window_size,
            global_attn_indexes=tuple(global_blocks),
            neck_chans=neck_channels,
        )
        self.num_prefix_tokens = 0
        self.widths = (neck_channels or embed_dim,)
        self.norm_name = None if neck_channels else "neck"

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.feature_maps(images)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """One map after the neck, B×width×(H/P)×(W/P)."""
        return [self.forward_features(images)]

    def layer_groups(self) -> list[list[str]]:
        """Embeddings, every block, the neck."""
        return block_groups(self, ("patch_embed.", "pos_embed"), "neck.")

    def trim(self, finest: int = 1, norm: bool = True) -> None:
        """A convolutional neck is not a norm, and is kept."""
        super().trim(finest, norm or self.norm_name is None)
