"""The content of ``model.json``, read without torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from benchmark.errors import InputError
from benchmark.results import RunRecord, config_hash
from benchmark.results.schema import EncoderIdentity, GitState, Id, Metric, Time, Title
from benchmark.schemas import Count, NonEmpty, Schema, TaskKind, Text, read_validated, version_type

NAME = "model"
"""Stem of the two files of a model."""


class Preprocessing(Schema):
    """What a network is shown of a frame of 8-bit intensities.

    Attributes:
        size: width and height the frame is resized to (or, where `keep_ratio`, that it has to fit
            into); None: frames stay at native size.
        keep_ratio: whether the aspect ratio is kept.
        mean, std: what is shown is (intensity − mean) / std, one value for each equal channel; None
            where intensities stay 0 … 255.
    """

    size: Annotated[list[Count], Field(min_length=2, max_length=2)] | None
    keep_ratio: bool
    mean: NonEmpty[float] | None
    std: NonEmpty[float] | None


class ModelProvenance(Schema):
    """Where the weights come from; the keys are those of `RunRecord`."""

    protocol: Id
    method: Id
    title: Title
    family: Title
    pretraining: Title
    dataset: Id
    seed: Count
    split_hash: Text
    corpus_hash: Text | None
    config_hash: Text
    encoder: EncoderIdentity | None
    versions: dict[str, Text]
    git: GitState | None
    finished: Time


class ModelDescription(Schema):
    """``model.json``.

    Attributes:
        task: kind of the task.
        classes: names by label; label 0 of a segmentation is the background. Empty for denoising.
        config: the resolved config of the fine-tuning, JSON-able; classes are ``"module.Class"``.
            ``model`` is the network and ``test_pipeline`` what happens to a frame before it.
        encoder: content of `encoder.json` of the encoder in the network, without its weights; None
            where the network has none.
        preprocessing: short form of what config and encoder define; compared on loading.
        scores: scores of the test split, as in the record.
        provenance: provenance of the weights.
        weights_sha256: of ``model.safetensors``.
        schema_version: version of this layout; the key ``schema`` of the file.
    """

    remedy: ClassVar[str] = "write it again with tools/finetune.py --overwrite"

    schema_version: version_type(1) = Field(1, alias="schema")
    task: TaskKind
    classes: list[Text]
    config: dict[str, Any]
    encoder: dict[str, Any] | None
    preprocessing: Preprocessing
    scores: dict[Id, Metric]
    provenance: ModelProvenance
    weights_sha256: Text

    @property
    def foreground(self) -> list[str]:
        """The classes without the background of a segmentation."""
        return self.classes[1:] if self.task == "segmentation" else self.classes


def provenance_of(record: RunRecord) -> ModelProvenance:
    """The provenance of the model that a record describes."""
    content = record.model_dump(include=set(ModelProvenance.model_fields))
    return ModelProvenance.model_validate(content)


def model_folder(path: str | os.PathLike[str]) -> Path:
    """The folder of a model from its path, which may name one of the two files as well."""
    path = Path(path)
    return path.parent if path.name in (f"{NAME}.json", f"{NAME}.safetensors") else path


def read_model_description(path: str | os.PathLike[str]) -> ModelDescription:
    """Read and validate ``model.json``, and that the weights are beside it.

    Args:
        path: folder of the model, or one of its files.

    Raises:
        InputError: there is no model, or the description is damaged or was changed.
    """
    folder = model_folder(path)
    file = folder / f"{NAME}.json"
    if not file.is_file():
        if (folder / "encoder.json").is_file():
            hint = "it holds an encoder; fine-tune it with tools/finetune.py --encoder"
        elif (folder / "run.json").is_file():
            hint = "the run was made without export_model; tools/finetune.py --overwrite repeats it"
        else:
            hint = "name the folder of a run of tools/finetune.py, METHOD/finetune/DATASET/seed0"
        raise InputError(f"{folder}: no fine-tuned model ({file.name} is missing); {hint}")
    description = read_validated(file, ModelDescription)
    if config_hash(description.config) != description.provenance.config_hash:
        raise InputError(
            f"{file}: key 'config' was changed (another config_hash); {ModelDescription.remedy}"
        )
    weights = folder / f"{NAME}.safetensors"
    if not weights.is_file():
        raise InputError(f"{weights}: no such file; copy it from where {file.name} comes from")
    return description
