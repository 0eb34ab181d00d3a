"""The denoising dataset: its studies, their frames, and the degradation.

The AAAI paper of VasoMIM denoises CoronaryDominance frames with Poisson noise, Gaussian noise and
Gaussian blur, 1,286 training frames of 200 studies and 309 test frames of 49, and gives no further
detail. The rest is defined here by rule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.errors import InputError
from benchmark.type_hints import Seed, fits, meaning

if TYPE_CHECKING:
    import numpy as np

STUDIES, TRAIN_STUDIES, TEST_STUDIES = 1574, 200, 49
FRAMES_PER_STUDY = 6
"""1,286 frames of 200 studies and 309 of 49 are 6.4 and 6.3 frames per study."""

_MIN_DISTANCE = 3  # frames; adjacent ones are nearly identical


def reserved_split(group: str) -> str | None:
    """The split of the denoising dataset a study is reserved for; None for the rest, five in six.

    A function of the study's name only, ``coronary_dominance/Study123``: whichever part of the
    collection is available, the same studies stay out of pre-training. The fractions are those of
    the paper (200 and 49 of 1,574 studies); the counts vary around them.
    """
    digest = hashlib.sha256(f"denoising/{group}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64 * STUDIES
    if position < TEST_STUDIES:
        return "test"
    return "train" if position < TEST_STUDIES + TRAIN_STUDIES else None


def contrast(video: np.ndarray) -> np.ndarray:
    """Amount of contrast medium in each frame of a uint8 T×H×W video, in intensity levels.

    The maximum of each pixel over the sequence approximates the image without contrast (the mask
    image of digital subtraction); the mean difference to it is the amount of contrast, up to
    motion.
    """
    import numpy as np

    brightest = video.max(axis=0)
    return np.array([float(np.subtract(brightest, frame).mean()) for frame in video])


def select_contrast_filled(scores: Sequence[float], count: int) -> list[int]:
    """Positions of the `count` frames with most contrast, in order, at least 3 frames apart.

    Fewer if the video is too short for that distance.
    """
    chosen: list[int] = []
    for position in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        if len(chosen) == count:
            break
        if all(abs(position - other) >= _MIN_DISTANCE for other in chosen):
            chosen.append(position)
    return sorted(chosen)


@dataclass(frozen=True)
class Degradation:
    """The degradation that turns a clean frame into a low-dose one.

    Attributes:
        photons: detected quanta per pixel at full white, one value per dose level.
        electronic: standard deviation of the Gaussian noise, as a fraction of full white.
        blur: standard deviation of the Gaussian blur in pixels of a frame 512 pixels wide.
        seed: seed of all noise.
    """

    photons: tuple[float, ...] = (400.0, 150.0, 60.0)
    electronic: float = 0.02
    blur: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.photons or min(self.photons) <= 0:
            raise InputError(f"noise photons={self.photons}: need one or more values above 0")
        for name, value in (("electronic", self.electronic), ("blur", self.blur)):
            if not 0 <= value < float("inf"):
                raise InputError(f"noise {name}={value}: must not be negative")
        if not fits(self.seed, Seed):
            raise InputError(f"noise seed={self.seed}: must be {meaning(Seed)}")

    def apply(self, clean: np.ndarray, level: int, key: str) -> np.ndarray:
        """The degraded frame, uint8 H×W: blur, then quantum noise, then electronic noise.

        With b the blurred frame in [0, 1] and q the photons of the level, a pixel is
        Poisson(b·q)/q + N(0, electronic²); its variance is b/q + electronic².

        Args:
            clean: uint8 H×W.
            level: index into `photons`.
            key: name of the frame; the noise is a function of it, the seed and the level.
        """
        import cv2
        import numpy as np

        from benchmark.randomness import numpy_generator

        rng = numpy_generator(self.seed, "denoising noise", level, key)
        signal = clean / 255  # in float64, so that processors agree
        if self.blur:
            sigma = self.blur * clean.shape[1] / 512
            signal = cv2.GaussianBlur(signal, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        photons = self.photons[level]
        noisy = rng.poisson(signal * photons) / photons
        noisy += rng.standard_normal(signal.shape) * self.electronic
        return np.clip(np.rint(noisy * 255), 0, 255).astype(np.uint8)
