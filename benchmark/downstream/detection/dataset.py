"""A prepared detection folder as an mmdetection data set with keyed randomness."""

from __future__ import annotations

from typing import Any

from mmdet.datasets import BaseDetDataset

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.sampling import StatelessDataset, labelled


class DetectionDataset(StatelessDataset, BaseDetDataset):
    """One split of a detection folder; frames without a box are kept.

    Args:
        folder: the prepared task.
        split: ``"train"``, ``"val"`` or ``"test"``.
        pipeline: mmdetection transforms.
        seed: seed of the run.
        fraction: share of the frames that is used (see `labelled`).
    """

    def __init__(
        self,
        folder: TaskFolder,
        split: str,
        pipeline: list[Any],
        seed: int = 0,
        fraction: float = 1.0,
    ) -> None:
        self.folder = folder
        self.items = labelled(folder, split, fraction)
        self.split = split
        self.seed = seed
        super().__init__(
            metainfo=dict(classes=tuple(folder.classes)),
            pipeline=pipeline,
            test_mode=split != "train",
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        return [
            dict(
                img_id=index,
                img_path=str(self.folder.image(self.split, item["stem"])),
                height=item["height"],
                width=item["width"],
                instances=[
                    dict(bbox=corners, bbox_label=int(label), ignore_flag=0)
                    for *corners, label in item["boxes"]
                ],
            )
            for index, item in enumerate(self.items)
        ]
