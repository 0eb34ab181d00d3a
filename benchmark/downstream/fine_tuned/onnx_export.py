"""A fine-tuned segmentor as an ONNX file, from frames to probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from benchmark.downstream.fine_tuned.model import FineTunedModel
from benchmark.downstream.segmentation.metrics import class_probabilities
from benchmark.downstream.segmentation.scratch.vm_unet import VMUNet
from benchmark.encoders.onnx_export import OnnxReport, random_frames, write_onnx
from benchmark.errors import InputError

OUTPUTS = ("probabilities", "logits")


class SegmentorGraph(nn.Module):
    """A segmentor with the normalisation before it and the probabilities after it.

    Args:
        model: a segmentor whose frames are resized to one size.
    """

    def __init__(self, model: FineTunedModel) -> None:
        super().__init__()
        self.network = model.network
        self.classes = len(model.description.foreground)
        self.channels = 3 if model.colour else 1
        shown = model.description.preprocessing
        self.width, self.height = shown.size
        mean, std = shown.mean or [0.0], shown.std or [1.0]
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 B×1×H×W to probabilities B×classes×H×W and the logits they are made of."""
        images = (frames.float().expand(-1, self.channels, -1, -1) - self.mean) / self.std
        size = {"img_shape": (self.height, self.width)}
        logits = self.network.encode_decode(images, [size])
        return class_probabilities(logits, self.classes, dim=1), logits


@torch.no_grad()
def write_segmentor_onnx(path: Path, model: FineTunedModel) -> OnnxReport:
    """Write a segmentor; the results of ONNX Runtime are compared with `FineTunedModel.predict`.

    Args:
        model: on the CPU.

    Raises:
        InputError: it is not a segmentation network, or its frames are not resized to one size; or
            see `write_onnx`.
    """
    shown, network = model.description.preprocessing, model.network
    if not isinstance(network, EncoderDecoder):
        raise InputError(f"a {type(network).__name__} cannot be written as ONNX")
    if isinstance(network.backbone, VMUNet):
        # Torch unrolls them into some ten thousand operations, taking minutes even at scale tiny.
        raise InputError("VM-UNet cannot be written as ONNX: its scans are loops over pixels")
    if shown.size is None or shown.keep_ratio or network.test_cfg.get("mode") != "whole":
        raise InputError(
            "it takes frames of several sizes; only a segmentor that resizes frames to one size "
            "can be written as ONNX"
        )
    graph = SegmentorGraph(model).eval()
    frames = random_frames(graph.height, graph.width)
    _, logits = graph(frames)
    found = model.predict([frame[0].numpy() for frame in frames])
    probabilities = torch.from_numpy(np.stack([one.probabilities for one in found]))
    description = model.description
    about = {
        "title": description.provenance.title,
        "task": description.task,
        "classes": description.classes,
        "threshold": getattr(network.decode_head, "threshold", None) or 0.5,
        "preprocessing": shown.model_dump(),
        "weights_sha256": description.weights_sha256,
        "provenance": description.provenance.model_dump(mode="json"),
    }
    return write_onnx(path, graph, OUTPUTS, frames, (probabilities, logits), about)
