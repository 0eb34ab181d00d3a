"""A board on n GPUs: all of its pre-trainings and cells together, and the needs of a corpus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmark.speed.scaling.inputs import Inputs
from benchmark.speed.scaling.model import Cluster, makespan, run_hours, step_of
from benchmark.speed.scaling.workload import Cells, Training


@dataclass(frozen=True)
class BoardTime:
    """Hours of a board on a cluster.

    Attributes:
        in_turn: of the pre-trainings, one after another on all GPUs.
        side_by_side: of the pre-trainings, each on the GPUs of one node.
        exposed: share of `in_turn` spent in all-reduces that no computation hides, in [0, 1].
        waiting: share of `in_turn` spent waiting for data, in [0, 1].
        cells: of the fine-tunings, each on one GPU.
    """

    in_turn: float
    side_by_side: float
    exposed: float
    waiting: float
    cells: float

    @property
    def total(self) -> float:
        """Pre-trainings the faster way, then the fine-tunings."""
        return min(self.in_turn, self.side_by_side) + self.cells

    @property
    def evaluation(self) -> float:
        """Share of the fine-tunings in `total`, in [0, 1]."""
        return self.cells / self.total


def time_board(
    trainings: Sequence[Training],
    cells: Sequence[Cells],
    cluster: Cluster,
    frames: int,
    epochs: int | None,
) -> BoardTime:
    """The hours of a board.

    Args:
        frames: of the corpus.
        epochs: of every pre-training; None: those of the recipes.

    Raises:
        InputError: a batch exceeds the frames, or does not divide among the GPUs.
    """
    node = replace(cluster, gpus=cluster.node_gpus)
    lengths = [training.epochs if epochs is None else epochs for training in trainings]
    pairs = list(zip(trainings, lengths, strict=True))
    hours = [run_hours(training, cluster, frames, length) for training, length in pairs]
    alone = [run_hours(training, node, frames, length) for training, length in pairs]
    steps = [step_of(training, cluster, frames) for training in trainings]
    exposed = sum(h * step.exposed / step.seconds for h, step in zip(hours, steps))
    waits = [max(0.0, step.data - step.compute) / step.seconds for step in steps]
    return BoardTime(
        in_turn=sum(hours),
        side_by_side=makespan(alone, cluster.gpus // cluster.node_gpus),
        exposed=exposed / sum(hours),
        waiting=sum(h * wait for h, wait in zip(hours, waits)) / sum(hours),
        cells=makespan(
            (cell.seconds / 3600 for cell in cells for _ in range(cell.count)), cluster.gpus
        ),
    )


@dataclass(frozen=True)
class Corpus:
    """What a pack of `frames` frames takes; bytes and seconds."""

    frames: int
    inputs: Inputs

    @property
    def pack(self) -> float:
        """Bytes of frames and vessel masks."""
        return self.frames * self.inputs.frame_bytes

    @property
    def in_memory(self) -> bool:
        """Whether the page cache of a node holds it."""
        return self.pack <= self.inputs.node_memory

    @property
    def index(self) -> float:
        """Bytes of the index in every process."""
        return self.frames * self.inputs.index

    @property
    def packing_memory(self) -> float:
        """Bytes that the process that builds the pack needs."""
        return self.frames * self.inputs.packing_memory

    @property
    def packing(self) -> float:
        return self.frames / (self.inputs.packing * self.inputs.cores)

    @property
    def anatomy(self) -> float:
        return self.frames / (self.inputs.anatomy * self.inputs.cores)

    @property
    def copying(self) -> float:
        """Seconds in which a node copies it from the object store."""
        return self.pack / self.inputs.object_store

    @property
    def shards(self) -> int:
        """Objects that it is split into."""
        return math.ceil(self.pack / self.inputs.shard)
