"""The baseline without learning: non-local means (Buades et al., CVPR 2005)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from scipy.signal import correlate2d
from scipy.stats import norm
from skimage.restoration import denoise_nl_means
from torch import Tensor

from benchmark.registry import MODELS
from benchmark.type_hints import Count

_ROOT = np.sqrt(3)
_HIGH_PASS = np.array([1 - _ROOT, _ROOT - 3, 3 + _ROOT, -1 - _ROOT]) / np.sqrt(32)
"""Daubechies' wavelet of four coefficients: of norm 1, blind to constants and straight ramps."""


def noise_level(frame: np.ndarray) -> float:
    """Standard deviation of white noise in a frame, in the unit of the frame.

    The median of the absolute diagonal wavelet details at the finest scale, over the median of
    |N(0, 1)| (Donoho & Johnstone, Biometrika 1994); what scikit-image's `estimate_sigma` computes,
    except at the border. Vessels and edges are few among the details, and hardly affect a median.

    Args:
        frame: H×W, at least 4×4 pixels.
    """
    details = correlate2d(frame, np.outer(_HIGH_PASS, _HIGH_PASS), mode="valid")[::2, ::2]
    return float(np.median(np.abs(details)) / norm.ppf(0.75))


@MODELS.register_module()
class NonLocalMeans(BaseModel):
    """Non-local means as a model without trainable parameters.

    Every pixel becomes the mean of the pixels around it, weighted by how much their patches
    resemble its own: scikit-image's `denoise_nl_means`, with 2σ² subtracted from the squared
    differences of patches (Buades et al., IPOL 2011). σ is estimated for each frame, and h is
    proportional to it.

    Args:
        patch_size: side of the patches that are compared, in pixels.
        patch_distance: how far away similar patches are looked for, in pixels.
        strength: h in units of σ; larger ones remove more noise and more detail.
        fast: weigh all pixels of a patch alike, by integral images (Darbon et al., ISBI 2008);
            otherwise by a Gaussian, as in the paper of 2005, which takes many times longer.
    """

    def __init__(
        self,
        patch_size: Count = 7,
        patch_distance: int = 10,
        strength: float = 0.8,
        fast: bool = True,
    ) -> None:
        super().__init__(data_preprocessor=BaseDataPreprocessor())
        self.patch_size = patch_size
        self.patch_distance = patch_distance
        self.strength = strength
        self.fast = fast

    def forward(
        self, inputs: list[Tensor], data_samples: list[Any], clean: Any = None, mode: str = ""
    ) -> list[Any]:
        """Frames 1×H×W uint8; each sample gets `denoised`, of the same shape and type.

        `clean` is not used, and `mode` is always ``"predict"``.
        """
        for frame, sample in zip(inputs, data_samples):
            grey = frame[0].cpu().numpy() / 255
            sigma = noise_level(grey)
            # A frame without noise stays as it is: h = 0 would divide by zero.
            if sigma > 0:
                grey = denoise_nl_means(
                    grey,
                    patch_size=self.patch_size,
                    patch_distance=self.patch_distance,
                    h=self.strength * sigma,
                    sigma=sigma,
                    fast_mode=self.fast,
                )
            denoised = np.rint(255 * grey).clip(0, 255).astype(np.uint8)
            sample.denoised = torch.from_numpy(denoised)[None]
        return data_samples
