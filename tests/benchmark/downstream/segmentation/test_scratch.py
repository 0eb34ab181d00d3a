"""The segmentors from scratch as wholes: published sizes, initial weights, and that they learn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmark.downstream.compose import compose
from benchmark.downstream.segmentation.scratch.rwkv_unet import RWKVUNet
from benchmark.downstream.segmentation.scratch.transunet import TransUNet
from benchmark.downstream.segmentation.scratch.vm_unet import VMUNet
from benchmark.downstream.segmentation.task import build_model
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.nn.objectives.dice import dice_loss
from benchmark.registry import build
from benchmark.training.optim import parameter_groups

METHODS = ("transunet", "vm_unet", "rwkv_unet")


def network(method: str, scale: str = "tiny", seed: int = 0) -> nn.Module:
    """The whole model of a method as its configs say."""
    config, _ = compose(CONFIGS, method, "synthetic_v", scale, [], Path("unused"))
    return build_model(config, seed)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def tiny() -> dict[str, nn.Module]:
    """One model of each method at its tiny size, not to be changed."""
    return {method: network(method) for method in METHODS}


@pytest.mark.parametrize(
    ("method", "parameters", "published"),
    [
        ("transunet", 105_275_793, 105.28e6),
        ("vm_unet", 27_427_561, 27.43e6),
        ("rwkv_unet", 17_125_513, 17.13e6),
    ],
)
def test_parameters_of_the_configs_are_the_published_ones(method, parameters, published):
    """With the output layer for one class; `published` as it is printed, in millions."""
    config, _ = compose(CONFIGS, method, "synthetic_v", "paper", [], Path("unused"))
    with torch.device("meta"):
        backbone, default = build(config.model.backbone), config.model.backbone.type()
    head = config.model.decode_head
    assert head.channels == head.in_channels
    assert count(backbone) + head.channels + 1 == parameters
    assert parameters == pytest.approx(published, abs=5_000)
    shapes = {name: parameter.shape for name, parameter in backbone.named_parameters()}
    assert shapes == {name: parameter.shape for name, parameter in default.named_parameters()}


def test_drop_path_of_vm_unet_is_that_of_the_authors_configs():
    """0.2 in the deepest blocks, falling to 0 at both ends, as their rule distributes it."""
    config, _ = compose(CONFIGS, "vm_unet", "synthetic_v", "paper", [], Path("unused"))
    with torch.device("meta"):
        for backbone in (build(config.model.backbone), VMUNet()):
            stages = (backbone.encoder, backbone.decoder)
            rates = [[b.drop_path.drop_prob for s in part for b in s] for part in stages]
            assert rates[0] == pytest.approx([0.2 * block / 7 for block in range(8)])
            assert rates[1] == pytest.approx([0.2 * block / 6 for block in reversed(range(7))])


def test_other_published_variants():
    """RWKV-UNet-S and -T, and VM-UNet at the depths of VMamba-T with nine classes."""
    deep = dict(depths=(2, 2, 9, 2), decoder_depths=(2, 9, 2, 2))
    s = dict(dims=(32, 64, 128, 192), expansions=(2, 2.5, 3, 4))
    t = dict(dims=(32, 48, 96, 160), expansions=(2, 2.5, 3, 3.5), depths=(2, 2, 4, 2))
    with torch.device("meta"):
        assert count(VMUNet(**deep)) + 25 * 9 == 44_274_033  # 44.27 M
        assert count(RWKVUNet(**s)) == 9_701_920  # 9.70 M
        assert count(RWKVUNet(**t)) == 3_145_736  # 3.15 M


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", ["tiny", "small"])
def test_logits_at_image_size(method, scale):
    model = network(method, scale).eval()
    sizes = [(96, 96)] if scale == "small" else [(32, 64), (224, 224)]
    for height, width in sizes:
        with torch.no_grad():
            features = model.backbone(torch.randn(1, 3, height, width))
            assert model.decode_head(features).shape == (1, 1, height, width)
    with pytest.raises(InputError, match=r"images of 104×96: .*UN\w+ needs multiples of (16|32)$"):
        model.backbone(torch.randn(1, 3, 104, 96))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_two_masks_are_learnt_by_heart(method):
    """Every parameter gets a gradient at the first step, and Dice falls below 0.1 soon after."""
    model = network(method)
    row, column = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    curved = (column - 32 + 8 * torch.sin(row / 9)).abs() < 10
    slanted = (row - 24 - column / 4).abs() < 10
    truth = torch.stack([curved, slanted])[:, None].float()
    torch.manual_seed(1)
    images = (0.3 * torch.randn(2, 1, 64, 64) - truth).expand(-1, 3, -1, -1)
    # The output layer sees normalised features of a few channels and can take larger steps.
    groups = [
        {"params": model.backbone.parameters()},
        {"params": model.decode_head.parameters(), "lr": 0.04},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.004, betas=(0.9, 0.9))
    for step in range(80):
        loss = dice_loss(model.decode_head(model.backbone(images)), truth)
        optimizer.zero_grad()
        loss.backward()
        if not step:
            for name, parameter in model.named_parameters():
                assert float(parameter.grad.abs().sum()) > 0, name
        if float(loss.detach()) < 0.1:
            return
        optimizer.step()
    pytest.fail(f"Dice loss {float(loss.detach()):.3f} after 80 steps")


@pytest.mark.parametrize("method", METHODS)
def test_training_in_bf16_gives_the_gradients_of_fp32(method):
    """Layers of both precisions meet under autocast; the scans themselves stay in fp32."""
    model = network(method).eval()
    images = torch.randn(2, 3, 64, 64)
    logits, gradients = [], []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = model.decode_head(model.backbone(images)).float()
        logits.append(out.detach())
        gradient = torch.autograd.grad(out.square().sum(), list(model.backbone.parameters()))
        assert all(part.dtype == torch.float32 for part in gradient)
        gradients.append(torch.cat([part.flatten() for part in gradient]))
    assert not torch.equal(*logits)
    torch.testing.assert_close(logits[1], logits[0], rtol=0.1, atol=0.1 * float(logits[0].std()))
    assert float(F.cosine_similarity(*gradients, dim=0)) > 0.98


@pytest.mark.parametrize("method", METHODS)
def test_equal_seeds_give_equal_weights(method, tiny):
    torch.manual_seed(123)  # what was drawn before has no say
    same, other = network(method).state_dict(), network(method, seed=1).state_dict()
    first = tiny[method].state_dict()
    assert all(torch.equal(first[name], same[name]) for name in first)
    drawn = [name for name in first if not torch.equal(first[name], other[name])]
    assert len(drawn) > 10


@pytest.mark.parametrize("method", METHODS)
def test_initialisation_leaves_nothing_as_it_was(method, tiny):
    """Even from memory full of NaN, weights and statistics become those of a fresh network."""
    backbone = network(method).backbone
    torch.manual_seed(5)
    backbone.init_weights()
    expected = {name: value.clone() for name, value in backbone.state_dict().items()}
    with torch.no_grad():
        for value in backbone.state_dict().values():
            value.fill_(float("nan") if value.is_floating_point() else -1)
    torch.manual_seed(5)
    backbone.init_weights()
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("method", METHODS)
def test_all_layers_learn_at_the_same_rate(method, tiny):
    """No parameter is taken for a layer of a pre-trained ViT, whose rate would be lowered."""
    groups = parameter_groups(tiny[method], weight_decay=0.05, layer_decay=0.75)
    assert {group["lr_scale"] for group in groups} == {1.0}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TransUNet(img_size=100), "img_size=100 is no multiple of 16"),
        (lambda: TransUNet(resnet_width=48), "norm_groups=32 does not divide resnet_width=48"),
        (lambda: TransUNet(num_heads=7), "num_heads=7 does not divide embed_dim=768"),
        (lambda: VMUNet(dims=(96, 192, 384, 700)), r"dims=\(96, 192, 384, 700\) must double"),
        (lambda: VMUNet(depths=(2, 2, 2)), "must be equally many"),
        (lambda: RWKVUNet(depths=(2, 2, 2)), "must be four each"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(build, message):
    with torch.device("meta"), pytest.raises(InputError, match=message):
        build()
