"""Adapter: the self-supervised algorithms of mmpretrain on the packs and views of this benchmark.

The algorithm itself is used as is. Views of this project replace its data pipeline, a masking
module provides masks where it needs them, and its backbone is exported under timm's names by strict
rules. Two differences from the methods of this project remain:

* masked autoencoders of the library draw masks from torch's generator, seeded per step, so the mask
  of a sample depends on its batch;
* SimCLR and Barlow Twins do not backpropagate fully through features gathered from other processes,
  so training on several processes is not identical to training on one.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from mmpretrain.engine.optimizers import LARS as MMPretrainLARS
from mmpretrain.models.selfsup.maskfeat import HOGGenerator
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from benchmark.method import Method, Progress
from benchmark.nn.batch_norm import convert_sync_batchnorm
from benchmark.nn.masking.random import Mask
from benchmark.nn.precision import to_float32
from benchmark.nn.state_dict_names import Rules, translate
from benchmark.openmmlab.quiet import LibraryState, quiet_libraries
from benchmark.registry import METHODS, OPTIMIZERS, build
from benchmark.weights import load_strict
from methods.mae import Part

# From the names of mmpretrain's backbones to timm's; mask tokens are not needed downstream.
BACKBONE_NAMES: dict[str, Rules] = {
    "vit": (
        (r"(cls_token|pos_embed)$", r"\1"),
        (r"patch_embed\.projection\.", "patch_embed.proj."),
        (r"layers\.(\d+)\.ln1\.", r"blocks.\1.norm1."),
        (r"layers\.(\d+)\.ln2\.", r"blocks.\1.norm2."),
        (r"layers\.(\d+)\.attn\.gamma1\.weight", r"blocks.\1.ls1.gamma"),
        (r"layers\.(\d+)\.ffn\.gamma2\.weight", r"blocks.\1.ls2.gamma"),
        (r"layers\.(\d+)\.attn\.(qkv|proj)\.", r"blocks.\1.attn.\2."),
        (r"layers\.(\d+)\.ffn\.layers\.0\.0\.", r"blocks.\1.mlp.fc1."),
        (r"layers\.(\d+)\.ffn\.layers\.1\.", r"blocks.\1.mlp.fc2."),
        (r"ln1\.", "norm."),
        (r"mask_token$", None),
    ),
    # mmpretrain's ResNet has the names of torchvision and timm.
    "resnet": ((r"(conv1|bn1|layer\d+)\.", r"\1."),),
}


@OPTIMIZERS.register_module()
class LARS(MMPretrainLARS):
    """mmpretrain's LARS without adaptation of parameters that have no weight decay.

    These are biases and norms, which the library's recipes list by name.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        decay = param_group.get("weight_decay", self.defaults["weight_decay"])
        param_group.setdefault("lars_exclude", not decay)
        super().add_param_group(param_group)


class UnroundedHOG(HOGGenerator):
    """The library's histograms of gradients, at least in float32.

    Under autocast its convolutions would round the image to 8 bits of mantissa, too few for the
    direction of a small gradient.
    """

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(to_float32(x))


def plain_dicts(node: Any) -> Any:
    """Convert mmengine's lazy config dicts to plain ones, from which the library can `pop`."""
    if isinstance(node, dict):
        return {key: plain_dicts(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(plain_dicts(value) for value in node)
    return node


@METHODS.register_module()
class MMPretrain(Method):
    """Any self-supervised algorithm of mmpretrain.

    Args:
        views: `SingleView` for algorithms with one view, `TwoViews` for those with two.
        algorithm: the library's config of the algorithm, with classes instead of names.
        encoder: config of the encoder as which the backbone is exported.
        names: key of `BACKBONE_NAMES`.
        masking: masking strategy, for algorithms that take their masks from the data.

    Raises:
        InputError: at export, the tensors of the backbone do not match the encoder.
    """

    # Most of these algorithms couple samples, through negatives or batch norm.
    cross_sample = True
    encoder_name = "algorithm.backbone"

    def __init__(
        self,
        views: Part,
        algorithm: dict[str, Any],
        encoder: dict[str, Any],
        names: str,
        masking: Part | None = None,
    ) -> None:
        super().__init__(views)
        with quiet_libraries(), DefaultScope.overwrite_default_scope("mmpretrain"):
            self.algorithm = MODELS.build(plain_dicts(algorithm))
            self.algorithm.init_weights()
        convert_sync_batchnorm(self.algorithm)
        for module in self.algorithm.modules():
            if type(module) is HOGGenerator:
                module.__class__ = UnroundedHOG  # the same buffers, under the same names
        self.names = names
        self._encoder = copy.deepcopy(encoder)
        template = build(encoder)
        self.masking = None
        if masking is not None:
            self.masking = build(
                masking, num_patches=template.num_patches, patch_size=template.patch_size
            )
            self.grid_size = template.grid_size

    def _samples(self, mask: Mask) -> list[DataSample]:
        """Masks in the format of the library's pipelines: one rows×columns map per sample."""
        masks = mask.mask.unflatten(1, self.grid_size)
        return [DataSample().set_mask(sample) for sample in masks]

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        inputs = views["image"] if "image" in views else [views["image_0"], views["image_1"]]
        samples = [] if self.masking is None else self._samples(self.masking(views, progress))
        with LibraryState():
            # The library's momentum schedules read the length of the run from the message hub.
            steps = progress.epochs * progress.steps_per_epoch
            MessageHub.get_current_instance().update_info("max_iters", steps)
            terms = self.algorithm.loss(inputs, samples)
        return {name if "loss" in name else f"loss_{name}": term for name, term in terms.items()}

    def exports(self) -> dict[str, nn.Module]:
        """The backbone under timm's names, loaded strictly into the encoder of the config."""
        state = self.algorithm.backbone.state_dict()
        renamed = {translate(name, BACKBONE_NAMES[self.names]): t for name, t in state.items()}
        renamed.pop(None, None)  # ignored tensors
        encoder = build(self._encoder)
        load_strict(encoder, renamed, "the backbone of mmpretrain")
        return {"encoder": encoder.to(next(self.parameters()).device)}
