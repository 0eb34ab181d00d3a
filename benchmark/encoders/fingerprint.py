"""Features of a fixed image, which prove that loaded weights compute what they did before."""

from __future__ import annotations

import base64
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
"""Largest accepted difference of a channel's mean or deviation, relative to the largest of its map.

Other processors and libraries differ by 1e-5 at most, also for deep networks in single precision.
"""


@dataclass(frozen=True)
class Features:
    """Statistics of the features of the fixed image."""

    # Per feature map (or for all tokens), the channel means, then the deviations; float32.
    maps: tuple[np.ndarray, ...]

    @property
    def fingerprint(self) -> str:
        """Hash of the statistics, rounded to thousandths of the largest one of their map."""
        # Precision and order of the operations are part of the fingerprint.
        thousandths = [part / _scale(part) * np.float32(1000) for part in self.maps]
        rounded = np.rint(np.concatenate(thousandths)).astype("<i2")
        return hashlib.sha256(rounded.tobytes()).hexdigest()[:16]

    def texts(self) -> list[str]:
        """The maps as JSON strings: base64 of little-endian float32."""
        return [base64.b64encode(part.astype("<f4").tobytes()).decode() for part in self.maps]

    @staticmethod
    def from_texts(texts: Sequence[str]) -> Features:
        """The inverse of `texts`; a `ValueError` if they are not base64 of float32 values."""
        raw = [base64.b64decode(text, validate=True) for text in texts]
        return Features(tuple(np.frombuffer(part, "<f4") for part in raw))

    def distance(self, other: Features) -> float:
        """The largest difference, relative to the largest value of the map in `self`.

        Infinite if the maps differ in their number of channels, or values are not finite.
        """
        if [len(part) for part in self.maps] != [len(part) for part in other.maps]:
            return float("inf")
        apart = [
            np.abs(own.astype(np.float64) - found).max() / _scale(own)
            for own, found in zip(self.maps, other.maps)
        ]
        return float(max(apart)) if np.isfinite(apart).all() else float("inf")


def _scale(statistics: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(statistics).max(), np.finfo(np.float32).tiny)


@torch.no_grad()
def take_features(encoder: Encoder, origin: str | Path = "the encoder") -> Features:
    """Compute the features of the fixed image on an uncompiled CPU copy in single precision.

    On a GPU, convolutions would round to the ten bits of TF32 and differ between machines.

    Args:
        encoder: on any device, in any mode; it is not changed.
        origin: named in errors.

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
        correction = min(1, len(places) - 1)  # the deviation of a single pixel is undefined
        spread = places.std(dim=0, correction=correction)
        statistics = torch.cat([places.mean(dim=0), spread])
        if not statistics.isfinite().all():
            raise InputError(f"{origin}: features of an image are not finite")
        maps.append(statistics.numpy())
    return Features(tuple(maps))


def _on_cpu(encoder: nn.Module) -> nn.Module:
    """A copy on the CPU, made without GPU memory, which may be exhausted."""
    there: dict[int, Tensor] = {}
    for value in (*encoder.parameters(), *encoder.buffers()):
        host = value.detach().to("cpu", copy=True)
        there[id(value)] = nn.Parameter(host, False) if isinstance(value, nn.Parameter) else host
    return copy.deepcopy(encoder, there)
