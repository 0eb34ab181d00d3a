"""Parameter groups of a ViT segmentor, parameter by parameter, and their optimiser."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmark.checks.two_processes import step_gradients
from benchmark.errors import InputError
from benchmark.nn.backbones.base import Encoder
from benchmark.nn.vit import VisionTransformer
from benchmark.training import train
from benchmark.training.accumulation import AccumulatingOptimWrapper
from benchmark.training.optim import Bf16OptimWrapper, build_optimizer, parameter_groups
from benchmark.training.train import assemble

DEPTH = 3
WEIGHT_DECAY, LAYER_DECAY = 0.05, 0.75


class Segmentor(nn.Module):
    """Named as in mmsegmentation, with a head whose blocks are not those of the ViT."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.vit = VisionTransformer(
            img_size=16, patch_size=8, embed_dim=8, depth=DEPTH, num_heads=2, learned_pos_embed=True
        )
        self.neck = nn.Sequential(nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4))
        self.decode_head = nn.Module()
        self.decode_head.blocks = nn.ModuleList(nn.Conv2d(4, 4, 3) for _ in range(6))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.neck(self.backbone.vit.feature_maps(images)[0])


def settings(model: nn.Module, layer_decay: float) -> dict[str, tuple[float, float]]:
    """Parameter name to (weight decay, learning-rate factor)."""
    return {
        name: (group["weight_decay"], group["lr_scale"])
        for group in parameter_groups(model, WEIGHT_DECAY, layer_decay)
        for name in group["names"]
    }


def test_layer_decay_of_a_vit():
    """BEiT's rule at depth L: embeddings at decay^(L + 1), block k at decay^(L − k), rest at 1."""
    found = settings(Segmentor(), LAYER_DECAY)
    for name in ("patch_embed.proj.weight", "patch_embed.proj.bias", "pos_embed", "cls_token"):
        assert found[f"backbone.vit.{name}"][1] == pytest.approx(0.75**4)
    for block, factor in enumerate((0.421875, 0.5625, 0.75)):
        for part in ("norm1.weight", "attn.qkv.weight", "attn.proj.bias", "mlp.fc2.weight"):
            assert found[f"backbone.vit.blocks.{block}.{part}"][1] == pytest.approx(factor)
    rest = [name for name in found if not name.startswith("backbone.")]
    assert {"neck.0.weight", "neck.1.bias", "decode_head.blocks.5.weight"} <= set(rest)
    for name in ("backbone.vit.norm.weight", "backbone.vit.norm.bias", *rest):
        assert found[name][1] == 1


class Around(nn.Module):
    """A model whose backbone holds an encoder, as mmsegmentation's models do."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.encoder = encoder
        self.decode_head = nn.Conv2d(4, 4, 1)


@pytest.mark.parametrize(
    ("kind", "powers"),
    [
        ("eva", {"cls_token": 3, "reg_token": 3, "blocks.0.gamma_1": 2, "norm.weight": 0}),
        ("samvit", {"pos_embed": 3, "blocks.1.attn.rel_pos_h": 1, "neck.0.weight": 0}),
        ("beit", {"rel_pos_bias.relative_position_bias_table": 3, "blocks.0.attn.q_bias": 2}),
        ("beit+tables", {"blocks.1.attn.relative_position_bias_table": 1}),
        ("vit+without norm", {"patch_embed.proj.weight": 3, "blocks.1.mlp.fc1.weight": 1}),
        (
            "resnet",
            {
                "conv1.weight": 5,
                "bn1.bias": 5,
                "layer1.0.conv1.weight": 4,
                "layer3.0.downsample.0.weight": 2,
                "layer4.0.bn3.weight": 1,
            },
        ),
        (
            "unet",
            {
                "encoder.0.0.convs.0.conv.weight": 7,
                "encoder.3.1.convs.1.bn.weight": 4,
                "decoder.2.upsample.interp_upsample.1.conv.weight": 3,
                "decoder.0.conv_block.convs.1.conv.weight": 1,
            },
        ),
    ],
)
def test_layer_decay_of_other_encoders(kind, powers, make_encoder):
    """The factor is 0.5 to the power of the layers above; outside the encoder, it is 1."""
    model = Around(make_encoder(kind))
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    found = settings(model, 0.5)
    for name, power in powers.items():
        assert found[f"backbone.encoder.{name}"][1] == 0.5**power, name
    assert found["decode_head.weight"][1] == 1
    assert found.keys() == {name for name, _ in model.named_parameters()}


def test_biases_and_vectors_do_not_decay():
    model = Segmentor()
    found = settings(model, LAYER_DECAY)
    for name, parameter in model.named_parameters():
        decays = not name.endswith(".bias") and parameter.ndim > 1
        assert found[name][0] == (WEIGHT_DECAY if decays else 0), name
    assert found["neck.1.weight"][0] == found["backbone.vit.norm.weight"][0] == 0
    assert found["backbone.vit.cls_token"][0] == WEIGHT_DECAY


@pytest.mark.parametrize(
    ("options", "decayed"),
    [
        (dict(decay_biases=True), ["0.weight", "0.bias", "1.weight", "1.bias"]),
        (dict(undecayed=("0.weight",)), ["1.weight"]),
        ({}, ["0.weight", "1.weight"]),
    ],
)
def test_weight_decay_options(options, decayed):
    """One group with decay as in MoCo v3, or no decay of named parameters as in SimMIM."""
    layers = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    groups = parameter_groups(layers, 0.1, **options)
    assert len(groups) == 1 + (len(decayed) < 4)
    assert next(g["names"] for g in groups if g["weight_decay"] == 0.1) == decayed
    with pytest.raises(InputError, match=r"undecayed: 2\.weight is not a trained parameter"):
        parameter_groups(layers, 0.1, undecayed=("1.weight", "2.weight"))


def test_every_trainable_parameter_is_in_exactly_one_group():
    model = Segmentor()
    groups = parameter_groups(model, WEIGHT_DECAY, LAYER_DECAY)
    assert len(groups) == 2 * (DEPTH + 2)
    names = [name for group in groups for name in group["names"]]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    parameters = dict(model.named_parameters())
    for group in groups:
        pairs = zip(group["names"], group["params"], strict=True)
        assert all(parameters[name] is parameter for name, parameter in pairs)
    assert len(parameter_groups(model, WEIGHT_DECAY)) == 2
    assert {scale for _, scale in settings(model, 1.0).values()} == {1.0}


def test_frozen_parameters_are_absent():
    model = Segmentor()
    model.backbone.vit.pos_embed.requires_grad_(False)
    model.neck.requires_grad_(False)
    found = settings(model, LAYER_DECAY)
    frozen = {
        "backbone.vit.pos_embed",
        *(f"neck.{name}" for name, _ in model.neck.named_parameters()),
    }
    assert found.keys() == {name for name, _ in model.named_parameters()} - frozen


def test_model_without_encoder_has_a_single_rate():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    assert {scale for _, scale in settings(model, LAYER_DECAY).values()} == {1.0}


def test_groups_start_at_their_peak_rate():
    wrapper = build_optimizer(
        Segmentor(),
        dict(type=torch.optim.AdamW, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.95)),
        lr=2e-4,
        layer_decay=LAYER_DECAY,
    )
    assert type(wrapper) is AccumulatingOptimWrapper
    assert wrapper.optimizer.defaults["betas"] == (0.9, 0.95)
    for group in wrapper.optimizer.param_groups:
        assert group["lr"] == group["peak_lr"] == pytest.approx(2e-4 * group["lr_scale"])
    rates = {group["lr"] for group in wrapper.optimizer.param_groups}
    assert min(rates) == pytest.approx(2e-4 * 0.75**4)
    assert max(rates) == 2e-4


def test_one_sgd_step():
    """A step is −lr·factor·(gradient + decay·weight), with decay for matrices only."""
    torch.manual_seed(0)
    model = Segmentor()
    wrapper = build_optimizer(
        model, dict(type=torch.optim.SGD, weight_decay=0.5), lr=0.1, layer_decay=0.5
    )
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    loss = model(torch.randn(2, 3, 16, 16)).square().mean()
    loss.backward()
    gradients = {name: value.grad for name, value in model.named_parameters()}
    wrapper.step()
    expected = {
        "backbone.vit.patch_embed.proj.weight": (0.5**4, 0.5),
        "backbone.vit.blocks.1.attn.qkv.weight": (0.5**2, 0.5),
        "backbone.vit.blocks.1.attn.qkv.bias": (0.5**2, 0.0),
        "backbone.vit.norm.weight": (1.0, 0.0),
        "neck.0.weight": (1.0, 0.5),
    }
    after = dict(model.named_parameters())
    for name, (scale, decay) in expected.items():
        moved = before[name] - 0.1 * scale * (gradients[name] + decay * before[name])
        torch.testing.assert_close(after[name], moved, msg=name)


def test_gradient_clipping():
    model = nn.Linear(4, 1, bias=False)
    wrapper = build_optimizer(
        model, dict(type=torch.optim.SGD), lr=1.0, clip_grad=dict(max_norm=0.5)
    )
    before = model.weight.detach().clone()
    wrapper.update_params(model(torch.full((1, 4), 10.0)).sum())
    assert float((model.weight.detach() - before).norm()) == pytest.approx(0.5, rel=1e-5)


def test_bf16_computes_in_bf16_and_keeps_weights_in_fp32():
    model = nn.Linear(4, 4)
    wrapper = build_optimizer(model, dict(type=torch.optim.SGD), lr=0.1, precision="bf16")
    assert type(wrapper) is Bf16OptimWrapper
    with wrapper.optim_context(model):
        output = model(torch.ones(1, 4))
    assert output.dtype == torch.bfloat16
    assert model(torch.ones(1, 4)).dtype == torch.float32
    output.float().sum().backward()
    wrapper.step()
    assert model.weight.dtype == model.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("method", ["mae", "vasomim"])
def test_losses_in_bf16_are_near_those_in_fp32(method, device, small_config, monkeypatch):
    """Within one rounding of bf16; a CPU, which otherwise trains in fp32, rounds as a GPU does."""
    monkeypatch.setattr(train, "precision", lambda chosen: chosen)
    options, losses = ("method.encoder.drop_path=0.0", "micro_batch=None"), []
    for precision in ("fp32", "bf16"):
        parts = assemble(small_config(method, *options, f"precision={precision}"))
        terms, gradients = step_gradients(parts, torch.float32, device)
        assert all(gradient.isfinite().all() for gradient in gradients.values())
        losses.append(sum(value for name, value in terms.items() if "loss" in name))
    exact, rounded = losses
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=2**-9)
