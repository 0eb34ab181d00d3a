"""AMT: Good Helper is Around You, attention-driven masked image modelling (Liu et al., AAAI 2023).

A masked autoencoder that is guided by what it attends to itself. Now and then the attention that
the CLS token of the last block pays to the patches of every whole frame is written into a table.
From then on the patches a frame's table puts first are the likeliest to be masked, those in the
middle are likely to be *thrown away* — neither encoder nor decoder sees them, which saves time —
and the rest stays visible. State-dict names are MAE's.

The released code deviates from the paper in one place: it cuts the wrong part out of the table
(`benchmark.data.views.attention.crop_maps`), so that masks have little to do with the view. The
default does what the paper says; ``views.official_code=True`` does what the code does.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from torch import Tensor

from benchmark.data.views.attention import AttentionView
from benchmark.method import Progress
from benchmark.nn.masking.attention import AttentionGuidedMasking, TokenDroppingMask
from benchmark.nn.objectives.base import Reconstruction
from benchmark.registry import METHODS
from benchmark.type_hints import Count
from methods.mae import MAE, Part


@METHODS.register_module()
class AMT(MAE):
    """Masked autoencoder with attention-driven masking and throwing.

    Args:
        views: `AttentionView`, which keeps the table.
        encoder: ViT with a CLS token.
        decoder: predicts the masked patches from the visible ones.
        masking: `AttentionGuidedMasking`.
        objective: what the prediction of the masked patches is compared with.
        refresh_batch: frames of one forward pass when the table is written. It divides the work
            among the processes, so that the table does not depend on their number.
    """

    views: AttentionView
    masking: AttentionGuidedMasking

    def __init__(
        self,
        views: AttentionView | dict[str, Any],
        encoder: Part,
        decoder: Part,
        masking: Part,
        objective: Part | list[Part],
        refresh_batch: Count = 256,
    ) -> None:
        super().__init__(views, encoder, decoder, masking, objective)
        self.refresh_batch = refresh_batch

    def prepare(self, num_frames: int) -> None:
        self.views.allocate(num_frames, self.encoder.grid_size)

    def reconstruct(self, images: Tensor, mask: TokenDroppingMask) -> Reconstruction:
        if not isinstance(mask, TokenDroppingMask):  # in the warm-up, and of other maskings
            return super().reconstruct(images, mask)
        latent = self.encoder(images, mask.ids_keep)
        prediction = self.decoder(latent, mask.ids_restore, mask.ids_decode)
        return Reconstruction(prediction, mask, self.encoder.patch_size, self.encoder.grid_size)

    def attention_maps(self, images: Tensor) -> Tensor:
        """Attention of the last block from CLS to the patches, B×rows×columns in [0, 1].

        The map of each head is moved and scaled to the range from 0 to 1; then the heads are
        averaged.

        Args:
            images: B×C×H×W, whole frames.
        """
        tokens = self.encoder.embed(images)
        *earlier, last = self.encoder.blocks
        for block in earlier:
            tokens = block(tokens)
        attention = last.attn
        qkv = attention.qkv(last.norm1(tokens)).unflatten(2, (3, attention.num_heads, -1))
        query, key, _ = qkv.permute(2, 0, 3, 1, 4)  # each B×heads×(1 + N)×D'
        query, key = attention.q_norm(query), attention.k_norm(key)
        scores = query[:, :, :1] @ key.transpose(2, 3) * attention.scale
        shares = scores.softmax(dim=3)[:, :, 0, self.encoder.num_prefix_tokens :]
        shares = shares - shares.amin(dim=2, keepdim=True)
        largest = shares.amax(dim=2, keepdim=True)
        # A head that attends to all patches alike prefers none.
        shares = shares / largest.clamp_min(torch.finfo(shares.dtype).tiny)
        return shares.mean(dim=1).unflatten(1, self.encoder.grid_size)

    def before_epoch(self, progress: Progress, frames: Any) -> None:
        if self.masking.due(progress.epoch):
            self.refresh(frames)

    @torch.no_grad()
    def refresh(self, frames: Any) -> None:
        """Write the table anew from whole frames, each process a part of them."""
        training = self.training
        self.eval()
        table = torch.zeros_like(self.views.attention)
        starts = range(0, len(frames), self.refresh_batch)
        for start in starts[get_rank() :: get_world_size()]:
            indices = range(start, min(start + self.refresh_batch, len(frames)))
            images = self.views.full_frames(frames.__getitems__(list(indices)))
            table[start : indices.stop] = self.attention_maps(images)
        all_reduce(table)
        self.views.attention.copy_(table)
        self.train(training)
