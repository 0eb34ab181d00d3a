"""XA-20K: composed of five downloads; no frame has the pixels of one of their test images."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_layouts import picture, save
from reading import read_all

from benchmark.data.checks.leakage import check_leakage, open_held_out
from benchmark.data.counts import count_rows
from benchmark.data.frame import Frame
from benchmark.data.packs import build_pack, open_packs
from benchmark.data.sources import SOURCES, open_source
from benchmark.data.sources.corpora.xa20k import TEST_COPY, TrainingImages
from benchmark.data.sources.files import FolderSource, walk_images
from benchmark.data.tasks import write_task_folder
from benchmark.errors import InputError

PARTS = ("arcade", "cadica", "stenosis", "syntax", "xcad")


@pytest.fixture
def downloads(raw, tmp_path) -> Path:
    """The five downloads, which a test may change."""
    return Path(shutil.copytree(raw("xa20k").root, tmp_path / "downloads"))


def leakage(source, folder: Path, *tasks) -> list[dict]:
    """Counts of the leakage check of a pack of `source` and task folders."""
    pack = build_pack(source, folder / "pack", 64, progress=False)
    folders = []
    for number, task in enumerate(tasks):
        made = write_task_folder(task, folder / str(number), task.forms[0], progress=False)
        folders.append(open_held_out(made.path))
    reports = check_leakage(open_packs([pack.path]), folders, progress=False)
    return [
        {"of test": report["test"]["splits"]["test"]["exact"], **report["counts"]}
        for report in reports
    ]


def test_published_counts_are_those_of_the_paper_and_printed(raw, tmp_path):
    published = dict(SOURCES["xa20k"].expected)
    assert published.pop("frames") == sum(published.values()) == 20650
    assert published == dict(zip(PARTS, (2 * 1000, 6594, 7492, 2943, 1621)))
    source = open_source("xa20k", raw("xa20k", False).root)
    manifest = build_pack(source, tmp_path / "pack", 48, progress=False).manifest
    rows = {label.strip(): (number, note) for label, number, note in count_rows(manifest)}
    # Five training images of each subset, 3 videos of 3 frames, 18 of 20 frames, 3×2, and 5.
    found = dict(zip(PARTS, (10, 9, 18, 6, 5)))
    assert rows["frames found"] == ("48", "published: 20,650")
    for name in PARTS:
        assert rows[name] == (str(found[name]), f"published: {published[name]:,}")
    assert rows["set aside, arcade, test"][0] == "6"
    assert rows["set aside, stenosis, test"][0] == "2"


def test_patients_keep_their_names(read):
    reading = read("xa20k", False)
    for name in PARTS[1:]:
        alone = {path: frame for path, frame in read(name, False).frames.items()}
        for path, frame in alone.items():
            if frame.split in (None, "train"):
                composed = reading.frames[f"{name}/{path}"]
                assert composed.source == name
                assert (composed.group, composed.video) == (frame.group, frame.video)
    assert set(reading.splits) == {None}
    assert {f.group for f in reading.frames.values() if f.source in ("arcade", "xcad")} == {None}


def test_no_test_image_of_arcade_or_stenosis_is_inside(raw, tmp_path):
    root = raw("xa20k").root
    tasks = [open_source("arcade", root / "arcade", task=task) for task in ("arcade_v", "arcade_s")]
    tasks.append(open_source("stenosis", root / "stenosis"))
    vessels, stenoses, boxes = leakage(open_source("xa20k", root), tmp_path, *tasks)
    none = dict.fromkeys(("of test", "exact", "similar", "groups"), 0)
    for counts in (vessels, stenoses):
        assert {key: counts[key] for key in none} == none
    # The authors' lists split the frames of a patient, which the report must not hide.
    assert (boxes["exact"], boxes["groups"] > 0) == (0, True)


def test_a_split_of_stenosis_by_patient_leaks_nothing(raw, tmp_path):
    folder = raw("xa20k", False).root
    source = open_source("xa20k", folder, stenosis_split="patient", stenosis_seed=3)
    task = open_source("stenosis", folder / "stenosis", split="patient", seed=3)
    (counts,) = leakage(source, tmp_path, task)
    assert (counts["exact"], counts["similar"], counts["groups"]) == (0, 0, 0)


def test_near_duplicates_are_dropped_between_the_subsets_only(downloads):
    top = downloads / "arcade" / "arcade"
    test = Image.open(top / "syntax" / "test" / "images" / "9.png")
    brighter = test.point(lambda value: min(255, 12 + value * 9 // 10))
    brighter.save(top / "syntax" / "train" / "images" / "2.png")
    brighter.convert("RGB").save(top / "stenosis" / "train" / "images" / "1.png")
    source = open_source("xa20k", {"arcade": top})
    reading = read_all(source)
    copies = {where for reason, where in source.report.items if reason == TEST_COPY}
    assert "arcade/stenosis/train/images/1.png = syntax/test/images/9.png" in copies
    assert "arcade/syntax/train/images/2.png" in reading.frames
    assert not reading.frames.keys() & {where.partition(" = ")[0] for where in copies}


class _Pictures(FolderSource):
    """Images ``train_*`` and ``test_*`` of one folder, with the split of their name."""

    name = "pictures"

    def __init__(self, root: Path, letter: str) -> None:
        super().__init__()
        self.root, self._letter = root, letter

    def walk(self):
        for path in walk_images(self.root):
            split, letter, _ = path.stem.split("_")
            if letter == self._letter:
                yield Frame(self.name, path.name, split=split)


def test_every_training_image_is_compared(tmp_path):
    """More images than are compared at a time; the expected copies follow from their numbers."""
    images = [picture(seed, 16, 16) for seed in range(299)]
    for number in range(299):
        save(tmp_path / f"train_a_{number}.png", images[number])
    save(tmp_path / "test_a_3.png", images[3])
    for number in (7, 280, 298):
        save(tmp_path / f"test_b_{number}.png", (images[number] * 0.8 + 20).astype(np.uint8))
    source = TrainingImages(_Pictures(tmp_path, "a"), _Pictures(tmp_path, "b"))
    left = {frame.path for frame in source.frames() if frame.split == "train"}
    dropped = {f"train_a_{number}.png" for number in range(299)} - left
    assert dropped == {f"train_a_{number}.png" for number in (7, 280, 298)}
    assert source.report.counts == {TEST_COPY: 3}
    assert len(source.test_images) == 4


@pytest.fixture
def planted(raw, tmp_path) -> tuple[Path, set[str]]:
    """Downloads with test images in place of two training images of each part, and their paths."""
    root = Path(shutil.copytree(raw("xa20k", False).root, tmp_path / "downloads"))
    vessels = open_source("arcade", root / "arcade")
    stenoses = open_source("arcade", root / "arcade", task="arcade_s")
    boxes = open_source("stenosis", root / "stenosis")
    tests = itertools.cycle(
        [
            next(one.root / frame.path for frame in one.frames() if frame.split == "test")
            for one in (vessels, boxes, stenoses)
        ]
    )
    paths = set()
    for part in PARTS:
        alone = {part: root / part}
        frames = [frame.path for frame in open_source("xa20k", alone).frames()]
        for path, test in zip((frames[0], frames[-1]), tests):
            (file,) = root.glob(f"{part}/**/{path.partition('/')[2]}")
            Image.open(test).save(file)
            paths.add(path)
    return root, paths


def test_planted_test_images_are_dropped_from_every_part(planted, tmp_path):
    root, paths = planted
    pack = build_pack(open_source("xa20k", root), tmp_path / "pack", 64, workers=2, progress=False)
    report = json.loads((pack.path / "report.json").read_text())[TEST_COPY]
    # Between ARCADE's subsets, the test image is named as well.
    dropped = [where.partition(" = ")[0] for where in report["paths"]]
    assert (sorted(dropped), report["count"]) == (sorted(paths), 2 * len(PARTS))
    assert len(pack) == 48 - 2 * len(PARTS)
    assert not paths & set(pack.index["path"])
    tasks = [open_source("arcade", root / "arcade", task=task) for task in ("arcade_v", "arcade_s")]
    tasks.append(open_source("stenosis", root / "stenosis"))
    for counts in leakage(open_source("xa20k", root), tmp_path, *tasks):
        assert (counts["of test"], counts["exact_pairs"]) == (0, 0)


def test_a_near_duplicate_in_another_part_is_kept_and_found_by_the_leakage_check(
    downloads, tmp_path
):
    test = downloads / "arcade" / "arcade" / "syntax" / "test" / "images" / "8.png"
    (xcad,) = downloads.rglob("trainB")
    Image.open(test).point(lambda value: min(255, 12 + value * 9 // 10)).save(xcad / "777.png")
    task = open_source("arcade", downloads / "arcade")
    (counts,) = leakage(open_source("xa20k", downloads), tmp_path, task)
    assert (counts["of test"], counts["exact_pairs"], counts["similar"] > 0) == (0, 0, True)


def test_a_pack_for_other_test_images_is_not_reused(downloads, tmp_path):
    build_pack(open_source("xa20k", downloads), tmp_path / "pack", 48, progress=False)
    test = downloads / "arcade" / "arcade" / "syntax" / "test" / "images" / "8.png"
    save(test, picture(5, 64, 64))
    with pytest.raises(InputError, match="other frames or parameters"):
        build_pack(open_source("xa20k", downloads), tmp_path / "pack", 48, progress=False)


def test_options_reach_the_parts(downloads):
    plain = Counter(frame.source for frame in open_source("xa20k", downloads).frames())
    options = {"cadica_rule": "all", "syntax_group": "none", "stenosis_split": "patient"}
    source = open_source("xa20k", downloads, **options)
    assert source.options == {**options, "stenosis_seed": 0}
    frames = list(source.frames())
    count = Counter(frame.source for frame in frames)
    assert count["cadica"] > plain["cadica"]
    assert {frame.group for frame in frames if frame.source == "syntax"} == {None}
    alone = open_source("stenosis", downloads / "stenosis", split="patient")
    expected = [frame.group for frame in alone.frames() if frame.split == "train"]
    groups = {frame.group for frame in frames if frame.source == "stenosis"}
    assert groups == set(expected)


def test_folders_are_recognised_and_missing_ones_named(raw, tmp_path):
    root = Path(shutil.copytree(raw("xa20k", False).root, tmp_path / "raw"))
    frames = list(open_source("xa20k", root).frames())
    for old, new in (
        ("arcade", "arcade_challenge_datasets"),
        ("stenosis", "Stenosis detection"),
        ("cadica", "CADICA"),
    ):
        (root / old).rename(root / new)
    assert list(open_source("xa20k", root).frames()) == frames
    assert list(open_source("xa20k", tmp_path).frames()) == frames
    by_name = {"cadica": root / "CADICA", "xcad": root / "xcad"}
    source = open_source("xa20k", by_name)
    reading = read_all(source)
    assert Counter(frame.source for frame in reading.frames.values()) == {"cadica": 9, "xcad": 5}
    assert reading.skipped == {"part of XA-20K missing": 3}
    shutil.rmtree(root / "xcad")
    shutil.rmtree(root / "CADICA")
    with pytest.raises(InputError) as error:
        open_source("xa20k", root)
    message = str(error.value)
    assert "\n" not in message
    pages = ("data.mendeley.com/datasets/p9bpx9ctcv", "github.com/AISIGSJTU/SSVS")
    for part, page in itertools.zip_longest(("cadica", "xcad"), pages):
        assert f"{part} (https://{page})" in message
    with pytest.raises(InputError, match="did you mean 'stenosis'"):
        open_source("xa20k", {"stenoses": root})
    with pytest.raises(InputError, match="does not look like XA-20K"):
        open_source("xa20k", root / "syntax" / "SYNTAX" / "images")
