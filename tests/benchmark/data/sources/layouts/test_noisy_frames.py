"""Denoising on a user's data: clean frames alone, or with noisy ones of their own."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from raw_layouts import picture, save

from benchmark.data.checks import check_data
from benchmark.data.denoising import Degradation
from benchmark.data.formats.images import read_grayscale
from benchmark.errors import InputError


def _noisy(number: int) -> np.ndarray:
    noise = np.random.default_rng(number).integers(-20, 20, (40, 44))
    return np.clip(picture(number, 40, 44) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("clean", "noisy"),
    [("clean/{split}", "noisy/{split}"), ("{split}/target", "{split}/input"), ("clean", "images")],
)
def test_pairs_keep_both_frames(tmp_path, prepare, clean, noisy):
    for number in range(6):
        split = "train" if number < 4 else "test"
        for folder, pixels in ((clean, picture(number, 40, 44)), (noisy, _noisy(number))):
            save(tmp_path / "raw" / folder.format(split=split) / f"p{number}_1.png", pixels)
    options = {} if "{" in clean else {"test_fraction": 0.34}
    folder = prepare("denoising", **options)
    assert Counter({s: len(i) for s, i in folder.splits.items()}) == {"train": 4, "test": 2}
    for split, items in folder.splits.items():
        for item in items:
            number = int(item["path"].rsplit("p", 2)[-2][0])
            for path, pixels in (
                (folder.clean(split, item["stem"]), picture(number, 40, 44)),
                (folder.image(split, item["stem"]), _noisy(number)),
            ):
                np.testing.assert_array_equal(read_grayscale(path), pixels)
            assert item["group"] == f"paired/p{number}"
    assert not check_data(folder.path, progress=False).errors


def test_pairs_of_more_than_8_bits_share_one_white_level(tmp_path, prepare):
    for number in range(4):
        for folder, scale in (("clean", 16), ("noisy", 4)):
            deep = picture(number, 40, 44).astype(np.uint16) * scale
            save(tmp_path / "raw" / folder / f"{number}.png", deep)
    folder = prepare("denoising", test_fraction=0.5)
    item = folder.splits["test"][0]
    clean, noisy = (
        read_grayscale(path("test", item["stem"])).astype(int)
        for path in (folder.clean, folder.image)
    )
    assert np.abs(clean - 4 * noisy).max() <= 4


def test_sizes_that_differ_are_refused(tmp_path, prepare):
    for number in range(4):
        save(tmp_path / f"raw/clean/{number}.png", picture(number, 40, 44))
        save(tmp_path / f"raw/noisy/{number}.png", picture(number, 40, 44 + number // 3))
    folder = prepare("denoising", test_fraction=0.5)
    skipped = {reason: entry["count"] for reason, entry in folder.manifest["skipped"].items()}
    assert skipped == {"clean and noisy frame differ in size": 1}


def test_frames_alone_are_degraded_by_the_rule_of_the_benchmark(tmp_path, prepare):
    for number in range(8):
        save(tmp_path / f"raw/p{number // 2}_{number}.png", picture(number, 40, 44))
    with pytest.raises(InputError, match="frames: no split; give --option test_fraction"):
        prepare("denoising", source="folder")
    folder = prepare("denoising", source="folder", test_fraction=0.25, name="mine")
    assert {split: len(items) for split, items in folder.splits.items()} == {"train": 6, "test": 2}
    groups = {s: {item["group"] for item in items} for s, items in folder.splits.items()}
    assert not groups["train"] & groups["test"]
    item = folder.splits["test"][0]
    degraded = Degradation().apply(
        read_grayscale(folder.clean("test", item["stem"])), item["level"], f"mine/{item['path']}"
    )
    np.testing.assert_array_equal(read_grayscale(folder.image("test", item["stem"])), degraded)


def test_folders_and_videos_of_frames(tmp_path, prepare):
    for split, numbers in {"train": range(3), "test": range(3, 5)}.items():
        for number in numbers:
            video = np.stack([picture(10 * number + t, 40, 44) for t in range(9)])
            (tmp_path / "raw" / split).mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / "raw" / split / f"v{number}.npy", video)
    folder = prepare("denoising", source="folder")
    # Frames with most contrast, at least three apart: at most three of nine.
    counts = {split: len(items) for split, items in folder.splits.items()}
    assert counts["train"] in range(3, 10)
    assert counts["test"] in range(2, 7)
    assert folder.manifest["split"]["origin"] == "the folders the frames lie in"
    for split, items in folder.splits.items():
        assert all(item["path"].startswith(f"{split}/") for item in items)
