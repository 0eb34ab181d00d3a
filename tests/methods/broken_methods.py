"""Methods that each break one promise, importable by the processes a check starts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.method import Progress
from benchmark.nn.masking.random import Mask
from benchmark.nn.objectives.base import Reconstruction
from methods.mae import MAE


class NotFinite(MAE):
    """Divides by zero."""

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        terms = super().loss(views, progress)
        return {"loss_reconstruction": terms["loss_reconstruction"] / 0.0}


class Idle(MAE):
    """Holds a layer that takes no part."""

    def __init__(self, **parts: object) -> None:
        super().__init__(**parts)
        self.forgotten = nn.Linear(3, 3)


class Stubborn(MAE):
    """Gives its loss a gradient that leads nowhere."""

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        (loss,) = (v for k, v in super().loss(views, progress).items() if "loss" in k)
        return {"loss_reconstruction": 2 * loss.detach() - loss}


class Forgetful(MAE):
    """Counts its steps in an attribute that no checkpoint holds."""

    count = 0

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        terms = super().loss(views, progress)
        return {"loss_reconstruction": terms["loss_reconstruction"] * (1 + 0.1 * self.count)}

    def after_step(self, progress: Progress) -> None:
        self.count += 1


class Collapsed(MAE):
    """Gives every frame the same features."""

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        terms = super().loss(views, progress)
        tokens = self.encoder(views["image"])
        self.observe(tokens.mean(dim=1)[:1].expand(len(tokens), -1))
        return terms


class Unwatched(MAE):
    """Goes around the encoder's `forward`, and shows nothing."""

    def reconstruct(self, images: Tensor, mask: Mask) -> Reconstruction:
        encoder = self.encoder
        latent = encoder.norm(encoder.layers(encoder.embed(images, mask.ids_keep))[-1])
        prediction = self.decoder(latent, mask.ids_restore)
        return Reconstruction(prediction, mask, encoder.patch_size, encoder.grid_size)


class Impostor(MAE):
    """Exports another encoder than the one it trained."""

    def exports(self) -> dict[str, nn.Module]:
        other = type(self.encoder)(**self.encoder.arguments)
        torch.nn.init.normal_(other.blocks[0].attn.qkv.weight)
        return {"encoder": other}


class Contrastive(MAE):
    """Compares the samples a process holds, and not those of the others."""

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        tokens = self.encoder(views["image"])[:, 0]
        spread = (tokens - tokens.mean(dim=0)).square().sum()
        return {"loss_spread": spread, **super().loss(views, progress)}
