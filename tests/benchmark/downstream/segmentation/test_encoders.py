"""Segmentation on every kind of encoder, through the configs of the tiny scale."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from benchmark.downstream.compose import compose
from benchmark.downstream.segmentation.model import (
    EncoderBackbone,
    LateralPyramid,
    SimpleFPN,
    fit_to_encoder,
)
from benchmark.downstream.segmentation.plain import PatchMap
from benchmark.downstream.segmentation.task import build_model
from benchmark.encoders.card import read_encoder_card
from benchmark.encoders.encoder import export_encoder, load_encoder
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.nn.backbones.base import Encoder
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import build
from benchmark.training.optim import parameter_groups

WIDTHS = (8, 16, 32, 64)  # of the tiny scale, with a stem of 8
PYRAMIDS = {
    "resnet": ((2, 4, 8, 16, 32), (8, *WIDTHS)),
    "resnet+basic": ((2, 4, 8, 16, 32), (8, *WIDTHS)),
    "unet": ((1, 2, 4, 8), WIDTHS),
}


def export(folder: Path, encoder: Encoder) -> Path:
    export_encoder(folder / "mae" / "pretrain", encoder, {})
    return folder


def segmentor(work: Path, seed: int = 0, *options: str) -> nn.Module:
    """The model that `tools/finetune.py` would train."""
    config, _ = compose(CONFIGS, "mae", "synthetic_v", "tiny", list(options), work)
    return build_model(config, seed)


def batch(count: int = 2, side: int = 64) -> dict[str, list]:
    """Frames of random grey with a bar to find."""
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 255, (count, 1, side, side), generator=generator, dtype=torch.uint8)
    truth = torch.zeros(count, 1, side, side, dtype=torch.long)
    truth[:, :, 20:30] = 1
    samples = [SegDataSample(gt_sem_seg=PixelData(data=one)) for one in truth]
    return {"inputs": list(frames.expand(-1, 3, -1, -1)), "data_samples": samples}


def loss_of(model: nn.Module) -> Tensor:
    torch.manual_seed(7)  # the same blocks are skipped each time
    data = model.data_preprocessor(batch(), training=True)
    loss, _ = model.parse_losses(model(**data, mode="loss"))
    return loss


def test_every_kind_is_trained_as_a_whole(tmp_path, kind, make_encoder):
    """One config for all: the pyramid follows the encoder, and a step lowers the loss."""
    encoder = make_encoder(kind)
    model = segmentor(export(tmp_path, encoder)).train()
    strides, widths = PYRAMIDS.get(kind, ((), WIDTHS))
    assert type(model.neck) is (LateralPyramid if strides else SimpleFPN)
    assert model.decode_head.in_channels == list(widths)
    model.eval()
    with torch.no_grad():
        images, *levels = model.neck(model.backbone(torch.randn(1, 3, 64, 64)))
        assert model.decode_head((images, *levels)).shape == (1, 1, 64, 64)
    assert [level.shape[1] for level in levels] == list(widths)
    if strides:
        assert [64 // level.shape[2] for level in levels] == list(strides)
    model.train()
    before = loss_of(model)
    before.backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, p in trained.items() if p.grad is None or not p.grad.any()] == []
    assert {name for name in trained if name.startswith("backbone.")} == {
        f"backbone.encoder.{name}" for name, _ in encoder.named_parameters()
    }
    with torch.no_grad():
        for parameter in trained.values():
            parameter -= 1e-3 * parameter.grad / parameter.grad.norm()
        assert loss_of(model).item() < before.item()


def test_the_encoder_is_the_exported_one_and_its_layers_have_their_rates(
    tmp_path, kind, make_encoder
):
    folder = export(tmp_path, make_encoder(kind)) / "mae" / "pretrain"
    model = segmentor(tmp_path)
    loaded, card = load_encoder(folder)
    assert model.backbone.card == card
    state = model.backbone.encoder.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())
    groups = loaded.layer_groups()
    expected = {
        f"backbone.encoder.{name}": 0.75 ** (len(groups) - 1 - layer)
        for layer, names in enumerate(groups)
        for name in names
    }
    for group in parameter_groups(model, weight_decay=0.05, layer_decay=0.75):
        for name in group["names"]:
            assert group["lr_scale"] == pytest.approx(expected.pop(name, 1.0)), name
    assert expected == {}


def test_equal_seeds_give_equal_heads_to_encoders_of_one_width(tmp_path, make_encoder):
    heads = []
    for number, kind in enumerate(("vit", "eva", "beit", "samvit+norm", "vit+registers")):
        model = segmentor(export(tmp_path / str(number), make_encoder(kind, seed=number)), seed=3)
        state = model.state_dict()
        heads.append({n: v for n, v in state.items() if not n.startswith("backbone.")})
    for other in heads[1:]:
        assert other.keys() == heads[0].keys()
        assert all(torch.equal(other[name], heads[0][name]) for name in other)
    resnets = [
        segmentor(export(tmp_path / f"resnet{seed}", make_encoder("resnet", seed=seed)), seed=3)
        for seed in (0, 1)
    ]
    for part in ("neck", "decode_head"):
        one, other = (getattr(model, part).state_dict() for model in resnets)
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_frames_are_shown_as_in_pre_training(tmp_path, make_encoder):
    folder = tmp_path / "mae" / "pretrain"
    export_encoder(folder, make_encoder("unet"), {}, mean=(0.5,) * 3, std=(0.25,) * 3)
    model = segmentor(tmp_path)
    data = model.data_preprocessor(batch())
    frame = batch()["inputs"][0].float()
    torch.testing.assert_close(data["inputs"][0], (frame / 255 - 0.5) / 0.25)


def test_drop_path_is_that_of_the_config_where_there_is_one(tmp_path, make_encoder):
    def rate(work: Path, *options: str) -> float:
        return segmentor(work, 0, *options).backbone.encoder.blocks[-1].drop_path1.drop_prob

    for kind in ("vit", "eva", "samvit", "beit"):
        work = export(tmp_path / kind, make_encoder(kind))
        assert rate(work) == pytest.approx(0.1)
        assert rate(work, "model.backbone.drop_path=0.3") == pytest.approx(0.3)
    work = export(tmp_path / "unet", make_encoder("unet"))
    with pytest.raises(InputError, match="'unet' has no drop_path; remove it"):
        segmentor(work, 0, "model.backbone.drop_path=0.3")


def test_patches_of_14_give_a_pyramid_around_them(tmp_path):
    """At 112² there are 8×8 patches; the levels are 8, 4, 2 and 1 times as large."""
    torch.manual_seed(0)
    export(tmp_path, VisionTransformer(56, 14, 16, depth=1, num_heads=2, layer_scale=0.1))
    sizes = "train_pipeline.2.scale=(112, 112)", "test_pipeline.1.scale=(112, 112)"
    model = segmentor(tmp_path, 0, *sizes).eval()
    with torch.no_grad():
        images, *levels = model.neck(model.backbone(torch.randn(1, 3, 112, 112)))
        assert model.decode_head((images, *levels)).shape == (1, 1, 112, 112)
    assert [level.shape[2] for level in levels] == [64, 32, 16, 8]
    with pytest.raises(InputError, match=r"size 96 is no multiple of the patch size 14 .* 98$"):
        segmentor(tmp_path)


def test_the_pyramid_for_patches_of_8_is_a_choice_of_the_config(tmp_path, make_encoder):
    export(tmp_path, make_encoder("vit"))
    model = segmentor(tmp_path, 0, "model.neck.variant=patch8").eval()
    with torch.no_grad():
        images, *levels = model.neck(model.backbone(torch.randn(1, 3, 64, 64)))
        assert model.decode_head((images, *levels)).shape == (1, 1, 64, 64)
    assert [64 // level.shape[2] for level in levels] == [2, 4, 8, 16]


def test_a_neck_for_one_map_gets_the_coarsest(tmp_path, make_encoder):
    """And the encoder does not compute the others."""
    folder = export(tmp_path, make_encoder("unet")) / "mae" / "pretrain"
    spec = {
        "data_preprocessor": {},
        "backbone": {"type": EncoderBackbone, "folder": str(folder)},
        "neck": {"type": PatchMap, "width": 6},
        "decode_head": {},
    }
    fitted = fit_to_encoder(spec, read_encoder_card(folder))
    neck, backbone = build(fitted["neck"]), build(fitted["backbone"])
    _, maps = neck(backbone(torch.randn(2, 3, 64, 64)))
    assert maps.shape == (2, 6, 8, 8)
    maps.square().sum().backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None] == []
    assert spec["backbone"] == {"type": EncoderBackbone, "folder": str(folder)}


def test_an_encoder_of_fewer_maps_than_the_decoder_has_levels(tmp_path, make_encoder):
    card = export_encoder(tmp_path, type(make_encoder("unet"))(4, stages=3, img_size=32), {})
    spec = {
        "data_preprocessor": {},
        "neck": {"type": SimpleFPN, "widths": (1, 2, 3, 4)},
        "decode_head": {"stem": 9},
    }
    fitted = fit_to_encoder(spec, card)
    assert fitted["neck"] == {
        "type": LateralPyramid,
        "in_channels": [4, 8, 16],
        "widths": (2, 3, 4),
    }
    assert fitted["decode_head"] == {"stem": 9, "widths": (2, 3, 4)}


def test_images_of_another_number_of_channels_are_refused(tmp_path):
    export_encoder(tmp_path, VisionTransformer(16, 8, 8, 1, 2, in_channels=1), {})
    with pytest.raises(InputError, match=r"in_channels=1, but fine-tuning uses 3"):
        EncoderBackbone(str(tmp_path))
