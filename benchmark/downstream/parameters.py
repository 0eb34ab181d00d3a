"""How many parameters the systems of the benchmark have, counted from their configs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor

from benchmark.anatomy.segmentor import frozen_segmentors
from benchmark.downstream.compose import METHOD_KEYS, compose
from benchmark.downstream.task import load_task
from benchmark.encoders.encoder import ARCHITECTURES
from benchmark.encoders.releases import RELEASES
from benchmark.method_cards import CONFIGS, ParameterCounts, read_method_card
from benchmark.quiet import quiet_libraries
from benchmark.registry import build
from benchmark.training.config import load_config

# Where a network that is trained from scratch gets its head from: a dataset of one class.
_DATASETS = {"segmentation": "arcade_v", "detection": "stenosis", "denoising": "denoising"}
_CLASSES = {"segmentation": ("background", "vessel"), "detection": ("stenosis",), "denoising": ()}


def count_parameters(method: str, configs: Path = CONFIGS) -> ParameterCounts:
    """The parameters of one system at paper scale.

    Encoders are built on torch's meta device, as shapes without storage; networks of the libraries,
    which look at their values to initialise them, are made.

    Args:
        method: a folder of `configs`.

    Raises:
        InputError: there is no such method, or its configs do not fit together.
    """
    card = read_method_card(method, configs)
    with quiet_libraries():
        if not card.pretrain and method not in RELEASES:
            return ParameterCounts(network=_count_network(method, configs))
        with torch.device("meta"):
            if not card.pretrain:
                release = RELEASES[method]
                encoder = ARCHITECTURES[release.architecture](**release.arguments)
                return ParameterCounts(network=_count(encoder.parameters()))
            config = load_config(configs / method / "pretrain.py")
            for part in frozen_segmentors(config.method):
                part["checkpoint"] = None
            model = build(config.method)
            trained = (p for p in model.parameters() if p.requires_grad)
            return ParameterCounts(_count(model.exports()["encoder"].parameters()), _count(trained))


def _count_network(method: str, configs: Path) -> int | None:
    """A complete network with its head; None for a filter, which learns nothing."""
    parts = load_config(configs / method / "encoder.py", known=METHOD_KEYS)
    if "classical" in parts:
        return None
    kind = parts.get("task", "segmentation")
    config, _ = compose(configs, method, _DATASETS[kind], "paper", [], Path())
    folder = SimpleNamespace(classes=_CLASSES[kind])
    return _count(load_task(kind).build_model(config, 0, folder).parameters())


def _count(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)
