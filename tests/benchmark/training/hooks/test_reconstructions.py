"""Panels of reconstructions: the right pixels, every so many epochs, at no cost to the run."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.data.packs import open_packs
from benchmark.data.packs.loader import PackDataset
from benchmark.method import Progress
from benchmark.registry import build
from benchmark.training.hooks import DEFAULT_HOOKS, ReconstructionHook
from benchmark.training.hooks.reconstructions import draw_panel
from benchmark.training.train import train


def state(folder) -> dict[str, torch.Tensor]:
    return torch.load(folder / "epoch_4.pth", weights_only=True)["model"]


@pytest.fixture
def run_with(small_config, tmp_path):
    """A run of four epochs with panels at an interval; the images it wrote, and its weights."""

    def run(method: str, interval: int):
        folder = tmp_path / f"{method}{interval}"
        options = ("epochs=4", "checkpoint_interval=4", "log_interval=1")
        panels = f"default_hooks.reconstructions.interval={interval}"
        train(small_config(method, *options, panels), folder, method, False, False)
        images = (folder / "mmengine" / "vis_data" / "vis_image").glob("*.png")
        return folder, sorted(path.name for path in images)

    return run


def test_panels_come_every_so_many_epochs_and_change_nothing(run_with):
    plain, none = run_with("vasomim", 0)
    drawn, images = run_with("vasomim", 3)
    assert none == []
    steps = len((drawn / "metrics.jsonl").read_text().splitlines()) // 4
    assert images == sorted(f"reconstructions_{steps * epoch}.png" for epoch in (3, 4))
    one, two = state(plain), state(drawn)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    panel = np.asarray(Image.open(drawn / "mmengine/vis_data/vis_image" / images[0]))
    height, width = panel.shape[:2]
    # Four frames; view, vessels B, probability M, guidance f(G), masked patches, reconstruction.
    assert height % 4 == 0
    assert width == 6 * height // 4


def test_a_model_that_reconstructs_nothing_says_so(capsys):
    run = SimpleNamespace(title="DINO", say=print)
    runner = SimpleNamespace(run=run, model=torch.nn.Linear(2, 2), epoch=0, max_epochs=1)
    hook = ReconstructionHook(interval=1)
    hook.before_train(runner)
    hook.after_train_epoch(runner)
    assert capsys.readouterr().out == (
        "DINO: no panels of reconstructions: nothing is reconstructed\n"
    )


def test_the_method_is_left_as_it_was(small_config):
    """Modes of all modules and the state of torch's generator; the view stays on the left."""
    config = small_config("mae")
    dataset = PackDataset(open_packs(config.packs), anatomy=True)
    method = build(config.method).train()
    method.encoder.eval()
    method.progress = Progress(seed=config.seed, epoch=0, epochs=2)
    batch = dataset.__getitems__([0, 3])
    modes = [module.training for module in method.modules()]
    generator = torch.get_rng_state()
    panel = draw_panel(method, batch)
    assert [module.training for module in method.modules()] == modes
    assert torch.equal(torch.get_rng_state(), generator)
    views = method.views(batch)["views"]["image"]
    gray = (views * method.views.std + method.views.mean).mean(dim=1).clamp(0, 255)
    side = gray.shape[-1]
    assert panel.dtype == np.uint8
    expected = gray.byte().flatten(0, 1).numpy()
    np.testing.assert_array_equal(panel[:, :side, 0], expected)


def test_it_is_off_by_default():
    assert DEFAULT_HOOKS["reconstructions"]().interval == 0
