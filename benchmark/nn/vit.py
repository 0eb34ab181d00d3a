"""The Vision Transformer of the benchmark: timm's blocks under timm's state-dict names."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from timm.layers import PatchEmbed, QuickGELU, resample_abs_pos_embed
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.nn.backbones.base import block_groups, patch_map, weight_arguments
from benchmark.nn.patches import patchify
from benchmark.nn.tokens import gather_tokens
from benchmark.registry import BACKBONES
from benchmark.type_hints import Count, Natural, Positive, Rate

_ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "quick_gelu": QuickGELU}


def sincos_position_embedding(dim: int, grid: tuple[int, int]) -> Tensor:
    """Fixed 2-D sine-cosine position embedding, N×dim, in the MAE code's order: [column | row]."""
    frequency = 10000.0 ** (-np.arange(dim // 4, dtype=np.float64) / (dim / 4))
    row, column = np.meshgrid(np.arange(grid[0]), np.arange(grid[1]), indexing="ij")
    halves = []
    for position in (column, row):
        angle = position.reshape(-1, 1).astype(np.float64) * frequency
        halves += [np.sin(angle), np.cos(angle)]
    return torch.tensor(np.concatenate(halves, axis=1), dtype=torch.float32)


def initialise_like_mae(module: nn.Module) -> None:
    """Linear layers Xavier-uniform with zero bias; LayerNorm at 1 and 0 (MAE, official code)."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.LayerNorm):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


@BACKBONES.register_module()
class VisionTransformer(nn.Module):
    """Plain ViT (Dosovitskiy et al. 2021) that can run on the visible tokens only.

    State-dict names and shapes are those of timm's `VisionTransformer` without a head:
    `cls_token`, `pos_embed`, `patch_embed.proj`, `norm_pre`, `blocks.N.*`, `norm`.

    Initialised as in the MAE code: linear layers and the patch projection Xavier-uniform, biases 0,
    except for the projection's, which keeps torch's default. Methods with another initialisation
    apply it afterwards.

    Args:
        img_size: height and width of the input in pixels.
        patch_size: height and width of a patch in pixels; divides `img_size`.
        embed_dim: width D of the tokens.
        depth: number of blocks.
        num_heads: attention heads per block; divides `embed_dim`.
        mlp_ratio: hidden width of the MLP relative to D.
        class_token: prepend a CLS token.
        learned_pos_embed: train the position embedding instead of fixed sine-cosine values.
        drop_path: stochastic depth rate of the last block, increasing linearly from 0 in the first.
        in_channels: channels of the input.
        layer_scale: initial layer scale; None for no layer scale.
        final_norm: LayerNorm after the last block; without it `norm` is the identity.
        reg_tokens: registers after the CLS token (Darcet et al., ICLR 2024).
        no_embed_class: position embedding for patches only, as in DINOv2 with registers; otherwise
            CLS and registers have positions in front of those of the patches.
        norm_eps: epsilon of every LayerNorm.
        pre_norm: LayerNorm before the first block, and patches are embedded without bias, as in
            CLIP (Radford et al., ICML 2021).
        activation: activation of the MLPs; ``quick_gelu``, x·σ(1.702·x), is that of CLIP.

    Raises:
        InputError: indivisible sizes.
    """

    overrides: ClassVar[frozenset[str]] = frozenset({"drop_path", "learned_pos_embed"})
    unproven: ClassVar[frozenset[str]] = frozenset({"num_heads", "norm_eps", "activation"})

    def __init__(
        self,
        img_size: Count = 224,
        patch_size: Count = 16,
        embed_dim: Count = 768,
        depth: Count = 12,
        num_heads: Count = 12,
        mlp_ratio: Positive = 4.0,
        class_token: bool = True,
        learned_pos_embed: bool = False,
        drop_path: Rate = 0.0,
        in_channels: Count = 3,
        layer_scale: float | None = None,
        final_norm: bool = True,
        reg_tokens: Natural = 0,
        no_embed_class: bool = False,
        norm_eps: Positive = 1e-6,
        pre_norm: bool = False,
        activation: Literal["gelu", "quick_gelu"] = "gelu",
    ) -> None:
        arguments = weight_arguments(VisionTransformer, locals())
        super().__init__()
        if img_size % patch_size:
            raise InputError(f"ViT: patch_size={patch_size} does not divide img_size={img_size}")
        if embed_dim % num_heads or embed_dim % 4:
            raise InputError(f"ViT: embed_dim={embed_dim} must be a multiple of 4 and num_heads")
        self.arguments = arguments
        self.img_size = img_size
        self.patch_size = patch_size
        self.embed_dim = embed_dim
        self.grid_size = (img_size // patch_size, img_size // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        self.num_prefix_tokens = int(class_token) + reg_tokens
        self.num_prefix_positions = 0 if no_embed_class else self.num_prefix_tokens
        self.strides: tuple[int, ...] = (patch_size,)
        self.widths: tuple[int, ...] = (embed_dim,)
        self.norm_name = "norm" if final_norm else None

        self.patch_embed = PatchEmbed(
            *(img_size, patch_size, in_channels, embed_dim),
            bias=not pre_norm,
            strict_img_size=False,
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim)) if class_token else None
        self.reg_token = nn.Parameter(torch.zeros(1, reg_tokens, embed_dim)) if reg_tokens else None
        table = sincos_position_embedding(embed_dim, self.grid_size)
        prefix = torch.zeros(self.num_prefix_positions, embed_dim)
        self.pos_embed = nn.Parameter(
            torch.cat([prefix, table.to(prefix.device)])[None], requires_grad=learned_pos_embed
        )
        rates = torch.linspace(0, drop_path, depth, device="cpu").tolist()
        norm_layer = partial(nn.LayerNorm, eps=norm_eps)
        self.norm_pre = norm_layer(embed_dim) if pre_norm else nn.Identity()
        self.blocks = nn.ModuleList(
            Block(
                embed_dim,
                num_heads,
                mlp_ratio,
                qkv_bias=True,
                drop_path=rate,
                init_values=layer_scale,
                norm_layer=norm_layer,
                act_layer=_ACTIVATIONS[activation],
            )
            for rate in rates
        )
        self.norm = norm_layer(embed_dim) if final_norm else nn.Identity()

        initialise_like_mae(self)
        # As a linear layer on flattened patches; the bias keeps torch's default of convolutions.
        nn.init.xavier_uniform_(self.patch_embed.proj.weight.view(embed_dim, -1))
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=0.02)
        if self.reg_token is not None:
            nn.init.normal_(self.reg_token, std=1e-6)  # as in DINOv2

    def _grid(self, images: Tensor) -> tuple[int, int]:
        """Rows and columns of patches of B×C×H×W."""
        return (images.shape[-2] // self.patch_size, images.shape[-1] // self.patch_size)

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embedding for a grid of patches, interpolated (bicubic) if it is not its own.

        Without antialiasing, which would also change the cubic kernel, as in MAE, DINO, iBOT and
        DINOv2; with it for registers, as in DINOv2's models that have them. timm always applies it.
        """
        if grid == self.grid_size:
            return self.pos_embed
        return resample_abs_pos_embed(
            self.pos_embed,
            grid,
            self.grid_size,
            self.num_prefix_positions,
            antialias=self.reg_token is not None,
            verbose=False,
        )

    def embed(
        self,
        images: Tensor,
        ids_keep: Tensor | None = None,
        replace: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Tokens before the first block, B×(prefix + K)×D.

        Args:
            images: B×C×H×W, H and W multiples of the patch size.
            ids_keep: B×K indices of the visible patches; all patches if None.
            replace: a mask, B×N with 1 on masked patches, and the mask token, 1×1×D, that replaces
                their embedding before positions are added. Requires that all patches are embedded.
        """
        grid = self._grid(images)
        positions = self._positions(grid)
        prefix_positions, patch_positions = positions.split(
            [self.num_prefix_positions, grid[0] * grid[1]], dim=1
        )
        patches = patchify(images, self.patch_size)
        if ids_keep is not None:
            patches = gather_tokens(patches, ids_keep)
        # A convolution whose stride is its kernel size is linear; `patchify` puts channels last.
        weight = self.patch_embed.proj.weight.permute(0, 2, 3, 1).flatten(1)
        tokens = F.linear(patches, weight, self.patch_embed.proj.bias)
        if replace is not None:
            mask, token = replace
            tokens = torch.where(mask[..., None].bool(), token.to(tokens.dtype), tokens)
        if ids_keep is not None:
            patch_positions = gather_tokens(patch_positions.expand(len(tokens), -1, -1), ids_keep)
        tokens = tokens + patch_positions
        if self.num_prefix_tokens:
            special = [token for token in (self.cls_token, self.reg_token) if token is not None]
            prefix = torch.cat(special, dim=1)
            if self.num_prefix_positions:
                prefix = prefix + prefix_positions
            # Not len(tokens), with which the batch of an ONNX file would be fixed.
            tokens = torch.cat([prefix.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        return self.norm_pre(tokens)

    def layers(self, tokens: Tensor) -> list[Tensor]:
        """Tokens of `embed` after each block, without the final norm, each B×(prefix + K)×D."""
        outputs = []
        for block in self.blocks:
            tokens = block(tokens)
            outputs.append(tokens)
        return outputs

    def forward(self, images: Tensor, ids_keep: Tensor | None = None) -> Tensor:
        """Tokens after the last block and the final norm, B×(prefix + K)×D."""
        return self.norm(self.layers(self.embed(images, ids_keep))[-1])

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """One map of patch tokens, B×D×(H/P)×(W/P)."""
        return [patch_map(self(images), self.num_prefix_tokens, self._grid(images))]

    def layer_groups(self) -> list[list[str]]:
        """Embeddings and tokens, every block, the final norm."""
        early = ("patch_embed.", "pos_embed", "cls_token", "reg_token", "norm_pre.")
        return block_groups(self, early, "norm.")

    def trim(self, finest: int = 1, norm: bool = True) -> None:
        if not norm:
            self.norm, self.norm_name = nn.Identity(), None
