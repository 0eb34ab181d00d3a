"""The denoising set: which studies it is made of, which of their frames, and what degrades them.

The AAAI paper of VasoMIM denoises CoronaryDominance frames with Poisson noise, Gaussian noise and
Gaussian blur, 1,286 frames of 200 studies to train and 309 of 49 to test, and says no more. The
rest is defined here, openly and by rule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmark.errors import InputError
from benchmark.type_hints import Seed, fits, meaning

if TYPE_CHECKING:
    import numpy as np

STUDIES, TRAIN_STUDIES, TEST_STUDIES = 1574, 200, 49
FRAMES_PER_STUDY = 6
"""1,286 frames of 200 studies and 309 of 49 are 6.4 and 6.3 frames of a study."""

_FAR_APART = 3  # frames; neighbours in time show nearly the same


def is_reserved(group: str) -> str | None:
    """The split of the denoising set that a study belongs to; None for the rest, five in six.

    A function of the study's name only, as ``coronary_dominance/Study123``: whatever part of the
    collection someone holds, and whoever repacked it, the same studies stay out of pre-training.
    The shares are those of the paper (200 and 49 of 1,574 studies); the counts vary around them.

    Returns:
        ``"train"``, ``"test"`` or None.
    """
    digest = hashlib.sha256(f"denoising/{group}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64 * STUDIES
    if place < TEST_STUDIES:
        return "test"
    return "train" if place < TEST_STUDIES + TRAIN_STUDIES else None


def contrast(video: np.ndarray) -> np.ndarray:
    """How much of each frame contrast medium darkens, T values in grey levels.

    The brightest value of a pixel over the sequence stands for the picture without contrast (the
    mask image of digital subtraction); the mean difference to it is the amount of contrast, up to
    the motion they share.

    Args:
        video: uint8, T×H×W.
    """
    import numpy as np

    brightest = video.max(axis=0)
    return np.array([float(np.subtract(brightest, frame).mean()) for frame in video])


def contrast_filled(scores: Sequence[float], count: int) -> list[int]:
    """Positions of the `count` frames with most contrast, in order, at least 3 frames apart.

    Fewer where the video is too short for that distance.
    """
    chosen: list[int] = []
    for position in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        if len(chosen) == count:
            break
        if all(abs(position - other) >= _FAR_APART for other in chosen):
            chosen.append(position)
    return sorted(chosen)


@dataclass(frozen=True)
class Degradation:
    """What makes a low-dose frame of a clean one.

    Attributes:
        photons: detected quanta per pixel at full white, one value for each dose level.
        electronic: standard deviation of the Gaussian noise, as a share of full white.
        blur: standard deviation of the Gaussian blur in pixels of a frame 512 pixels wide.
        seed: of all noise.
    """

    photons: tuple[float, ...] = (400.0, 150.0, 60.0)
    electronic: float = 0.02
    blur: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.photons or min(self.photons) <= 0:
            raise InputError(f"noise photons={self.photons}: need one or more values above 0")
        for name in ("electronic", "blur"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"noise {name}={getattr(self, name)}: must not be negative")
        if not fits(self.seed, Seed):
            raise InputError(f"noise seed={self.seed}: must be {meaning(Seed)}")

    def parameters(self) -> dict[str, Any]:
        """JSON-able values that define the noise."""
        return {**asdict(self), "photons": list(self.photons)}

    def apply(self, clean: np.ndarray, level: int, key: str) -> np.ndarray:
        """The degraded frame, uint8 H×W: blur, then quantum noise, then electronic noise.

        With b the blurred frame in 0…1 and q the photons of the level, a pixel is
        Poisson(b·q)/q + N(0, electronic²): its variance is b/q + electronic².

        Args:
            clean: uint8 H×W.
            level: index into `photons`.
            key: the frame's own name; the noise is a function of it, the seed and the level.
        """
        import cv2
        import numpy as np

        from benchmark.randomness import numpy_generator

        rng = numpy_generator(self.seed, "denoising noise", level, key)
        signal = clean.astype(np.float32) / np.float32(255)
        if self.blur:
            sigma = self.blur * clean.shape[1] / 512
            signal = cv2.GaussianBlur(signal, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        photons = self.photons[level]
        noisy = rng.poisson(signal * photons) / photons
        noisy += rng.standard_normal(signal.shape) * self.electronic
        return np.clip(np.rint(noisy * 255), 0, 255).astype(np.uint8)
