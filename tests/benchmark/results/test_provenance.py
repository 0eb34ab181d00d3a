"""Provenance has no local folders, and paths do not change hashes."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmark.errors import InputError
from benchmark.results import collect_provenance, command_line, config_hash, provenance

ROOT = Path(__file__).resolve().parents[3]


def test_config_hash_ignores_paths_workers_and_logging_at_any_depth():
    base = {"model": {"depth": 12}, "data": [{"batch_size": 8, "num_workers": 4, "root": "/a"}]}
    moved = {
        "data": [{"num_workers": 0, "batch_size": 8, "root": "/b"}],
        "work_dir": "/c",
        "model": {"depth": 12, "logger": {"interval": 5}},
    }
    assert config_hash(base) == config_hash(moved)
    assert config_hash({"x": (1, 2)}) == config_hash({"x": [1, 2]})
    other = {"model": {"depth": 12}, "data": [{"batch_size": 16}]}
    assert config_hash(base) != config_hash(other)


def test_config_hash_counts_the_seed_unless_told_otherwise():
    one, two = {"lr": 1, "seed": 0}, {"lr": 1, "seed": 1}
    assert config_hash(one) != config_hash(two)
    assert config_hash(one, also_drop=("seed",)) == config_hash(two, also_drop=("seed",))
    with pytest.raises(InputError, match="config"):
        config_hash({"lr": object()})


def test_provenance_names_versions_and_fits_a_record(write):
    facts = collect_provenance()
    assert facts["versions"]["python"].count(".") == 2
    assert facts["versions"]["pandas"] == pd.__version__
    assert None not in facts["versions"].values()
    assert {"numpy", "scipy", "torch", "timm", "mmengine", "mmcv"} <= facts["versions"].keys()
    assert {"mmsegmentation", "scikit-image", "pycocotools"} <= facts["versions"].keys()
    write(**facts)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository that holds the module, seen through the module's `__file__`."""
    module = tmp_path / "benchmark" / "engine" / "origin.py"
    module.parent.mkdir(parents=True)
    module.write_text("x = 1\n")
    monkeypatch.setattr(provenance, "__file__", str(module))
    # A hook's variables must not point the calls at another repository.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    plain = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        command = ["git", *identity, *arguments]
        subprocess.run(command, cwd=tmp_path, env=plain, check=True, capture_output=True)

    yield tmp_path, git
    provenance._provenance.cache_clear()


def test_git_state_of_the_checkout(checkout):
    folder, git = checkout

    def of_a_new_process() -> dict | None:
        provenance._provenance.cache_clear()
        return collect_provenance()["git"]

    assert of_a_new_process() is None
    git("init")
    assert of_a_new_process() is None, "an untracked copy is not the checkout's code"
    git("add", ".")
    assert of_a_new_process() is None, "there is no commit yet"
    git("commit", "-m", "first")
    state = of_a_new_process()
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (folder / "results.json").write_text("{}")
    assert of_a_new_process() == state, "a result is not a change of the code"
    (folder / "new.py").write_text("")
    assert collect_provenance()["git"] == state, "what a process has imported stays"
    assert of_a_new_process() == {**state, "dirty": True}


def test_importing_records_is_light():
    code = (
        "import sys, benchmark.results as r; r.collect_provenance(); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["/repo/tools/finetune.py", "--seed", "0", "1"], "finetune.py --seed 0 1"),
        (["t.py", "--work", "work_dirs/demo/"], "t.py --work work_dirs/demo/"),
        (["t.py", "--data", "../tasks/dca1"], "t.py --data ../tasks/dca1"),
        (["t.py", "--data", "/home/me/tasks/dca1"], "t.py --data …/dca1"),
        (["t.py", "data.folder=/home/me/tasks/"], "t.py data.folder=…/tasks/"),
        (["t.py", "packs=['/data/a','/data/b']"], """t.py 'packs=['"'"'…/a'"'"','"'"'…/b'"'"']'"""),
        (["t.py", "~/angiograms/dca1"], "t.py '…/dca1'"),
        (["t.py", "/data"], "t.py /data"),
    ],
)
def test_a_command_contains_no_local_folders(arguments, text):
    assert command_line(arguments) == text


def test_a_path_that_is_not_utf8_can_be_recorded():
    line = command_line(["finetune.py", "--encoder", os.fsdecode(b"enc\xff")])
    assert line == r"finetune.py --encoder 'enc\udcff'"
    line.encode()
