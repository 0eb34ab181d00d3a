"""Splits by group against brute force, and lists of the user's own."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest

from benchmark.data.frame import Frame, SkipReport
from benchmark.data.splits import (
    nested_draw,
    nested_subset,
    read_split_file,
    split_by_group,
    split_by_patient,
    split_named,
)
from benchmark.errors import InputError


@pytest.mark.parametrize("seed", range(8))
def test_no_other_choice_is_nearer_than_the_one_made(seed):
    rng = np.random.default_rng(seed)
    counts = {f"p{index}": int(rng.integers(1, 500)) for index in range(10)}
    share = float(rng.uniform(0.02, 0.98))
    target = share * sum(counts.values())
    subsets = (s for size in range(1, 10) for s in itertools.combinations(counts.values(), size))
    best = min(abs(sum(subset) - target) for subset in subsets)
    chosen = split_by_group(counts, share, seed)
    assert abs(sum(counts[group] for group in chosen) - target) == pytest.approx(best)
    # 30 % of 100 frames: only c hits it, whatever the order the hash gives.
    assert split_by_group({"a": 10, "b": 60, "c": 30}, 0.3, seed) == {"c"}


def test_equal_groups_are_taken_in_the_order_of_their_hash():
    names = [f"cadica/p{index}" for index in range(30)]
    order = sorted(names, key=lambda name: hashlib.sha256(f"7\n{name}".encode()).digest())
    assert split_by_group(dict.fromkeys(names, 5), 0.2, 7) == set(order[:6])


def test_order_of_the_input_does_not_matter_and_the_seed_does():
    counts = {f"p{index}": 3 + index % 7 for index in range(40)}
    backwards = dict(reversed(counts.items()))
    assert split_by_group(counts, 0.2, 1) == split_by_group(backwards, 0.2, 1)
    assert len({frozenset(split_by_group(counts, 0.2, seed)) for seed in range(10)}) == 10
    # At least one group, and never all.
    few = {"a": 50, "b": 40, "c": 10}
    assert split_by_group(few, 0.001, 0) == {"c"}
    assert split_by_group(few, 0.999, 0) == {"a", "b"}


def test_thousands_of_groups_are_met_exactly():
    assert len(split_by_group({str(index): 1 for index in range(20_000)}, 0.2, 0)) == 4000
    sizes = {str(index): 50 + index % 101 for index in range(1500)}
    chosen = split_by_group(sizes, 0.25, 0)
    assert sum(sizes[group] for group in chosen) == round(0.25 * sum(sizes.values()))


def test_what_cannot_be_split_is_refused():
    with pytest.raises(InputError, match="at least 2 groups, and there are 1"):
        split_by_group({"a": 3}, 0.5, 0)
    for share in (0, 1, -0.1, float("nan")):
        with pytest.raises(InputError, match="share"):
            split_by_group({"a": 1, "b": 1}, share, 0)


def test_frames_of_a_patient_stay_together_and_keep_their_order():
    frames = [Frame("x", f"{n}.png", f"x/{n % 5}") for n in range(20)]
    report = SkipReport()
    result = list(split_by_patient(frames, 0.2, 3, report))
    assert [frame.path for frame in result] == [frame.path for frame in frames]
    test = split_by_group({f"x/{n}": 4 for n in range(5)}, 0.2, 3)
    assert {f.group for f in result if f.split == "test"} == test
    assert {f.group for f in result if f.split == "train"} == {f.group for f in frames} - test
    assert not report.items
    assert [f.split for f in split_by_patient(frames[:1], 0.2, 3, report)] == [None]
    assert report.items == [("too few patients to split", "x/0")]
    assert list(split_by_patient([], 0.2, 3, report)) == []


def test_split_spoken_of_by_a_name():
    names = ["train", "Training", "seg_val", "test_cases_stenosis", "train_labels"]
    assert list(map(split_named, names)) == ["train", "train", "val", "test", "train"]
    assert not any(map(split_named, ["constraint", "train_test", "images"]))


def test_split_file_with_splits_and_without(tmp_path):
    both = tmp_path / "mine.csv"
    both.write_bytes(
        b'\xef\xbb\xbfName,Split\r\n# a note\r\n\r\nCVAI-1, train\r\n"CVAI-2";Testing\r\n'
    )
    assert read_split_file(both) == {"CVAI-1": "train", "CVAI-2": "test"}
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "xcav_test.txt").write_text("c\n")
    (lists / "readme.md").write_text("not a list")
    assert read_split_file(lists) == {"a": "train", "b": "train", "c": "test"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b,c", r"x\.csv, line 1: not of the form name,split"),
        (",train", r"line 1: not of the form name,split"),
        ("a,train\nb,tset", r"line 2: unknown split 'tset'; one of train, val, test"),
        ("a\n", r"line 1: no split; write name,split or call the file test\.txt"),
        ("a,train\na,test", r"line 2: a is in train already"),
        ("# nothing\n", r"x\.csv: lists no name"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_split_file_errors_name_file_and_line(tmp_path, content, message):
    path = tmp_path / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        read_split_file(path)
    assert "\n" not in str(caught.value)


def test_subsets_are_nested_and_whole_groups():
    counts = {f"p{n}": 1 + n % 5 for n in range(40)}
    total = sum(counts.values())
    sets = [nested_subset(counts, share, seed=3) for share in (0.05, 0.1, 0.25, 0.5, 0.99, 1)]
    for small, large in itertools.pairwise(sets):
        assert small <= large
    for share, chosen in zip((0.05, 0.1, 0.25, 0.5, 0.99, 1), sets):
        held = sum(counts[group] for group in chosen)
        # At least the share, and without its last group less than it.
        assert share * total <= held < share * total + 5
    assert sets[-1] == set(counts)
    assert nested_subset(counts, 0.1, seed=4) != sets[1]
    assert nested_subset(dict(reversed(counts.items())), 0.25, seed=3) == sets[2]
    assert len(nested_subset(dict.fromkeys(map(str, range(30)), 1), 0.1, 0)) == 3
    for share in (0, -0.1, 1.1):
        with pytest.raises(InputError, match="label fraction"):
            nested_subset(counts, share, 0)


@pytest.mark.parametrize("seed", range(6))
def test_names_are_drawn_group_by_group(seed):
    """Nested, of the exact number, and only the last group is cut."""
    groups = {f"g{n % 7}f{n}": f"g{n % 7}" for n in range(40)}
    everything = nested_draw(groups, len(groups), seed)
    assert everything == set(groups)
    order: list[str] = []  # the only order whose starts are all the draws
    for count in range(1, len(groups) + 1):
        drawn = nested_draw(groups, count, seed)
        assert len(drawn) == count
        assert drawn >= set(order)
        order += drawn - set(order)
    visited = [groups[name] for name in order]
    changes = sum(one != two for one, two in itertools.pairwise(visited))
    assert changes == len(set(groups.values())) - 1, "no group is left before it is used up"
    # By hand: groups by the hash of (seed, group), names within by that of (seed, name).
    by_hash = lambda name: hashlib.sha256(f"{seed}\n{name}".encode()).digest()  # noqa: E731
    assert order == sorted(groups, key=lambda name: (by_hash(groups[name]), by_hash(name)))
    assert nested_draw(dict(reversed(groups.items())), 9, seed) == set(order[:9])


def test_seeds_draw_different_names():
    groups = {str(n): str(n) for n in range(100)}
    draws = [frozenset(nested_draw(groups, 5, seed)) for seed in range(200)]
    assert len(set(draws)) == 200
    # Of 1000 draws each name has 10 on average, binomially: four standard deviations around.
    counts = np.array([sum(str(n) in draw for draw in draws) for n in range(100)])
    assert counts.mean() == 10
    assert counts.min() >= 1
    assert counts.max() <= 10 + 4 * np.sqrt(200 * 0.05 * 0.95)
