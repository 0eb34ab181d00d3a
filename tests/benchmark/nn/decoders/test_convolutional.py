"""The convolutional decoder of Frepa."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from benchmark.errors import InputError
from benchmark.nn.decoders.convolutional import ConvDecoder


def test_decoder_is_the_sequence_of_its_stages() -> None:
    """Written out with functions: enlarge, convolve twice with batch statistics and ReLU, halve."""
    torch.manual_seed(0)
    decoder = ConvDecoder(16, stride=4).double()
    features = torch.randn(2, 16, 3, 3, dtype=torch.float64)
    weights = decoder.state_dict()

    def unit(x: torch.Tensor, conv: str, norm: str) -> torch.Tensor:
        x = F.conv2d(x, weights[f"{conv}.weight"], weights[f"{conv}.bias"], padding=1)
        mean, spread = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), False, keepdim=True)
        x = (x - mean) / torch.sqrt(spread + 1e-5)
        x = x * weights[f"{norm}.weight"].view(1, -1, 1, 1)
        return (x + weights[f"{norm}.bias"].view(1, -1, 1, 1)).clamp_min(0)

    x = features
    for stage in range(2):
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = unit(x, f"stages.{stage}.up.1", f"stages.{stage}.up.2")
        x = unit(x, f"stages.{stage}.conv.0", f"stages.{stage}.conv.1")
    expected = F.conv2d(x, weights["last.weight"], weights["last.bias"], padding=1)
    found = decoder(features)
    assert found.shape == (2, 3, 12, 12)
    torch.testing.assert_close(found, expected)


def test_maps_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(InputError, match="stride=14 is not a power of two"):
        ConvDecoder(16, stride=14)
    with pytest.raises(InputError, match="24 channels cannot be halved to stride 16"):
        ConvDecoder(24, stride=16)
