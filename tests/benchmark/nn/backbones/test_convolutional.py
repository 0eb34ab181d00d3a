"""UNet and ResNet against the implementations of other libraries, with the same weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import torchvision
from mmengine.registry import DefaultScope
from mmseg.models.backbones import UNet
from torch import nn

from benchmark.nn.backbones.base import Encoder
from benchmark.nn.backbones.resnet import ResNetEncoder
from benchmark.nn.backbones.unet import UNetEncoder

Make = Callable[..., Encoder]


def mmseg_unet(base_channels: int, stages: int) -> UNet:
    with DefaultScope.overwrite_default_scope("mmseg"):
        return UNet(
            in_channels=3,
            base_channels=base_channels,
            num_stages=stages,
            strides=(1,) * stages,
            enc_num_convs=(2,) * stages,
            dec_num_convs=(2,) * (stages - 1),
            downsamples=(True,) * (stages - 1),
            enc_dilations=(1,) * stages,
            dec_dilations=(1,) * (stages - 1),
        )


@pytest.mark.parametrize("training", [False, True])
def test_unet_matches_mmsegmentation(make_encoder: Make, training: bool) -> None:
    """Strict load both ways, equal maps and equal gradients, also with statistics of the batch."""
    encoder, twin = make_encoder("unet"), mmseg_unet(4, 4)
    for network in (encoder, twin):
        network.train(training)
    twin.load_state_dict(encoder.state_dict(), strict=True)
    images = torch.randn(2, 3, 32, 48)
    coarse_to_fine = twin(images)
    maps = encoder.feature_maps(images)
    for found, expected in zip(maps, reversed(coarse_to_fine), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    maps[0].square().sum().backward()
    coarse_to_fine[-1].square().sum().backward()
    expected = {name: value.grad for name, value in twin.named_parameters()}
    for name, parameter in encoder.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-3)


def test_the_unet_of_the_paper_scale_is_that_of_the_row_from_scratch() -> None:
    encoder, twin = UNetEncoder(), mmseg_unet(64, 5)
    own, other = encoder.state_dict(), twin.state_dict()
    assert {name: value.shape for name, value in own.items()} == {
        name: value.shape for name, value in other.items()
    }
    assert (encoder.strides, encoder.widths) == ((1, 2, 4, 8, 16), (64, 128, 256, 512, 1024))
    twin.init_weights()
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Conv2d):
            same = float(twin.get_submodule(name).weight.detach().std())
            assert float(module.weight.detach().std()) == pytest.approx(same, rel=0.1), name


def test_resnet_matches_torchvision() -> None:
    encoder = ResNetEncoder("basic", (2, 2, 2, 2), img_size=64).eval()
    twin = torchvision.models.resnet18(weights=None).eval()
    twin.fc = nn.Identity()
    twin.load_state_dict(encoder.state_dict(), strict=True)
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = encoder.feature_maps(images)
        stem = F.relu(twin.bn1(twin.conv1(images)))
        torch.testing.assert_close(maps[0], stem)
        features = twin.maxpool(stem)
        for found, stage in zip(maps[1:], ("layer1", "layer2", "layer3", "layer4"), strict=True):
            features = getattr(twin, stage)(features)
            torch.testing.assert_close(found, features)
    assert (encoder.strides, encoder.widths) == ((2, 4, 8, 16, 32), (64, 64, 128, 256, 512))


def test_trimmed_unet_stages_are_not_run(make_encoder: Make) -> None:
    encoder = make_encoder("unet").eval()
    whole = encoder.feature_maps(torch.ones(1, 3, 32, 32))
    ran: list[str] = []
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *_, name=name: ran.append(name))
    encoder.trim(finest=4)
    maps = encoder.feature_maps(torch.ones(1, 3, 32, 32))
    assert (encoder.strides, encoder.widths) == ((4, 8), (16, 32))
    assert all(torch.equal(a, b) for a, b in zip(maps, whole[2:], strict=True))
    climbed = {name.split(".")[1] for name in ran if name.startswith("decoder.")}
    assert climbed == {"2"}
    encoder.trim(finest=100)
    (coarsest,) = encoder.feature_maps(torch.ones(1, 3, 32, 32))
    assert torch.equal(coarsest, whole[-1])
    assert not any(name.startswith("decoder.") for name, _ in encoder.named_parameters())
