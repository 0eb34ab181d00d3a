"""Corruptions of angiograms at five severities, to measure the robustness of a model.

The design is that of ImageNet-C (Hendrycks & Dietterich, ICLR 2019): corruptions of several kinds,
each at five severities, applied to the test frames only. The corruptions are this benchmark's own
choice, typical of angiography rather than of photographs. All are applied to the 8-bit frame at its
native size, before any pre-processing, and leave the vessels where they are.

An 8-bit frame is taken as proportional to the detected intensity, x = I / I_max, as released frames
are: vessels are dark. Lengths and areas are those of a frame 512 pixels wide.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import cv2
import numpy as np
from PIL import Image

from benchmark.errors import InputError, one_of
from benchmark.files import sha256_bytes, sha256_json
from benchmark.type_hints import Positive, Range, Seed, Share, fits, meaning

SEVERITIES = 5

_WIDTH = 512
_WIDEST_VESSEL = 0.06  # relative to the longer side: 31 pixels of 512, wider than a left main stem

_Corruption = Callable[[np.ndarray, Any, np.random.Generator], np.ndarray]


def quantum_noise(frame: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    """Poisson(q·x)/q: the noise of a dose at which a white pixel detects q quanta.

    `photons` is q for the pixels of a frame 512 wide; larger pixels collect more, in proportion to
    their area. The noise of low-dose CT and fluoroscopy is simulated in the same way.
    """
    per_pixel = photons * (_WIDTH / frame.shape[1]) ** 2
    return rng.poisson(frame * per_pixel) / per_pixel


def electronic_noise(frame: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """x + N(0, σ²): read-out noise, independent of the intensity."""
    return frame + sigma * rng.standard_normal(frame.shape, dtype=np.float32)


def motion_blur(frame: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Uniform motion along a line of `length` pixels during the exposure, in a random direction."""
    angle = np.pi * rng.random()
    length = length * frame.shape[1] / _WIDTH
    radius = int(np.ceil(length / 2)) + 1
    # Points of the line, each spread over the four pixels around it.
    along = ((np.arange(16 * radius) + 0.5) / (16 * radius) - 0.5) * length
    rows, columns = radius + along * np.sin(angle), radius + along * np.cos(angle)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1))
    for down in (0, 1):
        for right in (0, 1):
            weights = (1 - abs(rows - top - down)) * (1 - abs(columns - left - right))
            np.add.at(kernel, (top + down, left + right), weights)
    return cv2.filter2D(frame, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def contrast_dilution(frame: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The frame with a `share` of the contrast medium: x · (S/B)^(share − 1).

    By Lambert and Beer, I = I_B · exp(−μ·c·d), so that a share of the concentration c leaves the
    same share of the logarithm of I / I_B. S is the frame smoothed a little (noise is not
    contrast), B ≥ S its closing with a disk wider than any vessel, which removes all that is dark
    and narrow: vessels, catheters and other narrow shadows. No annotation is needed.
    """
    side = max(frame.shape)
    wide = 2 * round(_WIDEST_VESSEL * side / 2) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
    smooth = cv2.GaussianBlur(frame, (0, 0), 1.5 * side / _WIDTH, borderType=cv2.BORDER_REFLECT)
    smooth = smooth + np.float32(1 / 255)  # so that black has a logarithm
    background = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, disk, borderType=cv2.BORDER_REFLECT)
    return frame * (smooth / background) ** (share - 1)


def window(
    frame: np.ndarray, settings: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """Another display setting: a window of a `width` around the frame's median m, and gamma.

    clip(m + (x − m)/width)^γ, with γ or 1/γ at random: darker or brighter.
    """
    width, gamma = settings
    gamma = gamma if rng.random() < 0.5 else 1 / gamma
    middle = np.median(frame)
    return np.clip(middle + (frame - middle) / width, 0, 1) ** gamma


def jpeg(frame: np.ndarray, quality: int, rng: np.random.Generator) -> np.ndarray:
    """JPEG compression at a `quality` of 1 to 100."""
    stream = io.BytesIO()
    Image.fromarray(_as_8_bit(frame)).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream), np.float32) / 255


def resolution(frame: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Pixels `factor` times as large: means over their areas, shown bilinearly at native size."""
    height, width = frame.shape
    coarse = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = cv2.resize(frame, coarse, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


# Limits beyond any practical value that can still be computed.
_Photons = Annotated[float, Range(above=0, most=1e9)]
_Sigma = Annotated[float, Range(above=0, most=1e3)]
_Pixels = Annotated[float, Range(above=0, most=_WIDTH)]

CORRUPTIONS: dict[str, tuple[_Corruption, Any]] = {
    "quantum_noise": (quantum_noise, _Photons),
    "electronic_noise": (electronic_noise, _Sigma),
    "motion_blur": (motion_blur, _Pixels),
    "contrast_dilution": (contrast_dilution, Share),
    "window": (window, tuple[Share, Positive]),
    "jpeg": (jpeg, Annotated[int, Range(least=1, most=100)]),
    "resolution": (resolution, _Pixels),
}
"""Name → corruption of a float32 frame H×W in [0, 1], and the type of its levels."""


@dataclass(frozen=True)
class Corruptions:
    """The corruptions of a protocol.

    Attributes:
        levels: key of `CORRUPTIONS` → argument of its function, one value for each severity.
        seed: seed of all noise, directions and choices.

    Raises:
        InputError: a corruption is unknown, or has not five levels of its kind.
    """

    levels: Mapping[str, Sequence[Any]]
    seed: int = 0

    def __post_init__(self) -> None:
        for name, levels in self.levels.items():
            _, hint = CORRUPTIONS[one_of("corruption", name, CORRUPTIONS)]
            if not fits(levels, Sequence[hint]):
                raise InputError(f"corruptions.{name}={levels}: each must be {meaning(hint)}")
            if len(levels) != SEVERITIES:
                raise InputError(
                    f"corruptions.{name}: {len(levels)} levels; needs one for each of "
                    f"{SEVERITIES} severities"
                )
        if not self.levels:
            raise InputError("corruptions: none; name at least one")
        if not fits(self.seed, Seed):
            raise InputError(f"corruptions.seed={self.seed}: must be {meaning(Seed)}")

    @property
    def settings(self) -> dict[str, Any]:
        """Levels and seed as JSON-able values."""
        return {
            "levels": {name: list(found) for name, found in self.levels.items()},
            "seed": self.seed,
        }

    @property
    def identity(self) -> str:
        """Eight digits of the hash of all settings."""
        return sha256_json(self.settings)[:8]

    def apply(self, frame: np.ndarray, name: str, severity: int) -> np.ndarray:
        """The corrupted frame, uint8 H×W.

        Randomness depends only on the seed, the corruption and the pixels of the frame, and is the
        same for all severities: a frame has the same noise whichever model is scored on it, in
        whatever order or batch.

        Args:
            frame: uint8 H×W, 0 black.
            name: key of `levels`.
            severity: 1 (mildest) to 5.

        Raises:
            InputError: the severity is out of range, or there is no such corruption.
        """
        # Imports torch, which takes seconds.
        from benchmark.randomness import numpy_generator

        if not 1 <= severity <= SEVERITIES:
            raise InputError(f"severity {severity}: must be 1 to {SEVERITIES}")
        one_of("corruption", name, self.levels)
        pixels = np.ascontiguousarray(frame)
        rng = numpy_generator(self.seed, "corruption", name, sha256_bytes(pixels.tobytes()))
        corrupt, _ = CORRUPTIONS[name]
        level = self.levels[name][severity - 1]
        return _as_8_bit(corrupt(pixels.astype(np.float32) / 255, level, rng))


def _as_8_bit(frame: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(255 * frame), 0, 255).astype(np.uint8)
