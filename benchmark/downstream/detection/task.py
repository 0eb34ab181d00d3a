"""Detection, by mmdetection's models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from torch import nn
from torch.optim import Optimizer

from benchmark.data.tasks import TaskFolder
from benchmark.data.tasks.folder import TaskItem
from benchmark.downstream.detection.dataset import DetectionDataset
from benchmark.downstream.detection.metrics import DetectionMetric
from benchmark.downstream.detection.model import (
    SCOPE,
    build_detector,
    decay_like_detectron2,
    with_classes,
)
from benchmark.downstream.examples import read_example_image, resized, shown_size
from benchmark.downstream.task import Prediction, Task, TaskClasses
from benchmark.files import read_json
from benchmark.results import Example


class DetectionTask(Task):
    """Boxes around stenoses."""

    scope = SCOPE
    dataset = DetectionDataset

    def place_encoder(self, config: Config, encoder: Config) -> None:
        """The backbone stays ViTDet's; it takes the weights of the encoder.

        If the encoder is not a plain ViT, `build_detector` replaces the backbone: the kind of an
        encoder is known only once it has been exported.
        """
        config.model.backbone.folder = encoder.folder

    def build_model(self, config: Config, seed: int, folder: TaskFolder | TaskClasses) -> nn.Module:
        return build_detector(with_classes(config, folder), seed)

    def build_metric(
        self, config: Config, folder: TaskFolder, predictions: Path, split: str = "test"
    ) -> DetectionMetric:
        return DetectionMetric(folder.coco(split), predictions)

    def adjust_optimizer(self, optimizer: Optimizer, model: nn.Module) -> None:
        decay_like_detectron2(optimizer, model)

    def build_examples(
        self, folder: TaskFolder, items: Sequence[TaskItem], predictions: Path, split: str = "test"
    ) -> list[Example]:
        """Frame, true boxes, and detections with their scores, at the size of the shown frame."""
        ids = {Path(i["file_name"]).stem: i["id"] for i in read_json(folder.coco(split))["images"]}
        detections: dict[int, list[list[float]]] = {}
        for found in read_json(predictions / "detections.json"):
            x, y, width, height = found["bbox"]
            # Categories count from 1, labels from 0.
            row = [x, y, x + width, y + height, found["category_id"] - 1, found["score"]]
            detections.setdefault(found["image_id"], []).append(row)
        examples = []
        for item in items:
            frame = read_example_image(folder.image(split, item["stem"]))
            size = shown_size(*frame.shape)
            rows, columns = (new / old for new, old in zip(size, frame.shape))
            scale = np.array([columns, rows, columns, rows, 1, 1])
            truth = np.array(item["boxes"]).reshape(-1, 5) * scale[:5]
            predicted = np.array(detections.get(ids[item["stem"]], [])).reshape(-1, 6) * scale
            boxes = (values.astype(np.float32) for values in (truth, predicted))
            examples.append(Example(item["stem"], resized(frame, size), *boxes))
        return examples

    def read_prediction(self, sample: dict[str, Any], classes: Sequence[str]) -> Prediction:
        found = sample["pred_instances"]
        values = (found[name].cpu().numpy() for name in ("bboxes", "scores", "labels"))
        boxes, scores, labels = values
        order = np.argsort(-scores, kind="stable")
        return Prediction(
            boxes=boxes[order].astype(np.float64),
            scores=scores[order].astype(np.float64),
            labels=labels[order],
        )


TASK = DetectionTask()
