"""Every command in README and documents works as written, in a copy of the project.

A shell runs the code blocks with stubs that record all calls; each call is then parsed by its tool.
Quick commands that need no data are executed completely.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.results import RunRecord, config_hash, write_record

Parse = Callable[[list[str]], "str | None"]

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
)
TOOLS = sorted(path.name for path in (ROOT / "tools").iterdir() if path.suffix in (".py", ".sh"))
COMMANDS = [name for name in TOOLS if not name.startswith("_")]

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
# Placeholders in the text of a document.
_STAND_INS = {"SOURCE": "arcade", "N": "1", "…": ""}
# Messages of a parser about incomplete commands.
_FRAGMENT = re.compile(r"are required|expected (?:at least )?one argument|is required")

_PROGRAMS = {
    # Of a launcher, records the training command; running pytest is not recorded.
    "python3": """
        #!/bin/bash
        [ "$1 $2" != "-m pytest" ] || exit 0
        case $1 in *_launch.py) while [ "${1##*/}" != train.py ]; do shift; done ;; esac
        line=$(printf '%q ' "$@")
        echo "$line" >> "$CALLED"  # one write, since launchers start processes side by side
    """,
    "make": """
        #!/bin/bash
        [ "$1" != demo ] || PYTHON=python3 tools/demo.sh
        exec MAKE -n "$@"
    """,
    "sbatch": """
        #!/bin/bash
        while [ "${1#-}" != "$1" ]; do shift; done
        export SLURM_SUBMIT_DIR=$PWD SLURM_NTASKS=2 SLURM_JOB_ID=1 SLURM_JOB_NODELIST=n
        exec "$@"
    """,
    "srun": """
        #!/bin/bash
        while [ "${1#-}" != "$1" ]; do shift; done
        SLURM_PROCID=0 SLURM_LOCALID=0 exec "$@"
    """,
    "scontrol": "#!/bin/sh\necho n\n",
    "pip": "#!/bin/sh\n[ $1 = install ]\n",
}


# Executed completely; each must appear in a document as written here.
_QUICK = (
    "tools/list.py methods",
    "tools/leaderboard.py --published",
    "tools/convert_checkpoint.py --list",
    "tools/results.py validate work_dirs/results",
    "tools/results.py show work_dirs/results",
)
_SLOW = (
    "tools/check.py env",
    "tools/run_benchmark.sh configs/leaderboard/journal.py --dry-run",
    "tools/run_benchmark.sh status configs/leaderboard/journal.py",
    "tools/train.py configs/vessel_mae/pretrain.py --scale tiny --dry-run",
)
_BEFORE = {
    "tools/train.py configs/vessel_mae/pretrain.py --scale tiny --dry-run": (
        "tools/prepare_data.py synthetic --out work_dirs/tiny/packs/xa170k --size 96 "
        "--option size=96 patients=6 videos=1 frames=8"
    )
}
# All blocks of these pages are executed.
_WORKED = ("docs/leaderboard.md", "docs/results.md")


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str) -> list[tuple[str, str]]:
    """Language and content of every fenced block."""
    return _FENCED.findall(text_of(document))


def inline(document: str) -> list[str]:
    """Inline code that calls one of our tools, or make."""
    text = _FENCED.sub("", text_of(document))
    found = [" ".join(match.split()) for match in _INLINE.findall(text)]
    names = "|".join(map(re.escape, COMMANDS))
    return [
        code for code in found if re.match(rf"(?:\w+=\S+ )*(?:tools/\w|make |(?:{names}) )", code)
    ]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the config that docs/add_a_method.md teaches."""
    clone = tmp_path_factory.mktemp("clone")
    for folder in ("benchmark", "methods", "configs", "leaderboard", "tools"):
        shutil.copytree(ROOT / folder, clone / folder, ignore=shutil.ignore_patterns("*.pyc"))
    for file in ("Makefile", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / file, clone / file)
    shutil.copytree(clone / "configs" / "mae", clone / "configs" / "vessel_mae")
    return clone


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the command lines of tools are recorded instead of run."""
    folder = tmp_path_factory.mktemp("recorded")
    programs = folder / "bin"
    programs.mkdir()
    make = shutil.which("make") or "true"
    for name, text in _PROGRAMS.items():
        text = textwrap.dedent(text).lstrip().replace("MAKE ", f"{make} ")
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    (programs / "python").symlink_to("python3")
    hidden = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "CALLED": str(folder / "called")}


@pytest.fixture(scope="module")
def free(recorded: dict[str, str]) -> dict[str, str]:
    """An environment in which tools are run, with this interpreter."""
    path = os.environ["PATH"].split(os.pathsep)
    interpreter = str(Path(sys.executable).parent)
    rest = {"PATH": os.pathsep.join([interpreter, *path]), "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    return {**recorded, **rest}


def bash(script: str, clone: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


class _Parsed(BaseException):
    """Raised when a tool has parsed its command line."""


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Parse:
    """Parse the words after ``python3`` with the parser of their tool; its message, or None."""
    usual = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, *rest: Any, **named: Any) -> None:
        usual(self, *rest, **named)
        raise _Parsed

    def run(words: list[str]) -> str | None:
        tool = ROOT / "tools" / Path(words[0]).name
        monkeypatch.setattr(sys, "argv", [str(tool), *words[1:]])
        capsys.readouterr()
        try:
            runpy.run_path(str(tool), run_name="__main__")
        except _Parsed:
            return None
        except SystemExit:
            return "".join(capsys.readouterr())
        raise AssertionError(f"{words}: ended without parsing anything")

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.syspath_prepend(ROOT / "tools")
    # As `_cli` puts it, which is imported once for all tools here.
    monkeypatch.syspath_prepend(ROOT)
    return run


def calls(script: str, clone: Path, recorded: dict[str, str]) -> list[list[str]]:
    """The command lines of tools that a script calls."""
    called = Path(recorded["CALLED"])
    called.unlink(missing_ok=True)
    done = bash(script, clone, recorded)
    assert done.returncode == 0, f"{script}\n{done.stderr}"
    lines = called.read_text().splitlines() if called.exists() else []
    return [shlex.split(line) for line in lines]


@pytest.fixture(scope="module")
def worked(clone: Path) -> Path:
    """The copy with the results and logs that `_WORKED` pages assume."""
    lines = ({"step": k, "epoch": k, "loss": 2.0 / k, "vessel_share": 0.3} for k in (1, 2))
    logs = "".join(json.dumps(line) + "\n" for line in lines)
    for number, method in enumerate(("mae", "vasomim", "unet")):
        run = clone / "work_dirs" / method / "pretrain"
        run.mkdir(parents=True)
        (run / "metrics.jsonl").write_text(logs, encoding="utf-8")
        for dataset in ("arcade_v", "arcade_v-10pct", "arcade_v-linear", "xcav", "dca1"):
            for seed in range(3):
                folder = clone / (f"gpu{seed}/results" if seed else "work_dirs/results")
                _write_record(folder, method, dataset, seed, 70.0 + 3 * number + seed**2)
    return clone


def _write_record(folder: Path, method: str, dataset: str, seed: int, dsc: float) -> None:
    config = {"seed": seed, "label_fraction": 0.1 if dataset.endswith("pct") else 1.0}
    values = {"protocol": "journal", "title": method, "family": "f", "pretraining": "p"}
    metric = {"value": dsc, "definition": "dsc/per-image-mean/v1", "higher_is_better": True}
    record = RunRecord(
        method=method,
        dataset=dataset,
        task="segmentation",
        seed=seed,
        split_hash=dataset,
        corpus_hash=None,
        metrics={"dsc": metric},
        n_images=2,
        config=config,
        config_hash=config_hash(config),
        seeds={},
        versions={"torch": "2.11.0"},
        device="cpu",
        wall_time_s=1.0,
        finished="2025-01-02T03:04:05",
        **values,
    )
    scores = pd.DataFrame({"image": ["a", "b"], "dsc": [dsc - 1, dsc + 1]})
    write_record(folder, record, scores)


@pytest.mark.parametrize("name", TOOLS)
def test_tools_are_executable(name: str) -> None:
    """Tools have a shebang and are executable; modules are neither."""
    path = ROOT / "tools" / name
    interpreter = "python3" if path.suffix == ".py" else "bash"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert (first == f"#!/usr/bin/env {interpreter}") is (name in COMMANDS)
    assert os.access(path, os.X_OK) is (name in COMMANDS)


def test_documents_call_tools_by_path() -> None:
    """Commands are in bash blocks, begin with the path of a tool, and the tool exists."""
    wrong = []
    for document in DOCUMENTS:
        for language, block in blocks(document):
            if language != "bash" and re.search(
                r"^\s*(?:tools/\S+\.(?:py|sh) |make )", block, re.M
            ):
                wrong.append(f"{document}: ```{language}: {block.splitlines()[0]}")
        wrong += [
            f"{document}: {code}"
            for code in inline(document)
            if not re.match(r"(?:\w+=\S+ )*(?:tools/|make )", code)
        ]
        named = re.findall(r"\btools/\w+\.(?:py|sh)", text_of(document))
        wrong += [f"{document}: {path}" for path in named if Path(path).name not in COMMANDS]
    assert wrong == []


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if "```bash" in text_of(name)])
def test_command_blocks_parse(
    document: str, clone: Path, recorded: dict[str, str], parse: Parse
) -> None:
    """All blocks of a page in sequence, since they share variables."""
    script = "\n".join(block for language, block in blocks(document) if language == "bash")
    found = calls(f"set -eu\n{script}", clone, recorded)
    written = re.findall(r"^(?:sbatch .*)?\s*tools/", re.sub(r"\\\n", "", script), re.MULTILINE)
    assert len(found) >= len(written)
    assert [f"{words}: {said}" for words in found if (said := parse(words))] == []


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if inline(name)])
def test_inline_commands_parse(
    document: str, clone: Path, recorded: dict[str, str], parse: Parse
) -> None:
    """Of a partial command, every option must be known to the tool."""
    wrong = []
    for code in dict.fromkeys(inline(document)):
        words = [_STAND_INS.get(word, word.rstrip("…")) for word in code.split()]
        words = [word for word in words if word]
        if words[-1].endswith(".sh"):  # only named
            continue
        for called in calls("PRE= ; " + " ".join(words), clone, recorded):
            said = parse(called)
            if said is not None and not _is_part(called, said, parse):
                wrong.append(f"{code}\n{said}")
    assert wrong == []


def _is_part(words: list[str], said: str, parse: Parse) -> bool:
    """Whether a refused command is merely incomplete, without unknown options."""
    command = words[:2] if len(words) > 1 and re.match(r"[a-z]", words[1]) else words[:1]
    options = {word for word in words if word.startswith("--")}
    known = options <= set(re.findall(r"--[\w-]+", parse([*command, "--help"]) or ""))
    return known and (len(words) == 1 or bool(_FRAGMENT.search(said)))


def test_docstring_commands_parse(clone: Path, recorded: dict[str, str], parse: Parse) -> None:
    """Commands in the docstrings of tools (their help) and configs."""
    files = [*(ROOT / "tools").glob("*.py"), *sorted((ROOT / "configs").rglob("*.py"))]
    lines: dict[str, None] = {}
    for path in files:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        commands = re.findall(r"^    (\S+\.(?:py|sh) (?:[^\n]*\\\n)*[^\n]*)", text, re.MULTILINE)
        lines |= dict.fromkeys(command.replace("\\\n", " ") for command in commands)
    assert [line for line in lines if not line.startswith("tools/")] == []
    # Launches differ only in the config, which must exist.
    launches = [line for line in lines if line.startswith("tools/dist_train.sh")]
    assert all((ROOT / line.split()[1]).is_file() for line in launches)
    found = calls("\n".join(["set -e", *lines]), clone, recorded)
    assert len(found) > 30
    assert [f"{words}: {said}" for words in found if (said := parse(words))] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_tool_has_help(name: str, clone: Path, free: dict[str, str]) -> None:
    """Called by path, and without side effects."""
    done = bash(f"tools/{name} --help", clone, free)
    assert (done.returncode, done.stderr) == (0, "")
    if name.endswith(".py"):
        assert f"usage: {name}" in done.stdout
    else:
        assert name == "demo.sh" or "usage: " in done.stdout
        assert f"tools/{name} " in done.stdout or f"usage: {name} run" in done.stdout
    assert not (clone / "--help").exists()


@pytest.mark.parametrize(
    "document", [pytest.param("docs/figures.md", marks=pytest.mark.slow), *_WORKED]
)
def test_result_blocks_run(document: str, worked: Path, free: dict[str, str]) -> None:
    # Of the inputs, `worked` has results and logs, and no packs.
    parts = [block for language, block in blocks(document) if language == "bash"]
    script = "\n".join(part for part in parts if "--packs" not in part)
    # Single runs that differ: by how much more than noise is unknown, and 1 says so.
    script = re.sub(r"(tools/results\.py compare [^#\n]*)", r"\1 || test $? -eq 1 ", script)
    done = bash(f"set -eu\n{script}", worked, free)
    assert done.returncode == 0, done.stdout + done.stderr
    outs = re.findall(r"--out (\S+\.\w+)", script)
    assert all((worked / name).stat().st_size for name in outs)


def _is_written(command: str) -> bool:
    lines = {" ".join(line.split("#")[0].split()) for name in DOCUMENTS for line in _lines(name)}
    return command in lines


def _lines(document: str) -> list[str]:
    return [*inline(document), *"\n".join(block for _, block in blocks(document)).splitlines()]


@pytest.mark.parametrize(
    "command", [*_QUICK, *(pytest.param(c, marks=pytest.mark.slow) for c in _SLOW)]
)
def test_quick_commands_run(command: str, worked: Path, free: dict[str, str]) -> None:
    assert _is_written(command)
    done = bash(f"{_BEFORE.get(command, ':')} && {command}", worked, free)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n") > 1 or "validate" in command
