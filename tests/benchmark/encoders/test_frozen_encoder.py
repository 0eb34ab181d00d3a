"""A frozen encoder equals the exported one up to the normalisation of the views."""

from __future__ import annotations

import pytest
import torch

from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.encoders.encoder import export_encoder
from benchmark.encoders.frozen_encoder import FrozenEncoder
from benchmark.errors import InputError


def test_inputs_are_renormalised_to_its_pre_training(tiny_vit, tmp_path):
    """The normalisation of the views is replaced by that of the pre-training."""
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.5, 1.0)
    export_encoder(tmp_path, tiny_vit, {}, mean, std)
    frozen = FrozenEncoder(str(tmp_path / "encoder.safetensors")).train()
    assert not frozen.encoder.training
    grey = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def normalised(mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
        return (grey - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]

    views = normalised(IMAGENET_MEAN, IMAGENET_STD).requires_grad_()
    (found,) = frozen.feature_maps(views)
    (expected,) = tiny_vit.eval().feature_maps(normalised(mean, std))
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
    found.sum().backward()
    assert views.grad.any()
    assert not any(p.requires_grad for p in frozen.parameters())


def test_other_files_are_refused(tmp_path):
    """Another file name, or nothing there: one line."""
    with pytest.raises(InputError, match=r"name the encoder\.safetensors"):
        FrozenEncoder(str(tmp_path / "dino.pth"))
    with pytest.raises(InputError, match=r"encoder\.json"):
        FrozenEncoder(str(tmp_path / "encoder.safetensors"))
