"""Which model is scored on which frames, and where the record goes; without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmark.data.corruptions import Corruptions
from benchmark.data.tasks import TaskFolder
from benchmark.downstream.fine_tuned.description import ModelDescription, read_model_description
from benchmark.downstream.transfer.identity import (
    corruptions_content,
    corruptions_id,
    prepared_folder,
    read_corruptions,
    transfer_content,
    transfer_id,
)
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.results import record_path
from benchmark.results.schema import Id


@dataclass(frozen=True)
class ModelTest:
    """A fine-tuned model, and the split of a prepared task it is scored on.

    Attributes:
        model: folder of the model, or one of its files.
        description: description of the model.
        folder: the prepared task.
        split: ``"test"``, ``"val"`` or ``"train"``.
        results: folder of the records.
        dataset: id of the record.
        content: the config of the record.
        corruptions: corruptions of the frames; None: clean frames.
    """

    model: str | os.PathLike[str]
    description: ModelDescription
    folder: TaskFolder
    split: str
    results: Path
    dataset: str
    content: dict[str, Any]
    corruptions: Corruptions | None = None

    @property
    def title(self) -> str:
        origin = self.description.provenance
        return f"{origin.title} · {self.dataset} · seed {origin.seed}"

    @property
    def record(self) -> Path:
        origin = self.description.provenance
        return record_path(self.results, origin.protocol, origin.method, self.dataset, origin.seed)


def plan_transfer(
    model: str | os.PathLike[str],
    dataset: str,
    work: Path,
    results: Path,
    data: Path | None = None,
    split: str = "test",
    configs: Path = CONFIGS,
) -> ModelTest:
    """Check that a model can be scored on a dataset.

    Args:
        model: folder of the model, or one of its files.
        dataset: a file of ``configs/downstream/``; with `data` any name.
        work: ``{work}`` in the folder that the config of the dataset names.
        results: folder of the records.
        data: the prepared task; None for the config's.
        split: split of the prepared task.
        configs: folder of all configs.

    Raises:
        InputError: model, dataset or split do not exist, or the task or the classes differ.
    """
    description = read_model_description(model)
    folder = TaskFolder.open(data or prepared_folder(dataset, description.task, work, configs))
    _check_task(folder, description)
    if split not in folder.splits:
        found = ", ".join(sorted(folder.splits))
        raise InputError(
            f"{folder.path}: has no split {split!r}, only {found}; choose with --split"
        )
    origin = description.provenance
    try:
        name = transfer_id(origin.dataset, TypeAdapter(Id).validate_python(dataset), split)
    except ValidationError:
        raise InputError(
            f"--dataset {dataset}: must be a name of letters, digits and . _ + -"
        ) from None
    known = (origin.dataset, dataset, split, description.weights_sha256)
    content = transfer_content(description.config, *known)
    return ModelTest(model, description, folder, split, results, name, content)


def plan_corruptions(
    model: str | os.PathLike[str],
    work: Path,
    results: Path,
    data: Path | None = None,
    configs: Path = CONFIGS,
) -> ModelTest:
    """Check that a model can be scored on its own test split under corruptions.

    Args: as for `plan_transfer`.

    Raises:
        InputError: there is no such model, it is not for segmentation, or its test split is not
            where it was; the corruptions are damaged.
    """
    description = read_model_description(model)
    origin = description.provenance
    if description.task != "segmentation":
        raise InputError(
            f"--corruptions: compare the DSC of masks; a model for {description.task} has none"
        )
    corruptions = read_corruptions(configs)
    usual = (description.config.get("data") or {}).get("folder")
    if data is None and usual is None:
        raise InputError("the model does not say where its test split is; name it with --data")
    folder = TaskFolder.open(data or Path(str(usual).replace("{work}", str(work))))
    _check_task(folder, description)
    if folder.split_hash != origin.split_hash:
        raise InputError(
            f"{folder.path}: not the split that the model was trained and scored on; name the "
            "folder of that one with --data"
        )
    content = corruptions_content(description.config, corruptions, description.weights_sha256)
    name = corruptions_id(origin.dataset)
    return ModelTest(model, description, folder, "test", results, name, content, corruptions)


def _check_task(folder: TaskFolder, description: ModelDescription) -> None:
    if folder.kind != description.task:
        raise InputError(
            f"{folder.path}: a {folder.kind} task, but the model is for {description.task}"
        )
    if folder.classes != description.classes:
        trained, found = (", ".join(names) for names in (description.classes, folder.classes))
        raise InputError(
            f"{folder.path}: its classes are {found}, but those of the model {trained}"
        )
