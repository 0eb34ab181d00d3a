"""Denoisers of the benchmark: a network predicts the noise, and the noise is subtracted.

With an encoder, the network is that of segmentation (encoder, pyramid, UNet decoder) with one
output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import Tensor, nn

from benchmark.downstream.denoising.windows import in_windows
from benchmark.downstream.segmentation.model import UNetDecoder
from benchmark.errors import InputError
from benchmark.registry import MODELS, build
from benchmark.type_hints import Count


class ZeroConv2d(nn.Conv2d):
    """A convolution that starts at zero.

    As the last layer of a network that predicts noise it leaves the frame as it is: all networks
    start from the degraded frame, and none has to unlearn noise of its own first.
    """

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


@MODELS.register_module()
class NoiseDecoder(UNetDecoder):
    """The UNet decoder of segmentation with one output, the noise at full resolution.

    Args:
        widths: channels of the pyramid levels, finest first.
        stem: channels of the stem on the image itself.
    """

    def __init__(self, widths: Sequence[Count] = (64, 128, 256, 512), stem: Count = 32) -> None:
        # One map is two classes to mmsegmentation; its loss and threshold are not used.
        unused = {"loss_decode": {"type": nn.Identity}, "threshold": 0.5}
        super().__init__(widths, stem, num_classes=2, out_channels=1, **unused)
        self.conv_seg = ZeroConv2d(stem, 1, kernel_size=1)


@MODELS.register_module()
class FramePreprocessor(BaseDataPreprocessor):
    """Frames to the device as float grey levels 0…255; in training, windows are stacked.

    Args:
        mean, std: what a network is shown is (grey − mean) / std; one value for each of its
            channels. The default is one channel from 0 to 1.
    """

    def __init__(self, mean: Sequence[float] = (0.0,), std: Sequence[float] = (255.0,)) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            value = torch.tensor(values, dtype=torch.float32)[:, None, None]
            self.register_buffer(name, value, persistent=False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        found = {"data_samples": data["data_samples"]}
        for name in ("inputs", "clean"):
            if training:
                found[name] = torch.stack(list(data[name])).to(self.device).float()
            else:
                found[name] = [frame.to(self.device).float() for frame in data[name]]
        return found

    def normalise(self, frames: Tensor) -> Tensor:
        """Grey levels B×1×H×W to what the network is shown, B×C×H×W."""
        return (frames - self.mean) / self.std


@MODELS.register_module()
class Denoiser(BaseModel):
    """Residual learning: the denoised frame is the frame minus the noise that a network predicts.

    Args:
        backbone: network, or its config; without neck and head it yields the noise.
        neck, decode_head: what follows the backbone, or None.
        loss: config of the loss between the denoised and the clean frame, in grey levels 0…255.
        window: side of the windows a frame is cut into, in pixels; None: frames are not cut.
        overlap: minimum fraction of a window shared with the next one (see `in_windows`).
        data_preprocessor: a `FramePreprocessor`, or its config; None for its defaults.

    Raises:
        InputError: `overlap` is not in [0, 1).
    """

    def __init__(
        self,
        backbone: Any,
        loss: Any,
        neck: Any = None,
        decode_head: Any = None,
        window: Count | None = None,
        overlap: float = 0.25,
        data_preprocessor: Any = None,
    ) -> None:
        super().__init__(data_preprocessor=build(data_preprocessor) or FramePreprocessor())
        if not 0 <= overlap < 1:
            raise InputError(f"model.overlap={overlap}: must be at least 0 and below 1")
        self.backbone = build(backbone)
        self.neck = build(neck)
        self.decode_head = build(decode_head)
        self.loss = build(loss)
        self.window = window
        self.overlap = overlap

    def noise(self, frames: Tensor) -> Tensor:
        """The noise in frames: B×1×H×W to the same shape, both in grey levels."""
        maps: Any = self.data_preprocessor.normalise(frames)
        for part in (self.backbone, self.neck, self.decode_head):
            if part is not None:
                maps = part(maps)
        return 255 * maps.float()

    def forward(
        self,
        inputs: Tensor | list[Tensor],
        data_samples: list[Any] | None = None,
        clean: Tensor | list[Tensor] | None = None,
        mode: str = "tensor",
    ) -> Any:
        """Noise, loss or denoised frames.

        Args:
            inputs: degraded frames in grey levels, B×1×H×W; in mode ``"predict"`` a list of 1×H×W,
                of any sizes.
            data_samples: in mode ``"predict"``, get the result as `denoised`, uint8 1×H×W.
            clean: in mode ``"loss"``, the true frames, B×1×H×W.
            mode: ``"tensor"``, ``"loss"`` or ``"predict"``.
        """
        if mode == "tensor":
            return self.noise(inputs)
        if mode == "loss":
            return {"loss_pixel": self.loss(inputs - self.noise(inputs), clean)}
        if mode != "predict":
            raise ValueError(f"a denoiser has no mode {mode!r}")
        for frame, sample in zip(inputs, data_samples):
            denoised = (frame - self._noise_of(frame)).round().clamp(0, 255)
            sample.denoised = denoised.to(torch.uint8)
        return data_samples

    def _noise_of(self, frame: Tensor) -> Tensor:
        if self.window is None:
            return self.noise(frame[None])[0]
        return in_windows(self.noise, frame, self.window, self.overlap)
