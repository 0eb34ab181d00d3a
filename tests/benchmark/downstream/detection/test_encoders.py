"""Detection on every kind of encoder, through the config of the tiny scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.models.necks import FPN
from torch import Tensor, nn

from benchmark.downstream.backbone import EncoderMaps
from benchmark.downstream.detection.model import build_detector, decay_like_detectron2
from benchmark.downstream.detection.pyramid import SimpleFeaturePyramid
from benchmark.downstream.detection.vitdet import ViTDet
from benchmark.encoders.encoder import export_encoder, load_encoder
from benchmark.errors import InputError
from benchmark.nn.backbones.base import Encoder
from benchmark.training.optim import build_optimizer

# Channels from stride 4 on.
CONVOLUTIONAL = {"resnet": [16, 16, 32, 32], "resnet+basic": [8, 8, 12, 16], "unet": [16, 32]}
PLAIN = {"vit", "vit+registers", "vit+clip", "vit+without norm"}


def export(folder: Path, encoder: Encoder) -> Path:
    export_encoder(folder, encoder, {})
    return folder


def loss_of(model: nn.Module, data: dict[str, Any]) -> Tensor:
    torch.manual_seed(7)
    prepared = model.data_preprocessor(data, training=True)
    loss, _ = model.parse_losses(model(**prepared, mode="loss"))
    return loss


def test_every_kind_is_trained_as_a_whole(
    tmp_path, kind, make_encoder, lesions, detection_config, first_frames
):
    """Backbone and neck follow the encoder; every parameter gets a gradient; boxes come out."""
    config = detection_config("vit", export(tmp_path, make_encoder(kind)))
    model = build_detector(config, seed=0).train()
    assert type(model.backbone) is (ViTDet if kind in PLAIN else EncoderMaps)
    assert type(model.neck) is (FPN if kind in CONVOLUTIONAL else SimpleFeaturePyramid)
    levels = model.neck(model.backbone(torch.randn(2, 3, 96, 96)))
    strides = [stride for stride, _ in model.rpn_head.prior_generator.strides]
    assert strides == [4, 8, 16, 32] == [96 // level.shape[2] for level in levels]
    assert model.roi_head.bbox_roi_extractor.featmap_strides == [4, 8, 16]
    if kind in CONVOLUTIONAL:
        assert model.neck.in_channels == CONVOLUTIONAL[kind]
    loss = loss_of(model, first_frames(lesions, config, "train", 2))
    assert loss.isfinite()
    loss.backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, p in trained.items() if p.grad is None] == []
    reached = [n for n, p in trained.items() if n.startswith("backbone.") and p.grad.any()]
    assert len(reached) == len([name for name in trained if name.startswith("backbone.")])
    with torch.no_grad():
        results = model.eval().test_step(first_frames(lesions, config, "test", 1))
    assert results[0].pred_instances.bboxes.shape[1] == 4


@pytest.mark.parametrize("kind", ["eva", "samvit", "beit+tables", "resnet", "unet"])
def test_maps_are_those_of_the_exported_encoder(tmp_path, kind, make_encoder, detection_config):
    """But for ViTs, which are changed on purpose; convolutions run with channels innermost."""
    folder = export(tmp_path, make_encoder(kind))
    model = build_detector(detection_config("vit", folder), seed=0).eval()
    loaded, card = load_encoder(folder)
    assert model.backbone.card == card
    images = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        expected = loaded.eval().feature_maps(images)
        maps = model.backbone(images)
    for found, one in zip(maps, expected[-len(maps) :], strict=True):
        torch.testing.assert_close(found, one, rtol=1e-3, atol=1e-3)


def test_layers_have_their_rates_and_positions_do_not_decay(
    tmp_path, kind, make_encoder, detection_config
):
    encoder = make_encoder(kind)
    config = detection_config("vit", export(tmp_path, encoder))
    model = build_detector(config, seed=0)
    wrapper = build_optimizer(model, config.optimizer, lr=1.0, layer_decay=0.7)
    decay_like_detectron2(wrapper.optimizer, model)
    part = model.backbone if kind in PLAIN else model.backbone.encoder
    prefix = "backbone." if kind in PLAIN else "backbone.encoder."
    groups = part.layer_groups()
    layer = {prefix + name: i for i, names in enumerate(groups) for name in names}
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in wrapper.optimizer.param_groups
        for name in group["names"]
    }
    assert found.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    for name, (rate, decay) in found.items():
        above = len(groups) - 1 - layer[name] if name in layer else 0
        assert rate == pytest.approx(0.7**above), name
        if name.endswith(".pos_embed"):
            assert decay == 0
        elif "rel_pos" in name or "relative_position" in name:
            assert decay == 0.1
    assert layer.keys() == {name for name in found if name.startswith("backbone.")}


def test_equal_seeds_give_equal_necks_and_heads(tmp_path, make_encoder, detection_config):
    """Of one width, whatever the kind; of FPN, whatever the weights."""
    models = {}
    for kind, seed in (("vit", 0), ("eva", 0), ("samvit+norm", 0), ("unet", 0), ("unet", 1)):
        folder = export(tmp_path / f"{kind}{seed}", make_encoder(kind, seed=seed))
        models[kind, seed] = build_detector(detection_config("vit", folder), seed=3)
    for first, second in (
        (("vit", 0), ("eva", 0)),
        (("vit", 0), ("samvit+norm", 0)),
        (("unet", 0), ("unet", 1)),
    ):
        own, other = (
            {n: v for n, v in models[key].state_dict().items() if not n.startswith("backbone.")}
            for key in (first, second)
        )
        assert own.keys() == other.keys()
        assert all(torch.equal(own[name], other[name]) for name in own)


def test_levels_beyond_the_maps_are_made_by_the_fpn(tmp_path, make_encoder, detection_config):
    """Five anchor sizes, as at the paper's scale, on maps of strides 4 to 32."""
    config = detection_config("vit", export(tmp_path, make_encoder("resnet")))
    config.model.rpn_head.anchor_generator.base_sizes = [8, 16, 32, 64, 128]
    model = build_detector(config, seed=0)
    assert [stride for stride, _ in model.rpn_head.prior_generator.strides] == [4, 8, 16, 32, 64]
    assert model.roi_head.bbox_roi_extractor.featmap_strides == [4, 8, 16, 32]
    assert len(model.neck(model.backbone(torch.randn(2, 3, 128, 128)))) == 5


def test_drop_path_of_the_config_reaches_transformers_only(
    tmp_path, make_encoder, detection_config
):
    for kind in ("vit", "eva", "samvit", "beit", "resnet"):
        config = detection_config("vit", export(tmp_path / kind, make_encoder(kind)))
        config.model.backbone.drop_path = 0.3
        backbone = build_detector(config, seed=0).backbone
        rates = [m.drop_prob for m in backbone.modules() if type(m).__name__ == "DropPath"]
        assert rates == ([] if kind == "resnet" else pytest.approx([0.3, 0.3]))


def test_what_does_not_fit_is_refused_in_one_line(tmp_path, make_encoder, detection_config):
    config = detection_config("vit", export(tmp_path / "resnet", make_encoder("resnet")))
    config.test_pipeline[1].scale = (80, 80)
    with pytest.raises(InputError, match=r"80 is no multiple of the coarsest stride 32 .* 64$"):
        build_detector(config, seed=0)
    config.test_pipeline[1].scale = (96, 96)
    config.model.rpn_head.anchor_generator.base_sizes = [8, 16]
    with pytest.raises(InputError, match=r"base_sizes=\[8, 16\]: the pyramid has 4 levels"):
        build_detector(config, seed=0)
    with pytest.raises(InputError, match="architecture 'resnet'; ViTDet takes plain ViTs only"):
        ViTDet(str(tmp_path / "resnet"), img_size=96)
    config = detection_config("vit", tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"encoder\.json: no such file"):
        build_detector(config, seed=0)
