"""Frames and their truth move together, at native resolution and with keyed randomness."""

from __future__ import annotations

import shutil
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from mmcv.transforms import RandomFlip
from PIL import Image

import benchmark.downstream.denoising.dataset as dataset_module
from benchmark.data.tasks import TaskFolder
from benchmark.downstream.denoising.dataset import (
    DenoisingDataset,
    PackPair,
    RandomWindow,
    read_pair,
)
from benchmark.errors import InputError

PACK = [dict(type=PackPair)]
TRAIN = [dict(type=RandomWindow, size=48), dict(type=RandomFlip, prob=0.5), *PACK]


def same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return one["data_samples"].stem == two["data_samples"].stem and all(
        torch.equal(one[name], two[name]) for name in ("inputs", "clean")
    )


def on_disk(folder: TaskFolder, split: str, stem: str) -> tuple[np.ndarray, np.ndarray]:
    files = (folder.image(split, stem), folder.clean(split, stem))
    return tuple(np.asarray(Image.open(file)) for file in files)


def test_test_frames_come_whole_and_untouched(noisy):
    dataset = DenoisingDataset(noisy, "test", PACK)
    assert len(dataset) == 3
    for index, item in enumerate(noisy.splits["test"]):
        found = dataset[index]
        degraded, clean = on_disk(noisy, "test", item["stem"])
        assert found["inputs"].dtype == found["clean"].dtype == torch.uint8
        np.testing.assert_array_equal(found["inputs"][0].numpy(), degraded)
        np.testing.assert_array_equal(found["clean"][0].numpy(), clean)
        assert found["data_samples"].stem == item["stem"]
        assert not np.array_equal(degraded, clean)


def test_windows_are_the_same_pixels_of_both_frames(noisy):
    """Nothing is resized or mixed: each window is found again in both frames at one place."""
    dataset = DenoisingDataset(noisy, "train", TRAIN, seed=1)
    places, flips = set(), 0
    for epoch in range(6):
        for index, item in enumerate(noisy.splits["train"]):
            window = dataset[epoch, index]
            pair = np.stack(on_disk(noisy, "train", item["stem"]))
            wanted = torch.cat([window["inputs"], window["clean"]]).numpy()
            assert wanted.shape == (2, 48, 48)
            views = np.lib.stride_tricks.sliding_window_view(pair, (48, 48), axis=(1, 2))
            views = views.transpose(1, 2, 0, 3, 4)
            straight = np.argwhere((views == wanted).all(axis=(2, 3, 4))).tolist()
            mirrored = np.argwhere((views == wanted[..., ::-1]).all(axis=(2, 3, 4))).tolist()
            assert len(straight) + len(mirrored) == 1
            places.update(map(tuple, straight + mirrored))
            flips += len(mirrored)
    assert len(places) > 25, "36 windows, at 33² places"
    assert 9 <= flips <= 27  # of 36 with probability 1/2
    rows, columns = zip(*places)
    assert min(rows) < 8 < 24 < max(rows) <= 32
    assert min(columns) < 8 < 24 < max(columns) <= 32


def test_a_frame_smaller_than_the_window_is_mirrored():
    picture = np.arange(3 * 5 * 2, dtype=np.uint8).reshape(3, 5, 2)
    found = RandomWindow(7).transform({"img": picture})["img"]
    expected = picture[[0, 1, 2, 2, 1, 0, 0]][:, [0, 1, 2, 3, 4, 4, 3]]
    np.testing.assert_array_equal(found, expected)


def test_an_item_depends_on_seed_epoch_and_index_only(noisy, assert_keyed):
    assert_keyed(partial(DenoisingDataset, noisy, "train", TRAIN), 6, same)


def test_frames_kept_in_memory_are_the_frames_on_disk(noisy, monkeypatch):
    """Reading again gives the same; memory is bounded, and what is kept is never written into."""
    keeping = DenoisingDataset(noisy, "train", TRAIN, seed=1)
    first = [keeping[epoch, index] for epoch in range(2) for index in range(6)]
    for item in first:
        item["inputs"].zero_()
    monkeypatch.setattr(dataset_module, "CACHE_BYTES", 2 * 80 * 80 * 2)
    bounded = DenoisingDataset(noisy, "train", TRAIN, seed=1)
    again = [bounded[epoch, index] for epoch in range(2) for index in range(6)]
    assert len(bounded._pairs) == 2
    monkeypatch.setattr(dataset_module, "read_pair", None)
    kept = [keeping[epoch, index] for epoch in range(2) for index in range(6)]
    assert all(same(one, two) for one, two in zip(again, kept, strict=True))


def test_a_share_of_the_frames_is_whole_patients(noisy):
    half = DenoisingDataset(noisy, "train", TRAIN, fraction=0.5)
    assert len(half) == 3
    assert len({item["group"] for item in half.items}) == 1
    assert len(DenoisingDataset(noisy, "train", TRAIN)) == 6
    with pytest.raises(InputError, match="has no split 'val'"):
        DenoisingDataset(noisy, "val", TRAIN)


def test_bad_frames_are_one_line(noisy, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(noisy.path, path)
    folder = TaskFolder.open(path, "denoising")
    stem = folder.splits["test"][0]["stem"]
    clean = folder.clean("test", stem)
    Image.fromarray(np.zeros((80, 79), np.uint8)).save(clean)
    with pytest.raises(
        InputError, match="80×79 pixels, but its degraded frame has 80×80"
    ) as caught:
        read_pair(folder, "test", stem)
    assert str(clean) in str(caught.value)
    clean.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match="image; make it again with tools/prepare_data") as caught:
        DenoisingDataset(folder, "test", PACK)[0]
    assert str(clean) in str(caught.value)
    clean.unlink()
    for read in (
        lambda: read_pair(folder, "test", stem),
        lambda: TaskFolder.open(path, "denoising"),
    ):
        with pytest.raises(InputError, match="missing") as caught:
            read()
        assert str(clean) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="a denoising task, but segmentation is needed"):
        TaskFolder.open(noisy.path, "segmentation")
