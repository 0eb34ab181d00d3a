"""Writing a fine-tuned model at the end of its run, loading it, and applying it to frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from torch import nn

from benchmark.device import device
from benchmark.downstream.fine_tuned.classes import read_parts
from benchmark.downstream.fine_tuned.description import (
    NAME,
    ModelDescription,
    Preprocessing,
    model_folder,
    provenance_of,
    read_model_description,
)
from benchmark.downstream.task import (
    Prediction,
    Task,
    TaskClasses,
    load_task,
    scoring_batch_size,
)
from benchmark.encoders.card import EncoderCard
from benchmark.encoders.encoder import write_tensors
from benchmark.errors import InputError
from benchmark.files import write_json
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.results import RunRecord
from benchmark.schemas import validate
from benchmark.weights import load_strict, read_tensors


def write_model(
    folder: Path, network: nn.Module, classes: Sequence[str], record: RunRecord
) -> ModelDescription:
    """Write ``model.safetensors`` and then ``model.json``, each atomically.

    Args:
        folder: folder of the run.
        network: with the weights that were scored.
        classes: classes of the prepared task, by label.
        record: record of the run, with the config of the network.
    """
    description = folder / f"{NAME}.json"
    description.unlink(missing_ok=True)  # an interruption leaves no description of other weights
    card = getattr(getattr(network, "backbone", None), "card", None)
    values = dict(
        task=record.task,
        classes=list(classes),
        config=record.config,
        encoder=card.model_dump() if isinstance(card, EncoderCard) else None,
        preprocessing=preprocessing_of(network, record.config["test_pipeline"]).model_dump(),
        scores={name: metric.model_dump() for name, metric in record.metrics.items()},
        provenance=provenance_of(record).model_dump(),
        weights_sha256=write_tensors(folder / f"{NAME}.safetensors", network),
    )
    found = validate(ModelDescription, values, description)
    write_json(description, found.model_dump())
    return found


def preprocessing_of(network: nn.Module, pipeline: Sequence[dict[str, Any]]) -> Preprocessing:
    """What happens to a frame before it reaches the layers of a network.

    Args:
        network: its data preprocessor normalises.
        pipeline: the steps before, plain or with classes.
    """
    resize = next((step for step in pipeline if "scale" in step), {})
    scale = resize.get("scale")
    size = [scale, scale] if isinstance(scale, int) else scale
    shown = {}
    for name in ("mean", "std"):
        values = getattr(network.data_preprocessor, name, None)
        # Stored in single precision; the configs give six digits.
        shown[name] = (
            None if values is None else [float(f"{v:.6g}") for v in values.flatten().tolist()]
        )
    return Preprocessing(
        size=None if size is None else list(size),
        keep_ratio=bool(resize.get("keep_ratio", False)),
        **shown,
    )


@dataclass
class FineTunedModel:
    """A fine-tuned model, ready to be applied to frames of any size.

    Attributes:
        description: content of ``model.json``.
        config: of the fine-tuning, with classes in place of their names; `model` is the network.
        network: from `load_model` in evaluation mode, on the device in use.
        task: the kind of task it was trained for.
        colour: whether the network is shown three equal channels, or one.
    """

    description: ModelDescription
    config: Config
    network: nn.Module
    task: Task

    def __post_init__(self) -> None:
        loads = [step for step in self.config.test_pipeline if _loads(step)]
        self.colour = all(step.get("color_type", "color") == "color" for step in loads)
        steps = [step for step in self.config.test_pipeline if not _loads(step)]
        with quiet_libraries(), DefaultScope.overwrite_default_scope(self.task.scope):
            self._pipeline = Compose(steps)

    @property
    def batch_size(self) -> int:
        """Batch size with which the model was scored; others change the last bits of sums."""
        return scoring_batch_size(self.config)

    @torch.no_grad()
    def predict(self, frames: Sequence[np.ndarray]) -> list[Prediction]:
        """Apply pre-processing, network and post-processing, as on the scored test split.

        Args:
            frames: 8-bit grayscale, uint8 H×W, 0 black; of any sizes. They pass through the network
                together if they are resized to one size.

        Returns:
            A prediction for each, at the size of its frame.
        """
        for frame in frames:
            if frame.dtype != np.uint8 or frame.ndim != 2:
                raise InputError(f"a frame is {frame.dtype} {frame.shape}; it must be uint8 H×W")
        prepared = [self._pipeline(self.task.frame_inputs(f, self.colour)) for f in frames]
        found: list[Prediction] = []
        with quiet_libraries(), DefaultScope.overwrite_default_scope(self.task.scope):
            for batch in self._batches(prepared):
                samples = self.network.test_step(pseudo_collate(batch))
                foreground = self.description.foreground
                found += [self.task.read_prediction(one.to_dict(), foreground) for one in samples]
        return found

    def _batches(self, prepared: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """Inputs that can be stacked; detectors pad theirs, denoisers take them one by one."""
        if self.description.task != "segmentation":
            return [prepared] if prepared else []
        groups = groupby(prepared, key=lambda one: one["inputs"].shape)
        return [list(group) for _, group in groups]


def _loads(step: dict[str, Any]) -> bool:
    return isinstance(step["type"], type) and issubclass(step["type"], LoadImageFromFile)


def load_model(path: str | os.PathLike[str]) -> FineTunedModel:
    """Load a fine-tuned model, strictly; its run and its encoder need not exist any more.

    Args:
        path: folder of ``model.safetensors`` and ``model.json``, or one of the two.

    Raises:
        InputError: a file is missing, damaged or changed; the weights are not the ones described or
            do not fit the network; or the description names what is not part of a network.
    """
    description = read_model_description(path)
    folder = model_folder(path)
    origin = folder / f"{NAME}.json"
    tensors = read_tensors(folder / f"{NAME}.safetensors")
    try:
        model = _build(description, origin)
        shown = preprocessing_of(model.network, model.config.test_pipeline)
    except InputError:
        raise
    except Exception as error:
        # Constructors of the libraries check little of what a changed file may say.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{origin}: no network can be built from it ({reason})") from None
    load_strict(model.network, tensors, folder / f"{NAME}.safetensors")
    if shown != description.preprocessing:
        raise InputError(
            f"{origin}: key 'preprocessing' is not that of the config; {description.remedy}"
        )
    model.network.to(device()).eval()
    return model


def _build(description: ModelDescription, origin: Path) -> FineTunedModel:
    """The model with initial weights."""
    task = load_task(description.task)
    with quiet_libraries():
        config = _config_of(description, origin)
        network = task.build_model(config, 0, TaskClasses(origin, description.classes))
    return FineTunedModel(description, config, network, task)


def _config_of(description: ModelDescription, origin: Path) -> Config:
    """The config with classes in place of the names in the network and the test pipeline."""
    content = dict(description.config)
    for key in ("model", "test_pipeline"):
        if key not in content:
            raise InputError(f"{origin}: key 'config.{key}' is missing; {description.remedy}")
        content[key] = read_parts(content[key], f"{origin}: config.{key}")
    # What a transform takes as a size or a range is a tuple, which JSON does not know.
    content["test_pipeline"] = [
        {key: tuple(value) if isinstance(value, list) else value for key, value in step.items()}
        for step in content["test_pipeline"]
    ]
    content["train_pipeline"] = []
    backbone = content["model"].get("backbone")
    if isinstance(backbone, dict) and "folder" in backbone:
        # The card in place of the folder, which is then not read.
        card = validate(EncoderCard, description.encoder, f"{origin}: encoder")
        content["model"] = {**content["model"], "backbone": {**backbone, "folder": card}}
    return Config(content)
