"""Resolve the cells of a matrix: their config hashes and what they need.

Run as ``python -m benchmark.sweep.config_facts``: reads a request as JSON from standard input and
writes the answer to standard output. The configs name classes of torch and OpenMMLab, which take
many seconds to import; therefore one process resolves all cells, and `config_cache` keeps its
answer.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.data.corruptions import SEVERITIES
from benchmark.downstream.compose import compose
from benchmark.downstream.frozen.compose import compose_frozen, compose_representation
from benchmark.downstream.frozen.preview import KINDS, settings_of
from benchmark.downstream.transfer.identity import (
    corruptions_content,
    prepared_folder,
    read_corruptions,
    transfer_content,
)
from benchmark.encoders.encoder import ARCHITECTURES
from benchmark.errors import InputError
from benchmark.method_cards import default_folder, own_configs
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.results import config_hash, parse_dataset_id
from benchmark.sweep.cells import fine_tuning_of, literal, options_for
from benchmark.training.config import fill_paths, load_config, to_plain
from benchmark.training.config_keys import PRETRAIN_NEEDS
from benchmark.training.preview import weight_files

_CONVOLUTIONAL = (ARCHITECTURES["resnet"], ARCHITECTURES["unet"])


def config_facts(request: dict[str, Any]) -> dict[str, Any]:
    """Resolve the cells of a request, and every training they build on.

    Args:
        request: see `benchmark.sweep.config_cache.request_for`.

    Returns:
        ``cells``: ``"method/dataset id"`` → protocol, task (``"linear"`` and ``"knn"`` are tasks
        here), data folder, encoder folder (or None), epochs, whether UMAP is used, and ``hashes``
        (seed → config hash). ``trainings``: config file → what `_training` returns. Either is
        ``{"error": line}`` where the config cannot be used.
    """
    cells, trainings = {}, {}
    for method, dataset in request["cells"]:
        try:
            cell = _cell(request, method, dataset)
        except InputError as error:
            cell = {"error": str(error)}
        cells[f"{method}/{dataset}"] = cell
        _follow(request, cell.get("encoder"), trainings)
    return {"cells": cells, "trainings": trainings}


def _cell(request: dict[str, Any], method: str, dataset: str) -> dict[str, Any]:
    known, trained = parse_dataset_id(dataset), fine_tuning_of(dataset)
    config, task = _compose(request, method, trained or dataset)
    configs = Path(request["configs"])
    corruptions = read_corruptions(configs) if known.kind == "corruptions" else None
    hashes = {}
    for seed in request["seeds"]:
        config.seed = seed
        content = to_plain(config)
        if known.tested is not None:
            content = transfer_content(content, trained, known.tested, known.split)
        elif corruptions is not None:
            content = corruptions_content(content, corruptions)
        hashes[str(seed)] = config_hash(content)
    backbone = config.model.get("backbone") or {}
    facts = {
        "protocol": config.protocol,
        "task": task,
        "data": request["data"].get(parse_dataset_id(trained or dataset).dataset)
        or config.data.folder,
        "encoder": backbone.get("folder"),
        "epochs": config.get("epochs", 1),  # a frozen encoder sees every frame once
        "umap": config.get("projection") == "umap",
        "hashes": hashes,
    }
    if trained is not None:
        facts |= {"encoder": None, "epochs": 1}  # the model has its own
    if corruptions is not None:
        facts["epochs"] += SEVERITIES * len(corruptions.levels)
    if known.tested is not None:
        places = (Path(request["work"]), configs, request["protocol"])
        usual = prepared_folder(known.tested, task, *places)
        facts["data"] = request["data"].get(known.tested, str(usual))
    return facts


def _compose(request: dict[str, Any], method: str, dataset: str) -> tuple[Any, str]:
    """The config of a cell that trains or looks at an encoder, and the name of its task."""
    known = parse_dataset_id(dataset)
    options = options_for(dataset, request["finetune_options"])
    composed, task = partial(compose, lora=known.kind == "lora"), None
    if known.kind == "patches":
        composed, options = compose_representation, [f"split={known.split}"]
    elif known.kind in KINDS:
        settings = settings_of(known.kind, Path(request["configs"]))
        composed, options, task = partial(compose_frozen, settings), [], known.kind
    config, _ = composed(
        Path(request["configs"]),
        method,
        known.dataset,
        request["scale"],
        options,
        Path(request["work"]),
        request["protocol"],
    )
    if known.label_fraction < 1:
        config.label_fraction = known.label_fraction
    if known.label_count is not None:
        config.label_count = known.label_count
    return config, task or config.task


def _follow(request: dict[str, Any], folder: str | None, found: dict[str, Any]) -> None:
    """Add the training whose run folder this is, after those that it needs itself."""
    configs, work = Path(request["configs"]), Path(request["work"])
    if folder is None or Path(folder).parent.parent != work:
        return  # released by others: an input
    place = Path(Path(folder).parent.name, f"{Path(folder).name}.py")
    homes = filter(None, (configs, own_configs(configs)))
    path = next((home / place for home in homes if (home / place).is_file()), configs / place)
    if not path.is_file() or str(path) in found:
        return
    try:
        training = _training(request, path)
    except InputError as error:
        found[str(path)] = {"error": str(error), "folder": folder}
        return
    for weights in training["weights"].values():
        _follow(request, str(Path(weights).parent), found)
    found[str(path)] = training


def _training(request: dict[str, Any], path: Path) -> dict[str, Any]:
    """Identity and inputs of a training, as `benchmark.training.train.identity` has them."""
    work = request["work"]
    is_segmentor = path.parent.name == "segmentor"
    options = request["segmentor_options" if is_segmentor else "pretrain_options"]
    with quiet_libraries():
        config = load_config(path, request["scale"], needed=PRETRAIN_NEEDS)
        if not config.epochs:
            # Random weights; options for pre-training (``epochs=400``) would train them.
            options = []
        elif options:
            config = load_config(path, request["scale"], options, needed=PRETRAIN_NEEDS)
    usual = literal(Path(request["configs"], "_base_", "pretraining.py"), "packs")
    if request["packs"] and config.packs == usual:
        config.packs = request["packs"]
    fill_paths(config, work)
    content = to_plain(config)
    encoder = config.method.get("encoder") or {}
    return {
        "stage": "segmentor" if is_segmentor else "pretrain",
        "title": content["card"]["title"],
        "folder": str(default_folder(path, work)),
        "config_hash": config_hash(content, also_drop=("card",)),
        "options": options,
        "epochs": content["epochs"],
        "packs": content["packs"] if content["epochs"] else [],
        "frames": content.get("frames"),
        "held_out": content.get("held_out"),
        "anatomy": content["anatomy"] is True,
        "weights": dict(weight_files(content)),
        "convolutional": encoder.get("type") in _CONVOLUTIONAL,
    }


if __name__ == "__main__":
    json.dump(config_facts(json.load(sys.stdin)), sys.stdout)
