"""Evidence that the heads learn: vessels in easy frames that were not trained on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from raw_layouts import MemorySource

from benchmark.data.frame import Frame
from benchmark.data.tasks import write_task_folder
from benchmark.downstream.finetune import run_cell


class Tubes(MemorySource):
    """Three dark arcs of 5 to 9 pixels each on a bright, slightly noisy ground, 96²."""

    def __init__(self, count: int) -> None:
        pictures, self.truth = [], []
        for number in range(count):
            rng = np.random.default_rng(number)
            mask = np.zeros((96, 96), np.uint8)
            for _ in range(3):
                centre = tuple(int(v) for v in rng.integers(20, 76, 2))
                axes = tuple(int(v) for v in rng.integers(18, 40, 2))
                start = int(rng.integers(0, 360))
                cv2.ellipse(mask, centre, axes, 0, start, start + 150, 1, int(rng.integers(5, 10)))
            ground = 170 - 90.0 * mask + rng.normal(0, 8, mask.shape)
            pictures.append(ground.clip(0, 255).astype(np.uint8))
            self.truth.append(mask[None].astype(bool))
        super().__init__(pictures)

    def read_masks(self, frame: Frame) -> np.ndarray:
        return self.truth[int(frame.path[:3])]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "protocol"),
    [
        ("mae", None),
        ("mae", "aaai"),
        ("unet", None),
        ("transunet", None),
        ("rwkv_unet", None),
        ("vm_unet", None),
    ],
)
def test_vessels_are_found_in_unseen_frames(method, protocol, tmp_path, export_vit, compose_cell):
    """40 easy frames, nothing pre-trained, the tiny scale: DSC above 80 % on 20 others."""
    folder = write_task_folder(Tubes(60), tmp_path / "task", "segmentation", progress=False)
    export_vit(tmp_path / "mae" / "pretrain", seed=1, patch_size=8)
    options = [f"data.folder={folder.path}", "epochs=40", "checkpoint_interval=40"]
    cell = compose_cell(tmp_path, method, "synthetic_v", options, protocol=protocol)
    assert run_cell(cell).metrics["dsc"].value > 80
