"""The columns of a board: one metric of one dataset, how it is called and where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmark.results import label_share, read_dataset_id, split_of_patches

#: Dataset → title, in the order of the columns (the journal's); others follow by name.
DATASET_TITLES = {
    "arcade_v": "ARCADE-V",
    "caxf": "CAXF",
    "xcav": "XCAV",
    "arcade_s": "ARCADE-S",
    "arcade_vs": "ARCADE-VS",
    "stenosis": "Stenosis",
    "denoising": "Denoising",
    "dca1": "DCA1",
    "xcad": "XCAD",
    "synthetic_v": "Synthetic-V",
    "synthetic_s": "Synthetic-S",
    "synthetic_vs": "Synthetic-VS",
    "synthetic_d": "Synthetic-D",
    "synthetic_n": "Synthetic-N",
    # What published tables state beside scores.
    "cost": "Cost",
    "images": "Images",
}


class Quantity(NamedTuple):
    """How a metric is printed; `score` is False for what is neither ranked nor tested."""

    label: str
    unit: str = "%"
    digits: int = 2
    score: bool = True


#: Metric → how it is printed, in the order of the columns; others are in percent.
METRICS = {
    "dsc": Quantity("DSC"),
    "cldice": Quantity("clDice"),
    "map50": Quantity("mAP50"),
    "map75": Quantity("mAP75"),
    "map": Quantity("mAP"),
    "psnr": Quantity("PSNR", "dB"),
    "ssim": Quantity("SSIM"),
    # Of the projection to two dimensions, then of the features themselves.
    "silhouette": Quantity("Silhouette", "", 4),
    "calinski_harabasz": Quantity("Calinski–Harabasz", ""),
    "davies_bouldin": Quantity("Davies–Bouldin", ""),
    "silhouette_features": Quantity("Silhouette, features", "", 4),
    "calinski_harabasz_features": Quantity("Calinski–Harabasz, features", ""),
    "davies_bouldin_features": Quantity("Davies–Bouldin, features", ""),
    "probe_ap": Quantity("Linear probe AP"),
    # Costs (`leaderboard.tables.costs`); then what published tables state beside scores.
    "network_m": Quantity("Network", "M", score=False),
    "trained_m": Quantity("Trained", "M", score=False),
    "total_m": Quantity("In training", "M", score=False),
    "network_gflops": Quantity("Network", "GFLOPs", score=False),
    "step_gflops": Quantity("Training step", "GFLOPs", score=False),
    "layer_gflops": Quantity("As the papers count", "GFLOPs", score=False),
    "images_per_s": Quantity("Speed", "images/s", 1, score=False),
    "step_time": Quantity("Time of a step", "× MAE", score=False),
    "memory_mib": Quantity("Memory", "MiB", 0, score=False),
    "params_m": Quantity("Parameters", "M", score=False),
    "gflops": Quantity("GFLOPs", "", score=False),
    "seconds_per_epoch": Quantity("Time per epoch", "s", 0, score=False),
    "pretraining_hours": Quantity("Pre-training time", "h", 1, score=False),
    "train_images": Quantity("Training images", "", 0, score=False),
    "test_images": Quantity("Test images", "", 0, score=False),
    "pretraining_images": Quantity("Pre-training images", "", 0, score=False),
}


def is_patches(dataset: str) -> bool:
    """Whether an id names patch features on a dataset: ``xcav-patches``."""
    return split_of_patches(dataset) is not None


def dataset_title(dataset: str) -> str:
    """The dataset as printed: ``ARCADE-V``, ``ARCADE-V, 10 %`` with a share of its labels, or
    ``XCAV patches``.
    """
    if patches := split_of_patches(dataset):
        base, split = patches
        return f"{dataset_title(base)} patches" + ("" if split == "train" else f", {split}")
    base, share = label_share(dataset)
    title = DATASET_TITLES.get(base, base)
    return title if base == dataset else f"{title}, {share:g} %"


@dataclass(frozen=True, slots=True)
class Column:
    """One metric of one dataset; `definition` is the id of how the metric is computed."""

    dataset: str
    metric: str
    definition: str
    higher_is_better: bool

    @property
    def id(self) -> str:
        return f"{self.dataset}/{self.metric}"

    @property
    def _quantity(self) -> Quantity:
        return METRICS.get(self.metric, Quantity(self.metric))

    @property
    def label(self) -> str:
        """The metric as printed."""
        return self._quantity.label

    @property
    def unit(self) -> str:
        """``"%"``, ``"dB"`` and the like, or ``""`` for a number without one."""
        return self._quantity.unit

    @property
    def digits(self) -> int:
        """Number of decimals in print."""
        return self._quantity.digits

    @property
    def score(self) -> bool:
        """Whether it is ranked and tested; costs and counts are not."""
        return self._quantity.score

    @property
    def dataset_title(self) -> str:
        return dataset_title(self.dataset)

    @property
    def title(self) -> str:
        return f"{self.dataset_title} {self.label}"

    @property
    def all_labels(self) -> bool:
        """Whether all labels of the dataset were used for training."""
        return read_dataset_id(self.dataset).all_labels

    @property
    def main(self) -> bool:
        """Whether it belongs on the main board of its task, for methods that do."""
        return read_dataset_id(self.dataset).plain


def _position(value: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(value) if value in order else len(order), value)


def dataset_order(dataset: str) -> tuple[object, ...]:
    """Sort key of datasets: the fixed order, then the share of the labels."""
    base, share = label_share(dataset)
    return (*_position(base, list(DATASET_TITLES)), share, dataset)


def column_order(column: Column) -> tuple[object, ...]:
    """Sort key of columns: dataset, share of its labels, metric."""
    return (*dataset_order(column.dataset), *_position(column.metric, list(METRICS)))
