"""A prepared detection folder as an mmdetection dataset with keyed randomness."""

from __future__ import annotations

from typing import Any

from mmdet.datasets import BaseDetDataset

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.sampling import TaskDataset


class DetectionDataset(TaskDataset, BaseDetDataset):
    """One split of a detection folder, see `TaskDataset`; frames without a box are kept."""

    def __init__(self, folder: TaskFolder, *arguments: Any, **named: Any) -> None:
        metainfo = dict(classes=tuple(folder.classes))
        super().__init__(folder, *arguments, metainfo=metainfo, **named)

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
