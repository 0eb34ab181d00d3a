"""The labelled images of a split: all, a share of them, or a number that the seed draws."""

from __future__ import annotations

from collections import Counter

from benchmark.data.splits import nested_draw, nested_subset
from benchmark.data.tasks.folder import TaskFolder, TaskItem
from benchmark.errors import InputError


def labelled(
    folder: TaskFolder,
    split: str,
    fraction: float = 1.0,
    count: int | None = None,
    seed: int = 0,
) -> list[TaskItem]:
    """The items of a share or a number of the labels of a split, in the order of the split.

    A share consists of complete patients, and is the same for every seed. A number is met exactly:
    patients are drawn one after the other, with all of their images except for the last patient. An
    image of an unknown patient counts as a patient of its own. Subsets are nested: the images of a
    smaller draw of the same seed are among those of a larger one.

    Args:
        folder: the prepared task.
        split: ``"train"``, usually; no other split is used.
        fraction: share of the images.
        count: number of images; None for the share.
        seed: seed of the draw, which depends only on it and the names of patients and images.

    Raises:
        InputError: there is no such split, the share is not above 0 and at most 1, the number
            exceeds the split, or both were set.
    """
    if split not in folder.splits:
        found = ", ".join(sorted(folder.splits))
        raise InputError(f"{folder.path}: has no split {split!r}, only {found}; make it with one")
    items = folder.splits[split]
    groups = {item["stem"]: item["group"] or item["stem"] for item in items}
    if count is None:
        chosen = nested_subset(Counter(groups.values()), fraction, seed=0)
        return [item for item in items if groups[item["stem"]] in chosen]
    if fraction != 1:
        raise InputError(f"label_count={count} with label_fraction={fraction:g}: set one of them")
    if count > len(items):
        raise InputError(
            f"{folder.path}: {len(items)} images in {split}, but --label-count {count} asks for "
            "more"
        )
    drawn = nested_draw(groups, count, seed)
    return [item for item in items if item["stem"] in drawn]
