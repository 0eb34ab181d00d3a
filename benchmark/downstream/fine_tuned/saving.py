"""Writing a fine-tuned model at the end of its run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from benchmark.downstream.fine_tuned.description import (
    NAME,
    ModelDescription,
    Preprocessing,
    provenance_of,
)
from benchmark.encoders.card import EncoderCard
from benchmark.encoders.encoder import write_tensors
from benchmark.files import write_json
from benchmark.results import RunRecord
from benchmark.schemas import validate


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
