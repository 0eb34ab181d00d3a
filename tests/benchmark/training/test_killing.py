"""Runs that are killed, stopped or cut short anywhere end as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable

import pytest
from child_runs import assert_same_end, finish, finish_pair, read_log, signal_at_step, start

from benchmark.training.checkpoints.checkpoint import checkpoint_paths, read_checkpoint
from benchmark.training.distributed.signals import EXIT_STOPPED

KILLS = 20


@pytest.mark.slow
def test_killed_at_random_moments(reference, config, tmp_path):
    """SIGKILL, twenty times, at moments that a generator draws from the length of a run."""
    begin = time.perf_counter()
    assert finish(config(), tmp_path / "timed") == 0
    length = time.perf_counter() - begin
    moments = random.Random(8)
    kills = runs = 0
    while kills < KILLS:
        folder = tmp_path / f"run{runs}"
        runs += 1
        while True:
            process = start(config(), folder)
            process.join(moments.uniform(0.1, 1.0) * length if kills < KILLS else 120)
            if process.exitcode is not None:
                break
            process.kill()
            process.join()
            kills += 1
        assert process.exitcode == 0
        assert_same_end(folder, reference)


def _killed_before_replacing(number: int) -> Callable[[], None]:
    """In a child: SIGKILL instead of the `number`-th time a file gets its final name."""

    def prepare() -> None:
        usual, count = os.replace, 0

        def replace(*paths: str) -> None:
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            usual(*paths)

        os.replace = replace

    return prepare


@pytest.mark.slow
def test_killed_with_a_file_half_way(reference, config, tmp_path):
    """Each file of a run in turn is complete beside its name, but has not got it."""
    for number in range(1, 20):
        folder = tmp_path / f"run{number}"
        if finish(config(), folder, before=_killed_before_replacing(number)) == 0:
            break
        assert list(folder.glob("*.tmp"))
        assert finish(config(), folder) == 0
        assert_same_end(folder, reference)
    # The description twice, three checkpoints, the weights of the encoder and their description.
    assert number == 8


def test_stopped_after_every_step(reference, config, tmp_path):
    """The step that runs is finished, its state saved; the last step finishes the run instead."""
    folder, out = tmp_path / "run", tmp_path / "out"
    numbers = (signal.SIGTERM, signal.SIGUSR1)
    codes = [
        finish(config(), folder, before=signal_at_step(step, numbers[step % 2]), out=out)
        for step in range(1, 10)
    ]
    assert codes == [EXIT_STOPPED] * 8 + [0]
    assert_same_end(folder, reference)
    said = [line for line in out.read_text().splitlines() if "saved" in line]
    assert said[0] == "test: SIGUSR1: saved after step 1 of 9, to be resumed"
    assert said[1] == "test: SIGTERM: saved after step 2 of 9, to be resumed"
    assert len(said) == 8
    assert "resuming after epoch 0, step 1, of 3 epochs" in out.read_text()
    assert "resuming after epoch 1, of 3 epochs" in out.read_text()


def test_methods_with_tables_and_averages_stop_within_an_epoch(small_config, tmp_path):
    """VasoMIM: frozen networks, anatomy, drop path, the AdamW of its recipe."""
    config = small_config("vasomim", "num_threads=1", "log_interval=2", "epochs=2")
    assert finish(config, tmp_path / "whole") == 0
    stopped = signal_at_step(5, signal.SIGUSR1)
    assert finish(config, tmp_path / "cut", before=stopped) == EXIT_STOPPED
    names = [path.name for path in checkpoint_paths(tmp_path / "cut")]
    assert names == ["epoch_1_step_5.pth", "epoch_1.pth"]
    assert finish(config, tmp_path / "cut") == 0
    assert_same_end(tmp_path / "cut", tmp_path / "whole")


def test_a_signal_to_the_whole_group_spares_the_loader(reference, config, tmp_path):
    """Without its loader processes a run could not finish the step it is in."""
    folder = tmp_path / "run"
    options = config("num_workers=2")
    stopped = signal_at_step(2, signal.SIGTERM, whole_group=True)
    assert finish(options, folder, before=stopped) == EXIT_STOPPED
    assert finish(options, folder) == 0
    assert_same_end(folder, reference)


def test_two_processes_stop_together_and_one_goes_on(reference, config, tmp_path):
    """Only the second hears of it; both end after the same step, and a single one continues."""
    folder, out = tmp_path / "run", tmp_path / "out"
    heard = signal_at_step(4, signal.SIGUSR1)
    pair = [
        start(config(), folder, before, out, tmp_path / "rendezvous", rank)
        for rank, before in enumerate((None, heard))
    ]
    for process in pair:
        process.join(120)
    assert [process.exitcode for process in pair] == [EXIT_STOPPED] * 2
    # It is exchanged during the step after.
    assert [path.name for path in checkpoint_paths(folder)] == ["epoch_1_step_5.pth", "epoch_1.pth"]
    assert "a signal to another process: saved after step 5 of 9" in out.read_text()
    assert finish(config(), folder) == 0
    assert_same_end(folder, reference)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "another seed"])
def test_a_damaged_newest_checkpoint_falls_back(damage, reference, config, tmp_path):
    """With a warning that names it, to the one before."""
    folder, out = tmp_path / "run", tmp_path / "out"
    assert finish(config(), folder, before=signal_at_step(5, signal.SIGTERM)) == EXIT_STOPPED
    newest = folder / "epoch_1_step_5.pth"
    content = newest.read_bytes()
    if damage == "truncated":
        newest.write_bytes(content[:-2000])
    elif damage == "flipped":
        place = content.index(read_checkpoint(newest).model["encoder.cls_token"].numpy().tobytes())
        newest.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    else:
        before = signal_at_step(5, signal.SIGTERM)
        assert finish(config("seed=1"), tmp_path / "other", before=before) == EXIT_STOPPED
        shutil.copy(tmp_path / "other" / newest.name, newest)
    assert finish(config(), folder, out=out) == 0
    assert f"warning: {newest}: " in out.read_text()
    assert "resuming after epoch 1, of" in out.read_text()
    assert (folder / "epoch_1_step_5.pth.unusable-1").exists()
    assert_same_end(folder, reference)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("metrics.jsonl", 2, "metrics.jsonl: cannot be read (it is a named pipe, not a file)"),
        ("epoch_1_step_5.pth", 0, "epoch_1_step_5.pth: not a file; kept as epoch_1_step_5.pth.unu"),
        ("run.json", 0, "resuming after epoch 1, step 5, of 3 epochs"),
    ],
)
def test_a_named_pipe_among_its_files_is_not_waited_for(name, code, said, config, tmp_path):
    """Opening one waits for somebody who writes to it."""
    folder, out = tmp_path / "run", tmp_path / "out"
    assert finish(config(), folder, before=signal_at_step(5, signal.SIGTERM)) == EXIT_STOPPED
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert finish(config(), folder, out=out) == code
    assert said in out.read_text()


def test_two_processes_accumulate_gradients(config, tmp_path):
    """Where each cuts its share into parts, the ends of such runs are the same to a few bits.

    One process adds up four parts in turn, two exchange the sums of two.
    """
    assert finish(config("micro_batch=1"), tmp_path / "one") == 0
    assert finish_pair(config("micro_batch=1"), tmp_path / "run", tmp_path / "meet") == [0, 0]
    losses = [[line["loss"] for line in read_log(tmp_path / run)] for run in ("one", "run")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert len(losses[0]) == len(losses[1]) > 2
