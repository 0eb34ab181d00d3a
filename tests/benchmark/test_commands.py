"""The command ``angio-ssl`` runs the tools, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.commands import list_commands, summary

ROOT = Path(__file__).resolve().parents[2]
# torch cannot be imported: what only answers must not try.
MAIN = "import sys; sys.modules['torch'] = None; from benchmark.commands import main; main()"


def angio_ssl(*words: str, cwd: Path, start: tuple[str, ...] = ("-c", MAIN)):
    return subprocess.run(
        [sys.executable, *start, *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_tool_is_a_subcommand() -> None:
    """As they are listed, without those for the tools alone."""
    tools = [name for name in os.listdir(ROOT / "tools") if name.endswith((".py", ".sh"))]
    wanted = {name[:-3].replace("_", "-"): name for name in tools if name[0] != "_"}
    assert {name: file.name for name, file in list_commands().items()} == wanted
    assert {"train", "finetune", "predict", "leaderboard", "prepare-data"} <= wanted.keys()


def test_a_new_tool_is_a_subcommand(tmp_path: Path) -> None:
    """With the first sentence of its text."""
    (tmp_path / "_cli.py").write_text("")
    (tmp_path / "my_tool.py").write_text('"""Draw vessels: all of\nthem."""\n')
    (tmp_path / "run.sh").write_text("#!/bin/sh\n#SBATCH --x\n# Run it\n# twice. Or not.\nls\n")
    found = {name: summary(file) for name, file in list_commands(tmp_path).items()}
    assert found == {"my-tool": "Draw vessels", "run": "Run it twice"}


@pytest.mark.parametrize("start", [("-c", MAIN), ("-m", "benchmark")])
def test_it_lists_its_subcommands(start: tuple[str, ...], tmp_path: Path) -> None:
    done = angio_ssl("--help", cwd=tmp_path, start=start)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert lines == list(list_commands())
    assert angio_ssl(cwd=tmp_path, start=start).returncode == 2


@pytest.mark.parametrize("name", ["prepare-data", "prepare_data", "prepare_data.py"])
def test_it_runs_a_tool_from_any_folder(name: str, tmp_path: Path) -> None:
    """Under the name by which it was called; modules of the tool come before those of the cwd."""
    (tmp_path / "_cli.py").write_text("raise SystemExit('of the current folder')")
    done = angio_ssl(name, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: angio-ssl prepare-data ")
    done = angio_ssl(name, "xcav", cwd=tmp_path)
    assert done.returncode == 2
    assert "required: --out" in done.stderr


def test_it_runs_the_shell_scripts(tmp_path: Path) -> None:
    done = angio_ssl("dist-train", "mae", "none", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: N=none: must be a number of processes; usage: angio-ssl ")
    done = angio_ssl("dist-train", "mae", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: angio-ssl dist-train CONFIG N [options of the training]\n"
    done = angio_ssl("slurm-train", "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  usage: angio-ssl slurm-train [--nodes=2 " in done.stdout
    done = angio_ssl("run-benchmark", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: the following arguments are required: config; "
        "`angio-ssl run-benchmark run --help` lists the options\n"
    )


def test_messages_name_commands_as_the_user_calls_them(tmp_path: Path) -> None:
    """In errors, in help, and of what a script starts; a tool called by its path names paths."""
    words = ("finetune", "--method", "unet", "--dataset", "dca1")
    error = "error: work_dirs/downstream/dca1: no such folder; make it with {}\n"
    assert angio_ssl(*words, cwd=tmp_path).stderr == error.format("angio-ssl prepare-data")
    tool = (str(ROOT / "tools" / "finetune.py"),)
    done = angio_ssl(*words[1:], cwd=tmp_path, start=tool)
    assert done.stderr == error.format("tools/prepare_data.py")

    packs = "error: none: no such folder; make the pack with angio-ssl prepare-data\n"
    assert angio_ssl("dist-train", "mae", "1", "--packs", "none", cwd=tmp_path).stderr == packs
    example = (
        "    angio-ssl predict work_dirs/mae/finetune/arcade_v/seed0 my_frames --out predictions"
    )
    assert example in angio_ssl("predict", "--help", cwd=tmp_path).stdout.splitlines()
    listed = angio_ssl("list", "datasets", cwd=tmp_path).stdout
    assert "not prepared: angio-ssl prepare-data dca1 --raw" in listed


def test_a_misspelt_subcommand(tmp_path: Path) -> None:
    done = angio_ssl("finetun", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no command 'finetun'; did you mean 'finetune'?\n"
