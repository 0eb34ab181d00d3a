"""What a board is made of: its pre-trainings and its cells, read from configs without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import InputError
from benchmark.method_cards import pretraining_config, read_method_card
from benchmark.method_costs import MethodCosts
from benchmark.sweep.cells import cells_of, dataset_config, literal, seeds_of
from benchmark.sweep.costs import relative_flops, simple_seconds
from benchmark.sweep.matrix import Matrix

_GRADIENT = 4
"""Bytes of a value: weights and gradients are fp32, also under bf16 autocast."""


class Training(NamedTuple):
    """The pre-training of a method, as its recipe says."""

    method: str
    title: str
    flops: float  # of the forward pass of a step, per frame
    gradient: float  # bytes that an all-reduce adds up
    batch: int  # frames per step, over all GPUs
    micro_batch: int | None  # frames of one forward pass of a GPU; None: all of its share
    epochs: int


class Cells(NamedTuple):
    """The fine-tunings of a method on a dataset, one per seed; each takes one GPU."""

    method: str
    dataset: str
    task: str
    count: int
    seconds: float  # of each


def trainings_of(matrix: Matrix, configs: Path, costs: Mapping[str, MethodCosts]) -> list[Training]:
    """The pre-trainings of a matrix, in its order.

    Raises:
        InputError: the costs of one have not been counted.
    """
    found = []
    for method in matrix.methods:
        card = read_method_card(method, configs)
        if not card.pretrain:
            continue
        counted, recipe = costs.get(method), pretraining_config(method, configs)
        if counted is None or not counted.step_flops or not counted.trained:
            raise InputError(f"{method}: no costs; tools/list.py methods --count {method}")
        batch, micro, epochs = (literal(recipe, k) for k in ("batch_size", "micro_batch", "epochs"))
        gradient = _GRADIENT * counted.trained
        found.append(
            Training(method, card.title, counted.step_flops, gradient, batch, micro, epochs)
        )
    return found


def cells_on(matrix: Matrix, configs: Path, costs: Mapping[str, MethodCosts]) -> list[Cells]:
    """The cells of a matrix of fine-tunings, with the sweep's simple estimate of their time.

    Raises:
        InputError: the matrix has other cells, or does not say how many frames a dataset has.
    """
    found = []
    for method, dataset in cells_of(matrix, configs):
        if dataset not in matrix.frames:
            raise InputError(f"{matrix.name}: frames has no {dataset}")
        config = dataset_config(matrix, dataset, configs)
        task = literal(config, "task")
        # A filter has no network, and is scored as it is.
        learns = (known := costs.get(method)) is not None and known.network_flops is not None
        seconds = simple_seconds(
            matrix.frames[dataset],
            literal(config, "epochs") if learns else 0,
            task,
            relative=relative_flops(method, False, costs),
        )
        count = len(seeds_of(matrix, dataset))
        found.append(Cells(method, dataset, task, count, seconds))
    return found
