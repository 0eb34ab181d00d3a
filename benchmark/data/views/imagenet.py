"""ImageNet's intensity statistics, by which the input of most encoders is normalised."""

from __future__ import annotations

#: Per channel, of intensities in [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
