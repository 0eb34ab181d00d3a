"""The config of a cell of the benchmark: that of a dataset, with a method's encoder inserted."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.preview import find_dataset, no_adaptation
from benchmark.downstream.task import load_task
from benchmark.errors import InputError, one_of
from benchmark.method_cards import (
    MethodCard,
    card_of_encoder,
    encoder_config,
    read_method_card,
    run_folder,
)
from benchmark.openmmlab.quiet import import_mmseg, quiet_libraries
from benchmark.training.config import check_values, fill_paths, load_config, set_option
from benchmark.training.config_keys import FINETUNE_KEYS, FINETUNE_NEEDS, LORA_KEYS, METHOD_KEYS
from benchmark.training.preview import read_values

# What a method's own recipe may set; data, epochs and scoring stay those of the dataset.
_RECIPE = ("base_lr", "lr_batch", "optimizer", "schedule", "clip_grad", "layer_decay", "precision")

# What a method may replace in the dataset's config besides the model.
_OWN_PARTS = ("test_pipeline",)


def refuse_other_dataset(configs: Path, dataset: str, folder: TaskFolder) -> None:
    """Refuse a folder prepared as another dataset: its scores would appear in this column.

    A task name without a config of the same kind is accepted: it is a user's own, or that of the
    same frames in a task of another kind.

    Raises:
        InputError: the folder is of another dataset of `configs`.
    """
    path = configs / "downstream" / f"{folder.task}.py"
    known = path.is_file() and (read_values(path) or {}).get("task") == folder.kind
    if known and folder.task != dataset:
        raise InputError(
            f"{folder.path}: prepared as {folder.task}; give --data the folder of {dataset}, or "
            f"use --dataset {folder.task}"
        )


def compose(
    configs: Path,
    method: str | Path,
    dataset: str,
    scale: str,
    options: list[str],
    work: Path,
    protocol: str | None = None,
    lora: bool = False,
) -> tuple[Config, MethodCard]:
    """The config of a dataset with the encoder of a method inserted.

    Args:
        configs: folder of all configs.
        method: a folder of it, ``analysis-NAME`` for the run of ``analysis/NAME.py``, or as a
            `Path` the folder of an exported encoder.
        dataset: a file of its ``downstream/``, or of ``downstream/<protocol>/``.
        scale: see `configs/_base_/scales.py`.
        options: ``key.path=value``.
        work: folder of all runs.
        protocol: a protocol other than the dataset's usual one.
        lora: adapt the encoder by low-rank updates, see `benchmark.downstream.lora`.

    Raises:
        InputError: no such method or dataset, or an unknown key; or no encoder to adapt.
    """
    card = (
        card_of_encoder(method) if isinstance(method, Path) else read_method_card(method, configs)
    )
    path = find_dataset(configs, dataset, protocol)
    import_mmseg()  # before the configs do
    with quiet_libraries():
        config = load_config(path, scale, known=FINETUNE_KEYS, needed=FINETUNE_NEEDS)
        parts = _parts_of(method, configs, scale)
    if parts.get("task", config.task) != config.task:
        raise InputError(f"{method}: a model for {parts.task}, but {dataset} is {config.task}")
    if "encoder" in parts:
        load_task(config.task).place_encoder(config, parts.encoder)
    if "model" in parts:
        for key, part in parts.model.items():
            # Whole parts are replaced; updating the config would merge the arguments of both.
            config.model[key] = part
    for key, value in parts.get("training", {}).items():
        one_of(f"{method}: training", key, _RECIPE)
        check_values({key: value}, FINETUNE_KEYS, f"{method}: training")
        config[key] = value
    if "classical" in parts:
        config.model = parts.classical
    if "test_pipeline" in parts:
        config.test_pipeline = parts.test_pipeline
    if lora:
        if "encoder" not in parts:
            raise no_adaptation(method)
        with quiet_libraries():
            adaptation = load_config(configs / "_base_" / "lora.py", scale, known=LORA_KEYS)
        for key, value in adaptation.items():
            config[key] = value
    for option in options:
        set_option(config, option, FINETUNE_KEYS)
    own = {*parts.get("training", {}), *(key for key in _OWN_PARTS if key in parts)}
    if own := own - {option.partition("=")[0].partition(".")[0] for option in options}:
        config.method_settings = sorted(own)
    drop_unset_label_count(config)
    if "classical" in parts:
        config.epochs = 0  # nothing to train: the model is scored as it is
    fill_paths(config, work)
    return config, card


def drop_unset_label_count(config: Config) -> None:
    """Remove the key if it is None, so that the config has the hash of one without it."""
    if config.get("label_count") is None:
        config.pop("label_count", None)


def _parts_of(method: str | Path, configs: Path, scale: str) -> Config:
    """What a method contributes: its `encoder.py`, or the encoder its `pretrain.py` exports."""
    if isinstance(method, str):
        path = encoder_config(method, configs)
        if path is not None:
            return load_config(path, scale, known=METHOD_KEYS)
        method = run_folder(method, "{work}")
    # mmseg takes seconds to import.
    from benchmark.downstream.segmentation.model import EncoderBackbone

    return Config(dict(encoder=dict(type=EncoderBackbone, folder=str(method))))
