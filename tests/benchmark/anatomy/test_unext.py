"""UNeXt-S against its description: names, shapes, and a literal reimplementation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.anatomy.unext import UNeXt, shift_channels, shift_kernel
from benchmark.errors import InputError


def released() -> dict[str, tuple[int, ...]]:
    """Names and shapes according to the paper, not to the module."""
    found: dict[str, tuple[int, ...]] = {}

    def conv(name: str, out: int, *rest: int) -> None:
        found.update({f"{name}.weight": (out, *rest), f"{name}.bias": (out,)})

    def norm(name: str, channels: int) -> None:
        found.update({f"{name}.weight": (channels,), f"{name}.bias": (channels,)})

    def batch_norm(name: str, channels: int) -> None:
        norm(name, channels)
        found.update({f"{name}.running_mean": (channels,), f"{name}.running_var": (channels,)})
        found[f"{name}.num_batches_tracked"] = ()

    for n, (into, out) in enumerate([(3, 8), (8, 16), (16, 32)], start=1):
        conv(f"encoder{n}", out, into, 3, 3)
        batch_norm(f"ebn{n}", out)
    for n, (into, out) in enumerate([(32, 64), (64, 128)], start=3):
        conv(f"patch_embed{n}.proj", out, into, 3, 3)
        norm(f"patch_embed{n}.norm", out)
        norm(f"norm{n}", out)
    for n, (into, out) in enumerate([(128, 64), (64, 32), (32, 16), (16, 8)], start=1):
        conv(f"decoder{n}", out, into, 3, 3)
        batch_norm(f"dbn{n}", out)
    conv("decoder5", 8, 8, 3, 3)
    conv("final", 1, 8, 1, 1)
    norm("dnorm3", 64)
    norm("dnorm4", 32)
    for name, channels in (("block1", 64), ("block2", 128), ("dblock1", 64), ("dblock2", 32)):
        norm(f"{name}.0.norm2", channels)
        conv(f"{name}.0.mlp.fc1", channels, channels)
        conv(f"{name}.0.mlp.dwconv.dwconv", channels, 1, 3, 3)
        conv(f"{name}.0.mlp.fc2", channels, channels)
    return found


def test_state_dict_is_the_released_one():
    model = UNeXt()
    assert {name: tuple(t.shape) for name, t in model.state_dict().items()} == released()
    assert sum(parameter.numel() for parameter in model.parameters()) == 253_561


def rolled(maps: Tensor, dim: int) -> Tensor:
    """The description taken literally: zero-pad by 2, roll each of five chunks, crop."""
    height, width = maps.shape[2:]
    chunks = torch.chunk(F.pad(maps, (2, 2, 2, 2)), 5, 1)
    moved = torch.cat([torch.roll(c, s, dim) for c, s in zip(chunks, range(-2, 3))], 1)
    return moved.narrow(2, 2, height).narrow(3, 2, width)


@pytest.mark.parametrize("channels", [5, 6, 8, 32, 64, 128])
@pytest.mark.parametrize("dim", [2, 3])
def test_shift_equals_pad_roll_crop(channels, dim):
    maps = torch.randn(2, channels, 7, 9, generator=torch.Generator().manual_seed(channels))
    assert torch.equal(shift_channels(maps, shift_kernel(channels, dim)), rolled(maps, dim))


def literal_forward(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """UNeXt-S in eval mode, from the state dict alone."""

    def conv(name: str, maps: Tensor, **options: int) -> Tensor:
        return F.conv2d(maps, w[f"{name}.weight"], w[f"{name}.bias"], **options)

    def batch_norm(name: str, maps: Tensor) -> Tensor:
        keys = ("running_mean", "running_var", "weight", "bias")
        mean, variance, weight, bias = (w[f"{name}.{key}"][None, :, None, None] for key in keys)
        return (maps - mean) / torch.sqrt(variance + 1e-5) * weight + bias

    def channel_norm(name: str, maps: Tensor) -> Tensor:
        """LayerNorm over the channels of every pixel."""
        mean = maps.mean(1, keepdim=True)
        variance = (maps - mean).square().mean(1, keepdim=True)
        weight, bias = (w[f"{name}.{key}"][None, :, None, None] for key in ("weight", "bias"))
        return (maps - mean) / torch.sqrt(variance + 1e-5) * weight + bias

    def linear(name: str, maps: Tensor) -> Tensor:
        bias = w[f"{name}.bias"][None, :, None, None]
        return torch.einsum("oc,bchw->bohw", w[f"{name}.weight"], maps) + bias

    def block(name: str, maps: Tensor) -> Tensor:
        inner = linear(f"{name}.mlp.fc1", rolled(channel_norm(f"{name}.norm2", maps), 2))
        inner = conv(f"{name}.mlp.dwconv.dwconv", inner, padding=1, groups=inner.shape[1])
        inner = inner * 0.5 * (1 + torch.erf(inner / 2**0.5))
        return maps + linear(f"{name}.mlp.fc2", rolled(inner, 3))

    def up(maps: Tensor) -> Tensor:
        return F.interpolate(maps, scale_factor=(2, 2), mode="bilinear").clamp(min=0)

    skips = []
    for stage in (1, 2, 3):
        x = batch_norm(f"ebn{stage}", conv(f"encoder{stage}", x, padding=1))
        x = F.max_pool2d(x, 2, 2).clamp(min=0)
        skips.append(x)
    for stage, number in ((3, 1), (4, 2)):
        x = conv(f"patch_embed{stage}.proj", x, stride=2, padding=1)
        x = block(f"block{number}.0", channel_norm(f"patch_embed{stage}.norm", x))
        x = channel_norm(f"norm{stage}", x)
        skips.append(x)
    t1, t2, t3, t4, x = skips
    x = up(batch_norm("dbn1", conv("decoder1", x, padding=1))) + t4
    x = channel_norm("dnorm3", block("dblock1.0", x))
    x = up(batch_norm("dbn2", conv("decoder2", x, padding=1))) + t3
    x = channel_norm("dnorm4", block("dblock2.0", x))
    x = up(batch_norm("dbn3", conv("decoder3", x, padding=1))) + t2
    x = up(batch_norm("dbn4", conv("decoder4", x, padding=1))) + t1
    return conv("final", up(conv("decoder5", x, padding=1)))


def random_model() -> UNeXt:
    """Random parameters and statistics, none at a neutral value."""
    generator = torch.Generator().manual_seed(0)
    model = UNeXt().double().eval()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
            positive = name.endswith("running_var") or ("n" in name and tensor.ndim == 1)
            tensor.copy_(0.5 + noise if positive else (noise - 0.5) * 0.4)
    return model


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96)])
def test_forward_equals_the_description(height, width):
    model = random_model()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)
    ours = model(images)
    assert ours.shape == (2, 1, height, width)
    assert ours.std() > 1e-3
    torch.testing.assert_close(ours, literal_forward(model.state_dict(), images))


def test_initialisation():
    torch.manual_seed(0)
    model = UNeXt()
    for linear in (model.block2[0].mlp.fc1, model.block2[0].mlp.fc2):
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert not linear.bias.any()
    # Kaiming normal, variance 2 / fan-out: 3·3·64 for a convolution, 3·3 for a depth-wise one.
    depthwise = model.block2[0].mlp.dwconv.dwconv
    for conv, fan_out in ((model.patch_embed3.proj, 576), (depthwise, 9)):
        assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)
        assert not conv.bias.any()
    # All others have torch's default, uniform within 1/√fan-in, weights and biases.
    names = (*(f"encoder{n}" for n in (1, 2, 3)), *(f"decoder{n}" for n in range(1, 6)), "final")
    for name in names:
        conv = model.get_submodule(name)
        bound = conv.weight[0].numel() ** -0.5
        assert 0.5 * bound < conv.weight.abs().max() <= bound, name
        assert 0 < conv.bias.abs().max() <= bound, name
    assert model.decoder1.weight.std().item() == pytest.approx((3 * 9 * 128) ** -0.5, rel=0.05)


def test_wrong_sizes_and_widths_are_refused():
    for size in ((48, 64), (64, 16), (33, 32)):
        with pytest.raises(InputError, match=f"{size[0]}×{size[1]}.*multiples of 32"):
            UNeXt(channels=(4, 4, 4, 4, 4))(torch.zeros(1, 3, *size))
    with pytest.raises(InputError, match="five stages"):
        UNeXt(channels=(8, 16))
