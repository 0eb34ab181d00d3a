"""The model of scaling against arithmetic by hand."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.speed.scaling.board import Corpus, time_board
from benchmark.speed.scaling.inputs import read_inputs
from benchmark.speed.scaling.model import Cluster, makespan, run_hours, step_of
from benchmark.speed.scaling.workload import Cells, Training

FRAMES = 171_478
HUGE = 10**7


@pytest.fixture(scope="module")
def inputs():
    """Round numbers, so that results can be checked in one's head."""
    given, _ = read_inputs(CONFIGS)
    return replace(
        given,
        **{"backward": 2.0, "node_gpus": 8, "nvlink": 200e9, "network": 50e9, "bucket": 20e6},
        **{"workers": 4, "loader": 10_000, "pcie": 20e9, "disk": 4e9, "node_memory": 1e12},
        **{"side": 512},
    )


@pytest.fixture
def training():
    return Training("a", "A", 20e9, 400e6, batch=2048, micro_batch=256, epochs=800)


def test_step_on_eight_gpus(inputs, training):
    """256 frames of 20 GFLOPs, three times, at 60 TFLOP/s; 400 MB through a ring of eight."""
    step = step_of(training, Cluster(8, 60e12, inputs), FRAMES)
    assert step.compute == pytest.approx(256 * 20e9 * 3 / 60e12)  # 0.256 s
    assert step.data == pytest.approx(256 / 40_000)  # 4 workers × 10,000; pcie: 67,816
    assert step.allreduce == pytest.approx(2 * 7 / 8 * 400e6 / 200e9)  # 3.5 ms
    # All but the last 20 of 400 MB is hidden by 0.171 s of backward.
    assert step.exposed == pytest.approx(0.0035 * 20 / 400)
    assert step.seconds == pytest.approx(0.256 + 0.000175)
    assert step.bottleneck == "compute"


def test_step_on_64_gpus(inputs, training):
    """Eight nodes; on fast cards the all-reduce outlasts the backward pass."""
    step = step_of(training, Cluster(64, 600e12, inputs), FRAMES)
    assert step.compute == pytest.approx(0.0032)
    whole = 2 * 7 / 8 * 400e6 * (1 / 200e9 + 1 / 50e9)  # 3.5 + 14 ms
    assert step.allreduce == pytest.approx(whole)
    assert step.exposed == pytest.approx(whole - 0.0032 * 2 / 3)
    assert step.bottleneck == "all-reduce"


def test_one_gpu_reduces_nothing_and_accumulates(inputs, training):
    step = step_of(training, Cluster(1, 60e12, inputs), FRAMES)
    assert (step.allreduce, step.exposed) == (0, 0)
    assert step.seconds == pytest.approx(2048 * 1e-3)


def test_only_the_last_part_hides_the_all_reduce(inputs, training):
    """Parts of 16 frames: 10.7 ms of backward hide less than parts of 256."""
    cluster = Cluster(8, 60e12, replace(inputs, nvlink=20e9))
    cut = step_of(training._replace(micro_batch=16), cluster, FRAMES)
    assert cut.allreduce == pytest.approx(0.035)
    assert cut.exposed == pytest.approx(0.035 - 16e-3 * 2 / 3)
    complete = step_of(training._replace(micro_batch=None), cluster, FRAMES)
    assert complete.exposed == pytest.approx(0.035 * 20 / 400)


def test_what_does_not_fit_into_memory_is_read_from_the_disks_of_a_node(inputs, training):
    """10⁷ frames of 294,912 bytes; a disk of 4 GB/s is shared by the cards of its node."""
    step = step_of(training, Cluster(16, 6e15, inputs), HUGE)
    assert step.data == pytest.approx(128 * 8 * 294_912 / 4e9)
    slow = step_of(training, Cluster(16, 6e15, replace(inputs, network=1e12)), HUGE)
    assert slow.bottleneck == "data"
    assert slow.seconds == pytest.approx(slow.data + slow.exposed)


def test_hours_of_a_run(inputs, training):
    """171,478 frames are 83 batches of 2,048; the rest is dropped."""
    hours = run_hours(training, Cluster(8, 60e12, inputs), FRAMES, 800)
    assert hours == pytest.approx(800 * 83 * 0.256175 / 3600)


@pytest.mark.parametrize("batch", [256, 2048])
def test_more_gpus_are_never_slower_in_compute_and_never_more_efficient(inputs, training, batch):
    training = training._replace(batch=batch, micro_batch=None)
    counts = (1, 2, 4, 8, 16, 32, 64)
    steps = [step_of(training, Cluster(count, 40e12, inputs), FRAMES) for count in counts]
    assert all(a.compute > b.compute for a, b in pairwise(steps))
    assert all(a.allreduce < b.allreduce for a, b in pairwise(steps))
    costs = [count * step.seconds for count, step in zip(counts, steps)]
    assert costs == sorted(costs)


@pytest.mark.parametrize("name", ["nvlink", "network", "disk", "loader", "pcie"])
def test_more_bandwidth_is_never_slower(inputs, training, name):
    cluster = Cluster(64, 300e12, inputs)
    twice = replace(cluster, inputs=replace(inputs, **{name: 2 * getattr(inputs, name)}))
    assert run_hours(training, twice, HUGE, 1) <= run_hours(training, cluster, HUGE, 1)


def test_impossible_batches_are_refused(inputs, training):
    with pytest.raises(InputError, match="batch of 2048 does not divide among 3 GPUs"):
        step_of(training, Cluster(3, 1e12, inputs), FRAMES)
    with pytest.raises(InputError, match="batch of 2048 exceeds 2000"):
        run_hours(training, Cluster(1, 1e12, inputs), 2000, 1)


def test_makespan():
    assert makespan([4, 3, 3, 2], 1) == 12
    assert makespan([2, 3, 4, 3], 2) == 6
    assert makespan([10, 1, 1], 2) == 10
    assert makespan([], 3) == 0


def test_board(inputs, training):
    """Two equal runs and 3 × 16 fine-tunings of half an hour on 16 GPUs."""
    cells = [Cells("a", "d", "segmentation", 16, 1800.0)] * 3
    cluster = Cluster(16, 60e12, inputs)
    time = time_board([training] * 2, cells, cluster, FRAMES, None)
    assert time.in_turn == pytest.approx(2 * run_hours(training, cluster, FRAMES, 800))
    node = replace(cluster, gpus=8)
    assert time.side_by_side == pytest.approx(run_hours(training, node, FRAMES, 800))
    assert time.cells == pytest.approx(1.5)
    assert time.total == pytest.approx(min(time.in_turn, time.side_by_side) + 1.5)
    assert time.evaluation == pytest.approx(1.5 / time.total)
    step = step_of(training, cluster, FRAMES)
    assert time.exposed == pytest.approx(step.exposed / step.seconds)
    assert time.waiting == 0
    fast = time_board([training], cells, replace(cluster, sustained=6e15), HUGE, 1)
    step = step_of(training, replace(cluster, sustained=6e15), HUGE)
    assert fast.waiting == pytest.approx((step.data - step.compute) / step.seconds)


def test_corpus(inputs):
    corpus = Corpus(HUGE, inputs)
    assert corpus.pack == HUGE * (512 * 512 + 512 * 512 / 8) == 2.94912e12
    assert not corpus.in_memory
    assert Corpus(FRAMES, inputs).in_memory
    assert corpus.shards == 2950
    assert corpus.anatomy == HUGE / (16 * 54.97)
    assert corpus.copying == corpus.pack / 2e9


def test_index_takes_what_the_table_says(inputs, tmp_path: Path):
    """Memory of a row, of an index whose names are shorter than those of a real one."""
    from benchmark.data.packs import FramePack
    from benchmark.speed.resume import write_noise_pack

    index = FramePack.open(write_noise_pack(tmp_path / "pack", 2000)).index
    row = index.memory_usage(deep=True, index=False).sum() / len(index)
    assert 0.5 * inputs.index < row < inputs.index
