"""What a run leaves on record beside its metrics."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from event_files import in_the_log, read_events
from mmengine.hooks import Hook
from PIL import Image

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.cell import BenchmarkCell, with_patients
from benchmark.downstream.finetune import run_cell
from benchmark.errors import InputError
from benchmark.files.locking import LOCK
from benchmark.results import find_problems, read_examples, read_record

ROOT = Path(__file__).resolve().parents[3]

MakeCell = Callable[..., BenchmarkCell]


@pytest.fixture(scope="module")
def make_cell(vessels: TaskFolder, compose_cell: MakeCell, sizes: tuple[str, ...]) -> MakeCell:
    """A cell of a filter or of a network from scratch: two epochs of two steps at 64²."""

    def make(work: Path, method: str = "frangi", *options: str) -> BenchmarkCell:
        small = ("epochs=2", "batch_size=2", "checkpoint_interval=1", *sizes)
        settings = [f"data.folder={vessels.path}", *options, *(small if method == "unet" else ())]
        return compose_cell(work, method, "synthetic_v", settings)

    return make


def test_a_finished_run_keeps_no_checkpoints(make_cell, tmp_path, capsys):
    """But as many as are asked for; what a kill after the record has left goes with the next call.

    Unless that is another process's.
    """
    cell = make_cell(tmp_path, "unet")
    run_cell(cell)
    assert {"run.json", "metrics.jsonl"} <= {path.name for path in cell.folder.iterdir()}
    left = [cell.folder / name for name in ("epoch_2.pth", "epoch_1_step_3.pth", LOCK)]
    for path in left:
        path.touch()
    theirs = cell.folder / "epoch_best.pth"
    theirs.touch()
    code = "import sys; from pathlib import Path; from benchmark.files.locking import hold_folder\n"
    code += "with hold_folder(Path(sys.argv[1]), 'held'): print('held', flush=True); input()"
    command = [sys.executable, "-c", code, str(cell.folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        run_cell(cell)
        assert all(path.exists() for path in left)
        other.communicate("\n")
    left[-1].touch()
    run_cell(cell)
    assert capsys.readouterr().out.count("done already") == 2
    assert [path for path in left if path.exists()] == []
    assert theirs.exists()

    one = make_cell(tmp_path / "one", "unet", "keep_checkpoints=1")
    run_cell(one)
    assert [path.name for path in one.folder.glob("*.pth")] == ["epoch_2.pth"]
    (one.folder / "epoch_1.pth").touch()
    run_cell(one)
    assert [path.name for path in one.folder.glob("*.pth")] == ["epoch_2.pth"]


counted: list[str] = []


class Counting(Hook):
    """Notes the batches it sees."""

    def after_train_iter(self, runner: Any, **_: Any) -> None:
        counted.append("train")

    def after_test_iter(self, runner: Any, **_: Any) -> None:
        counted.append("test")


def test_a_trained_run_says_when_where_and_how_it_was_made(make_cell, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/tools/finetune.py", "--work", str(tmp_path)])
    cell = make_cell(tmp_path, "unet", "log_interval=1")
    cell.config.custom_hooks = [dict(type=Counting)]
    record = run_cell(cell)
    begin, end = map(datetime.fromisoformat, (record.started, record.finished))
    # Both times are cut to whole seconds.
    assert (end - begin).total_seconds() + 1 >= 0
    assert record.wall_time_s < (end - begin).total_seconds() + 1
    assert (record.processes, record.skipped_steps) == (1, 0)
    assert record.precision == ("fp32" if record.device == "cpu" else "bf16")
    assert record.command == f"finetune.py --work …/{tmp_path.name}"
    assert {"numpy", "scipy", "pandas", "torch", "timm", "mmengine"} <= record.versions.keys()
    assert find_problems(tmp_path / "results") == (1, [])
    # Hooks and visualizer of the config are honoured, as in pre-training.
    (file,) = (cell.folder / "mmengine").glob("vis_data/scalars.json")
    sent, logged = (
        [(line["step"], line["loss"]) for line in map(json.loads, path.read_text().splitlines())]
        for path in (file, cell.folder / "metrics.jsonl")
    )
    assert counted == ["train"] * len(logged) + ["test"]
    assert sent == logged


def test_event_files_hold_the_scalars_of_a_fine_tuning(make_cell, tmp_path):
    """Read with TensorBoard's own reader."""
    cell = make_cell(tmp_path, "unet", "log_interval=1")
    cell.config.visualizer = dict(
        type="Visualizer", vis_backends=[dict(type="TensorboardVisBackend")]
    )
    run_cell(cell)
    expected = sorted(in_the_log(cell.folder))
    assert {"loss", "lr", "grad_norm", "epoch"} <= {name for name, *_ in expected}
    assert read_events(cell.folder) == expected


def test_patients_that_are_not_known_are_left_open():
    def folder(*groups: str | None) -> Any:
        items = [{"stem": f"{i}", "group": group} for i, group in enumerate(groups)]
        return SimpleNamespace(splits={"test": items})

    scores = pd.DataFrame({"image": ["1", "0"], "dsc": [1.0, 2.0]})
    assert with_patients(scores, folder(None, None)) is scores
    found = with_patients(scores, folder("p7", None))
    assert list(found) == ["image", "patient", "dsc"]
    assert found["patient"].isna().tolist() == [True, False]
    assert found["patient"][1] == "p7"
    assert list(scores) == ["image", "dsc"]


def test_the_same_images_are_kept_of_every_method(make_cell, tmp_path, vessels):
    cells = [make_cell(tmp_path, method) for method in ("frangi", "unet")]
    kept = []
    for cell in cells:
        run_cell(cell)
        kept.append(read_examples(cell.record))
    one, two = kept
    stems = [item["stem"] for item in vessels.splits["test"]]
    assert [e.image for e in one] == [e.image for e in two] == stems
    for first, second in zip(one, two, strict=True):
        # 80², which is small enough to be kept as it is.
        frame = np.array(Image.open(vessels.image("test", first.image)))
        truth = vessels.channels("test", first.image)[0]
        for cell, example in zip(cells, (first, second), strict=True):
            predicted = np.array(Image.open(cell.folder / "predictions" / f"{first.image}.png"))
            np.testing.assert_array_equal(example.frame, frame)
            np.testing.assert_array_equal(example.truth, truth)
            np.testing.assert_array_equal(example.prediction, predicted)
    assert not np.array_equal(one[0].prediction, two[0].prediction)


def test_how_many_are_kept_is_a_setting_that_moves_no_hash(make_cell, tmp_path):
    hashes = set()
    for count in (0, 1):
        cell = make_cell(tmp_path / str(count), "frangi", f"examples={count}")
        record = run_cell(cell)
        assert len(read_examples(cell.record)) == count
        assert (record.examples is None) or read_record(cell.record).examples
        hashes.add(record.config_hash)
    assert len(hashes) == 1
    for wrong in ("-1", "all"):
        with pytest.raises(InputError, match=f"examples='?{wrong}.*0 or more"):
            run_cell(make_cell(tmp_path / "x", "frangi", f"examples={wrong}"))
