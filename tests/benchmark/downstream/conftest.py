"""A small prepared task, small exported encoders and cells of the benchmark made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from benchmark.data.sources import open_source
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.compose import compose
from benchmark.downstream.finetune import run_cell
from benchmark.downstream.sampling import FineTuningSampler
from benchmark.encoders.encoder import export_encoder
from benchmark.method_cards import CONFIGS
from benchmark.nn.vit import VisionTransformer
from benchmark.training.hooks import StepHook

torch.set_num_threads(1)

SIDE = 64
"""Image size of the encoders."""

SIZES = ("train_pipeline.2.scale=(64,64)", "test_pipeline.1.scale=(64,64)")
"""Options of a segmentation config for images of that size."""


@pytest.fixture(scope="session")
def vessels(tmp_path_factory: pytest.TempPathFactory) -> TaskFolder:
    """Two patients to train on and one to test on, two frames of 80² each, with contrast in."""
    source = open_source("synthetic", patients=3, videos=1, frames=5, first_frame=3, size=80)
    out = tmp_path_factory.mktemp("task") / "vessels"
    return write_task_folder(source, out, "segmentation", "vessels", progress=False)


def export_vit(
    folder: Path, seed: int = 0, patch_size: int = 16, corpus_hash: str = "c0de"
) -> Path:
    """A ViT of 64², 32 wide, two blocks, with random weights of this seed."""
    torch.manual_seed(seed)
    vit = VisionTransformer(SIDE, patch_size, embed_dim=32, depth=2, num_heads=2)
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    export_encoder(folder, vit, {"run": "pretrain", "corpus_hash": corpus_hash, "seed": seed})
    return folder


@pytest.fixture(scope="session", name="export_vit")
def _export_vit() -> Callable[..., Path]:
    return export_vit


@pytest.fixture(scope="session")
def sizes() -> tuple[str, ...]:
    return SIZES


def compose_cell(
    work: Path,
    method: str | Path,
    dataset: str,
    options: Sequence[str],
    seed: int = 0,
    protocol: str | None = None,
) -> BenchmarkCell:
    """A cell at scale tiny in a work folder."""
    config, card = compose(CONFIGS, method, dataset, "tiny", list(options), work, protocol)
    folder = work / card.method / "finetune" / dataset / f"seed{seed}"
    return BenchmarkCell(config, card, dataset, seed, folder, work / "results")


@pytest.fixture(scope="session", name="compose_cell")
def _compose_cell() -> Callable[..., BenchmarkCell]:
    return compose_cell


def score_cell(cell: BenchmarkCell, epochs: int = 0) -> BenchmarkCell:
    """Run a cell; without epochs its initial weights are scored, in no time."""
    cell.config.epochs = epochs
    run_cell(cell)
    return cell


@pytest.fixture(scope="session", name="score_cell")
def _score_cell() -> Callable[..., BenchmarkCell]:
    return score_cell


@pytest.fixture(scope="session")
def trained(vessels: TaskFolder, tmp_path_factory: pytest.TempPathFactory) -> BenchmarkCell:
    """A finished cell of segmentation, with masks that are neither empty nor full."""
    work = tmp_path_factory.mktemp("trained")
    export_vit(work / "mae" / "pretrain", seed=1)
    options = ("batch_size=2", "base_lr=0.03", "num_workers=0", f"data.folder={vessels.path}")
    return score_cell(compose_cell(work, "mae", "synthetic_v", (*SIZES, *options)), epochs=2)


@contextmanager
def before_step(step: int, call: Callable[[], None]) -> Iterator[None]:
    """Within the block, `call` is made just before the training step of this number."""
    usual = StepHook.before_train_iter

    def before(hook: StepHook, runner: Any, *rest: Any, **named: Any) -> None:
        usual(hook, runner, *rest, **named)
        if runner.iter + 1 == step:
            call()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StepHook, "before_train_iter", before)
        yield


@pytest.fixture(scope="session", name="before_step")
def _before_step() -> Callable[..., Any]:
    return before_step


def assert_keyed(
    build: Callable[[int], Any], count: int, same: Callable[[Any, Any], bool], alike: int = 0
) -> None:
    """Items depend on seed, epoch and index only: not on order, on workers, on what ran before.

    Args:
        build: the dataset of a seed.
        count: its items.
        same: whether two items are equal.
        alike: how many may be equal by chance.
    """
    dataset, other = build(3), build(4)
    keys = [(epoch, index) for epoch in (0, 1) for index in range(count)]
    forward = {key: dataset[key] for key in keys}
    np.random.seed(12345)  # noqa: NPY002  what ran before must not matter
    for key in reversed(keys):
        assert same(dataset[key], forward[key]), key
    assert sum(same(forward[0, index], forward[1, index]) for index in range(count)) <= alike
    assert sum(same(other[key], forward[key]) for key in keys) <= alike

    def batches(workers: int) -> list[dict[str, Any]]:
        sampler = FineTuningSampler(count, 4, seed=3)
        sampler.set_epoch(1)
        options = dict(batch_sampler=sampler, collate_fn=pseudo_collate, num_workers=workers)
        return list(DataLoader(dataset, **options))

    for one, two in zip(batches(0), batches(2), strict=True):
        for place in range(4):
            assert same(*({name: batch[name][place] for name in batch} for batch in (one, two)))


@pytest.fixture(scope="session", name="assert_keyed")
def _assert_keyed() -> Callable[..., None]:
    return assert_keyed
