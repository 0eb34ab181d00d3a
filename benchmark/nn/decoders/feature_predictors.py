"""Feature predictors of I-JEPA and CheXWorld: narrow ViTs from context to target features.

Attribute names are those of the official checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.nn.decoders.layers import NORM, check_width, fixed_positions, transformer_blocks
from benchmark.nn.tokens import gather_tokens
from benchmark.registry import DECODERS
from benchmark.type_hints import Count


def initialise_like_jepa(module: nn.Module) -> None:
    """Weights truncated normal, std 0.02; biases 0; LayerNorm at 1 and 0 (I-JEPA, its code)."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.LayerNorm):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


@DECODERS.register_module()
class JEPAPredictor(nn.Module):
    """The predictor of I-JEPA (Assran et al., CVPR 2023, §3).

    A narrow ViT takes the context tokens and a mask token for each position of *one* target block;
    its output at the mask tokens is the prediction.

    Args:
        encoder_dim, grid_size, width: as in `MAEDecoder`.
        num_heads: attention heads per block; those of the encoder in all official recipes.
        depth: number of blocks: 6 for ViT-B.

    Raises:
        InputError: indivisible `width`.
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
        check_width(width, num_heads)
        self.predictor_embed = nn.Linear(encoder_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.predictor_pos_embed = fixed_positions(width, grid_size)
        self.predictor_blocks = transformer_blocks(width, depth, num_heads)
        self.predictor_norm = NORM(width)
        self.predictor_proj = nn.Linear(width, encoder_dim)
        initialise_like_jepa(self)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, context: Tensor, context_ids: Tensor, target_ids: Tensor) -> Tensor:
        """Predict the target blocks, each independently, B×M×T×D.

        Args:
            context: encoder output, B×K×D.
            context_ids: B×K, positions of the context.
            target_ids: B×M×T, positions of the target blocks.
        """
        count = target_ids.shape[1]
        table = self.predictor_pos_embed.expand(len(context), -1, -1)
        queries = self.mask_token + gather_tokens(table, target_ids).flatten(0, 1)
        # Blocks do not attend to each other: each is a sample with the same context.
        tokens = self.embed(context, context_ids).repeat_interleave(count, dim=0)
        return self.predict(tokens, queries).unflatten(0, (-1, count))

    def embed(self, context: Tensor, context_ids: Tensor) -> Tensor:
        """Context tokens projected to the predictor's width, plus positions; B×K×width."""
        return self.predictor_embed(context) + self.predictor_pos_embed[0][context_ids]

    def predict(self, tokens: Tensor, queries: Tensor) -> Tensor:
        """Predictions for the queries, B×T×width to B×T×encoder_dim, given the context tokens."""
        tokens = torch.cat([tokens, queries], dim=1)
        for block in self.predictor_blocks:
            tokens = block(tokens)
        tokens = self.predictor_norm(tokens[:, -queries.shape[1] :])
        return self.predictor_proj(tokens)


def relative_sincos_embedding(
    place: Tensor, width: int, grid_size: tuple[int, int], rows_first: bool = False
) -> Tensor:
    """Sine-cosine embedding of one view's patches in the coordinates of another, B×N×width.

    The views are crops of equal size from one frame, each possibly flipped. Patch (r, c) of one
    view lies at row r + R·Δ_row of the other's grid, and at column c + C·Δ_column or, if exactly
    one of the views is flipped, C·Δ_flipped − 1 − c.

    Args:
        place: B×4: Δ_row, Δ_column, whether one view is flipped (0/1), Δ_flipped, in units of a
            view (see `benchmark.data.views.world.relative_position`); all zeros for the same view.
        width: embedding width, a multiple of 4.
        grid_size: R and C, rows and columns of patches of each view.
        rows_first: order the halves of the embedding [row | column] instead of [column | row].
    """
    rows, columns = grid_size
    row_shift, column_shift, flipped, flipped_shift = place[:, None].unbind(dim=2)
    number = torch.arange(rows * columns, device=place.device)
    row = number // columns + rows * row_shift
    column = number % columns
    column = torch.where(
        flipped > 0.5, columns * flipped_shift - 1 - column, column + columns * column_shift
    )
    exponent = torch.arange(width // 4, device=place.device, dtype=place.dtype) / (width / 4)
    frequency = 10000.0**-exponent
    halves = []
    for position in (row, column) if rows_first else (column, row):
        angle = position[..., None] * frequency
        halves += [angle.sin(), angle.cos()]
    return torch.cat(halves, dim=2)


@DECODERS.register_module()
class WorldPredictor(JEPAPredictor):
    """The predictor of CheXWorld (Yue et al., CVPR 2025, §3), conditioned on the augmentation.

    Queries carry the positions of their patches in the coordinates of the context view, and a
    three-layer MLP adds the parameters of that view's intensity augmentation to each of them.

    In the released code the halves of the position embedding are [column | row] for the context
    but [row | column] for the queries, so that equal positions differ even within a view (its
    switch `unify_embed` is off in the published command). Here both are [column | row].

    Args:
        encoder_dim, grid_size, num_heads, width, depth: as in `JEPAPredictor`.
        parameters: number of augmentation parameters.
        official_code: order the queries' embedding as in the released code.
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
        """Predict patches of a view from a context in the same or in another view, B×T×D.

        Args:
            context: encoder output, B×K×D.
            context_ids: B×K, positions of the context in its view.
            target_ids: B×T, positions of the target patches in their view.
            parameters: B×parameters, augmentation parameters of the context view.
            place: B×4, see `relative_sincos_embedding`.
        """
        width = self.mask_token.shape[2]
        positions = relative_sincos_embedding(place, width, self.grid_size, self.rows_first)
        queries = self.mask_token + gather_tokens(positions, target_ids)
        condition = parameters[:, None].expand(-1, queries.shape[1], -1).to(queries.dtype)
        queries = self.policy_net(torch.cat([queries, condition], dim=2))
        return self.predict(self.embed(context, context_ids), queries)
