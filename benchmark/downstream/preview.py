"""What fine-tuning needs, checked before torch and the OpenMMLab packages are loaded."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from benchmark.errors import InputError
from benchmark.files import list_folder, read_json
from benchmark.method_cards import (
    encoder_config,
    method_of_config,
    own_datasets,
    pretraining_config,
    read_method_card,
    run_folder,
)
from benchmark.results import DatasetId, parse_dataset_id, read_dataset_id
from benchmark.training.config_keys import FINETUNE_KEYS, FINETUNE_NEEDS, METHOD_KEYS
from benchmark.training.preview import find_config, preview, read_values


def find_dataset(configs: Path, dataset: str, protocol: str | None = None) -> Path:
    """The config of a dataset: ``downstream/<dataset>.py``, or that of another protocol.

    A dataset of one protocol only (``denoising``: ``aaai``) has its config in ``downstream/``. The
    ``configs/downstream`` of the current folder adds to that of an installed package.

    Raises:
        InputError: there is no such dataset, or its name reads as the id of an evaluation of
            another.
    """
    usual = configs / "downstream"
    folder = usual / (protocol or "")
    if not folder.is_dir():
        folders = filter(Path.is_dir, list_folder(usual))
        known = ", ".join(p.name for p in folders if list_folder(p, "[!_]*.py"))
        raise InputError(f"--protocol {protocol}: no folder {folder}; known: {known}")
    path = folder / f"{dataset}.py"
    own = own_datasets(configs)
    added = own / (protocol or "") if own else folder
    if not path.is_file() and (added / path.name).is_file():
        path = added / path.name
    if path.is_file():
        if not (known := read_dataset_id(dataset)).plain:
            raise InputError(f"{path}: this name is an id of {known.dataset} in records; rename it")
        return path
    other = usual / path.name
    if other.is_file() and (read_values(other) or {}).get("protocol") == protocol:
        return other
    meant = parse_dataset_id(dataset)
    if not meant.plain:  # as columns of a board are named
        inner = parse_dataset_id(meant.dataset)
        if not inner.plain and meant.kind not in ("transfer", "corruptions"):
            raise InputError(f"{dataset}: more than one kind of evaluation; use {_tool_of(inner)}")
        raise InputError(f"{dataset}: the id of a column; use {_tool_of(meant)}")
    places = [folder, *([added] if added.is_dir() and added != folder else [])]
    known = ", ".join(file.stem for place in places for file in list_folder(place, "[!_]*.py"))
    raise InputError(f"{dataset}: no such dataset in {folder}; known: {known}")


def _tool_of(meant: DatasetId) -> str:
    """The tool that writes records of an id, and its options."""
    labels = ""
    if meant.label_fraction < 1:
        labels = f" --label-fraction {meant.label_fraction:g}"
    elif meant.label_count is not None:
        labels = f" --label-count {meant.label_count}"
    options = f"--dataset {meant.dataset}{labels}"
    match meant.kind:
        case "fine-tuning":
            return f"tools/finetune.py {options}"
        case "lora":
            return f"tools/finetune.py {options} --lora"
        case "linear" | "knn":
            return f"tools/evaluate.py {meant.kind} {options}"
        case "patches":
            split = "" if meant.split == "train" else f" --split {meant.split}"
            return f"tools/analyse.py representations {options}{split}"
    model = f"with the model of tools/finetune.py {options}"
    if meant.kind == "corruptions":
        return f"tools/test.py MODEL --corruptions {model}"
    split = "" if meant.split == "test" else f" --split {meant.split}"
    return f"tools/test.py MODEL --dataset {meant.tested}{split} {model}"


def find_method(name: str, configs: Path, work: Path) -> str | Path:
    """The method that a command line names: by its id, or by the path of its config or folder.

    Returns:
        Its id in `configs`; for a config elsewhere, the folder of the encoder its run exports.

    Raises:
        InputError: there is no such method or config.
    """
    path = Path(name)
    if name != path.stem:
        if path.resolve().parent == configs.resolve():
            name = path.name
        else:
            config = find_config(name).resolve()
            known = pretraining_config(method_of_config(config), configs)
            if known.resolve() != config and not config.is_relative_to(configs.resolve()):
                folder = work / config.parent.name / config.stem
                if not (folder / "encoder.json").is_file():
                    raise InputError(f"{folder}: no encoder; make it with tools/train.py {name}")
                return folder
            name = method_of_config(config)
    read_method_card(name, configs)
    return name


def preview_cell(
    configs: Path,
    method: str | Path,
    dataset: str,
    protocol: str | None,
    options: Collection[str],
    work: Path,
    data: Path | None,
    inputs: bool = True,
    label_counts: Collection[int] = (),
    lora: bool = False,
) -> None:
    """Check, as far as is cheap, whether a method can be fine-tuned on a dataset.

    Args:
        configs: folder of all configs.
        method: a folder of it, ``analysis-NAME``, or as a `Path` the folder of an exported encoder.
        dataset, protocol: as for `find_dataset`.
        options: ``key.path=value``, which override the config.
        work: folder of all runs of the scale, ``{work}`` in paths.
        data: the prepared task; None for the config's.
        inputs: whether the prepared task and the encoder have to exist.
        label_counts: numbers of labelled images to train on.
        lora: whether the encoder is adapted by low-rank updates.

    Raises:
        InputError: a method, dataset, key, value, prepared task or encoder is unknown or missing,
            there are fewer labelled images, or there is no encoder to adapt.
    """
    path = find_dataset(configs, dataset, protocol)
    values = preview(path, FINETUNE_KEYS, FINETUNE_NEEDS, options)
    settings = [option for option in options if option.startswith("lora.")]
    if settings and values and not lora and "lora" not in values:
        raise InputError(f"--cfg-options {settings[0]}: a setting of --lora, which is missing")
    if lora and isinstance(method, str) and not has_encoder(method, configs):
        raise no_adaptation(method)
    if not inputs:
        return
    data = data or _at(work, (values.get("data") or {}).get("folder"))
    if data is not None and not data.is_dir():
        raise InputError(f"{data}: no such folder; make it with tools/prepare_data.py")
    if label_counts and data is not None:
        # Only here, since they import numpy.
        from benchmark.data.tasks import TaskFolder
        from benchmark.data.tasks.folder import labelled

        labelled(TaskFolder.open(data, complete=False), "train", count=max(label_counts))
    if isinstance(method, Path):  # its card has been read
        if lora:
            refuse_convolutional(method)
        return
    card = read_method_card(method, configs)
    config = encoder_config(method, configs)
    if config is None:
        folder = run_folder(method, work)
        recipe = pretraining_config(method, configs)
        place = configs.parent if recipe.is_relative_to(configs) else Path()
        made = f"tools/train.py {recipe.relative_to(place)}"
    else:
        parts = preview(config, METHOD_KEYS)
        folder = _at(work, (parts.get("encoder") or {}).get("folder"))
        made = "tools/convert_checkpoint.py, see docs/released_encoders.md"
    if folder is not None and not (folder / "encoder.json").is_file():
        raise InputError(f"{folder}: no encoder of {card.title}; make it with {made}")
    if folder is not None and lora:
        refuse_convolutional(folder)


def refuse_convolutional(folder: Path) -> None:
    """Refuse to adapt an exported encoder that yields several maps: those have no linear layers.

    Raises:
        InputError: it is one, or its card cannot be read.
    """
    description = read_json(folder / "encoder.json")
    if isinstance(description, dict) and len(description.get("strides") or ()) > 1:
        kind = description.get("architecture")
        raise InputError(f"{folder}: a {kind}, without linear layers that --lora could adapt")


def has_encoder(method: str, configs: Path) -> bool:
    """Whether a method has an encoder: in its `encoder.py`, or else exported by pre-training."""
    own = encoder_config(method, configs)
    # Errors of what cannot be read here are reported when it is composed.
    return own is None or "encoder" in (read_values(own) or {"encoder": None})


def no_adaptation(method: str | Path) -> InputError:
    """The error for a method without an exported encoder."""
    return InputError(
        f"{method}: has no exported encoder that --lora could adapt; remove the option"
    )


def _at(work: Path, path: str | None) -> Path | None:
    return None if path is None else Path(path.replace("{work}", str(work)))
