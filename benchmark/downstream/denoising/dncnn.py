"""DnCNN (Zhang et al., "Beyond a Gaussian Denoiser", TIP 2017), trained from scratch."""

from __future__ import annotations

from torch import Tensor, nn

from benchmark.downstream.denoising.model import ZeroConv2d
from benchmark.errors import InputError
from benchmark.registry import MODELS
from benchmark.type_hints import Count


@MODELS.register_module()
class DnCNN(nn.Module):
    """Convolutions that predict the noise in a frame.

    Section III of the paper: 3×3 convolution and ReLU; `depth` − 2 times 3×3 convolution, batch
    norm and ReLU; 3×3 convolution. Zero padding keeps the size at every layer, so that frames can
    have any size. As in the authors' code only the first convolution has a bias: batch norm
    provides that of the others, and the last, which predicts noise, needs none. Weights start as in
    He et al. (ICCV 2015), but the last convolution at zero, as in the other networks (see
    `ZeroConv2d`).

    17 layers are the paper's DnCNN-S, 556,096 parameters for one channel and a receptive field of
    35×35 pixels; its blind DnCNN-B has 20.

    Args:
        depth: number of convolutions, at least 2.
        width: channels between them.
        channels: channels of the frame.

    Raises:
        InputError: `depth` is below 2.
    """

    def __init__(self, depth: Count = 17, width: Count = 64, channels: Count = 1) -> None:
        super().__init__()
        if depth < 2:
            raise InputError(f"DnCNN: depth={depth} must be at least 2")
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        layers.append(ZeroConv2d(width, channels, 3, padding=1, bias=False))
        self.layers = nn.Sequential(*layers)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames with values in [0, 1], B×C×H×W, to their noise, of the same shape and unit."""
        return self.layers(frames)
