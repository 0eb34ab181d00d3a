"""Training S on extracted vessels, and the frozen S."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmark.anatomy.segmentor import FrozenSegmentor, SegmentorTraining
from benchmark.anatomy.unext import UNeXt
from benchmark.data.views.single import SingleView
from benchmark.errors import InputError
from benchmark.method import Progress


@pytest.fixture
def network(randomise):
    """UNeXt-S with running statistics unlike those of any batch."""
    torch.manual_seed(0)
    network = randomise(UNeXt(), 4)
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.uniform_(-0.2, 0.2)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
    return network


def training(network: nn.Module) -> SegmentorTraining:
    return SegmentorTraining(dict(type=SingleView, size=32), network)


class Fixed(nn.Module):
    """Returns given logits."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits


def test_training_loss(tiny_views):
    """0.5 · BCE + 0.5 · (1 − Dice over the flattened batch, smooth 1e-5), and the hard score."""
    logits = np.random.default_rng(0).normal(0, 2, (4, 1, 32, 32))
    method = training(Fixed(torch.from_numpy(logits).float()))
    assert method.exports() == {"segmentor": method.network}
    terms = method.loss(tiny_views, Progress())
    target = tiny_views["anatomy"].double().numpy()
    p = 1 / (1 + np.exp(-logits))
    entropy = -np.mean(target * np.log(p) + (1 - target) * np.log(1 - p))
    dice = (2 * (p * target).sum() + 1e-5) / (p.sum() + target.sum() + 1e-5)
    hard = logits > 0
    score = (2 * (hard * target).sum() + 1e-5) / (hard.sum() + target.sum() + 1e-5)
    assert list(terms) == ["loss_bce", "loss_dice", "dice_score"]
    assert terms["loss_bce"].item() == pytest.approx(0.5 * entropy, rel=1e-6)
    assert terms["loss_dice"].item() == pytest.approx(0.5 * (1 - dice), rel=1e-6)
    assert terms["dice_score"].item() == pytest.approx(score, rel=1e-6)
    assert not terms["dice_score"].requires_grad


def test_two_processes_train_the_segmentor_of_one(
    tiny_views: dict[str, Tensor], tmp_path: Path, run_pair: Callable[..., list]
) -> None:
    """Terms and averaged gradients: Dice and batch norm see all four samples.

    One half has few vessels, the other many: the mean of their Dice scores is another number.
    """
    torch.manual_seed(0)
    start = UNeXt().state_dict()
    anatomy = torch.zeros(4, 1, 32, 32, dtype=torch.float64)
    anatomy[:2, :, :3], anatomy[2:, :, :20] = 1, 1

    def step(samples: slice) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        network = UNeXt()
        network.load_state_dict(start)
        method = training(network).double().train()
        views = {"image": tiny_views["image"][samples].double(), "anatomy": anatomy[samples]}
        terms = method.loss(views, Progress())
        (terms["loss_bce"] + terms["loss_dice"]).backward()
        gradients = {name: p.grad for name, p in method.named_parameters()}
        return {name: value.detach() for name, value in terms.items()}, gradients

    (terms, gradients), (others, rest) = run_pair(
        lambda rank: step(slice(2 * rank, 2 * rank + 2)), tmp_path
    )
    expected, slopes = step(slice(0, 4))
    for name in ("loss_dice", "dice_score"):
        torch.testing.assert_close(terms[name], expected[name])
        torch.testing.assert_close(others[name], expected[name])
    for name, slope in slopes.items():
        average = (gradients[name] + rest[name]) / 2
        torch.testing.assert_close(average, slope, rtol=1e-7, atol=1e-9, msg=name)


@torch.no_grad()
def test_frozen_segmentor_is_the_trained_function(tiny_views, network):
    """Logits are those of the network in eval mode, also after train(); M is their sigmoid.

    The frozen network runs in channels_last, which changes the order of summation.
    """
    images = tiny_views["image"]
    expected = network.eval()(images)
    segmentor = FrozenSegmentor(network.train(), None)
    before = {name: tensor.clone() for name, tensor in segmentor.state_dict().items()}
    for mode in (True, False, True):
        assert segmentor.train(mode) is segmentor
        assert segmentor.training is mode
        assert not any(module.training for module in network.modules())
        torch.testing.assert_close(segmentor(images), expected, rtol=1e-4, atol=1e-4)
    wrapped = nn.Sequential(segmentor).train()
    torch.testing.assert_close(wrapped(images), segmentor(images), rtol=0, atol=0)
    probability = 1 / (1 + np.exp(-segmentor(images).double().numpy()))
    np.testing.assert_allclose(segmentor.probability(images).numpy(), probability, atol=1e-6)
    assert all(torch.equal(segmentor.state_dict()[name], before[name]) for name in before)


def test_gradient_reaches_the_input_only(tiny_views, network):
    """The gradient with respect to a pixel equals the finite difference; weights get none."""
    segmentor = FrozenSegmentor(network, None).double()
    images = tiny_views["image"][:1].double().requires_grad_()
    weights = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(1)).double()
    (segmentor(images) * weights).sum().backward()
    assert all(p.grad is None and not p.requires_grad for p in segmentor.parameters())
    for place in [(0, 0, 5, 9), (0, 2, 31, 0), (0, 1, 16, 16)]:
        ends = []
        for step in (1e-6, -1e-6):
            moved = images.detach().clone()
            moved[place] += step
            ends.append((segmentor(moved) * weights).sum().item())
        slope = (ends[0] - ends[1]) / 2e-6
        assert images.grad[place].item() == pytest.approx(slope, rel=1e-4, abs=1e-6)
    assert not segmentor.probability(images).requires_grad


@pytest.mark.parametrize("kind", ["safetensors", "pth", "wrapped"])
def test_checkpoint_is_loaded_strictly(tmp_path, network, kind):
    """A run's safetensors and a released .pth restore the weights bit for bit."""
    path = tmp_path / f"s.{kind}"
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    if kind == "safetensors":
        save_file(tensors, path)
    else:
        torch.save({"state_dict": tensors} if kind == "wrapped" else tensors, path)
    loaded = FrozenSegmentor(dict(type=UNeXt), str(path)).network.state_dict()
    assert list(loaded) == list(tensors)
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


def test_mismatched_checkpoints_are_named(tmp_path, network):
    """A missing file and a partial state dict are errors that name the file."""
    with pytest.raises(InputError, match=r"none\.safetensors: no such file"):
        FrozenSegmentor(dict(type=UNeXt), str(tmp_path / "none.safetensors"))
    tensors = dict(network.state_dict())
    del tensors["final.weight"]
    torch.save(tensors, tmp_path / "part.pth")
    with pytest.raises(InputError, match=r"part\.pth: .* fit UNeXt: 1 missing \(first: final\.w"):
        FrozenSegmentor(dict(type=UNeXt), str(tmp_path / "part.pth"))
