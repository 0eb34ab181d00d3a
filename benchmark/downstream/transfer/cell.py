"""Which model is scored on which data, and where the record goes; without torch.

A record of a transfer never stands beside those of fine-tuning: its protocol is
``<protocol>-transfer``, its dataset ``<trained>-to-<tested>``, with a split other than the test
split ``<trained>-to-<tested>.<split>``. Protocols never mix on a board.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.fine_tuned.description import ModelDescription, read_model_description
from benchmark.downstream.preview import find_dataset
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.results import record_path
from benchmark.results.schema import Id
from benchmark.training.preview import read_values


@dataclass(frozen=True)
class Transfer:
    """A model, and the split of a prepared task it is scored on.

    Attributes:
        model: folder of the model, or one of its files.
        description: of the model.
        dataset: name of the tested data set.
        folder: the prepared task.
        split: ``"test"``, ``"val"`` or ``"train"``.
        results: folder of the records.
    """

    model: str | os.PathLike[str]
    description: ModelDescription
    dataset: str
    folder: TaskFolder
    split: str
    results: Path

    @property
    def protocol(self) -> str:
        return f"{self.description.provenance.protocol}-transfer"

    @property
    def dataset_id(self) -> str:
        pair = f"{self.description.provenance.dataset}-to-{self.dataset}"
        return pair if self.split == "test" else f"{pair}.{self.split}"

    @property
    def title(self) -> str:
        origin = self.description.provenance
        return f"{origin.title} · {self.dataset_id} · seed {origin.seed}"

    @property
    def record(self) -> Path:
        origin = self.description.provenance
        place = (self.protocol, origin.method, self.dataset_id, origin.seed)
        return record_path(self.results, *place)


def plan_transfer(
    model: str | os.PathLike[str],
    dataset: str,
    work: Path,
    results: Path,
    data: Path | None = None,
    split: str = "test",
    configs: Path = CONFIGS,
) -> Transfer:
    """Check that a model can be scored on a data set.

    Args:
        model: folder of the model, or one of its files.
        dataset: a file of ``configs/downstream/``; with `data` any name.
        work: ``{work}`` in the folder that the config of the data set names.
        results: folder of the records.
        data: the prepared task; None for the config's.
        split: of the prepared task.
        configs: folder of all configs.

    Raises:
        InputError: model, data set or split do not exist, or the task or the classes differ.
    """
    description = read_model_description(model)
    folder = TaskFolder.open(data or _prepared_task(description, dataset, work, configs))
    if folder.kind != description.task:
        raise InputError(
            f"{folder.path}: a {folder.kind} task, but the model is for {description.task}"
        )
    if folder.classes != description.classes:
        trained, found = (", ".join(names) for names in (description.classes, folder.classes))
        raise InputError(
            f"{folder.path}: its classes are {found}, but those of the model {trained}"
        )
    if split not in folder.splits:
        found = ", ".join(sorted(folder.splits))
        raise InputError(
            f"{folder.path}: has no split {split!r}, only {found}; choose with --split"
        )
    transfer = Transfer(model, description, dataset, folder, split, results)
    try:
        TypeAdapter(Id).validate_python(transfer.dataset_id)
    except ValidationError:
        raise InputError(
            f"--dataset {dataset}: must be a name of letters, digits and . _ + -"
        ) from None
    return transfer


def _prepared_task(description: ModelDescription, dataset: str, work: Path, configs: Path) -> Path:
    """The folder of the prepared task that the config of a data set names."""
    path = find_dataset(configs, dataset)
    values = read_values(path) or {}
    if values.get("task", description.task) != description.task:
        raise InputError(
            f"{dataset}: a data set for {values['task']}, but the model is for {description.task}"
        )
    named = (values.get("data") or {}).get("folder")
    if named is None:
        raise InputError(f"{path}: names no folder that can be read here; use --data")
    return Path(named.replace("{work}", str(work)))
