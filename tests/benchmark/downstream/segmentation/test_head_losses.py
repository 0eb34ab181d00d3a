"""Losses of decode heads: mmsegmentation's own, without the accuracy that it computes beside."""

from __future__ import annotations

import copy
from typing import Any

import mmseg.models.decode_heads.decode_head as library
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models.decode_heads import FCNHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.losses import CrossEntropyLoss
from mmseg.structures import SegDataSample
from no_host_sync import NoHostSync
from torch import nn

from benchmark.downstream import finetune
from benchmark.downstream.segmentation.model import (
    BinaryCrossEntropy,
    BinaryDice,
    compute_losses_only,
    losses_of_head,
)
from benchmark.downstream.task import load_task
from benchmark.method import Progress
from benchmark.training.accumulation import training_step

ONE_CLASS = dict(num_classes=2, out_channels=1, threshold=0.5)
HEADS = {
    "several losses": dict(
        ONE_CLASS, loss_decode=[dict(type=BinaryCrossEntropy), dict(type=BinaryDice)]
    ),
    "one loss": dict(ONE_CLASS, loss_decode=dict(type=BinaryDice)),
    "losses of one name": dict(
        num_classes=3, loss_decode=[dict(type=CrossEntropyLoss), dict(type=CrossEntropyLoss)]
    ),
    "sampled pixels": dict(
        num_classes=3,
        align_corners=True,
        loss_decode=dict(type=CrossEntropyLoss),
        sampler=dict(type="OHEMPixelSampler", thresh=0.7, min_kept=20),
    ),
}


def make_head(settings: dict[str, Any]) -> FCNHead:
    return FCNHead(in_channels=4, channels=4, num_convs=0, concat_input=False, **settings)


def labelled(classes: int) -> list[SegDataSample]:
    """Two samples with labels of 12×10 below `classes`."""
    labels = torch.randint(0, classes, (2, 1, 12, 10))
    return [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]


@pytest.mark.parametrize("kind", HEADS)
def test_losses_are_those_of_the_library(kind):
    """To the last bit, also where logits are up-sampled; only the accuracy is missing."""
    head = make_head(HEADS[kind])
    logits = torch.randn(2, head.out_channels, 6, 5)
    samples = labelled(2 if head.out_channels == 1 else head.out_channels)
    expected = BaseDecodeHead.loss_by_feat(head, logits, samples)
    found = losses_of_head(head, logits, samples)
    assert expected.keys() - found.keys() == {"acc_seg"}
    assert found
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_every_head_of_a_model_computes_losses_only(monkeypatch):
    """Auxiliary heads too, and in a copy those of the copy; not heads with losses of their own."""

    class OwnLosses(FCNHead):
        def loss_by_feat(self, *_):
            return {}

    settings = HEADS["several losses"]
    own = OwnLosses(in_channels=4, channels=4, num_convs=0, concat_input=False, **settings)
    model = nn.ModuleDict(
        {"decode_head": make_head(settings), "auxiliary_head": make_head(settings), "own": own}
    )
    compute_losses_only(model)
    monkeypatch.setattr(library, "accuracy", None)
    assert list(model.state_dict()) == list(copy.deepcopy(model).state_dict())
    for part in (model, copy.deepcopy(model)):
        for name in ("decode_head", "auxiliary_head"):
            assert part[name].loss_by_feat.__self__ is part[name]
            terms = part[name].loss((torch.randn(2, 4, 12, 10),), labelled(2), None)
            assert terms.keys() == {"loss_bce", "loss_dice"}
        assert part["own"].loss_by_feat(None) == {}


@pytest.mark.parametrize(
    ("method", "protocol"), [("mae", None), ("mae", "aaai"), ("unet", None)], ids=str
)
def test_no_step_computes_or_reads_an_accuracy(
    method, protocol, vessels, compose_cell, sizes, export_vit, tmp_path, monkeypatch
):
    """Of the UNet decoder, the plain one and a head of the library."""
    export_vit(tmp_path / "mae" / "pretrain")
    options = (*sizes, "batch_size=2", f"data.folder={vessels.path}")
    cell = compose_cell(tmp_path, method, "synthetic_v", options, protocol=protocol)
    parts = finetune.assemble(cell, load_task("segmentation"), vessels)
    monkeypatch.setattr(library, "accuracy", lambda *_, **__: pytest.fail("an accuracy"))
    parts.loader.batch_sampler.set_epoch(0)
    batch = next(iter(parts.loader))
    model = parts.model.train()
    model.progress = Progress(epochs=1, steps_per_epoch=1)
    parts.optimizer.initialize_count_status(model, 0, 1)
    with NoHostSync():
        terms = training_step(model, batch, parts.optimizer)
    assert terms.keys() == {"decode.loss_bce", "decode.loss_dice", "loss", "grad_norm"}
