"""Few labels: exact numbers, complete patients, nothing of another split."""

from __future__ import annotations

import itertools

import pytest

from benchmark.data.tasks import TaskFolder
from benchmark.data.tasks.folder import labelled
from benchmark.errors import InputError


def make_folder(tmp_path, patients: bool = True) -> TaskFolder:
    """Three patients of 1, 6 and 4 training frames and others of test and val, in this order."""
    splits: dict[str, list[dict]] = {"train": [], "val": [], "test": []}
    for split, sizes in (("train", (1, 6, 4)), ("val", (3,)), ("test", (2, 5))):
        for patient, size in enumerate(sizes):
            splits[split] += [
                {
                    "stem": f"{split}{patient}_{n}",
                    "group": f"{split}{patient}" if patients else None,
                }
                for n in range(size)
            ]
    known = {"kind": "segmentation", "task": "t", "classes": ["background", "vessel"]}
    return TaskFolder(tmp_path, {**known, "splits": splits, "split_hash": "h"})


def stems(items: list[dict]) -> list[str]:
    return [item["stem"] for item in items]


@pytest.mark.parametrize("seed", range(5))
def test_a_number_of_images_is_met_by_as_few_patients_as_their_order_allows(tmp_path, seed):
    folder = make_folder(tmp_path)
    draws = [labelled(folder, "train", count=count, seed=seed) for count in range(1, 12)]
    for count, draw in enumerate(draws, 1):
        assert len(draw) == count
        whole = [item for item in folder.splits["train"] if item in draw]
        assert draw == whole, "in the order of the split"
        used = {item["group"] for item in draw}
        cut = [
            group
            for group in used
            if sum(item["group"] == group for item in folder.splits["train"])
            > sum(item["group"] == group for item in draw)
        ]
        assert len(cut) <= 1
    for small, large in itertools.pairwise(draws):
        assert set(stems(small)) < set(stems(large))
    assert draws[-1] == folder.splits["train"]


@pytest.mark.parametrize("patients", [True, False])
def test_a_draw_has_no_frame_and_no_patient_of_another_split(tmp_path, patients):
    folder = make_folder(tmp_path, patients)
    others = [*folder.splits["val"], *folder.splits["test"]]
    drawn = [
        item
        for seed, count in itertools.product(range(20), (1, 2, 5, 10))
        for item in labelled(folder, "train", count=count, seed=seed)
    ]
    assert not {item["stem"] for item in drawn} & set(stems(others))
    if patients:
        assert not {item["group"] for item in drawn} & {item["group"] for item in others}
    # Every frame and every patient comes at some seed.
    assert {item["stem"] for item in drawn} == set(stems(folder.splits["train"]))


def test_the_names_alone_decide(tmp_path):
    """Not what the frames were made of, nor their order in the manifest."""
    folder, other = make_folder(tmp_path), make_folder(tmp_path)
    other.splits["train"] = [{**item, "boxes": []} for item in reversed(other.splits["train"])]
    for seed in range(5):
        drawn = stems(labelled(folder, "train", count=4, seed=seed))
        assert set(stems(labelled(other, "train", count=4, seed=seed))) == set(drawn)
    draws = {tuple(stems(labelled(folder, "train", count=5, seed=seed))) for seed in range(20)}
    assert len(draws) > 10


def test_the_first_draw_lies_inside_a_share_that_holds_its_patients(tmp_path):
    """Seed 0 takes patients in the order in which a share does."""
    folder = make_folder(tmp_path)
    share = labelled(folder, "train", 0.4)
    assert set(stems(labelled(folder, "train", count=len(share), seed=0))) == set(stems(share))
    for seed in range(3):
        assert labelled(folder, "train", 0.4, seed=seed) == share, "a share is no draw"


def test_what_cannot_be_drawn_is_one_line(tmp_path):
    folder = make_folder(tmp_path)
    with pytest.raises(InputError, match=r"11 images in train, but --label-count 12 asks for more"):
        labelled(folder, "train", count=12)
    with pytest.raises(InputError, match=r"label_count=2 with label_fraction=0.5: set one of them"):
        labelled(folder, "train", 0.5, 2)
    with pytest.raises(InputError, match="has no split 'dev', only test, train, val"):
        labelled(folder, "dev", count=1)
