"""The ViT of DINOv3 (Siméoni et al. 2025): axial rotary positions, registers, layer scale."""

from __future__ import annotations

from typing import ClassVar

from timm.layers import LayerNorm
from timm.models.eva import Eva
from torch import Tensor

from benchmark.nn.backbones.base import TimmTransformer, block_groups, check_sizes
from benchmark.registry import BACKBONES
from benchmark.type_hints import Count, Natural, Positive, Rate


@BACKBONES.register_module()
class EvaEncoder(TimmTransformer, Eva):
    """timm's `Eva` as DINOv3 uses it, without a head; state-dict names are timm's.

    The defaults are DINOv3 ViT-B/16. MedDINOv3 has the same layers with `norm_eps=1e-6`. There is
    no position embedding: queries and keys of patches are rotated by their positions on a grid that
    spans [−1, 1] at every image size. Rotations are computed in single precision; the class of
    MedDINOv3's released model computes them in bf16, which moves their sines by up to 0.03.

    Args:
        img_size, patch_size, embed_dim, depth, num_heads, mlp_ratio, in_channels, drop_path: see
            `TimmTransformer`; the width of a head is a multiple of 4.
        qkv_bias: queries and values have a bias; keys have none in either case.
        reg_tokens: registers after the CLS token.
        layer_scale: initial layer scale; None for no layer scale.
        rope_temperature: longest period of the rotation relative to the shortest.
        norm_eps: epsilon of every LayerNorm.

    Raises:
        InputError: indivisible sizes.
    """

    overrides: ClassVar[frozenset[str]] = frozenset({"drop_path"})
    unproven: ClassVar[frozenset[str]] = frozenset(
        {"num_heads", "norm_eps", "rope_temperature", "img_size"}
    )

    def __init__(
        self,
        img_size: Count = 224,
        patch_size: Count = 16,
        embed_dim: Count = 768,
        depth: Count = 12,
        num_heads: Count = 12,
        mlp_ratio: Positive = 4.0,
        qkv_bias: bool = False,
        reg_tokens: Natural = 4,
        layer_scale: float | None = 1e-5,
        rope_temperature: Positive = 100.0,
        norm_eps: Positive = 1e-5,
        in_channels: Count = 3,
        drop_path: Rate = 0.0,
    ) -> None:
        check_sizes("Eva", img_size, patch_size, embed_dim, num_heads, multiple=4)
        self.build_timm(
            EvaEncoder,
            locals(),
            LayerNorm,
            global_pool="token",
            qkv_bias=qkv_bias,
            init_values=layer_scale,
            num_reg_tokens=reg_tokens,
            use_abs_pos_emb=False,
            use_rot_pos_emb=True,
            rope_type="dinov3",
            rope_temperature=rope_temperature,
            rope_rotate_half=True,
            use_fc_norm=False,
            dynamic_img_size=True,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Tokens after the last block and the final norm, B×(prefix + N)×D."""
        return self.forward_features(images)

    def layer_groups(self) -> list[list[str]]:
        """Embeddings and tokens, every block, the final norm."""
        return block_groups(self, ("patch_embed.", "cls_token", "reg_token"), "norm.")
