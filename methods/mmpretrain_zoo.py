"""The self-supervised algorithms of mmpretrain, on the packs and views of this benchmark.

An adapter: the algorithm is the library's own and untouched. It gets the views of this project in
place of its data pipeline, masks from a `Masking` module where it wants any, and its backbone is
exported under timm's names by a strict rule. What the library does, and does otherwise than the
methods of this project, stays as it is:

* its masked autoencoders draw masks from torch's generator, keyed by the step, so a sample's mask
  depends on the batch it is in;
* SimCLR and Barlow Twins send back through the gathered features of other processes less than the
  full gradient, so several processes do not train exactly as one does.
"""

from __future__ import annotations

import copy
from typing import Any

from mmengine.logging import MessageHub
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import DefaultScope
from mmpretrain.engine.optimizers import LARS as MMPretrainLARS
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from benchmark.method import Method, Progress
from benchmark.nn.batch_norm import share_batch_statistics
from benchmark.nn.masking.random import Mask
from benchmark.nn.state_dict_names import Rules, translate
from benchmark.quiet import LibraryState, quiet_libraries
from benchmark.registry import METHODS, OPTIMIZERS, build
from benchmark.weights import load_strict
from methods.mae import Part

# From the names of a backbone of mmpretrain to timm's. Mask tokens are of no use downstream.
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
    # mmpretrain's ResNet has torchvision's names, which are timm's.
    "resnet": ((r"(conv1|bn1|layer\d+)\.", r"\1."),),
}


@OPTIMIZERS.register_module()
class LARS(MMPretrainLARS):
    """mmpretrain's LARS, which leaves its scaling out where there is no weight decay.

    Those are biases and norms, which the library's recipes name one by one.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        decay = param_group.get("weight_decay", self.defaults["weight_decay"])
        param_group.setdefault("lars_exclude", not decay)
        super().add_param_group(param_group)


def plain_dicts(node: Any) -> Any:
    """mmengine's lazily read dicts as plain ones: the library takes its own apart with `pop`."""
    if isinstance(node, dict):
        return {key: plain_dicts(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(plain_dicts(value) for value in node)
    return node


@METHODS.register_module()
class MMPretrain(Method):
    """Any self-supervised algorithm of mmpretrain.

    Args:
        views: `SingleView` for algorithms of one image, `TwoViews` for those of two.
        algorithm: the library's config of the algorithm, classes in the place of names.
        encoder: config of the encoder the backbone is exported as.
        names: key of `BACKBONE_NAMES`.
        masking: which patches are hidden, for algorithms that take their masks from the data.

    Raises:
        InputError: at the export, a tensor of the backbone that the encoder has no place for.
    """

    # Batch norms and negatives: most of the zoo looks at other samples.
    cross_sample = True
    encoder_name = "algorithm.backbone"

    def __init__(
        self,
        views: BaseDataPreprocessor | dict[str, Any],
        algorithm: dict[str, Any],
        encoder: dict[str, Any],
        names: str,
        masking: Part | None = None,
    ) -> None:
        super().__init__(views)
        with quiet_libraries(), DefaultScope.overwrite_default_scope("mmpretrain"):
            self.algorithm = MODELS.build(plain_dicts(algorithm))
            self.algorithm.init_weights()
        share_batch_statistics(self.algorithm)
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
        """The masks as the library's pipelines hand them out: one rows×columns map per sample."""
        maps = mask.mask.unflatten(1, self.grid_size)
        return [DataSample().set_mask(one) for one in maps]

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        inputs = views["image"] if "image" in views else [views["image_0"], views["image_1"]]
        samples = [] if self.masking is None else self._samples(self.masking(views, progress))
        with LibraryState():
            # The momentum schedules of the library look up there how long the run is.
            steps = progress.epochs * progress.steps_per_epoch
            MessageHub.get_current_instance().update_info("max_iters", steps)
            terms = self.algorithm.loss(inputs, samples)
        return {name if "loss" in name else f"loss_{name}": term for name, term in terms.items()}

    def exports(self) -> dict[str, nn.Module]:
        """The backbone under timm's names, loaded strictly into the encoder of the config."""
        state = self.algorithm.backbone.state_dict()
        renamed = {translate(name, BACKBONE_NAMES[self.names]): t for name, t in state.items()}
        renamed.pop(None, None)
        encoder = build(self._encoder)
        load_strict(encoder, renamed, "the backbone of mmpretrain")
        return {"encoder": encoder.to(next(self.parameters()).device)}
