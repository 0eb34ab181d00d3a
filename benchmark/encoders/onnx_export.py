"""Networks as ONNX files, compared with ONNX Runtime before they are kept.

A file holds weights and normalisation: its input ``frames`` is uint8 B×1×H×W, intensities 0 … 255,
of one size, in batches of any number.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.encoders.card import EncoderCard
from benchmark.errors import InputError
from benchmark.files import atomic_write
from benchmark.nn.backbones.base import Encoder, patch_map

OPSET = 18
"""Version of ONNX's operators; ONNX Runtime has them from 1.14 on."""
TOLERANCE = 1e-4
"""Relative to the largest value of an output: the same arithmetic in another order."""

_MOST_BYTES = 2_000_000_000  # of a protobuf file, with room for the graph
_TRACED, _COMPARED = 2, 3  # frames in a batch; two sizes, to reveal one that is not dynamic


class OnnxReport(NamedTuple):
    """What a written file is.

    Attributes:
        outputs: name → shape, the batch as ``"B"``.
        runtime: version of ONNX Runtime; None: not installed, and the file was not compared.
        difference: largest difference of an output, relative to its largest value.
    """

    outputs: dict[str, list[int | str]]
    runtime: str | None
    difference: float


class EncoderGraph(nn.Module):
    """An encoder from frames to its feature maps, finest first, and its prefix tokens, if any.

    Args:
        encoder: in evaluation mode.
        card: its normalisation.
    """

    def __init__(self, encoder: Encoder, card: EncoderCard) -> None:
        super().__init__()
        self.encoder = encoder
        self.prefix = card.num_prefix_tokens
        self.names = [f"features_{stride}" for stride in card.strides]
        if self.prefix:
            self.names.append("prefix_tokens")
        self.register_buffer("mean", torch.tensor(card.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(card.std)[:, None, None])

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """uint8 B×1×H×W to maps B×width×(H/stride)×(W/stride), and tokens B×prefix×D."""
        images = (frames.float() / 255 - self.mean) / self.std
        found = self.encoder(images)
        if not isinstance(found, Tensor):
            return tuple(found)
        side = self.encoder.patch_size
        grid = (images.shape[-2] // side, images.shape[-1] // side)
        maps = patch_map(found, self.prefix, grid)
        return (maps, found[:, : self.prefix]) if self.prefix else (maps,)


def random_frames(height: int, width: int) -> Tensor:
    """The frames that a file is compared on, uint8 3×1×H×W."""
    generator = torch.Generator().manual_seed(0)
    shape = (_COMPARED, 1, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@torch.no_grad()
def write_onnx(
    path: Path,
    graph: nn.Module,
    names: Sequence[str],
    frames: Tensor,
    expected: Sequence[Tensor],
    about: Mapping[str, Any],
) -> OnnxReport:
    """Write a network as an ONNX file, once ONNX Runtime has given the expected outputs.

    Args:
        path: the file; replaced if it exists.
        graph: from frames to a tuple of outputs, on the CPU and in evaluation mode. Its attention
            is written out as softmax(QKᵀ)·V.
        names: of the outputs.
        frames: from `random_frames`; their size becomes that of the input.
        expected: the outputs for them.
        about: stored in the file as its metadata, values as JSON.

    Raises:
        InputError: torch cannot write this network, it is too large, or ONNX Runtime computes
            something else.
    """
    size = sum(tensor.nbytes for tensor in graph.state_dict().values())
    if size > _MOST_BYTES:
        raise InputError(f"its {size / 1e9:.1f} GB of weights exceed the 2 GB of an ONNX file")
    for module in graph.modules():
        if hasattr(module, "fused_attn"):  # timm's; not all its shapes can be converted
            module.fused_attn = False
    data = _convert(graph, names, frames[:_TRACED], about)
    outputs = {name: ["B", *tensor.shape[1:]] for name, tensor in zip(names, expected)}
    runtime, difference = None, 0.0
    if find_spec("onnxruntime") is not None:
        runtime, difference = _compare(data, frames, expected)
    with atomic_write(path) as stream:
        stream.write(data)
    return OnnxReport(outputs, runtime, difference)


def _convert(
    graph: nn.Module, names: Sequence[str], frames: Tensor, about: Mapping[str, Any]
) -> bytes:
    """The content of the file."""
    try:
        with _silence():
            program = torch.onnx.export(
                graph,
                (frames,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["frames"],
                output_names=list(names),
                dynamic_shapes={"frames": {0: torch.export.Dim("batch")}},
                verbose=False,
            )
    except Exception as error:
        # The exporter passes on whatever the parts of a network raise.
        while error.__cause__ is not None:
            error = error.__cause__
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"torch cannot write this network as ONNX ({reason:.200})") from None
    model = program.model_proto
    if not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise InputError("torch cannot write this network as ONNX (for batches of any number)")
    # Drop the source location of each operation, which has paths of this machine.
    for node in (*model.graph.node, *(n for f in model.functions for n in f.node)):
        del node.metadata_props[:]
        node.doc_string = ""
    for key, value in about.items():
        model.metadata_props.add(
            key=key, value=value if isinstance(value, str) else json.dumps(value)
        )
    return model.SerializeToString()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Hide the exporter's progress, warnings and log, but not its exceptions."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _compare(data: bytes, frames: Tensor, expected: Sequence[Tensor]) -> tuple[str, float]:
    """Version of ONNX Runtime, and the largest relative difference of what it computes."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        found = session.run(None, {"frames": frames.numpy()})
    except Exception as error:  # its exceptions have no common base class
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"ONNX Runtime cannot run the file ({reason:.200})") from None
    difference = 0.0
    for values, wanted in zip(found, expected, strict=True):
        wanted = wanted.numpy()
        gap = np.inf
        if values.shape == wanted.shape:
            gap = np.abs(values - wanted).max() / max(np.abs(wanted).max(), 1e-30)
        difference = float(np.maximum(difference, gap))  # NaN propagates
    if not difference <= TOLERANCE:
        raise InputError(
            f"ONNX Runtime {onnxruntime.__version__} computes something else (by "
            f"{difference:.1e} of the largest value); nothing is written"
        )
    return onnxruntime.__version__, difference


@torch.no_grad()
def write_encoder_onnx(
    path: Path, encoder: Encoder, card: EncoderCard, size: int | None = None
) -> OnnxReport:
    """Write what `load_encoder` gave; its outputs are ``features_STRIDE`` and ``prefix_tokens``.

    Args:
        size: side of the frames, a multiple of the coarsest stride; None: as in pre-training.

    Raises:
        InputError: see `write_onnx`.
    """
    side = size or encoder.img_size
    graph = EncoderGraph(encoder.eval(), card).eval()
    frames = random_frames(side, side)
    about = {
        "architecture": card.architecture,
        "mean": card.mean,
        "std": card.std,
        "num_prefix_tokens": card.num_prefix_tokens,
        "weights_sha256": card.weights_sha256,
        "provenance": card.provenance,
    }
    return write_onnx(path, graph, graph.names, frames, graph(frames), about)
