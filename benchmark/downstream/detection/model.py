"""Building a detector: mmdetection's parts around an encoder, with keyed initial weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmdet.models.necks import FPN
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.registry import DefaultScope
from timm.layers import LayerNorm2d
from torch import nn
from torch.optim import Optimizer

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.backbone import EncoderMaps, normalised_as
from benchmark.downstream.detection.pyramid import SimpleFeaturePyramid
from benchmark.downstream.detection.vitdet import ViTDet
from benchmark.downstream.task import TaskClasses, reset_parameters
from benchmark.encoders.card import EncoderCard, check_patches, read_encoder_card
from benchmark.encoders.encoder import ARCHITECTURES
from benchmark.errors import InputError
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.randomness import seed_torch
from benchmark.registry import build

SCOPE = "mmdet"
"""mmengine scope in which names inside mmdetection are looked up."""

FINEST = 4
"""Stride of the finest level of the pyramids of FPN and ViTDet."""

_POSITIONS = {"backbone.pos_embed", "backbone.encoder.pos_embed"}
_LEADING_TO_BOXES = ("neck", "rpn_head", "bbox_head.fc_reg")
_KEYED = ("neck", "rpn_head", "roi_head")


def build_detector(config: Mapping[str, Any], seed: int) -> nn.Module:
    """The detector of a config; equal seeds give every encoder the same neck and heads.

    Images are padded to squares of the side of the test pipeline. For an encoder (backbone
    `ViTDet`), it determines the backbone itself, the neck and its width, the strides of anchors and
    region features, and how frames are normalised. A plain ViT becomes ViTDet's. Other transformers
    keep their own attention and positions: all tokens attend to each other in `eva` and `beit`,
    within windows and globally in `samvit`. The pyramid on their one map is ViTDet's as well. The
    maps of convolutional encoders from stride 4 on go to an FPN (Lin et al., CVPR 2017) with as
    many levels as there are anchor sizes.

    Args:
        config: has `model` and `test_pipeline`.
        seed: key of the initial weights of all that is not pre-trained.

    Raises:
        InputError: the encoder is missing, damaged or does not fit the image size, or there are
            not as many anchor sizes as levels.
    """
    # A copy: the library writes into the configs it builds from.
    given = copy.deepcopy(dict(config["model"].items()))
    spec = ConfigDict({key: value for key, value in given.items() if value is not None})
    size = _image_size(config["test_pipeline"])
    spec["data_preprocessor"] = {**spec["data_preprocessor"], "pad_size_divisor": size}
    if spec["backbone"]["type"] is ViTDet:
        spec["backbone"] = _choose_backbone(spec["backbone"], size)
        # Loading here, before the library builds it again, gives one clear error and the sizes.
        _fit_to_encoder(spec, build(spec["backbone"]).card)
    with quiet_libraries(), DefaultScope.overwrite_default_scope(SCOPE):
        seed_torch(seed, "backbone")
        model = MODELS.build(spec)
        seed_torch(seed, "backbone")
        model.init_weights()
        for name in _KEYED:
            if (part := getattr(model, name, None)) is not None:
                _initialise(part, seed, name)
    _keep_boxes_exact(model)
    return model.to(memory_format=torch.channels_last)


def _keep_boxes_exact(model: nn.Module) -> None:
    """Compute boxes in single precision under autocast; otherwise nothing changes.

    mmdetection gives anchors the type of the region proposal network's outputs, proposals that of
    the anchors, and regions of interest that of the pyramid. The 8 significant bits of bf16 place
    an edge above 256 px on even pixels only. DETR applies the sigmoid, which gives a fraction of
    the side, in the type of its last layer.
    """
    for name, part in model.named_modules():
        if name in _LEADING_TO_BOXES:
            part.register_forward_hook(lambda module, inputs, output: _in_single(output))


def _in_single(output: Any) -> Any:
    if isinstance(output, (list, tuple)):
        return type(output)(_in_single(one) for one in output)
    return output.float()


def with_classes(config: Mapping[str, Any], folder: TaskFolder | TaskClasses) -> Mapping[str, Any]:
    """A copy of the config whose head has as many classes as the task.

    Raises:
        InputError: the config gives a number other than 1, the default, or that of the task.
    """
    model = copy.deepcopy(config["model"])
    where = "bbox_head" if model.get("roi_head") is None else "roi_head.bbox_head"
    head = model if model.get("roi_head") is None else model["roi_head"]
    found, needed = head["bbox_head"]["num_classes"], len(folder.classes)
    if found not in (1, needed):
        raise InputError(
            f"model.{where}.num_classes={found}, but {folder.path} has {needed} "
            f"({', '.join(folder.classes)}); set model.{where}.num_classes={needed}"
        )
    head["bbox_head"]["num_classes"] = needed
    return {**config, "model": model}


def decay_like_detectron2(optimizer: Optimizer, model: nn.Module) -> None:
    """Set the weight decay of each parameter as ViTDet's code does; learning rates stay.

    Everything decays, biases and tables of relative positions included, except for absolute
    positions and the weights and biases of norms. The LayerNorms over the channels of maps, in the
    pyramid and the box head, do decay: detectron2 has a class of its own for them, which its rule
    for norms does not know. Call it before the first step.

    Args:
        optimizer: its groups have `names`, as `parameter_groups` makes them.
        model: the detector.
    """
    norms = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
    exempt = set(_POSITIONS)
    for path, module in model.named_modules():
        if isinstance(module, norms) and not isinstance(module, LayerNorm2d):
            exempt |= {f"{path}.{name}" for name, _ in module.named_parameters(recurse=False)}
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for group in optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"]):
            decay = 0.0 if name in exempt else optimizer.defaults["weight_decay"]
            settings = {**group, "params": [], "names": []}
            settings |= {"weight_decay": decay, "first_weight_decay": decay}
            chosen = groups.setdefault((decay, group["lr_scale"]), settings)
            chosen["params"].append(parameter)
            chosen["names"].append(name)
    optimizer.param_groups.clear()
    for group in groups.values():
        optimizer.add_param_group(group)


def _image_size(pipeline: list[dict[str, Any]]) -> int:
    width, height = next(step["scale"] for step in pipeline if "scale" in step)
    if width != height:
        raise InputError(f"test_pipeline: scale=({width}, {height}) has to be square")
    return width


def _choose_backbone(given: dict[str, Any], size: int) -> dict[str, Any]:
    """ViTDet for a plain ViT; other encoders themselves, without the settings of ViTDet."""
    if "folder" not in given:  # ViTDet reports it more clearly
        return {**given, "img_size": size}
    card = read_encoder_card(given["folder"])
    if card.architecture == "vit":
        return {**given, "img_size": size}
    check_patches(card, size)
    chosen = {"type": EncoderMaps, "folder": given["folder"], "finest": FINEST}
    if "drop_path" in ARCHITECTURES[card.architecture].overrides:
        chosen["drop_path"] = given.get("drop_path")
    return chosen


def _fit_to_encoder(spec: dict[str, Any], card: EncoderCard) -> None:
    """Fill in what follows from the encoder."""
    spec["data_preprocessor"] = normalised_as(spec["data_preprocessor"], card)
    sizes = spec["rpn_head"]["anchor_generator"]["base_sizes"]
    spec["neck"], strides = _fit_neck(spec["neck"], card, levels=len(sizes))
    if len(sizes) != len(strides):
        raise InputError(
            f"model.rpn_head.anchor_generator.base_sizes={sizes}: the pyramid has "
            f"{len(strides)} levels; give one size for each"
        )
    anchors = {**spec["rpn_head"]["anchor_generator"], "strides": strides}
    spec["rpn_head"] = {**spec["rpn_head"], "anchor_generator": anchors}
    # The coarsest level proposes regions only; their features come from the others.
    extractor = {**spec["roi_head"]["bbox_roi_extractor"], "featmap_strides": strides[:-1]}
    spec["roi_head"] = {**spec["roi_head"], "bbox_roi_extractor": extractor}


def _fit_neck(
    given: dict[str, Any], card: EncoderCard, levels: int
) -> tuple[dict[str, Any], list[float]]:
    """The neck for the maps of an encoder, and the strides of its levels."""
    if len(card.strides) == 1:
        neck = {**given, "in_channels": card.widths[0]}
        pyramid: SimpleFeaturePyramid = build(neck)
        return neck, pyramid.strides(card.strides[0])
    maps = [pair for pair in zip(card.strides, card.widths) if pair[0] >= FINEST]
    strides = [stride for stride, _ in maps]
    while len(strides) < levels:  # FPN takes every second pixel of the last level
        strides.append(2 * strides[-1])
    neck = {
        "type": FPN,
        "in_channels": [width for _, width in maps],
        "out_channels": given["out_channels"],
        "num_outs": len(strides),
    }
    return neck, strides


def _initialise(part: nn.Module, seed: int, name: str) -> None:
    """Initialise a part from its own key, independent of what was built before it."""
    reset_parameters(part, seed, name)
    # What the library applies on top of torch's defaults, in its order: conv-norm units as they are
    # built, then the initialisation that the configs of the parts ask for.
    for module in part.modules():
        if isinstance(module, ConvModule):
            module.init_weights()
        elif isinstance(module, BaseModule):
            module.is_init = False
    if isinstance(part, BaseModule):
        part.init_weights()
