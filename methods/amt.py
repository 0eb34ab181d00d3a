"""AMT: Good Helper is Around You, attention-driven masked image modelling (Liu et al., AAAI 2023).

A masked autoencoder whose masking is driven by its own attention. At regular intervals, the
attention from CLS to the patches in the last block is computed for every full frame and stored.
Patches with high attention are then the likeliest to be masked, those with medium attention to be
*thrown away* (neither encoder nor decoder sees them, which saves time), and the rest stays visible.
State-dict names are MAE's.

The released code deviates from the paper in one respect: it crops the wrong part of the stored map
(`benchmark.data.views.attention.crop_maps`), so that masks are nearly unrelated to the view. The
default follows the paper; ``views.official_code=True`` follows the code. Maps, and the full frames
they are computed from, are resized with the bilinear kernel in both, as in the code.
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
        views: `AttentionView`, which stores the attention maps.
        encoder: ViT with a CLS token.
        decoder, objective: as in `MAE`.
        masking: `AttentionGuidedMasking`.
        refresh_batch: batch size when the attention maps are refreshed. Batches are distributed
            over the processes, so that the maps do not depend on their number.
    """

    views: AttentionView
    masking: AttentionGuidedMasking

    def __init__(
        self,
        views: Part,
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
        if not isinstance(mask, TokenDroppingMask):  # during the warm-up, or another strategy
            return super().reconstruct(images, mask)
        latent = self.encoder(images, mask.ids_keep)
        prediction = self.decoder(latent, mask.ids_restore, mask.ids_decode)
        return Reconstruction(prediction, mask, self.encoder.patch_size, self.encoder.grid_size)

    def attention_maps(self, images: Tensor) -> Tensor:
        """Attention from CLS to the patches of full frames, B×C×H×W, in the last block.

        The map of each head is min-max normalised; then the heads are averaged: B×rows×columns in
        [0, 1].
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
        maps = scores.softmax(dim=3)[:, :, 0, self.encoder.num_prefix_tokens :]
        maps = maps - maps.amin(dim=2, keepdim=True)
        largest = maps.amax(dim=2, keepdim=True)
        # The map of a head with uniform attention is zero.
        maps = maps / largest.clamp_min(torch.finfo(maps.dtype).tiny)
        return maps.mean(dim=1).unflatten(1, self.encoder.grid_size)

    def before_epoch(self, progress: Progress, frames: Any) -> None:
        if self.masking.refresh_due(progress.epoch):
            self.refresh(frames)

    @torch.no_grad()
    def refresh(self, frames: Any) -> None:
        """Recompute the attention maps of all full frames, distributed over the processes."""
        training = self.training
        self.eval()
        table = torch.zeros_like(self.views.attention)
        starts = range(0, len(frames), self.refresh_batch)
        for start in starts[get_rank() :: get_world_size()]:
            indices = range(start, min(start + self.refresh_batch, len(frames)))
            batch = self.views.cast_data(frames.__getitems__(list(indices)))
            table[batch["index"]] = self.attention_maps(self.views.full_frames(batch))
        all_reduce(table)
        self.views.attention.copy_(table)
        self.train(training)
