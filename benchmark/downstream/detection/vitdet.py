"""A plain ViT as a detection backbone (ViTDet; Li, Mao, Girshick, He, ECCV 2022).

What it adds to the pre-trained encoder: attention within windows in most blocks and over the whole
image in a few, and decomposed relative positions (Li et al., MViTv2, CVPR 2022, eq. 4) in all of
them. Both follow the authors' release in detectron2 (`modeling/backbone/vit.py`), parameter names
included.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from benchmark.downstream.backbone import check_channels
from benchmark.encoders.card import EncoderCard, check_patches, read_encoder_card
from benchmark.encoders.encoder import load_encoder
from benchmark.errors import InputError
from benchmark.nn.backbones.base import block_groups
from benchmark.registry import MODELS
from benchmark.type_hints import Count, Natural, Rate

# The parameters of an encoder that a ViTDet backbone uses, or drops.
_PARTS = {"patch_embed", "pos_embed", "cls_token", "reg_token", "norm_pre", "blocks", "norm"}
_BLOCK_PARTS = {"norm1", "attn", "ls1", "norm2", "mlp", "ls2"}
_ATTENTION_PARTS = {"qkv", "proj"}


def window_partition(maps: Tensor, window: int) -> tuple[Tensor, tuple[int, int]]:
    """Cut maps into windows; zeros fill the last ones at the right and at the bottom.

    Args:
        maps: B×H×W×D.
        window: side of a window.

    Returns:
        (B·windows)×window×window×D, in raster order, and the padded height and width.
    """
    height, width = maps.shape[1:3]
    maps = F.pad(maps, (0, 0, 0, -width % window, 0, -height % window))
    padded = (maps.shape[1], maps.shape[2])
    maps = maps.unflatten(2, (-1, window)).unflatten(1, (-1, window))
    return maps.transpose(2, 3).flatten(0, 2), padded


def window_merge(windows: Tensor, padded: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The inverse of `window_partition`: B×H×W×D of `size`, without the padding."""
    window = windows.shape[1]
    rows, columns = padded[0] // window, padded[1] // window
    maps = windows.unflatten(0, (-1, rows, columns)).transpose(2, 3)
    maps = maps.flatten(3, 4).flatten(1, 2)
    return maps[:, : size[0], : size[1]].contiguous()


def relative_positions(table: Tensor, size: int) -> Tensor:
    """Embedding of the offset between every query and every key along one axis.

    Args:
        table: (2·S − 1)×C, offsets −(S − 1) … S − 1; resampled linearly if S is not `size`.
        size: number N of positions on the axis.

    Returns:
        N×N×C; entry (q, k) is that of the offset q − k.
    """
    length = 2 * size - 1
    if len(table) != length:
        table = F.interpolate(table.T[None], size=length, mode="linear")[0].T
    place = torch.arange(size, device=table.device)
    return table[place[:, None] - place + size - 1]


class RelativeAttention(nn.Module):
    """Self-attention with decomposed relative positions.

    logit(q, k) = q·k / √C + q·R_h[row_q − row_k] + q·R_w[column_q − column_k], one pair of tables
    for all heads. The tables start at zero, where this is the attention of the encoder.

    Args:
        attention: timm's attention, whose weights are reused.
        size: side of the square of tokens it is trained on.

    Raises:
        InputError: the attention has parameters that have no place here.
    """

    new_parameters: ClassVar = ("rel_pos_h", "rel_pos_w")  # which are not the encoder's

    def __init__(self, attention: nn.Module, size: int) -> None:
        super().__init__()
        _refuse_unknown(attention, _ATTENTION_PARTS, "attention")
        self.num_heads: int = attention.num_heads
        self.qkv = attention.qkv
        self.proj = attention.proj
        head_dim = self.qkv.out_features // 3 // self.num_heads
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * size - 1, head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * size - 1, head_dim))

    def forward(self, maps: Tensor) -> Tensor:
        """B×H×W×D to the same shape; every token attends to all H·W."""
        height, width = maps.shape[1:3]
        # 3×B×heads×HW×C
        qkv = self.qkv(maps).flatten(1, 2).unflatten(2, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        places = query.unflatten(2, (height, width))
        rows = relative_positions(self.rel_pos_h, height)
        columns = relative_positions(self.rel_pos_w, width)
        bias = (
            torch.einsum("bnhwc,hkc->bnhwk", places, rows)[..., :, None]
            + torch.einsum("bnhwc,wkc->bnhwk", places, columns)[..., None, :]
        )
        bias = bias.flatten(4, 5).flatten(2, 3)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.proj(attended.transpose(1, 2).flatten(2)).unflatten(1, (height, width))


class ViTDetBlock(nn.Module):
    """A block of the encoder on maps, its attention within windows or global.

    The padding of the last windows is not masked out: its tokens, zero before the projection to
    keys and values, are attended to (authors' code).

    Args:
        block: timm's block, whose parts are reused.
        window: side of the windows; None for global attention.
        grid: side of the map in tokens.
    """

    def __init__(self, block: nn.Module, window: int | None, grid: int) -> None:
        super().__init__()
        _refuse_unknown(block, _BLOCK_PARTS, "block")
        self.window = window
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.attn = RelativeAttention(block.attn, window or grid)
        self.mlp = block.mlp
        self.ls1, self.ls2 = block.ls1, block.ls2
        self.drop_path1, self.drop_path2 = block.drop_path1, block.drop_path2

    def _attend(self, maps: Tensor) -> Tensor:
        if self.window is None:
            return self.attn(maps)
        windows, padded = window_partition(maps, self.window)
        return window_merge(self.attn(windows), padded, (maps.shape[1], maps.shape[2]))

    def forward(self, maps: Tensor) -> Tensor:
        """B×H×W×D to the same shape."""
        maps = maps + self.drop_path1(self.ls1(self._attend(self.norm1(maps))))
        return maps + self.drop_path2(self.ls2(self.mlp(self.norm2(maps))))


@MODELS.register_module()
class ViTDet(nn.Module):
    """An exported ViT as a detection backbone: image in, its last map out, without a final norm.

    The blocks fall into `global_blocks` equal subsets; the last of each attends globally, the
    others within windows (2, 5, 8 and 11 of 12 blocks). The class token and registers are dropped,
    and so are their places in the position table; the rest of the table is trained at the size of
    the pre-training and resampled (bicubic) to that of the image. Everything else is trained too.

    Args:
        folder: holds `encoder.safetensors` and `encoder.json`; loaded strictly. A card alone gives
            initial weights.
        img_size: side of the images in pixels, a multiple of the patch size. Others work too;
            the relative positions of global attention are resampled then.
        window_size: side of the windows in patches.
        global_blocks: number of blocks with global attention; divides the depth.
        drop_path: stochastic depth of the last block, rising linearly from 0 at the first.

    Raises:
        InputError: the encoder is missing, damaged or not a plain ViT, or a size does not divide.
    """

    card: EncoderCard

    def __init__(
        self,
        folder: str | EncoderCard,
        img_size: Count = 512,
        window_size: int = 14,
        global_blocks: Natural = 4,
        drop_path: Rate = 0.1,
    ) -> None:
        super().__init__()
        self.card = read_encoder_card(folder)
        if self.card.architecture != "vit":
            raise InputError(
                f"{folder}: an encoder of architecture {self.card.architecture!r}; ViTDet takes "
                f"plain ViTs only, choose another backbone"
            )
        check_channels(self.card, folder)
        check_patches(self.card, img_size)
        vit, _ = load_encoder(folder, drop_path=drop_path)
        _refuse_unknown(vit, _PARTS, "trunk")
        depth = len(vit.blocks)
        if global_blocks < 1 or depth % global_blocks:
            raise InputError(
                f"model.backbone.global_blocks={global_blocks} does not divide the {depth} blocks "
                f"of {folder}; choose a divisor"
            )
        self.grid_size = vit.grid_size
        self.patch_embed = vit.patch_embed
        patches = vit.pos_embed.detach()[:, vit.num_prefix_positions :]
        self.pos_embed = nn.Parameter(patches.clone())
        self.norm_pre = vit.norm_pre
        every = depth // global_blocks
        self.blocks = nn.ModuleList(
            ViTDetBlock(
                block, None if number % every == 0 else window_size, img_size // vit.patch_size
            )
            for number, block in enumerate(vit.blocks, start=1)
        )

    def layer_groups(self) -> list[list[str]]:
        """See `Encoder`: embeddings, every block, and nothing after them."""
        return block_groups(self, ("patch_embed.", "pos_embed", "norm_pre."), "norm.")

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """B×3×H×W to one map, B×D×(H/P)×(W/P)."""
        patch = self.card.patch_size
        grid = (images.shape[-2] // patch, images.shape[-1] // patch)
        positions: Tensor = self.pos_embed
        if grid != self.grid_size:
            # Without anti-aliasing, which would use a different bicubic kernel from the authors'.
            positions = resample_abs_pos_embed(
                positions, grid, self.grid_size, num_prefix_tokens=0, antialias=False
            )
        maps = self.norm_pre(self.patch_embed(images) + positions).unflatten(1, grid)
        for block in self.blocks:
            maps = block(maps)
        return (maps.permute(0, 3, 1, 2),)


def _refuse_unknown(module: nn.Module, known: set[str], what: str) -> None:
    """A parameter without a place here would be lost silently."""
    unknown = {name.partition(".")[0] for name, _ in module.named_parameters()} - known
    if unknown:
        raise InputError(
            f"model.backbone: an encoder whose {what} has {', '.join(sorted(unknown))}; ViTDet "
            f"takes plain ViTs only ({', '.join(sorted(known))}), choose another encoder"
        )
