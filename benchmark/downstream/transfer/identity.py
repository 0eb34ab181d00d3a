"""What identifies the record of a model that is scored elsewhere; without torch.

The tool and the sweep compute it here, so that a sweep knows which records are current.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.downstream.preview import find_dataset
from benchmark.errors import InputError
from benchmark.results import DatasetId, read_dataset_id
from benchmark.training.config_keys import CORRUPTION_KEYS
from benchmark.training.preview import preview, read_values

if TYPE_CHECKING:
    from benchmark.data.corruptions import Corruptions


def transfer_id(trained: str, tested: str, split: str = "test") -> str:
    """The dataset id of a model scored on another dataset.

    Args:
        trained: dataset id of its fine-tuning.
        tested: name of the dataset it is scored on.
        split: split of these frames.

    Raises:
        InputError: with the name of the dataset, the id would be read differently.
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
    # A model with adapters is a different one: the id of its fine-tuning is kept complete.
    return known if known.kind == "fine-tuning" else DatasetId(dataset)


def transfer_content(
    config: Mapping[str, Any], trained: str, tested: str, split: str, weights: str | None = None
) -> dict[str, Any]:
    """The config whose hash identifies the record of a transfer; that of its training, and more.

    Args:
        config: config of the fine-tuning, JSON-able.
        trained, tested, split: as for `transfer_id`.
        weights: sha256 of the model's weights; it is not hashed, as it differs between seeds.
    """
    tested_on = {"trained": trained, "tested": tested, "split": split, "checkpoint": weights}
    return {**config, "transfer": tested_on}


def corruptions_content(
    config: Mapping[str, Any], corruptions: Corruptions, weights: str | None = None
) -> dict[str, Any]:
    """The same for a model under corruptions."""
    return {**config, "corruptions": {**corruptions.settings, "checkpoint": weights}}


def scored_weights(config: Mapping[str, Any]) -> str | None:
    """The sha256 of the weights that a record of either kind scores; None in another config."""
    about = config.get("transfer", config.get("corruptions"))
    return about.get("checkpoint") if isinstance(about, Mapping) else None


def read_corruptions(configs: Path) -> Corruptions:
    """The corruptions of ``_base_/corruptions.py``.

    Raises:
        InputError: the file is missing or damaged, or has invalid levels.
    """
    from benchmark.data.corruptions import Corruptions

    path = configs / "_base_" / "corruptions.py"
    values = preview(path, CORRUPTION_KEYS, tuple(CORRUPTION_KEYS))
    return Corruptions(values["corruptions"], values["seed"])


def prepared_folder(
    dataset: str, task: str, work: Path, configs: Path, protocol: str | None = None
) -> Path:
    """The folder of the prepared task that the config of a dataset names.

    Args:
        dataset: a file of ``downstream/``.
        task: kind of the model that is scored on it.
        work: ``{work}`` in the folder.
        configs: folder of all configs.
        protocol: a folder of ``downstream/`` that may have the dataset too, and takes precedence.

    Raises:
        InputError: there is no such dataset, it is of another task, or names no folder.
    """
    beside = configs / "downstream" / (protocol or "") / f"{dataset}.py"
    path = find_dataset(configs, dataset, protocol if beside.is_file() else None)
    values = read_values(path) or {}
    if values.get("task", task) != task:
        raise InputError(f"{dataset}: a dataset for {values['task']}, but the model is for {task}")
    named = (values.get("data") or {}).get("folder")
    if named is None:
        raise InputError(f"{path}: names no folder that can be read here; use --data")
    return Path(named.replace("{work}", str(work)))
