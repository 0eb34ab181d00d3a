"""What identifies the record of a model that is scored elsewhere; without torch.

The tool and the sweep compute it here, so that a sweep knows which records are current.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.data.corruptions import Corruptions
from benchmark.errors import InputError
from benchmark.results import DatasetId, read_dataset_id
from benchmark.training.config_keys import CORRUPTION_KEYS
from benchmark.training.preview import preview


def transfer_id(trained: str, tested: str, split: str = "test") -> str:
    """The dataset id of a model scored on another dataset.

    Args:
        trained: dataset id of its fine-tuning.
        tested: name of the dataset it is scored on.
        split: whose frames are.

    Raises:
        InputError: with the name of the dataset, the id would read otherwise.
    """
    known = _trained(trained)._replace(kind="transfer", tested=tested, split=split)
    if read_dataset_id(known.text) != known:
        raise InputError(f"--dataset {tested}: reads as another id in {known.text}; rename it")
    return known.text


def corruptions_id(trained: str) -> str:
    """The dataset id of a model scored under corruptions; `trained` as for `transfer_id`."""
    return _trained(trained)._replace(kind="corruptions").text


def _trained(dataset: str) -> DatasetId:
    known = read_dataset_id(dataset)
    # With adapters it is another model than without: what it was trained on keeps its complete id.
    return known if known.kind == "fine-tuning" else DatasetId(dataset)


def transfer_content(
    config: Mapping[str, Any], trained: str, tested: str, split: str, weights: str | None = None
) -> dict[str, Any]:
    """The config whose hash identifies the record of a transfer; that of its training, and more.

    Args:
        config: of the fine-tuning, JSON-able.
        trained, tested, split: as for `transfer_id`.
        weights: sha256 of those of the model; it is not hashed, as each seed has others.
    """
    tested_on = {"trained": trained, "tested": tested, "split": split, "checkpoint": weights}
    return {**config, "transfer": tested_on}


def corruptions_content(
    config: Mapping[str, Any], corruptions: Corruptions, weights: str | None = None
) -> dict[str, Any]:
    """The same of a model under corruptions."""
    return {**config, "corruptions": {**corruptions.settings, "checkpoint": weights}}


def scored_weights(config: Mapping[str, Any]) -> str | None:
    """The sha256 of the weights that a record of either kind is of; None in another config."""
    about = config.get("transfer", config.get("corruptions"))
    return about.get("checkpoint") if isinstance(about, Mapping) else None


def read_corruptions(configs: Path) -> Corruptions:
    """The corruptions of ``_base_/corruptions.py``.

    Raises:
        InputError: the file is missing or damaged, or has levels that are none.
    """
    path = configs / "_base_" / "corruptions.py"
    values = preview(path, CORRUPTION_KEYS, tuple(CORRUPTION_KEYS))
    return Corruptions(values["corruptions"], values["seed"])
