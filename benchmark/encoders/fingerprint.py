"""What an encoder makes of a fixed image: proof that loaded weights do what they did before."""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.nn.backbones.base import Encoder

TOLERANCE = 1e-3
"""No mean or deviation of a channel may differ by more, relative to the largest one of its map.

Other processors and libraries change 1e-5 at most, also of deep networks in single precision.
"""


@dataclass(frozen=True)
class Features:
    """Statistics of the features of the fixed image.

    Attributes:
        maps: of each map, or all tokens, the means of the channels, then their deviations; float32.
    """

    maps: tuple[np.ndarray, ...]

    @property
    def fingerprint(self) -> str:
        """A short name: the hash of the statistics in thousandths of the largest of their map."""
        return _digest(np.rint(_thousandths(self)))

    def texts(self) -> list[str]:
        """For JSON: each map in base64, little-endian."""
        return [base64.b64encode(part.astype("<f4").tobytes()).decode() for part in self.maps]

    @staticmethod
    def from_texts(texts: Sequence[str]) -> Features:
        """The inverse of `texts`.

        Raises:
            ValueError: it is no base64 of whole numbers.
        """
        try:
            raw = [base64.b64decode(text, validate=True) for text in texts]
        except binascii.Error as error:
            raise ValueError(str(error)) from None
        return Features(tuple(np.frombuffer(part, "<f4") for part in raw))

    def distance(self, other: Features) -> float:
        """The largest difference, relative to the largest value of its map here.

        Infinite where the maps have other numbers of channels, or values are not finite.
        """
        if [len(part) for part in self.maps] != [len(part) for part in other.maps]:
            return float("inf")
        worst = 0.0
        for own, found in zip(self.maps, other.maps):
            apart = float(np.abs(own.astype(np.float64) - found).max() / _scale(own))
            worst = max(worst, apart) if np.isfinite(apart) else float("inf")
        return worst


def _scale(statistics: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(statistics).max(), np.finfo(np.float32).tiny)


def _thousandths(features: Features) -> np.ndarray:
    # In single precision, and in this order: as fingerprints have always been taken.
    return np.concatenate([part / _scale(part) * np.float32(1000) for part in features.maps])


def _digest(rounded: np.ndarray) -> str:
    return hashlib.sha256(rounded.astype("<i2").tobytes()).hexdigest()[:16]


@torch.no_grad()
def take_features(encoder: Encoder, origin: str | Path = "the encoder") -> Features:
    """The features of the fixed image, from a copy on the CPU in single precision.

    On a GPU, convolutions would round to the ten bits of TF32, and no other machine would find the
    same. The copy is not compiled either.

    Args:
        encoder: on any device, in any mode; it is left as it is.
        origin: what an error names.

    Raises:
        InputError: the features are not finite.
    """
    size, channels = encoder.img_size, encoder.arguments["in_channels"]
    ramp = torch.linspace(-1, 1, size)
    image = torch.sin(5 * ramp[:, None] ** 2 + 9 * ramp[None, :]) + ramp[None, :]
    still = _on_cpu(encoder).float().eval()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast("cpu", enabled=False):
            output = still(image.expand(1, channels, size, size))
    finally:
        torch.set_float32_matmul_precision(before)
    maps = []
    for features in [output] if isinstance(output, Tensor) else output:
        features = features[0]
        # Tokens are places × channels already, maps are not.
        places = features.flatten(1).T if features.ndim == 3 else features
        correction = min(1, len(places) - 1)  # a map of one pixel has no deviation
        spread = places.std(dim=0, correction=correction)
        statistics = torch.cat([places.mean(dim=0), spread])
        if not statistics.isfinite().all():
            raise InputError(f"{origin}: features of an image are not finite")
        maps.append(statistics.numpy())
    return Features(tuple(maps))


def _on_cpu(encoder: nn.Module) -> nn.Module:
    """A copy that takes no memory of a GPU, which may be full."""
    there: dict[int, Tensor] = {}
    for value in encoder.parameters():
        host = value.detach().to("cpu", copy=True)
        there[id(value)] = nn.Parameter(host, requires_grad=value.requires_grad)
    for value in encoder.buffers():
        there[id(value)] = value.detach().to("cpu", copy=True)
    return copy.deepcopy(encoder, there)


def fingerprint(encoder: Encoder) -> str:
    """The short name of what an encoder computes; raises as `take_features`."""
    return take_features(encoder).fingerprint
