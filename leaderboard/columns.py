"""The columns of a board: one metric of one dataset, with its title and its place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmark.results import DatasetId, read_dataset_id

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
    # Mean over corruptions and severities, relative to the uncorrupted frames.
    "relative_dsc": Quantity("Relative DSC"),
    # Of the probabilities of the pixels.
    "pixel_ap": Quantity("Pixel AP"),
    "dsc": Quantity("DSC"),
    "cldice": Quantity("clDice"),
    # Of a map of patches, which is coarser than the mask.
    "patch_ap": Quantity("Patch AP"),
    "patch_dsc": Quantity("Patch DSC"),
    "map50": Quantity("mAP50"),
    "map75": Quantity("mAP75"),
    "map": Quantity("mAP"),
    "psnr": Quantity("PSNR", "dB"),
    "ssim": Quantity("SSIM"),
    # Calibration of the probabilities of the pixels.
    "ece": Quantity("ECE"),
    "brier": Quantity("Brier"),
    # Of the projection to two dimensions, then of the features themselves.
    "silhouette": Quantity("Silhouette", "", 4),
    "calinski_harabasz": Quantity("Calinski–Harabasz", ""),
    "davies_bouldin": Quantity("Davies–Bouldin", ""),
    "silhouette_features": Quantity("Silhouette, features", "", 4),
    "calinski_harabasz_features": Quantity("Calinski–Harabasz, features", ""),
    "davies_bouldin_features": Quantity("Davies–Bouldin, features", ""),
    "probe_ap": Quantity("Linear probe AP"),
    # Costs (`leaderboard.costs`); then what published tables state beside scores.
    "network_m": Quantity("Parameters", "M", score=False),
    "trained_m": Quantity("Trained parameters", "M", score=False),
    "total_m": Quantity("Total parameters", "M", score=False),
    "network_gflops": Quantity("Network", "GFLOPs", score=False),
    "step_gflops": Quantity("Training step", "GFLOPs", score=False),
    "layer_gflops": Quantity("As the papers count", "GFLOPs", score=False),
    "device_hours": Quantity("Pre-training", "device-hours", score=False),
    "images_per_s": Quantity("Throughput", "images/s", 1, score=False),
    "step_time": Quantity("Step time", "× MAE", score=False),
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
    return read_dataset_id(dataset).kind == "patches"


#: Kind of an evaluation → suffix of the titles of its datasets, in the order of print.
KIND_TITLES = {
    "fine-tuning": "",
    "linear": "linear",
    "knn": "k-NN",
    "lora": "LoRA",
    "transfer": "",
    "corruptions": "corruptions",
    "patches": "",
}


def dataset_title(dataset: str) -> str:
    """The dataset as printed.

    ``ARCADE-V``, ``ARCADE-V, 10 %`` with a share of its labels, ``ARCADE-V, 5 images``,
    ``DCA1, linear``, ``DCA1 → XCAV`` of a transfer, or ``XCAV patches``.
    """
    known = read_dataset_id(dataset)
    base = DATASET_TITLES.get(known.dataset, known.dataset)
    if not known.plain and not read_dataset_id(known.dataset).plain:
        base = dataset_title(known.dataset)  # of `dca1-lora-to-xcav`: how the model was trained
    if known.kind == "patches":
        return f"{base} patches" + ("" if known.split == "train" else f", {known.split}")
    title = ", ".join(filter(None, (base, labels_title(known), KIND_TITLES[known.kind])))
    if known.tested is None:
        return title
    tested = DATASET_TITLES.get(known.tested, known.tested)
    return f"{title} → {tested}" + ("" if known.split == "test" else f", {known.split}")


def _root(known: DatasetId) -> str:
    """The dataset alone, also of a model that was not fine-tuned as usual (`dca1-lora-to-xcav`)."""
    inner = read_dataset_id(known.dataset)
    return known.dataset if inner.plain else _root(inner)


def labels_title(known: DatasetId) -> str:
    """The labels it was trained with: ``5 images``, ``10 %``, or an empty text for all of them."""
    if known.label_count is not None:
        return f"{known.label_count} image{'s' * (known.label_count != 1)}"
    return "" if known.label_fraction == 1 else f"{100 * known.label_fraction:g} %"


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
    def block(self) -> str:
        """The block it belongs to: columns of one tested dataset are not independent."""
        known = read_dataset_id(self.dataset)
        if known.kind == "patches" or (known.kind == "fine-tuning" and not known.label_count):
            return self.dataset
        return known.tested or _root(known)

    @property
    def bases(self) -> tuple[str, ...]:
        """The datasets alone: what a model was trained on, and what it is tested on."""
        known = read_dataset_id(self.dataset)
        return (_root(known), *([known.tested] if known.tested else []))

    @property
    def title(self) -> str:
        return f"{self.dataset_title} {self.label}"

    @property
    def all_labels(self) -> bool:
        """Whether all labels of the dataset were used for training."""
        return read_dataset_id(self.dataset).all_labels

    @property
    def main(self) -> bool:
        """Whether it belongs on the main board of its task, if its method does."""
        return read_dataset_id(self.dataset).plain


def _position(value: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(value) if value in order else len(order), value)


def dataset_order(dataset: str) -> tuple[object, ...]:
    """Sort key of datasets: the fixed order, the number or the share of the labels, the kind of
    the evaluation, then what a model is tested on.
    """
    known = read_dataset_id(dataset)
    order = list(DATASET_TITLES)
    # Analyses of patches follow all others by their ids: each has a board of its own.
    base = dataset if known.kind == "patches" else _root(known)
    return (
        *_position(base, order),
        math.inf if known.label_count is None else known.label_count,
        known.label_fraction,
        list(KIND_TITLES).index(known.kind),
        *_position(known.tested or "", order),
        dataset,
    )


def column_order(column: Column) -> tuple[object, ...]:
    """Sort key of columns: dataset and how it is evaluated, then metric."""
    return (*dataset_order(column.dataset), *_position(column.metric, list(METRICS)))
