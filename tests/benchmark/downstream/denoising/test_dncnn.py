"""DnCNN against its paper: parameters, layers, reach and start."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from benchmark.downstream.denoising.dncnn import DnCNN
from benchmark.errors import InputError


def test_parameters_of_dncnn_s_counted_by_hand():
    """First 1→64 with bias, fifteen 64→64 with scale and shift of a norm, last 64→1."""
    first, between, last = 9 * 64 + 64, 15 * (9 * 64 * 64 + 2 * 64), 9 * 64
    assert first + between + last == 556_096
    network = DnCNN()
    assert sum(parameter.numel() for parameter in network.parameters()) == 556_096
    kinds = [type(layer).__name__ for layer in network.layers]
    middle = ["Conv2d", "BatchNorm2d", "ReLU"] * 15
    assert kinds == ["Conv2d", "ReLU", *middle, "ZeroConv2d"]


def test_it_is_its_layers_written_out(randomise):
    """Both with the statistics of the batch and with those kept, in double precision."""
    network = randomise(DnCNN(depth=4, width=5), 1).double()
    frames = torch.rand(3, 1, 9, 11, dtype=torch.float64)
    state = {name: value.clone() for name, value in network.state_dict().items()}

    def norm(maps: torch.Tensor, name: str, training: bool) -> torch.Tensor:
        if training:
            mean, variance = maps.mean((0, 2, 3)), maps.var((0, 2, 3), unbiased=False)
        else:
            mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        mean, variance, scale, shift = (
            value[:, None, None]
            for value in (mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])
        )
        return (maps - mean) / (variance + 1e-5).sqrt() * scale + shift

    for training in (False, True):
        maps = F.conv2d(frames, state["layers.0.weight"], state["layers.0.bias"], padding=1)
        maps = maps.clamp(min=0)
        for number in (2, 5):
            maps = F.conv2d(maps, state[f"layers.{number}.weight"], padding=1)
            maps = norm(maps, f"layers.{number + 1}", training).clamp(min=0)
        expected = F.conv2d(maps, state["layers.8.weight"], padding=1)
        torch.testing.assert_close(network.train(training)(frames), expected)


def test_seventeen_layers_see_35_pixels(randomise):
    network = randomise(DnCNN(width=4), 2).eval()
    frame = torch.rand(1, 1, 45, 45, requires_grad=True)
    network(frame)[0, 0, 22, 22].backward()
    reached = frame.grad[0, 0].abs().nonzero()
    assert reached.min(dim=0).values.tolist() == [5, 5]
    assert reached.max(dim=0).values.tolist() == [39, 39]


def test_it_starts_by_leaving_frames_as_they_are_and_can_learn():
    network = DnCNN(depth=6, width=16).eval()
    assert not network(torch.rand(1, 1, 20, 30)).any()
    # He et al.: the weights of 9·16 inputs have the variance 2 / 144.
    assert network.layers[2].weight.var().item() == pytest.approx(2 / 144, rel=0.1)
    assert not network.layers[0].bias.any()
    network.train()
    frames = torch.rand(2, 1, 20, 30)
    for _ in range(2):  # the last layer moves first, and lets the others move
        network.zero_grad()
        (network(frames) - 0.1).square().mean().backward()
        with torch.no_grad():
            network.layers[-1].weight -= 0.1 * network.layers[-1].weight.grad
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_a_single_convolution_is_refused():
    with pytest.raises(InputError, match="depth=1 must be at least 2"):
        DnCNN(depth=1)
