"""Optimiser and parameter groups: weight decay by kind of parameter, learning rate by layer."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from benchmark.errors import InputError
from benchmark.registry import build
from benchmark.training.accumulation import AccumulatingOptimWrapper


def parameter_groups(
    model: nn.Module,
    weight_decay: float,
    layer_decay: float = 1.0,
    decay_biases: bool = False,
    undecayed: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Group the trainable parameters by weight decay and learning-rate factor.

    Biases and other 1-D parameters get no weight decay (timm's `add_weight_decay`, the MAE recipe)
    unless `decay_biases`; CLS and mask tokens are 3-D and do, unless named in `undecayed`.

    With `layer_decay` < 1, layer i of 0 … n of `model.backbone` gets the learning-rate factor
    layer_decay^(n − i), everything else the factor 1 (BEiT, Bao et al. 2022). Layers are defined by
    the encoder's `layer_groups`: in a ViT of depth L, 0 is patch embedding, position embedding and
    tokens, k + 1 is block k, L + 1 the final norm; in a CNN, 0 is the stem, followed by the stages.
    A backbone without `layer_groups` is trained at a single rate.

    Returns:
        Groups with `params`, `weight_decay`, `lr_scale` and the `names` of their parameters.

    Raises:
        InputError: a name in `undecayed` is not that of a trained parameter.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if unknown := [name for name in undecayed if name not in trained]:
        raise InputError(f"undecayed: {unknown[0]} is not a trained parameter of the method")
    layers, last = _layers(model)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in trained.items():
        no_decay = (parameter.ndim <= 1 or name.endswith(".bias")) and not decay_biases
        no_decay = no_decay or name in undecayed
        decay = 0.0 if no_decay else weight_decay
        scale = layer_decay ** (last - layers.get(name, last))
        group = groups.setdefault(
            (decay, scale),
            {"params": [], "names": [], "weight_decay": decay, "lr_scale": scale},
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def _layers(model: nn.Module) -> tuple[dict[str, int], int]:
    """Layer of every encoder parameter, and the index of the last layer.

    The encoder is the outermost module of the backbone that defines `layer_groups`.
    """
    backbone = getattr(model, "backbone", nn.Identity())
    for path, module in backbone.named_modules(prefix="backbone"):
        if hasattr(module, "layer_groups"):
            groups = module.layer_groups()
            layers = {f"{path}.{name}": i for i, names in enumerate(groups) for name in names}
            return layers, len(groups) - 1
    return {}, 0


def peak_learning_rate(config: Config) -> float:
    """Learning rate scaled linearly to the batch size: ``base_lr · batch_size / lr_batch``."""
    return config.base_lr * (1 if config.lr_batch is None else config.batch_size / config.lr_batch)


class Bf16OptimWrapper(AccumulatingOptimWrapper):
    """bf16 autocast without loss scaling: bf16 has the exponent range of fp32.

    mmengine's AMP wrapper always scales the loss, and its scaler syncs with the device every step.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


def build_optimizer(
    model: nn.Module,
    optimizer: dict[str, Any],
    lr: float,
    layer_decay: float = 1.0,
    precision: str = "fp32",
    clip_grad: dict[str, Any] | None = None,
    parts: int = 1,
    decay_biases: bool = False,
    undecayed: Sequence[str] = (),
) -> AccumulatingOptimWrapper:
    """Build the optimiser of a config and its mmengine wrapper.

    Args:
        optimizer: config of a torch optimiser, without parameters and learning rate.
        lr: peak learning rate; each group stores its scaled one as `peak_lr`.
        layer_decay: see `parameter_groups`.
        precision: ``"bf16"`` for autocast, or ``"fp32"``.
        clip_grad: arguments of mmengine's gradient clipping (``max_norm``, or ``type="value"`` and
            ``clip_value``), or the config of a class whose instance becomes a step pre-hook of the
            optimiser.
        parts: backward passes per step (gradient accumulation).
        decay_biases, undecayed: see `parameter_groups`.
    """
    arguments = dict(optimizer)
    weight_decay = arguments.get("weight_decay", 0.0)
    groups = parameter_groups(model, weight_decay, layer_decay, decay_biases, undecayed)
    for group in groups:
        group["peak_lr"] = group["lr"] = lr * group["lr_scale"]
        group["first_weight_decay"] = group["weight_decay"]
    # Only torch's optimisers have fused kernels, which can skip a step on the device.
    if "fused" in inspect.signature(arguments["type"]).parameters:
        arguments.setdefault("fused", True)
    inner = build(arguments, params=groups, lr=lr)
    if clip_grad is not None and callable(clip_grad.get("type")):
        inner.register_step_pre_hook(build(clip_grad))
        clip_grad = None
    wrapper = Bf16OptimWrapper if precision == "bf16" else AccumulatingOptimWrapper
    return wrapper(inner, clip_grad=clip_grad, parts=parts)
