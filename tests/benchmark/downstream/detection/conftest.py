"""Small tasks whose boxes can be seen, and the configs of the tiny scale on small encoders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from raw_layouts import MemorySource

from benchmark.data.frame import Frame
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.downstream.detection.dataset import DetectionDataset
from benchmark.encoders.encoder import export_encoder
from benchmark.nn.vit import VisionTransformer
from benchmark.training.config import load_config
from benchmark.training.config_keys import FINETUNE_KEYS, METHOD_KEYS

CONFIGS = Path(__file__).resolve().parents[4] / "configs"


class Lesions(MemorySource):
    """Dark discs on a bright, noisy ground, every fourth frame without one; 80 high, 100 wide."""

    classes = ("stenosis",)

    def __init__(self, count: int, noise: float = 10.0) -> None:
        pictures, self.boxes = [], []
        rows, columns = np.mgrid[:80, :100] + 0.5
        for number in range(count):
            rng = np.random.default_rng(number)
            ground = np.full((80, 100), 150.0) + 20 * np.sin(columns / rng.uniform(8, 20))
            boxes = []
            for _ in range(0 if number % 4 == 3 else rng.integers(1, 3)):
                radius = rng.uniform(7, 13)
                x, y = rng.uniform(14, 86), rng.uniform(14, 66)
                ground[(columns - x) ** 2 + (rows - y) ** 2 < radius**2] = 60
                boxes.append([x - radius, y - radius, x + radius, y + radius, 0])
            pictures.append((ground + rng.normal(0, noise, ground.shape)).clip(0, 255))
            self.boxes.append(np.array(boxes).reshape(-1, 5))
        super().__init__([picture.astype(np.uint8) for picture in pictures])

    def read_boxes(self, frame: Frame) -> np.ndarray:
        return self.boxes[int(frame.path[:3])]


def draw_lesions(path: Path, count: int) -> TaskFolder:
    """A task of `count` frames, two of three to train on."""
    return write_task_folder(Lesions(count), path, "detection", progress=False)


@pytest.fixture(scope="session", name="draw_lesions")
def _draw_lesions() -> Callable[[Path, int], TaskFolder]:
    return draw_lesions


@pytest.fixture(scope="session")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> TaskFolder:
    """Eight frames to train on and four to test on; one of four has no box."""
    return draw_lesions(tmp_path_factory.mktemp("task") / "lesions", 12)


def detection_config(method: str, encoder: Path | None = None, scale: str = "tiny") -> Config:
    """The config of `synthetic_d` with the parts of a method, or with an exported encoder."""
    config = load_config(CONFIGS / "downstream" / "synthetic_d.py", scale, known=FINETUNE_KEYS)
    if encoder is not None:
        config.model.backbone["folder"] = str(encoder)
        return config
    parts = load_config(CONFIGS / method / "encoder.py", scale, known=METHOD_KEYS)
    for key, part in parts.model.items():
        config.model[key] = part
    return config


@pytest.fixture(scope="session", name="detection_config")
def _detection_config() -> Callable[..., Config]:
    return detection_config


def export_tiny(folder: Path, seed: int, embed_dim: int = 48, patch_size: int = 8) -> Path:
    """An encoder of 96², as small as the heads of the tiny scale."""
    torch.manual_seed(seed)
    vit = VisionTransformer(96, patch_size, embed_dim, depth=4, num_heads=3)
    export_encoder(folder, vit, {"run": "test", "seed": seed})
    return folder


@pytest.fixture(scope="session", name="export_tiny")
def _export_tiny() -> Callable[..., Path]:
    return export_tiny


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_tiny(tmp_path_factory.mktemp("encoder"), 0)


def first_frames(folder: TaskFolder, config: Config, split: str, count: int) -> dict[str, Any]:
    """A batch of frames as they are tested, with their boxes."""
    load, *rest = config.test_pipeline
    dataset = DetectionDataset(folder, split, [load, config.train_pipeline[1], *rest])
    return pseudo_collate([dataset[index] for index in range(count)])


@pytest.fixture(scope="session", name="first_frames")
def _first_frames() -> Callable[..., dict[str, Any]]:
    return first_frames
