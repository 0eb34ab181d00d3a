"""Detectors from the configs: their numbers, keyed weights, learning rates and boxes."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from torch import Tensor, nn

from benchmark.downstream.detection.model import (
    build_detector,
    decay_like_detectron2,
    with_classes,
)
from benchmark.encoders.encoder import export_encoder
from benchmark.errors import InputError
from benchmark.nn.vit import VisionTransformer
from benchmark.training.optim import build_optimizer


def heads(model: nn.Module) -> dict[str, Tensor]:
    parts = ("rpn_head.", "roi_head.")
    return {name: value for name, value in model.state_dict().items() if name.startswith(parts)}


def test_equal_seeds_give_equal_heads_to_different_encoders(
    encoder, tmp_path, export_tiny, detection_config
):
    """Of other weights: neck and heads. Of another width too: the heads."""
    one = build_detector(detection_config("vit", encoder), seed=3)
    torch.manual_seed(999)  # what ran before must not matter
    other = build_detector(detection_config("vit", export_tiny(tmp_path / "a", 1)), seed=3)
    wide = build_detector(detection_config("vit", export_tiny(tmp_path / "b", 2, 96)), seed=3)
    projections = [model.backbone.patch_embed.proj.weight for model in (one, other)]
    assert not torch.equal(*projections)
    for name, value in one.neck.state_dict().items():
        assert torch.equal(value, other.neck.state_dict()[name]), name
    assert heads(one).keys() == heads(other).keys() == heads(wide).keys()
    for name, value in heads(one).items():
        assert torch.equal(value, heads(other)[name]), name
        assert torch.equal(value, heads(wide)[name]), name
    seeded = build_detector(detection_config("vit", encoder), seed=4)
    differs = [n for n, value in heads(one).items() if not torch.equal(value, heads(seeded)[n])]
    assert {"rpn_head.rpn_cls.weight", "roi_head.bbox_head.shared_convs.0.conv.weight"} <= set(
        differs
    )
    weights = {n for n in heads(one) if n.endswith("weight") and ".ln." not in n}
    assert weights <= set(differs)


def test_heads_start_as_the_library_starts_them(encoder, detection_config):
    """RPN N(0, 0.01²), box head: convolutions He (fan out), Xavier, N(0, 0.01²), N(0, 0.001²)."""
    model = build_detector(detection_config("vit", encoder), seed=0).requires_grad_(False)
    rpn, box = model.rpn_head, model.roi_head.bbox_head
    for layer in (rpn.rpn_conv[0].conv, rpn.rpn_conv[1].conv):
        assert float(layer.weight.std()) == pytest.approx(0.01, rel=0.05)
        assert not layer.bias.any()
    for convolution in box.shared_convs:
        he = (2 / (9 * 32)) ** 0.5
        assert float(convolution.conv.weight.std()) == pytest.approx(he, rel=0.05)
        assert convolution.conv.bias is None
        assert type(convolution.norm).__name__ == "LayerNorm2d"
    linear = box.shared_fcs[0].weight
    limit = (6 / sum(linear.shape)) ** 0.5
    assert 0.99 * limit < float(linear.abs().max()) <= limit
    assert float(box.fc_cls.weight.std()) == pytest.approx(0.01, rel=0.3)
    assert float(box.fc_reg.weight.std()) == pytest.approx(0.001, rel=0.3)


def test_the_paper_scale_has_the_numbers_of_vitdet(tmp_path, detection_config):
    """On a narrow ViT of 12 blocks of patch 16, pre-trained at 224²."""
    torch.manual_seed(0)
    export_encoder(tmp_path, VisionTransformer(224, 16, 12, depth=12, num_heads=1), {})
    config = detection_config("vit", tmp_path, scale="paper")
    before = copy.deepcopy(config.model.to_dict())
    model = build_detector(config, seed=0)
    assert config.model.to_dict() == before, "building changes no config"
    assert model.backbone.blocks[2].attn.rel_pos_h.shape == (63, 12)
    assert model.data_preprocessor.pad_size_divisor == 512
    anchors = model.rpn_head.prior_generator
    assert anchors.strides == [(4, 4), (8, 8), (16, 16), (32, 32), (64, 64)]
    for size, base in zip((32, 64, 128, 256, 512), anchors.base_anchors, strict=True):
        sides = base[:, 2:] - base[:, :2]
        assert (sides.prod(dim=1) ** 0.5).tolist() == pytest.approx([size] * 3)
        assert (sides[:, 1] / sides[:, 0]).tolist() == pytest.approx([0.5, 1, 2])
        assert (base[:, :2] + base[:, 2:]).abs().max() < 1e-3  # centred on the corner of the pixel
    extractor = model.roi_head.bbox_roi_extractor
    assert extractor.featmap_strides == [4, 8, 16, 32]
    assert {layer.aligned for layer in extractor.roi_layers} == {True}
    # Levels by size: 224 px on the third, as FPN assigns them.
    sides = torch.tensor([30.0, 111, 112, 223, 224, 447, 448, 500])
    rois = torch.stack([torch.zeros(8), torch.zeros(8), torch.zeros(8), sides, sides], dim=1)
    assert extractor.map_roi_levels(rois, 4).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    box = model.roi_head.bbox_head
    assert [type(layer).__name__ for layer in (box.loss_bbox, box.loss_cls)] == [
        "L1Loss",
        "CrossEntropyLoss",
    ]
    assert (len(box.shared_convs), len(box.shared_fcs)) == (4, 1)
    assert box.shared_fcs[0].weight.shape == (1024, 7 * 7 * 256)
    assert box.fc_reg.weight.shape == (4, 1024)
    assert len(model.rpn_head.rpn_conv) == 2
    rcnn, rpn = model.train_cfg.rcnn, model.train_cfg.rpn
    assert (rcnn.sampler.num, rcnn.sampler.pos_fraction) == (512, 0.25)
    assert (rpn.sampler.num, rpn.sampler.pos_fraction) == (256, 0.5)
    assert config.batch_size == config.lr_batch == 64


def test_learning_rates_and_weight_decay(encoder, detection_config):
    """0.7^(5 − i) over four blocks, 1 for neck and heads; decay as in detectron2.

    Of biases, and of the norms of pyramid and box head, which are of a class of their own there;
    not of the norms of the ViT and of absolute positions.
    """
    config = detection_config("vit", encoder)
    model = build_detector(config, seed=0)
    wrapper = build_optimizer(model, config.optimizer, lr=1.0, layer_decay=config.layer_decay)
    decay_like_detectron2(wrapper.optimizer, model)
    found = {}
    for group in wrapper.optimizer.param_groups:
        assert group["peak_lr"] == group["lr"] == group["lr_scale"]
        assert len(group["names"]) == len(group["params"])
        found |= {name: (group["lr"], group["weight_decay"]) for name in group["names"]}
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    assert found.keys() == trained.keys()
    by_name = {
        id(value): name
        for group in wrapper.optimizer.param_groups
        for name, value in zip(group["names"], group["params"])
    }
    assert all(by_name[id(value)] == name for name, value in trained.items())
    assert found["backbone.pos_embed"] == (pytest.approx(0.7**5), 0)
    assert found["backbone.patch_embed.proj.weight"] == (pytest.approx(0.7**5), 0.1)
    for block in range(4):
        rate = pytest.approx(0.7 ** (4 - block))
        for part in ("attn.qkv.weight", "attn.rel_pos_h", "attn.rel_pos_w", "mlp.fc2.weight"):
            assert found[f"backbone.blocks.{block}.{part}"] == (rate, 0.1)
        for part in ("attn.qkv.bias", "attn.proj.bias", "mlp.fc1.bias"):
            assert found[f"backbone.blocks.{block}.{part}"] == (rate, 0.1)
        for part in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
            assert found[f"backbone.blocks.{block}.{part}"] == (rate, 0)
    others = {name: value for name, value in found.items() if not name.startswith("backbone.")}
    assert set(others.values()) == {(1, 0.1)}
    assert isinstance(model.neck.levels[0][2], nn.LayerNorm)
    assert {"neck.levels.0.2.weight", "roi_head.bbox_head.fc_cls.bias"} <= others.keys()
    never = {name for name, (_, decay) in found.items() if not decay}
    norms = r"backbone\.(pos_embed|blocks\.\d\.norm[12]\.(weight|bias))"
    assert never == {name for name in found if re.fullmatch(norms, name)}
    assert len(wrapper.optimizer.param_groups) == 2 * 5 + 1


def test_boxes_return_to_the_native_size(encoder, lesions, detection_config, first_frames):
    """A frame of 80×100 is seen as 77×96."""
    config = detection_config("vit", encoder)
    config.model.test_cfg.rcnn.score_thr = 0.0
    model = build_detector(config, seed=0).eval()
    data = model.data_preprocessor(first_frames(lesions, config, "test", 1))
    assert data["data_samples"][0].img_shape == (77, 96)
    with torch.no_grad():
        seen, native = (
            model.predict(data["inputs"], copy.deepcopy(data["data_samples"]), rescale=rescale)
            for rescale in (False, True)
        )
    boxes = seen[0].pred_instances.bboxes
    scale = torch.tensor([100 / 96, 80 / 77]).repeat(2)
    torch.testing.assert_close(native[0].pred_instances.bboxes, boxes * scale)
    assert len(boxes) > 20


def test_what_does_not_fit_is_an_error_of_one_line(
    encoder, tmp_path, lesions, export_tiny, detection_config
):
    config = detection_config("vit", encoder)
    config.model.neck.factors = (4.0, 2.0, 1.0, 0.5)
    with pytest.raises(InputError, match=r"base_sizes=\[8, 16, 32, 64\]: the pyramid has 5 levels"):
        build_detector(config, seed=0)
    config = detection_config("vit", encoder)
    config.test_pipeline[1].scale = (96, 80)
    with pytest.raises(InputError, match=r"scale=\(96, 80\) has to be square"):
        build_detector(config, seed=0)
    config = detection_config("vit", export_tiny(tmp_path, 0, patch_size=12))
    config.test_pipeline[1].scale = (128, 128)
    with pytest.raises(InputError, match="image size 128 is no multiple of the patch size 12"):
        build_detector(config, seed=0)


def test_the_head_has_the_classes_of_the_task(lesions, detection_config):
    folder = copy.copy(lesions)
    folder.classes = ["stenosis", "occlusion"]
    for method, where in (("faster_rcnn", "roi_head.bbox_head"), ("detr", "bbox_head")):
        config = detection_config(method)
        head = config.model.roi_head.bbox_head if "roi" in where else config.model.bbox_head
        model = build_detector(with_classes(config, folder), seed=0)
        built = model.roi_head.bbox_head if "roi" in where else model.bbox_head
        assert (built.fc_cls.out_features, head.num_classes) == (3, 1)  # and the background
        head.num_classes = 3
        with pytest.raises(InputError, match=rf"set model\.{where}\.num_classes=2"):
            with_classes(config, folder)
        with pytest.raises(InputError, match=rf"set model\.{where}\.num_classes=1"):
            with_classes(config, lesions)
