"""Frames and boxes through the pipelines of the config: geometry, randomness, vanished boxes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs
from mmengine.config import Config
from PIL import Image

from benchmark.downstream.detection.dataset import DetectionDataset


@pytest.fixture(scope="module")
def config(detection_config: Callable[..., Config]) -> Config:
    return detection_config("faster_rcnn", scale="paper")


def pixels(item: dict[str, Any]) -> np.ndarray:
    return item["inputs"].permute(1, 2, 0).numpy()


def boxes(item: dict[str, Any]) -> np.ndarray:
    return item["data_samples"].gt_instances.bboxes.tensor.numpy()


def same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return np.array_equal(pixels(one), pixels(two)) and np.array_equal(boxes(one), boxes(two))


def test_frames_and_boxes_are_those_of_the_folder(lesions, config):
    """Frames without a box included."""
    bare = [config.train_pipeline[0], dict(type=LoadAnnotations, with_bbox=True)]
    dataset = DetectionDataset(lesions, "train", [*bare, dict(type=PackDetInputs)])
    items = lesions.splits["train"]
    assert len(dataset) == len(items) == 8
    assert dataset.metainfo["classes"] == ("stenosis",)
    for index, item in enumerate(items):
        found = dataset[index]
        picture = np.asarray(Image.open(lesions.image("train", item["stem"])))
        np.testing.assert_array_equal(pixels(found), picture[..., None].repeat(3, axis=2))
        expected = np.array(item["boxes"], np.float32).reshape(-1, 5)
        np.testing.assert_array_equal(boxes(found), expected[:, :4])
        assert found["data_samples"].gt_instances.labels.tolist() == expected[:, 4].tolist()
        assert Path(found["data_samples"].img_path).stem == item["stem"]
    assert any(not item["boxes"] for item in items)


def test_the_test_pipeline_keeps_the_aspect(lesions, config):
    """80×100 becomes 410×512, as Pillow's bilinear filter makes it."""
    item = DetectionDataset(lesions, "test", config.test_pipeline)[1]
    stem = lesions.splits["test"][1]["stem"]
    picture = Image.open(lesions.image("test", stem)).convert("RGB")
    resized = np.asarray(picture.resize((512, 410), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(pixels(item), resized)
    meta = item["data_samples"].metainfo
    assert meta["ori_shape"] == (80, 100)
    assert meta["scale_factor"] == pytest.approx((5.12, 5.125))


def test_large_scale_jitter_moves_boxes_with_the_picture(lesions, config):
    """Scales span 0.1 to 2, windows are at most 512², and boxes frame the dark discs."""
    dataset = DetectionDataset(lesions, "train", config.train_pipeline)
    heights, flips, seen = [], 0, 0
    for epoch in range(12):
        for index, item in enumerate(lesions.splits["train"]):
            found = dataset[epoch, index]
            sample = found["data_samples"]
            image, kept = pixels(found)[..., 0], boxes(found)
            assert max(image.shape) <= 512
            assert sample.img_shape == image.shape
            heights.append(round(80 * sample.scale_factor[1]))
            flips += bool(sample.flip)
            assert len(kept) <= len(item["boxes"])
            for x0, y0, x1, y1 in kept:
                assert 0 <= x0 < x1 <= image.shape[1]
                assert 0 <= y0 < y1 <= image.shape[0]
                whole = x0 > 0 and y0 > 0 and x1 < image.shape[1] and y1 < image.shape[0]
                if not whole or x1 - x0 < 30 or len(kept) > 1:
                    continue
                seen += 1
                # The rows and columns through the middle are dark inside and bright outside.
                middle = image[round((y0 + y1) / 2), :]
                dark = np.flatnonzero(middle < 105)
                assert dark.min() == pytest.approx(x0, abs=4 * sample.scale_factor[0])
                assert dark.max() == pytest.approx(x1, abs=4 * sample.scale_factor[0])
    assert min(heights) < 82  # 0.2 of 410
    assert max(heights) > 740  # 1.8 of 410
    assert 30 <= flips <= 66  # of 96 with probability 1/2
    assert seen > 10


def test_a_frame_that_loses_its_boxes_stays(lesions, config):
    """Small windows of large pictures; the frame is not replaced by another one."""
    pipeline = copy.deepcopy(config.train_pipeline)
    pipeline[3].update(ratio_range=(2.0, 2.0))
    pipeline[4].update(crop_size=(128, 128))
    dataset = DetectionDataset(lesions, "train", pipeline)
    lost = 0
    for epoch in range(3):
        for index, item in enumerate(lesions.splits["train"]):
            found = dataset[epoch, index]
            assert Path(found["data_samples"].img_path).stem == item["stem"]
            assert pixels(found).shape == (128, 128, 3)
            assert boxes(found).shape[1] == 4
            lost += len(item["boxes"]) > len(boxes(found)) == 0
    assert lost > 5


def test_an_item_depends_on_seed_epoch_and_index_only(lesions, config, assert_keyed):
    assert_keyed(partial(DetectionDataset, lesions, "train", config.train_pipeline), 8, same)
