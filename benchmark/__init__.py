"""What every self-supervised method of the benchmark shares.

The names below are for users, imported on first use: ``import benchmark`` does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmark.openmmlab.without_transformers import hide_transformers

if TYPE_CHECKING:
    from benchmark.anatomy.extraction import vessel_mask
    from benchmark.data.formats.images import read_grayscale
    from benchmark.data.synthetic import angiogram
    from benchmark.downstream.fine_tuned.model import load_model
    from benchmark.downstream.representation.encoding import encode_frames
    from benchmark.encoders.encoder import load_encoder
    from benchmark.method import Progress
    from benchmark.nn.masking.anatomy import AnatomyGuidedMasking
    from benchmark.results import read_results

_PUBLIC = {
    "AnatomyGuidedMasking": "benchmark.nn.masking.anatomy",
    "Progress": "benchmark.method",
    "angiogram": "benchmark.data.synthetic",
    "encode_frames": "benchmark.downstream.representation.encoding",
    "load_encoder": "benchmark.encoders.encoder",
    "load_model": "benchmark.downstream.fine_tuned.model",
    "read_grayscale": "benchmark.data.formats.images",
    "read_results": "benchmark.results",
    "vessel_mask": "benchmark.anatomy.extraction",
}

__all__ = [
    "AnatomyGuidedMasking",
    "Progress",
    "angiogram",
    "encode_frames",
    "load_encoder",
    "load_model",
    "read_grayscale",
    "read_results",
    "vessel_mask",
]

hide_transformers()  # before anything of OpenMMLab is imported


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
