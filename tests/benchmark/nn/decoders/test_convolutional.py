"""The convolutional decoder of Frepa."""

from __future__ import annotations

import pytest

from benchmark.errors import InputError
from benchmark.nn.decoders.convolutional import ConvDecoder


def test_maps_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(InputError, match="stride=14 is not a power of two"):
        ConvDecoder(16, stride=14)
    with pytest.raises(InputError, match="24 channels cannot be halved to stride 16"):
        ConvDecoder(24, stride=16)
