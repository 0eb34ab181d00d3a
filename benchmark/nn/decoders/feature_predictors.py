"""Predictors of features: narrow ViTs that tell the features of some patches from those of others.

Attribute names are those of the official checkpoints of I-JEPA and CheXWorld.
"""

from __future__ import annotations

from functools import partial

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.nn.vit import sincos_position_embedding
from benchmark.registry import DECODERS
from benchmark.type_hints import Count


def initialise_like_jepa(module: nn.Module) -> None:
    """Normal, std 0.02, cut off at ±2, without biases; LayerNorm at 1 and 0 (I-JEPA, its code)."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.LayerNorm):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


def select(tokens: Tensor, ids: Tensor) -> Tensor:
    """The tokens in the given places: B×N×D and B×… to B×…×D."""
    picked = tokens.gather(1, ids.flatten(1)[..., None].expand(-1, -1, tokens.shape[2]))
    return picked.unflatten(1, ids.shape[1:])


@DECODERS.register_module()
class JEPAPredictor(nn.Module):
    """The predictor of I-JEPA (Assran et al., CVPR 2023, §3).

    Context tokens at their positions, and a mask token at each position of *one* target block, go
    through a narrow ViT together; what the mask tokens have become is the prediction.

    Args:
        encoder_dim: width of the encoder's tokens.
        grid_size: rows and columns of patches.
        num_heads: attention heads per block; the encoder's in all official recipes.
        width: token width of the predictor; a multiple of 4 and of `num_heads`.
        depth: number of blocks: 6 for ViT-B.

    Raises:
        InputError: `width` does not divide.
    """

    def __init__(
        self,
        encoder_dim: Count,
        grid_size: tuple[int, int],
        num_heads: Count,
        width: Count = 384,
        depth: Count = 6,
    ) -> None:
        super().__init__()
        if width % num_heads or width % 4:
            raise InputError(
                f"predictor: width={width} must be a multiple of 4 and of num_heads={num_heads}"
            )
        self.predictor_embed = nn.Linear(encoder_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        table = sincos_position_embedding(width, grid_size)
        self.predictor_pos_embed = nn.Parameter(table[None], requires_grad=False)
        norm_layer = partial(nn.LayerNorm, eps=1e-6)
        self.predictor_blocks = nn.ModuleList(
            Block(width, num_heads, 4.0, qkv_bias=True, norm_layer=norm_layer) for _ in range(depth)
        )
        self.predictor_norm = norm_layer(width)
        self.predictor_proj = nn.Linear(width, encoder_dim)
        initialise_like_jepa(self)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, context: Tensor, context_ids: Tensor, target_ids: Tensor) -> Tensor:
        """Predict the blocks, each by itself.

        Args:
            context: encoder output, B×K×D.
            context_ids: B×K, where the context lies.
            target_ids: B×M×T, the blocks to predict.

        Returns:
            B×M×T×D.
        """
        count = target_ids.shape[1]
        table = self.predictor_pos_embed.expand(len(context), -1, -1)
        queries = self.mask_token + select(table, target_ids).flatten(0, 1)
        # Blocks do not see each other: each is a sample with the same context.
        tokens = self.place(context, context_ids).repeat_interleave(count, dim=0)
        return self.answer(tokens, queries).unflatten(0, (-1, count))

    def place(self, context: Tensor, context_ids: Tensor) -> Tensor:
        """Context tokens in the predictor's width, at their positions; B×K×width."""
        return self.predictor_embed(context) + self.predictor_pos_embed[0][context_ids]

    def answer(self, tokens: Tensor, queries: Tensor) -> Tensor:
        """What the queries, B×T×width, become together with the context: B×T×encoder_dim."""
        tokens = torch.cat([tokens, queries], dim=1)
        for block in self.predictor_blocks:
            tokens = block(tokens)
        tokens = self.predictor_norm(tokens[:, -queries.shape[1] :])
        return self.predictor_proj(tokens)


def positions_seen_from(
    place: Tensor, width: int, grid_size: tuple[int, int], rows_first: bool = False
) -> Tensor:
    """Sine-cosine positions of one view's patches in the coordinates of another, B×N×width.

    The views are equally large parts of one frame, each perhaps mirrored. Patch (r, c) of the one
    lies at row r + R·Δ_row of the other's grid, and at column c + C·Δ_column, or, where the views
    are mirrored against each other, at C·Δ_mirrored − 1 − c.

    Args:
        place: B×4: Δ_row, Δ_column, mirrored against each other (0/1), Δ_mirrored, in units of a
            view (see `benchmark.data.views.world.relative_position`); zeros: the view itself.
        width: of the tokens, a multiple of 4.
        grid_size: R and C, rows and columns of patches of each view.
        rows_first: the halves of the table are [row | column], not [column | row].
    """
    rows, columns = grid_size
    down, right, mirrored, across = place[:, None].unbind(dim=2)
    number = torch.arange(rows * columns, device=place.device)
    column = number % columns
    row = number // columns + rows * down
    column = torch.where(mirrored > 0.5, columns * across - 1 - column, column + columns * right)
    exponent = torch.arange(width // 4, device=place.device, dtype=place.dtype) / (width / 4)
    frequency = 10000.0**-exponent
    halves = []
    for position in (row, column) if rows_first else (column, row):
        angle = position[..., None] * frequency
        halves += [angle.sin(), angle.cos()]
    return torch.cat(halves, dim=2)


@DECODERS.register_module()
class WorldPredictor(JEPAPredictor):
    """The predictor of CheXWorld (Yue et al., CVPR 2025, §3): it is told what has been done.

    Queries stand at the positions their patches have in the view of the context, and an MLP of
    three layers mixes how the grey values of that view were changed into each of them.

    In the released code the halves of the position table are [column | row] for the context but
    [row | column] for the queries, so that even within a view equal positions look different
    (its switch `unify_embed` is off in the published command). Here both are [column | row].

    Args:
        encoder_dim, grid_size, num_heads, width, depth: as in `JEPAPredictor`.
        parameters: numbers that describe the change of grey values.
        official_code: queries have the other order, as in the released code.

    Raises:
        InputError: `width` does not divide.
    """

    def __init__(
        self,
        encoder_dim: Count,
        grid_size: tuple[int, int],
        num_heads: Count,
        width: Count = 384,
        depth: Count = 6,
        parameters: Count = 5,
        official_code: bool = False,
    ) -> None:
        super().__init__(encoder_dim, grid_size, num_heads, width, depth)
        self.grid_size = grid_size
        self.rows_first = official_code
        self.policy_net = nn.Sequential(
            nn.Linear(width + parameters, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
        )
        initialise_like_jepa(self.policy_net)

    def forward(
        self,
        context: Tensor,
        context_ids: Tensor,
        target_ids: Tensor,
        parameters: Tensor,
        place: Tensor,
    ) -> Tensor:
        """Predict patches of a view from the context in the same or in another view.

        Args:
            context: encoder output, B×K×D.
            context_ids: B×K, where the context lies in its view.
            target_ids: B×T, the patches to predict, in their view.
            parameters: B×parameters, how the view of the context was changed.
            place: B×4, see `positions_seen_from`.

        Returns:
            B×T×D.
        """
        width = self.mask_token.shape[2]
        positions = positions_seen_from(place, width, self.grid_size, self.rows_first)
        queries = self.mask_token + select(positions, target_ids)
        told = parameters[:, None].expand(-1, queries.shape[1], -1).to(queries.dtype)
        queries = self.policy_net(torch.cat([queries, told], dim=2))
        return self.answer(self.place(context, context_ids), queries)
