"""What the trainer offers a method beside its loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.optim import AdamW

from benchmark.data.packs import build_pack
from benchmark.data.sources import open_source
from benchmark.data.views.single import SingleView
from benchmark.errors import InputError
from benchmark.method import Method, Progress
from benchmark.training.schedules import CosineRamp, WarmupCosine
from benchmark.training.train import assemble, make_run, make_runner


class Small(Method):
    """One layer, and a note of every call."""

    def __init__(self, views: dict[str, Any]) -> None:
        super().__init__(views)
        self.encoder = nn.Linear(4, 2)
        self.told: list[str] = []

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        self.told.append("loss")
        output = self.encoder(views["image"].flatten(1)[:, :4])
        self.observe(output)
        return {"loss": output.square().mean()}

    def before_step(self, progress: Progress) -> None:
        assert self.encoder.weight.grad is not None
        self.encoder.bias.grad = None
        self.told.append(f"before {progress.step}")

    def after_step(self, progress: Progress) -> None:
        self.told.append(f"after {progress.step}")


class Comparing(Small):
    cross_sample = True


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("packs") / "frames"
    source = open_source("synthetic", patients="2", videos="1", frames="2", size="32")
    build_pack(source, folder, size=32, progress=False)
    return str(folder)


def config(pack: str, method: type[Method], **changes: Any) -> Config:
    values = dict(
        method=dict(type=method, views=dict(type=SingleView, size=32)),
        packs=[pack],
        anatomy=False,
        seed=0,
        epochs=2,
        batch_size=4,
        micro_batch=2,
        base_lr=0.1,
        lr_batch=None,
        optimizer=dict(type=AdamW, weight_decay=0.1),
        decay_schedule=dict(type=CosineRamp, end=3.0),
        schedule=dict(type=WarmupCosine),
        clip_grad=None,
        num_workers=0,
        num_threads=1,
        precision="fp32",
        log_interval=1,
        checkpoint_interval=2,
        keep_checkpoints=1,
    )
    return Config({**values, **changes})


def test_gradients_are_complete_before_a_step_and_can_be_taken_away(pack, tmp_path):
    """Both parts of the batch first; what has no gradient then is left alone, decay included."""
    parts = assemble(config(pack, Small))
    bias = parts.method.encoder.bias.detach().clone()
    parts.identity["config_hash"] = "0"
    runner = make_runner(parts, make_run(parts, tmp_path, "small"))
    runner.train()
    steps = [line for number in range(2) for line in (f"before {number}", f"after {number}")]
    assert parts.method.told == ["loss", "loss", *steps[:2], "loss", "loss", *steps[2:]]
    assert torch.equal(parts.method.encoder.bias, bias)
    groups = parts.optimizer.optimizer.param_groups
    # Of two steps the second, halfway from 0.1 to 0.3.
    assert sorted(group["weight_decay"] for group in groups) == pytest.approx([0, 0.2])
    log = (tmp_path / "metrics.jsonl").read_text()
    assert log.count('"feature_std"') == log.count('"effective_rank"') == 2


def test_features_are_shown_for_one_step(pack):
    """Without gradients, and forgotten when the next step begins."""
    method = assemble(config(pack, Small)).method
    images = torch.randn(3, 3, 4, 4)
    for _ in range(2):
        method.loss({"image": images}, Progress())
    assert [tuple(shown.shape) for shown in method.observed] == [(3, 2), (3, 2)]
    assert not method.observed[0].requires_grad
    method.progress = Progress(step=1)
    assert method.observed == []


def test_a_loss_that_compares_samples_is_not_cut(pack):
    """`micro_batch` below the share of a process is refused, with what to set instead."""
    with pytest.raises(InputError, match="micro_batch=2: Comparing compares the samples") as error:
        assemble(config(pack, Comparing))
    assert "set micro_batch=None" in str(error.value)
    assemble(config(pack, Comparing, micro_batch=None))
    assemble(config(pack, Comparing, micro_batch=4))
    assemble(config(pack, Comparing), rank=0, world_size=2)  # its share fits one part
