"""A small prepared task, small exported encoders and cells of the benchmark made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.data.sources import open_source
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.encoders.encoder import export_encoder
from benchmark.nn.vit import VisionTransformer

torch.set_num_threads(1)

SIDE = 64
"""Image size of the encoders."""


@pytest.fixture(scope="session")
def vessels(tmp_path_factory: pytest.TempPathFactory) -> TaskFolder:
    """Two patients to train on and one to test on, two frames of 80² each, with contrast in."""
    source = open_source("synthetic", patients=3, videos=1, frames=5, first_frame=3, size=80)
    out = tmp_path_factory.mktemp("task") / "vessels"
    return write_task_folder(source, out, "segmentation", "vessels", progress=False)


def export_vit(
    folder: Path, seed: int = 0, patch_size: int = 16, corpus_hash: str = "c0de"
) -> Path:
    """A ViT of 64², 32 wide, two blocks, with random weights of this seed."""
    torch.manual_seed(seed)
    vit = VisionTransformer(SIDE, patch_size, embed_dim=32, depth=2, num_heads=2)
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    export_encoder(folder, vit, {"run": "pretrain", "corpus_hash": corpus_hash, "seed": seed})
    return folder


@pytest.fixture(scope="session", name="export_vit")
def _export_vit() -> Callable[..., Path]:
    return export_vit
