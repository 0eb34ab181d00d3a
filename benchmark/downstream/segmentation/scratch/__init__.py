"""Segmentors trained from scratch, as mmsegmentation backbones that end in one full-size map.

Each network is written without its last 1×1 convolution: mmsegmentation's `FCNHead` without
convolutions of its own is that layer, and brings the losses and the metrics' conventions along.
Their parameters avoid the names by which `benchmark.training.optim` finds the layers of a
pre-trained ViT: a network trained from scratch has the same learning rate everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from benchmark.errors import InputError


def check_size(images: Tensor, multiple: int, network: str) -> None:
    """Refuse images whose sides the down-sampling of a network does not divide.

    Raises:
        InputError: height or width is not a multiple of `multiple`.
    """
    height, width = images.shape[-2:]
    if height % multiple or width % multiple:
        raise InputError(f"images of {height}×{width}: {network} needs multiples of {multiple}")


def initialise(network: nn.Module, linear: Callable[[Tensor], object]) -> None:
    """Initialise every parameter and buffer from torch's generator alone.

    Layers take their own defaults (`reset_parameters`, which every module with parameters must
    have); the weights of linear layers are then drawn by `linear` and their biases set to 0.
    """
    for module in network.modules():
        if next(module.parameters(recurse=False), None) is not None:
            module.reset_parameters()
        if isinstance(module, nn.Linear):
            linear(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
