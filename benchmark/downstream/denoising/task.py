"""Denoising: what fine-tuning needs to know about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from benchmark.data.tasks import TaskFolder
from benchmark.data.tasks.folder import TaskItem
from benchmark.downstream.denoising.dataset import DenoisingDataset, read_pair
from benchmark.downstream.denoising.metrics import DenoisingMetric
from benchmark.downstream.examples import middle, read_example_image
from benchmark.downstream.segmentation.model import EncoderBackbone, fit_to_encoder
from benchmark.downstream.task import Prediction, Task, TaskClasses, reset_parameters
from benchmark.encoders.card import check_patches
from benchmark.errors import InputError
from benchmark.randomness import seed_torch
from benchmark.registry import build
from benchmark.results import Example


class DenoisingTask(Task):
    """Frames without the noise that was added to them."""

    scope = "mmseg"
    dataset = DenoisingDataset

    def build_model(
        self, config: Config, seed: int, folder: TaskFolder | TaskClasses | None = None
    ) -> nn.Module:
        spec = dict(config.model.items())
        seed_torch(seed, "backbone")
        if "backbone" not in spec:
            return build(spec)
        if spec["backbone"]["type"] is EncoderBackbone:
            if not spec.get("window"):
                raise InputError("model.window: an encoder takes windows of one size; set it")
            # Loading here, before it is built again with the rest, gives the sizes.
            card = build(spec["backbone"]).card
            crops = [step["size"] for step in config.train_pipeline if "size" in step]
            for size in (spec["window"], *crops):
                check_patches(card, size)
            spec = fit_to_encoder(spec, card)
            seed_torch(seed, "backbone")
        model = build(spec)
        for name in ("neck", "decode_head"):
            part = getattr(model, name)
            if part is not None:
                reset_parameters(part, seed, name)
        return model.to(memory_format=torch.channels_last)

    def build_metric(
        self, config: Config, folder: TaskFolder, predictions: Path, split: str = "test"
    ) -> DenoisingMetric:
        return DenoisingMetric(folder, predictions, split)

    def build_examples(
        self, folder: TaskFolder, items: Sequence[TaskItem], predictions: Path, split: str = "test"
    ) -> list[Example]:
        """Centre crops of the degraded, clean and denoised frame: shrinking would remove noise."""
        found = []
        for stem in (item["stem"] for item in items):
            pair = read_pair(folder, split, stem)
            denoised = read_example_image(predictions / f"{stem}.png")
            pictures = (middle(picture) for picture in (pair[..., 0], pair[..., 1], denoised))
            found.append(Example(stem, *pictures))
        return found

    def frame_inputs(self, frame: np.ndarray, colour: bool) -> dict[str, Any]:
        # The second channel stands in for the clean frame, which the transforms expect.
        return {"img": np.stack([frame, frame], axis=2), "stem": ""}

    def read_prediction(self, sample: dict[str, Any], classes: Sequence[str]) -> Prediction:
        return Prediction(denoised=sample["denoised"][0].cpu().numpy())


TASK = DenoisingTask()
