"""Time of a training step, of a run and of a board on n GPUs, in closed form.

A GPU computes its share of a batch while the next batch is read, and its gradients are all-reduced
while the backward pass of the last part still runs::

    step = max(compute, data) + exposed
    compute = share × FLOPs × (1 + backward) / sustained FLOP/s
    data = share / slowest of (loader processes, copies to the card, disks of the node)
    all-reduce = 2 (g − 1) / g × bytes / NVLink + 2 (m − 1) / m × bytes / network
    exposed = max(all-reduce of the last bucket, all-reduce − backward pass of the last part)

on m nodes of g GPUs. Not modelled: latency, stragglers, synchronised batch norms, kernel launches,
checkpoints, the optimiser's step and what compiling gains; the published rate contains what they
cost at its own size.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.errors import InputError
from benchmark.speed.scaling.inputs import Inputs
from benchmark.speed.scaling.workload import Training


@dataclass(frozen=True)
class Cluster:
    """Equal GPUs in as few nodes as hold them.

    Attributes:
        gpus: their number.
        sustained: FLOP/s that each sustains in training.
        inputs: bandwidths and sizes.
    """

    gpus: int
    sustained: float
    inputs: Inputs

    @property
    def node_gpus(self) -> int:
        """GPUs of a node that are used."""
        return min(self.gpus, int(self.inputs.node_gpus))

    @property
    def nodes(self) -> int:
        return math.ceil(self.gpus / self.inputs.node_gpus)

    def compute_rate(self, flops: float) -> float:
        """Frames per second that one GPU trains on, alone and never waiting."""
        return self.sustained / (flops * (1 + self.inputs.backward))

    def data_rate(self, frames: float) -> float:
        """Frames per second that reach one GPU from a corpus of `frames` frames."""
        given = self.inputs
        rates = [given.workers * given.loader, given.pcie / given.frame_bytes]
        if frames * given.frame_bytes > given.node_memory:
            rates.append(given.disk / given.frame_bytes / self.node_gpus)
        return min(rates)

    def allreduce_seconds(self, size: float) -> float:
        """Seconds to all-reduce `size` bytes: rings within the nodes, then among them."""
        g, m = self.node_gpus, self.nodes
        inside = 2 * (g - 1) / g * size / self.inputs.nvlink
        return inside + 2 * (m - 1) / m * size / self.inputs.network


@dataclass(frozen=True)
class Step:
    """Seconds of the parts of one training step."""

    compute: float
    data: float
    allreduce: float  # all of it
    exposed: float  # what the backward pass does not hide

    @property
    def seconds(self) -> float:
        return max(self.compute, self.data) + self.exposed

    @property
    def bottleneck(self) -> str:
        """The part that takes longest: ``compute``, ``data`` or ``all-reduce``."""
        parts = {"compute": self.compute, "data": self.data, "all-reduce": self.exposed}
        return max(parts, key=parts.__getitem__)


def step_of(training: Training, cluster: Cluster, frames: float) -> Step:
    """One step of a pre-training on a corpus of `frames` frames.

    Raises:
        InputError: its batch does not divide among the GPUs.
    """
    if training.batch % cluster.gpus:
        raise InputError(
            f"{training.method}: its batch of {training.batch} does not divide among "
            f"{cluster.gpus} GPUs"
        )
    given = cluster.inputs
    share = training.batch // cluster.gpus
    parts = math.ceil(share / (training.micro_batch or share))
    compute = share / cluster.compute_rate(training.flops)
    allreduce = cluster.allreduce_seconds(training.gradient)
    hidden_by = compute / parts * given.backward / (1 + given.backward)
    last = allreduce * min(1.0, given.bucket / training.gradient)
    return Step(
        compute=compute,
        data=share / cluster.data_rate(frames),
        allreduce=allreduce,
        exposed=max(last, allreduce - hidden_by),
    )


def run_hours(training: Training, cluster: Cluster, frames: int, epochs: int) -> float:
    """Hours of a pre-training; the last, incomplete batch of an epoch is dropped.

    Raises:
        InputError: a batch exceeds the frames, or does not divide among the GPUs.
    """
    if training.batch > frames:
        raise InputError(f"{training.method}: its batch of {training.batch} exceeds {frames}")
    steps = epochs * (frames // training.batch)
    return steps * step_of(training, cluster, frames).seconds / 3600


def makespan(durations: Iterable[float], machines: int) -> float:
    """When the last job ends: the longest starts first, each on the first free machine."""
    free = [0.0] * machines
    for duration in sorted(durations, reverse=True):
        heapq.heapreplace(free, free[0] + duration)
    return max(free)
