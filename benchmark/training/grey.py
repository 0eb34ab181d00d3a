"""Angiograms are grey: a patch embedding need not read the same frame three times."""

from __future__ import annotations

from benchmark.data.views.single import ViewMaker
from benchmark.method import Method
from benchmark.nn.ema import ExponentialMovingAverage
from benchmark.nn.vit import VisionTransformer


def assume_grayscale(method: Method, grey: bool = True) -> None:
    """Let the transformers that see the frames read one channel of them, where a method allows it.

    These are the direct parts of the method, encoder and teachers, not those within an objective,
    which may see a reconstruction. See `Method.grey_input` and `VisionTransformer.assume_grey`.

    Args:
        method: whose encoder it is.
        grey: False to read all channels again.
    """
    if not (method.grey_input and isinstance(method.views, ViewMaker)):
        return
    mean, std = method.views.mean.flatten(), method.views.std.flatten()
    for part in method.children():
        part = part.module if isinstance(part, ExponentialMovingAverage) else part
        if isinstance(part, VisionTransformer) and part.patch_embed.proj.in_channels == len(mean):
            part.assume_grey(*((mean, std) if grey else (None, None)))
