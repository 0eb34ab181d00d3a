"""Detectors learn: a batch by heart, a batch of nothing, and an easy task as a whole."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.dataset import pseudo_collate
from torch import nn

from benchmark.downstream.detection.dataset import DetectionDataset
from benchmark.downstream.detection.metrics import DetectionMetric
from benchmark.downstream.detection.model import build_detector, with_classes
from benchmark.randomness import seed_torch
from benchmark.training.optim import build_optimizer


@pytest.mark.parametrize(
    "method", [pytest.param("vit", marks=pytest.mark.slow), "faster_rcnn", "detr"]
)
def test_a_batch_can_be_learnt_by_heart(method, encoder, lesions, detection_config, first_frames):
    """The loss falls, gradients reach everything, and Faster R-CNN's boxes meet the true ones.

    One of the four frames has no box.
    """
    config = detection_config(method, encoder if method == "vit" else None)
    model = build_detector(with_classes(config, lesions), seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    data = first_frames(lesions, config, "train", 4)
    losses = []
    for step in range(45 if method == "vit" else 15):
        seed_torch(0, step)
        prepared = model.data_preprocessor(copy.deepcopy(data), training=True)
        assert prepared["inputs"].shape == (4, 3, 96, 96)
        loss, _ = model.parse_losses(model(**prepared, mode="loss"))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.7 * losses[0]
    missing = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []
    with torch.no_grad():
        results = model.eval().test_step(copy.deepcopy(data))
    if method != "vit":
        return
    for result, item in zip(results, lesions.splits["train"]):
        if not item["boxes"]:
            continue
        best = result.pred_instances.scores.argmax()
        truth = torch.tensor(item["boxes"])[:, :4].float()
        # Boxes are at the native size of the frame, as the folder has them.
        overlaps = bbox_overlaps(result.pred_instances.bboxes[best][None], truth)
        assert overlaps.max() > 0.5


def test_a_batch_without_any_box_gives_a_loss(encoder, lesions, detection_config, first_frames):
    """All four windows have lost their boxes: only background is learnt, and nothing is NaN."""
    config = detection_config("vit", encoder)
    model = build_detector(config, seed=0).train()
    data = first_frames(lesions, config, "train", 4)
    for sample in data["data_samples"]:
        sample.gt_instances = sample.gt_instances[:0]
    losses = model(**model.data_preprocessor(data, training=True), mode="loss")
    total, _ = model.parse_losses(losses)
    total.backward()
    assert total.isfinite()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert losses["loss_bbox"].item() == 0


@pytest.mark.slow
def test_it_finds_lesions_in_frames_it_has_not_seen(
    encoder, tmp_path, draw_lesions, detection_config
):
    """96 easy frames, the tiny scale, nothing pre-trained: mAP50 above one half."""
    folder = draw_lesions(tmp_path / "task", 96)
    config = detection_config("vit", encoder)
    model = build_detector(config, seed=0).train()
    wrapper = build_optimizer(model, config.optimizer, lr=2e-3, layer_decay=config.layer_decay)
    train = DetectionDataset(folder, "train", config.train_pipeline)
    for step in range(160):
        for group in wrapper.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * min(1.0, step / 20) * (0.1 if step > 140 else 1.0)
        seed_torch(0, step)
        chosen = torch.randint(len(train), (8,)).tolist()
        data = pseudo_collate([train[step, index] for index in chosen])
        model.train_step(data, wrapper)
    metric = DetectionMetric(folder.coco("test"), tmp_path)
    test = DetectionDataset(folder, "test", config.test_pipeline)
    model.eval()
    with torch.no_grad():
        for index in range(len(test)):
            results = model.test_step(pseudo_collate([test[index]]))
            metric.process(None, [result.to_dict() for result in results])
    assert metric.evaluate(len(test))["map50"] > 50
