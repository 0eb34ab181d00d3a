"""The masks of I-JEPA and CheXWorld against loops over images, blocks and patches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.jepa import (
    BATCHES,
    REFERENCE,
    BlockSizes,
    MergedBlockMasking,
    MultiblockMasking,
    first_by,
)
from benchmark.randomness import uniform

SIDE = 14
ATTEMPTS = 8


def official(**arguments) -> MultiblockMasking:
    return MultiblockMasking(SIDE**2, 16, official_code=True, **arguments)


def paper(**arguments) -> MultiblockMasking:
    return MultiblockMasking(SIDE**2, 16, **arguments)


def merged(**arguments) -> MergedBlockMasking:
    return MergedBlockMasking(SIDE**2, 16, context_scale=(0.75, 1.0), **arguments)


def steps(count: int) -> list[Progress]:
    return [Progress(epochs=9, step=step, steps_per_epoch=count) for step in range(count)]


def views_of(*index: int) -> dict[str, Tensor]:
    return {"index": torch.tensor(index)}


def covered(corner: np.ndarray, size: tuple[int, int], reach: int) -> set[int]:
    """Patches of the block whose corner two uniform numbers choose."""
    top = math.floor(corner[0] * (reach - size[0] + 1))
    left = math.floor(corner[1] * (reach - size[1] + 1))
    return {r * SIDE + c for r in range(top, top + size[0]) for c in range(left, left + size[1])}


def layout(numbers: np.ndarray, sizes: BlockSizes, reach: int) -> tuple[list[set[int]], set[int]]:
    blocks = [covered(corner, sizes.target, reach) for corner in numbers[:4]]
    return blocks, covered(numbers[4], sizes.context, reach)


def reference_layouts(batches: int) -> np.ndarray:
    """Numbers of the layouts that determine the lengths, batches×REFERENCE×2 attempts×blocks×2."""
    index = torch.arange(batches * REFERENCE)
    attempts = [uniform(0, attempt, "reference layouts", index, 10) for attempt in range(2)]
    return torch.stack(attempts, dim=1).reshape(batches, REFERENCE, 2, 5, 2).numpy()


def layout_of(keep: int, sizes: BlockSizes, reach: int, rng: np.random.Generator) -> np.ndarray:
    """A layout whose context has exactly this number of patches, blocks×2."""
    while True:
        numbers = rng.uniform(0.001, 0.999, (5, 2)).astype(np.float32)
        blocks, area = layout(numbers, sizes, reach)
        if len(area - set().union(*blocks)) == keep:
            return numbers


@pytest.mark.parametrize("official_code", [False, True])
@pytest.mark.parametrize("kind", [MultiblockMasking, MergedBlockMasking])
def test_masks_match_a_loop(kind: type, official_code: bool) -> None:
    """First layout with room enough, context minus targets, and surplus patches dropped."""
    masking = kind(SIDE**2, 16, context_scale=(0.75, 1.0), official_code=official_code)
    reach = SIDE - 1 if official_code and kind is MultiblockMasking else SIDE
    rng = np.random.default_rng(4)
    longer = shortest = 0
    for progress in steps(6):
        noise = rng.uniform(0.001, 0.999, (16, ATTEMPTS, 5, 2)).astype(np.float32)
        cut = rng.uniform(0.001, 0.999, (len(noise), SIDE**2)).astype(np.float32)
        sizes = masking.sizes(progress)
        keep, length = masking.lengths(sizes)
        noise[0, 0] = layout_of(keep, sizes, reach, rng)
        views = {
            "index": torch.arange(len(noise)),
            "block_noise_1": torch.from_numpy(noise).flatten(1),
            "cut_noise_1": torch.from_numpy(cut),
        }
        found = masking(views, progress, view=1)
        for sample in range(len(noise)):
            for numbers in noise[sample]:
                blocks, area = layout(numbers, sizes, reach)
                union = set().union(*blocks)
                room = kind is MultiblockMasking or len(union) >= length
                if len(area - union) >= keep and room:
                    break
            else:
                pytest.fail("no layout fits")
            order = range(SIDE**2) if official_code else cut[sample].argsort().tolist()
            context = [patch for patch in order if patch in area - union][:keep]
            longer += len(area - union) > keep
            shortest += len(area - union) == keep
            assert found.context[sample].tolist() == sorted(context)
            if kind is MergedBlockMasking:
                targets = [[patch for patch in order if patch in union][:length]]
            else:
                targets = blocks
            assert found.targets[sample].tolist() == [sorted(target) for target in targets]
            assert not set(context) & union
    assert longer > 60  # the cut is put to the test
    assert shortest


def test_sizes_match_the_released_code_of_ijepa() -> None:
    """One number for scale and aspect, sides below 14: five targets, one context, one place."""
    masking = official()
    sizes = {masking.sizes(progress) for progress in steps(400)}
    assert {size.target for size in sizes} == {(5, 6), (6, 5), (6, 6), (7, 5), (8, 5)}
    assert {size.context for size in sizes} == {(13, 13)}
    for progress in steps(40):
        blocks = masking(views_of(*range(40)), progress)
        for ids in (blocks.context, blocks.targets):
            assert (ids // SIDE).max() <= 12
            assert (ids % SIDE).max() <= 12


def test_sizes_of_the_paper_are_independent_and_reach_the_border() -> None:
    """The largest target is not always the tallest, and every patch has its turn as either."""
    masking = paper()
    sizes = {masking.sizes(progress) for progress in steps(400)}
    targets = {size.target for size in sizes}
    assert {(5, 6), (5, 7), (6, 7), (8, 5), (6, 5)} <= targets
    assert {size.context for size in sizes} == {(13, 13), (14, 14)}
    seen, predicted = set(), set()
    for progress in steps(30):
        blocks = masking(views_of(*range(40)), progress)
        seen |= set(blocks.context.flatten().tolist())
        predicted |= set(blocks.targets.flatten().tolist())
    assert seen == predicted == set(range(SIDE**2))


def test_sizes_of_chexworld() -> None:
    """24 to 42 patches in a target, a context of 12 to 14, aspects symmetric in their logarithm."""
    masking = merged(official_code=True)
    sizes = [masking.sizes(progress) for progress in steps(600)]
    areas = [size.target[0] * size.target[1] for size in sizes]
    assert (min(areas), max(areas)) == (24, 42)
    assert {size.context for size in sizes} == {(12, 12), (13, 13), (14, 14)}
    logs = [math.log(size.target[0] / size.target[1]) for size in sizes]
    expected = (math.log(0.75) + math.log(1.5)) / 2
    assert np.mean(logs) == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize("make", [official, paper, merged])
def test_all_images_of_a_step_have_masks_of_equal_size(make) -> None:
    masking = make()
    shapes = set()
    for progress in steps(20):
        first = masking(views_of(*range(8)), progress)
        second = masking(views_of(*range(900, 903)), progress)
        assert first.context.shape[1:] == second.context.shape[1:]
        assert first.targets.shape[1:] == second.targets.shape[1:]
        # A part of a batch has the masks it has in the whole.
        part = masking(views_of(5, 6), progress)
        assert torch.equal(part.context, first.context[5:7])
        assert torch.equal(part.targets, first.targets[5:7])
        assert len({tuple(context) for context in first.context.tolist()}) > 4
        shapes.add((first.context.shape[1], first.targets.shape[2]))
    assert len(shapes) > 3  # but drawn again for each step
    early = make()(views_of(*range(8)), Progress(epoch=0, step=7))
    late = make()(views_of(*range(8)), Progress(epoch=1, step=7))
    other = make()(views_of(*range(8)), Progress(seed=1, step=7))
    assert len({tuple(mask.targets.flatten().tolist()) for mask in (early, late, other)}) == 3


def test_lengths_are_the_mean_of_the_smallest_of_many_batches() -> None:
    masking = merged()
    for progress in steps(1):
        sizes = masking.sizes(progress)
        smallest = []
        for batch in reference_layouts(BATCHES):
            contexts, unions = [], []
            for rows in batch:
                for row in rows:
                    blocks, area = layout(row, sizes, SIDE)
                    union = set().union(*blocks)
                    if len(area - union) > 10:
                        contexts.append(len(area - union))
                        unions.append(len(union))
                        break
                else:
                    pytest.fail("no layout leaves a context")
            smallest.append((min(contexts), min(unions)))
        expected = np.mean(smallest, axis=0)
        assert np.std(smallest, axis=0).max() > 0.5, "one batch would be another number"
        assert masking.lengths(sizes) == tuple(expected.round().astype(int))


@pytest.mark.parametrize("make", [official, paper, merged])
def test_lengths_are_those_a_run_of_the_released_code_has_on_average(make) -> None:
    """Within 1.5 patches of the mean over 300 other batches of 128, each cut to its smallest."""
    masking = make()
    sizes = masking.sizes(Progress())
    noise = torch.rand(300 * REFERENCE, 5, 2, generator=torch.Generator().manual_seed(1))
    targets, block = masking._layouts(noise, sizes)
    context = (block & ~targets.any(dim=1)).sum(dim=1)
    counts = torch.stack([context, masking._count(targets)]).view(2, 300, REFERENCE)
    expected = counts.amin(dim=2).double().mean(dim=1)
    assert masking.lengths(sizes) == pytest.approx(expected.tolist(), abs=1.5)


def test_context_is_completed_from_targets_if_no_layout_fits() -> None:
    masking = paper(attempts=1)
    progress = Progress()
    sizes = masking.sizes(progress)
    keep, _ = masking.lengths(sizes)
    # Disjoint targets in the corners of the context leave as little as there can be.
    places = [[0.0, 0.0], [0.0, 0.999], [0.999, 0.0], [0.999, 0.999], [0.0, 0.0]]
    views = {
        "index": torch.tensor([3]),
        "block_noise_0": torch.tensor(places).reshape(1, -1),
        "cut_noise_0": torch.rand(1, SIDE**2) * 0.99,
    }
    blocks, area = layout(np.array(places), sizes, SIDE)
    free = area - set().union(*blocks)
    assert len(free) < keep
    found = masking(views, progress).context[0].tolist()
    assert len(set(found)) == keep
    assert free < set(found) <= area


def test_contexts_have_more_than_min_keep() -> None:
    masking = paper(target_scale=(0.3, 0.35), min_keep=45)
    for progress in steps(6):
        sizes = masking.sizes(progress)
        numbers = np.random.default_rng(progress.step).random((100, 5, 2))
        pairs = [layout(row, sizes, SIDE) for row in numbers]
        left = [len(area - set().union(*blocks)) for blocks, area in pairs]
        assert min(left) <= 45  # without the limit the context would be shorter
        assert masking.lengths(sizes)[0] > 45
        context = masking(views_of(*range(50)), progress).context
        assert context.shape == (50, masking.lengths(sizes)[0])


def test_first_by_sorts_by_preference_then_order() -> None:
    order = torch.tensor([[0.9, 0.1, 0.5, 0.3, 0.7]])
    best = torch.tensor([[True, False, False, False, True]])
    good = torch.tensor([[True, False, True, True, True]])
    expected = {1: [4], 2: [0, 4], 3: [0, 3, 4], 4: [0, 2, 3, 4], 5: [0, 1, 2, 3, 4]}
    for count, patches in expected.items():
        assert first_by(order, count, best, good)[0].tolist() == patches


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(context_scale=(0.9, 0.8)), r"context_scale=\(0.9, 0.8\) must be a range"),
        (dict(target_scale=(0.0, 0.2)), r"target_scale=\(0.0, 0.2\) must be a range"),
        (dict(target_aspect=(0.0, 1.0)), r"target_aspect=\(0.0, 1.0\) must be a range above 0"),
        (dict(target_scale=(0.9, 1.0)), "leave no more than min_keep=10"),
    ],
)
def test_invalid_settings_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        paper(**arguments)
    with pytest.raises(InputError, match="do not form a square grid"):
        MultiblockMasking(15, 16)
