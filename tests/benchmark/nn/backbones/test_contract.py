"""What every kind of encoder promises, on a small one of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest
import timm
import torch
from mmengine.model import BaseModule
from timm.models.beit import Beit
from timm.models.eva import Eva
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from timm.models.vision_transformer import VisionTransformer as TimmViT
from timm.models.vision_transformer_sam import VisionTransformerSAM
from torch import Tensor, nn

from benchmark.encoders.encoder import ARCHITECTURES, architecture_of
from benchmark.errors import InputError
from benchmark.nn.backbones.base import Encoder, group_parameters
from benchmark.nn.backbones.beit import BeitEncoder
from benchmark.nn.backbones.eva import EvaEncoder
from benchmark.nn.backbones.resnet import ResNetEncoder
from benchmark.nn.backbones.sam import SAMEncoder
from benchmark.nn.backbones.unet import UNetEncoder
from benchmark.nn.vit import VisionTransformer

Make = Callable[..., Encoder]
SIZES = dict(img_size=64, patch_size=8, embed_dim=32, depth=2, num_heads=4, num_classes=0)


def norm(eps: float) -> Callable[[int], nn.LayerNorm]:
    return partial(nn.LayerNorm, eps=eps)


# timm's own models of the same sizes.
TWINS: dict[str, Callable[[], nn.Module]] = {
    "vit": lambda: TimmViT(**SIZES),
    "vit+registers": lambda: TimmViT(
        **SIZES, reg_tokens=3, no_embed_class=True, init_values=0.5, norm_layer=norm(1e-5)
    ),
    "vit+clip": lambda: TimmViT(
        **SIZES, pre_norm=True, act_layer="quick_gelu", norm_layer=norm(1e-5)
    ),
    "vit+without norm": lambda: TimmViT(
        **SIZES, class_token=False, global_pool="", no_embed_class=True, final_norm=False
    ),
    "eva": lambda: Eva(
        **SIZES,
        use_rot_pos_emb=True,
        use_abs_pos_emb=False,
        rope_type="dinov3",
        rope_temperature=100,
        rope_rotate_half=True,
        num_reg_tokens=4,
        qkv_bias=False,
        init_values=0.5,
        use_fc_norm=False,
        norm_layer=norm(1e-5),
    ),
    "eva+biases": lambda: Eva(
        **SIZES,
        use_rot_pos_emb=True,
        use_abs_pos_emb=False,
        rope_type="dinov3",
        rope_temperature=100,
        rope_rotate_half=True,
        use_fc_norm=False,
        norm_layer=norm(1e-6),
    ),
    "samvit": lambda: VisionTransformerSAM(
        **SIZES,
        window_size=3,
        global_attn_indexes=(1,),
        neck_chans=16,
        use_rel_pos=True,
        norm_layer=norm(1e-6),
    ),
    "samvit+norm": lambda: VisionTransformerSAM(
        **SIZES,
        window_size=0,
        use_abs_pos=False,
        use_rel_pos=True,
        neck_chans=None,
        norm_layer=norm(1e-6),
    ),
    "beit": lambda: Beit(
        **SIZES,
        init_values=0.1,
        use_abs_pos_emb=False,
        use_shared_rel_pos_bias=True,
        use_fc_norm=False,
    ),
    "beit+tables": lambda: Beit(**SIZES, use_rel_pos_bias=True, use_fc_norm=False),
    "resnet": lambda: ResNet(Bottleneck, (1, 1, 1, 1), num_classes=0, channels=(4, 4, 8, 8)),
    "resnet+basic": lambda: ResNet(
        BasicBlock, (1, 2, 1, 1), num_classes=0, channels=(8, 8, 12, 16)
    ),
}


def images(height: int = 64, width: int = 64) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(5))


def test_every_architecture_is_covered(kind: str, make_encoder: Make) -> None:
    encoder = make_encoder(kind)
    assert isinstance(encoder, Encoder)
    assert architecture_of(encoder) == kind.partition("+")[0]
    assert kind in TWINS or kind == "unet"
    assert {name.partition("+")[0] for name in [*TWINS, "unet"]} == ARCHITECTURES.keys()


@torch.no_grad()
@pytest.mark.parametrize("kind", sorted(TWINS))
def test_timm_has_the_same_names_and_the_same_features(kind: str, make_encoder: Make) -> None:
    encoder, twin = make_encoder(kind).eval(), TWINS[kind]().eval()
    twin.load_state_dict(encoder.state_dict(), strict=True)
    expected = twin.forward_features(images())
    found = encoder(images())
    found = found[-1] if isinstance(found, list) else found
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 96), (32, 64)])
def test_maps_have_the_declared_strides_and_widths(
    kind: str, height: int, width: int, make_encoder: Make
) -> None:
    encoder = make_encoder(kind).eval()
    maps = encoder.feature_maps(images(height, width))
    assert list(encoder.strides) == sorted(encoder.strides)
    assert [tuple(one.shape) for one in maps] == [
        (2, channels, height // stride, width // stride)
        for channels, stride in zip(encoder.widths, encoder.strides, strict=True)
    ]


@torch.no_grad()
def test_maps_are_the_tokens_of_the_patches_in_raster_order(kind: str, make_encoder: Make) -> None:
    encoder = make_encoder(kind).eval()
    output, maps = encoder(images(32, 64)), encoder.feature_maps(images(32, 64))
    if isinstance(output, list):
        assert all(torch.equal(a, b) for a, b in zip(output, maps, strict=True))
        return
    assert output.shape[1] == encoder.num_prefix_tokens + 4 * 8
    for row in range(4):
        for column in range(8):
            token = output[:, encoder.num_prefix_tokens + 8 * row + column]
            assert torch.equal(maps[0][:, :, row, column], token)


def test_arguments_are_json_and_build_the_same_network(kind: str, make_encoder: Make) -> None:
    encoder = make_encoder(kind)
    again = type(encoder)(**json.loads(json.dumps(encoder.arguments)))
    assert again.arguments == encoder.arguments
    again.load_state_dict(encoder.state_dict(), strict=True)
    for own, other in zip(encoder.eval()(images()), again.eval()(images())):
        assert torch.equal(own, other)


LAYERS = {
    "vit": [("patch_embed.", "pos_embed", "cls_token"), "blocks.0.", "blocks.1.", "norm."],
    "vit+registers": [
        ("patch_embed.", "pos_embed", "cls_token", "reg_token"),
        "blocks.0.",
        "blocks.1.",
        "norm.",
    ],
    "vit+without norm": [("patch_embed.", "pos_embed"), "blocks.0.", "blocks.1.", None],
    "eva": [("patch_embed.", "cls_token", "reg_token"), "blocks.0.", "blocks.1.", "norm."],
    "samvit": [("patch_embed.", "pos_embed"), "blocks.0.", "blocks.1.", "neck."],
    "beit": [
        ("patch_embed.", "cls_token", "rel_pos_bias."),
        "blocks.0.",
        "blocks.1.",
        "norm.",
    ],
    "resnet": [("conv1.", "bn1."), "layer1.", "layer2.", "layer3.", "layer4.", None],
    "unet": [
        *(f"encoder.{number}." for number in range(4)),
        *(f"decoder.{number}." for number in (2, 1, 0)),
        None,
    ],
}


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_layers_are_ordered_from_input_to_output(kind: str, make_encoder: Make) -> None:
    encoder = make_encoder(kind)
    groups = encoder.layer_groups()
    assert len(groups) == len(LAYERS[kind])
    for group, begins in zip(groups, LAYERS[kind]):
        wanted = () if begins is None else begins
        expected = [n for n, _ in encoder.named_parameters() if n.startswith(wanted)]
        assert group == expected
        assert bool(group) == (begins is not None)


@pytest.mark.parametrize("with_norm", [True, False])
def test_every_parameter_left_by_trim_gets_a_gradient(
    kind: str, with_norm: bool, make_encoder: Make
) -> None:
    """And the maps that are left are those of the whole network."""
    encoder = make_encoder(kind).eval()
    with torch.no_grad():
        whole = encoder.feature_maps(images())
    finest = encoder.strides[-2] if len(encoder.strides) > 1 else 1
    normed = encoder.norm_name
    encoder.trim(finest=finest, norm=with_norm)
    assert encoder.norm_name == (normed if with_norm else None)
    maps = encoder.feature_maps(images())
    assert len(maps) == len(encoder.strides) == len(encoder.widths) == min(2, len(whole))
    if with_norm or normed is None:
        for found, expected in zip(maps, whole[-len(maps) :], strict=True):
            torch.testing.assert_close(found, expected)
    assert encoder.strides[0] >= finest
    assert encoder.layer_groups()
    encoder.train()
    sum((one * torch.randn_like(one)).sum() for one in encoder.feature_maps(images())).backward()
    without = [n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    if normed and not with_norm:
        assert not any(n.startswith(f"{normed}.") for n, _ in encoder.named_parameters())


@torch.no_grad()
@pytest.mark.parametrize("kind", ["vit", "vit+registers", "eva", "samvit+norm", "beit"])
def test_maps_without_norm_differ_by_the_final_norm(kind: str, make_encoder: Make) -> None:
    encoder = make_encoder(kind).eval()
    layer = encoder.get_submodule(encoder.norm_name)
    expected = encoder.feature_maps(images())[0]
    encoder.trim(norm=False)
    plain = encoder.feature_maps(images())[0]
    if type(layer).__name__ == "LayerNorm2d":
        normed = layer(plain)
    else:
        normed = layer(plain.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(normed, expected, rtol=1e-5, atol=1e-5)


def test_mmengine_does_not_reinitialise_it(kind: str, make_encoder: Make) -> None:
    """timm's models have an `init_weights`, which mmengine calls on the parts of a model."""

    class Model(BaseModule):
        def __init__(self, encoder: nn.Module) -> None:
            super().__init__()
            self.backbone = encoder

    encoder = make_encoder(kind)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    Model(encoder).init_weights()
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize("kind", ["vit", "eva", "samvit", "beit"])
def test_drop_path_reaches_the_blocks(kind: str, make_encoder: Make) -> None:
    encoder = make_encoder(kind)
    other = type(encoder)(**encoder.arguments, drop_path=0.4)
    rates = [getattr(block.drop_path2, "drop_prob", 0.0) for block in other.blocks]
    assert rates == pytest.approx([0.0, 0.4])


@pytest.mark.parametrize(
    ("name", "build", "parameters"),
    [
        ("vit_base_patch14_dinov2", lambda: VisionTransformer(518, 14, layer_scale=1), 86_579_712),
        (
            "vit_base_patch14_reg4_dinov2",
            lambda: VisionTransformer(518, 14, layer_scale=1, reg_tokens=4, no_embed_class=True),
            86_582_016,
        ),
        ("vit_base_patch16_dinov3", EvaEncoder, 85_641_216),
        ("vit_base_patch16_dinov3_qkvb", lambda: EvaEncoder(qkv_bias=True), 85_659_648),
        ("samvit_base_patch16", SAMEncoder, 89_670_912),
        (
            "beit_base_patch16_224",
            lambda: BeitEncoder(rel_pos_bias=True, shared_rel_pos_bias=False),
            85_761_984,
        ),
        ("resnet50", ResNetEncoder, 23_508_032),
        ("resnet18", lambda: ResNetEncoder("basic", (2, 2, 2, 2)), 11_176_512),
    ],
)
def test_published_sizes_match_timm(
    name: str, build: Callable[[], nn.Module], parameters: int
) -> None:
    extra = dict(use_fc_norm=False) if name.startswith("beit") else {}
    with torch.device("meta"):
        encoder, expected = build(), timm.create_model(name, num_classes=0, **extra)
    assert {k: v.shape for k, v in encoder.state_dict().items()} == {
        k: v.shape for k, v in expected.state_dict().items()
    }
    assert sum(p.numel() for p in encoder.parameters()) == parameters


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: EvaEncoder(img_size=100), "patch_size=16 does not divide img_size=100"),
        (
            lambda: EvaEncoder(embed_dim=66, num_heads=3),
            r"embed_dim=66 is not a multiple of 4·num_h",
        ),
        (lambda: SAMEncoder(img_size=100), "patch_size=16 does not divide img_size=100"),
        (lambda: SAMEncoder(num_heads=7), "num_heads=7 does not divide embed_dim=768"),
        (lambda: SAMEncoder(depth=4, global_blocks=(3, 4)), r"\(3, 4\): there are 0 to 3"),
        (lambda: BeitEncoder(patch_size=13), "patch_size=13 does not divide img_size=224"),
        (lambda: BeitEncoder(num_heads=7), "num_heads=7 does not divide embed_dim=768"),
        (lambda: ResNetEncoder(layers=(1, 1)), r"layers=\(1, 1\) and .* must be four each"),
        (lambda: UNetEncoder(stages=1), "stages=1 must be 2 or more"),
        (lambda: UNetEncoder(img_size=100), "img_size=100 a multiple of"),
    ],
)
def test_invalid_sizes_are_refused(build: Callable[[], Encoder], message: str) -> None:
    with torch.device("meta"), pytest.raises(InputError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_parameter_outside_all_groups_is_an_error() -> None:
    module = nn.ModuleDict({"stem": nn.Linear(2, 2), "extra": nn.Linear(2, 2, bias=False)})
    assert group_parameters(module, [("stem.",), (), ("extra.",)]) == [
        ["stem.weight", "stem.bias"],
        [],
        ["extra.weight"],
    ]
    with pytest.raises(ValueError, match=r"extra\.weight is in 0 stages"):
        group_parameters(module, [("stem.",)])
    with pytest.raises(ValueError, match=r"stem\.weight is in 2 stages"):
        group_parameters(module, [("stem.",), ("stem.weight", "extra.")])
