"""Boxes under bf16: their coordinates are exact where autocast rounds what leads to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torchvision.ops import box_iou

from benchmark.downstream.detection.model import build_detector

Configure = Callable[..., Config]
SIDE = 512
# Beyond 256 px bf16 has even numbers only.
BOXES = torch.tensor([[301.3, 411.7, 309.9, 420.2], [257.0, 399.0, 268.0, 406.0]])


@pytest.fixture
def detector(detection_config: Configure) -> nn.Module:
    """Faster R-CNN on an FPN."""
    return build_detector(detection_config("faster_rcnn"), seed=0).eval()


def samples() -> list[DetDataSample]:
    shapes = ("img_shape", "pad_shape", "batch_input_shape")
    sample = DetDataSample(metainfo=dict.fromkeys(shapes, (SIDE, SIDE)))
    sample.gt_instances = InstanceData(bboxes=BOXES, labels=torch.zeros(2, dtype=torch.long))
    return [sample]


def image() -> Tensor:
    return torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def listen(modules: nn.ModuleList) -> list[Tensor]:
    """The regions that RoIAlign is given from now on."""
    seen: list[Tensor] = []
    for module in modules:
        module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    return seen


def test_regions_of_interest_keep_their_coordinates(detector):
    extractor = detector.roi_head.bbox_roi_extractor
    seen = listen(extractor.roi_layers)
    rois = torch.cat([torch.zeros(2, 1), BOXES], dim=1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        maps = detector.extract_feat(image())
        extractor(maps[:4], rois)
    (found,) = seen
    assert torch.equal(found, rois)
    assert box_iou(found[:, 1:].double(), BOXES.double()).diag().tolist() == [1, 1]


def test_proposals_are_the_anchors_themselves(detector):
    """With a network that moves no anchor, they come out as they are, cut at the edge."""
    rpn = detector.rpn_head
    nn.init.zeros_(rpn.rpn_reg.weight)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        (found,) = rpn.predict(detector.extract_feat(image()), samples())
    sizes = [(SIDE // stride, SIDE // stride) for stride in (4, 8, 16, 32, 64)]
    anchors = torch.cat(rpn.prior_generator.grid_priors(sizes, device="cpu")).clamp(0, SIDE)
    apart = torch.cdist(found.bboxes.double(), anchors.double(), p=1).min(dim=1).values
    assert found.bboxes.max() > 300
    assert apart.max() < 1e-4


def test_a_training_step_samples_the_true_boxes_exactly(detector):
    """They are among the regions of interest, and IoUs with themselves are 1."""
    seen = listen(detector.roi_head.bbox_roi_extractor.roi_layers)
    with torch.autocast("cpu", torch.bfloat16):
        losses = detector.loss(image(), samples())
    assert all(torch.isfinite(torch.as_tensor(value)).all() for value in flat(losses))
    regions = torch.cat([one[:, 1:] for one in seen])
    assert regions.dtype == torch.float32
    assert box_iou(BOXES, regions).max(dim=1).values.tolist() == pytest.approx([1, 1], abs=1e-6)


def flat(losses: dict[str, Any]) -> list[Tensor]:
    parts = [value if isinstance(value, list) else [value] for value in losses.values()]
    return [one for part in parts for one in part]


def test_detr_places_boxes_in_single_precision(detection_config):
    head = build_detector(detection_config("detr"), seed=0).eval().bbox_head
    hidden = torch.randn(2, 1, 20, 32, generator=torch.Generator().manual_seed(2))
    logits: list[Tensor] = []
    head.fc_reg.register_forward_pre_hook(lambda module, inputs: logits.append(inputs[0]))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        _, boxes = head(hidden)
        expected = head.fc_reg(logits[0]).double().sigmoid()
    assert boxes.dtype == torch.float32
    assert (boxes - expected).abs().max() < 1e-6


@pytest.mark.parametrize("method", ["faster_rcnn", "vit", "detr"])
def test_nothing_changes_in_single_precision(
    method, encoder, lesions, detection_config, first_frames
):
    config = detection_config(method, encoder if method == "vit" else None)
    config.num_threads = 1
    model = build_detector(config, seed=0).eval()
    batch = model.data_preprocessor(first_frames(lesions, config, "train", 2), training=True)

    def losses() -> list[Tensor]:
        torch.manual_seed(0)  # which regions are sampled
        return flat(model(**batch, mode="loss"))

    ours = losses()
    for module in model.modules():
        module._forward_hooks.clear()
    for one, other in zip(ours, losses(), strict=True):
        assert torch.equal(one, other)
