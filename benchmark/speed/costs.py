"""Parameters and FLOPs of the systems of the benchmark, counted from their configs.

`MethodCosts` says what the numbers mean. Methods are built on torch's meta device, as shapes
without storage, and their step is counted on fake tensors. Where code looks at values, as libraries
do to initialise their networks, real tensors are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from benchmark.downstream.compose import METHOD_KEYS, compose
from benchmark.downstream.task import load_task
from benchmark.encoders.encoder import ARCHITECTURES
from benchmark.encoders.frozen_encoder import FrozenEncoder
from benchmark.encoders.releases import RELEASES, find_release
from benchmark.method import Method, Progress
from benchmark.method_cards import CONFIGS, pretraining_config, read_method_card
from benchmark.method_costs import MethodCosts
from benchmark.nn.masking.anatomy import AnatomyGuidedMasking
from benchmark.nn.masking.random import RandomMasking
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.randomness import seed_torch
from benchmark.registry import build
from benchmark.speed.flops import ForwardFlops, count_forward
from benchmark.training.config import load_config

SIDE = 224
"""Height and width of the image that networks are counted on, in pixels."""

PAPERS_RATIO = 0.75
"""Share of masked patches with which both papers count FLOPs, see docs/costs.md."""
_PAPERS_MASKINGS = (RandomMasking, AnatomyGuidedMasking)

# Two frames, because losses that compare samples and batch norms need more than one.
_BATCH, _FRAME = 2, 512
# Where a network that is trained from scratch gets its head from: a dataset of one class.
_DATASETS = {"segmentation": "arcade_v", "detection": "stenosis", "denoising": "denoising"}
_CLASSES = {"segmentation": ("background", "vessel"), "detection": ("stenosis",), "denoising": ()}


def count_costs(method: str, configs: Path = CONFIGS) -> MethodCosts:
    """The parameters and FLOPs of one system at paper scale.

    Args:
        method: a folder of `configs`, or ``analysis-NAME`` for the run of ``analysis/NAME.py``.

    Raises:
        InputError: there is no such method, or its configs do not fit together.
    """
    card = read_method_card(method, configs)
    with quiet_libraries():
        if card.pretrain:
            path = pretraining_config(method, configs)
            config = load_config(path)
            masking = config.method.get("masking") or {}
            costs = masked = count_pretraining(config)
            if not config.epochs:  # nothing is trained
                return MethodCosts(network=costs.network, network_flops=costs.network_flops)
            if masking.get("type") not in _PAPERS_MASKINGS:
                return costs
            if masking["ratio"] != PAPERS_RATIO:
                ratio = f"method.masking.ratio={PAPERS_RATIO}"
                masked = count_pretraining(load_config(path, options=[ratio]))
            return costs._replace(papers_flops=masked.layer_flops)
        if method in RELEASES:
            release = RELEASES[method]
            return _of_encoder(ARCHITECTURES[release.architecture], release.arguments)
        return _of_network(method, configs)


def count_pretraining(config: Config) -> MethodCosts:
    """The costs of one pre-training run.

    Args:
        config: of the run; no file it names is read; changed in place.
    """
    _leave_out_weights(config._cfg_dict)
    # Views look at values, for boxes and random numbers.
    views = build(config.method["views"])
    method = _build({**config.method, "views": views})
    method.train()
    method.progress = Progress(config.seed, config.epochs // 2, config.epochs, 1, 2)
    inputs = method.views(_frames(config.anatomy is True))["views"]
    step = count_forward(lambda given: method.loss(given, method.progress), inputs)
    encoder = method.exports()["encoder"]
    alone = _forward(encoder)
    return MethodCosts(
        network=_count(encoder.parameters()),
        trained=_count(p for p in method.parameters() if p.requires_grad),
        total=_count(_weights(method)),
        network_flops=alone.total,
        step_flops=round(step.total / _BATCH),
        layer_flops=round(step.layers / _BATCH),
    )


def _leave_out_weights(node: Any) -> None:
    """Keep all parts of a config from reading weights; released encoders are built untrained."""
    if isinstance(node, dict):
        if node.get("type") is FrozenEncoder:
            release = find_release(Path(node.pop("checkpoint")).parent.name)
            node.update(type=ARCHITECTURES[release.architecture], **release.arguments)
        elif node.get("checkpoint") is not None:
            node["checkpoint"] = None
        for value in node.values():
            _leave_out_weights(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _leave_out_weights(value)


def _build(spec: dict[str, Any]) -> Method:
    """A method with storage, in most cases uninitialised."""

    def make() -> Method:
        method = build(spec)
        method.prepare(_BATCH)
        return method

    try:
        with torch.device("meta"):
            method = make()
    except RuntimeError:
        return make()  # a library looks at the values of its weights
    method.to_empty(device="cpu", recurse=False)
    for child in method.children():
        if child is not method.views:
            child.to_empty(device="cpu")
    return method


def _frames(anatomy: bool) -> dict[str, Tensor]:
    """A batch as the loader yields it."""
    batch = {
        "frame": torch.zeros(_BATCH, _FRAME, _FRAME, dtype=torch.uint8),
        "valid": torch.full((_BATCH, 2), _FRAME),
        "index": torch.arange(_BATCH),
    }
    if anatomy:
        batch["anatomy"] = torch.full((_BATCH, _FRAME, _FRAME // 8), 255, dtype=torch.uint8)
    return batch


def _weights(method: nn.Module) -> Iterator[Tensor]:
    """The trained parameters and those of frozen networks; not the fixed position tables, which
    are frozen parameters of something that is trained.
    """
    seen: set[int] = set()
    for module in method.modules():
        trained = any(parameter.requires_grad for parameter in module.parameters())
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in seen and (parameter.requires_grad or not trained):
                yield parameter
            seen.add(id(parameter))


def _of_encoder(kind: type[nn.Module], arguments: dict[str, Any]) -> MethodCosts:
    with torch.device("meta"):
        encoder = kind(**arguments)
    encoder.to_empty(device="cpu")
    return MethodCosts(network=_count(encoder.parameters()), network_flops=_forward(encoder).total)


def _forward(encoder: nn.Module) -> ForwardFlops:
    """FLOPs of the feature maps of one image."""
    encoder.eval()
    image = torch.zeros(1, 3, SIDE, SIDE)
    return count_forward(lambda given: encoder.feature_maps(given["image"]), {"image": image})


def _of_network(method: str, configs: Path) -> MethodCosts:
    """A complete network with its head; nothing for a filter, which learns nothing."""
    parts = load_config(configs / method / "encoder.py", known=METHOD_KEYS)
    if "classical" in parts:
        return MethodCosts()
    kind = parts.get("task", "segmentation")
    config, _ = compose(configs, method, _DATASETS[kind], "paper", [], Path())
    folder = SimpleNamespace(classes=_CLASSES[kind])
    model = load_task(kind).build_model(config, 0, folder).eval()
    seed_torch("image to count on")
    given = {"inputs": torch.randn(1, 1 if kind == "denoising" else 3, SIDE, SIDE)}
    if kind == "detection":
        shape = (SIDE, SIDE)
        size = dict(img_shape=shape, ori_shape=shape, batch_input_shape=shape, pad_shape=shape)
        given["data_samples"] = [BaseDataElement(metainfo={**size, "scale_factor": (1.0, 1.0)})]
    flops = count_forward(lambda inputs: model(**inputs, mode="tensor"), given)
    return MethodCosts(network=_count(model.parameters()), network_flops=flops.total)


def _count(parameters: Iterator[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)
