# PYTHON_ARGCOMPLETE_OK
"""The command ``angio-ssl``: the files of ``tools/`` as its subcommands.

``angio-ssl prepare-data …`` and ``python -m benchmark prepare-data …`` run tools/prepare_data.py,
in a clone and where the package is installed.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from benchmark.completion import ASKED, complete_command, typed_words
from benchmark.errors import did_you_mean
from benchmark.files import list_folder
from benchmark.text import visible

TOOLS = Path(__file__).resolve().parents[1] / "tools"

CALLED = "ANGIO_SSL"
"""Set when the user has called ``angio-ssl``; processes that a tool starts inherit it, so that
their messages name commands as the user knows them."""

PROGRAM = "ANGIO_SSL_PROGRAM"
"""Set by a script that wraps a tool: what the user has called, for the usage of the tool."""

# Scripts that take the arguments of another tool.
_COMPLETED_AS = {"dist_train.sh": "train.py", "slurm_train.sh": "train.py"}
_TOOL = re.compile(r"\btools/(\w+)\.(?:py|sh)\b")


class Parser(argparse.ArgumentParser):
    """Reports wrong options in one line, like other wrong input, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, visible(f"error: {message}; `{self.prog} --help` lists the options") + "\n")


def as_called(text: str) -> str:
    """`text`, with files of ``tools/`` as subcommands if the user has called ``angio-ssl``."""
    if CALLED not in os.environ:
        return text
    return _TOOL.sub(lambda found: f"angio-ssl {_command_of(found[1])}", text)


def _command_of(stem: str) -> str:
    return stem.replace("_", "-")


def list_commands(tools: Path = TOOLS) -> dict[str, Path]:
    """Name of every subcommand, such as ``prepare-data``, and its file in `tools`."""
    files = [file for file in list_folder(tools, "[!_]*.*") if file.suffix in (".py", ".sh")]
    return {_command_of(file.stem): file for file in files}


def summary(file: Path) -> str:
    """The first sentence of a tool's description."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        text = ast.get_docstring(ast.parse(text)) or ""
    else:
        lines = [line for line in text.splitlines() if not line.startswith(("#!", "#SBATCH"))]
        text = "\n".join(lines).strip().replace("# ", "").replace("#", "")
    return re.split(r"[.:](?: |$)", " ".join(text.partition("\n\n")[0].split()))[0]


def main() -> None:
    """Run the subcommand of the command line; exits with the code of its tool, 2 without one."""
    commands = list_commands()
    if ASKED in os.environ:
        _complete(commands)
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        width = max(map(len, commands))
        lines = [f"  {known:{width}}  {summary(file)}" for known, file in commands.items()]
        print("usage: angio-ssl COMMAND …\n", *lines, sep="\n")
        print("\nangio-ssl COMMAND --help explains each; documents call them tools/COMMAND.py")
        sys.exit(0 if len(sys.argv) > 1 else 2)
    tool = _find(name, commands)
    if tool is None:
        print(f"error: no command {name!r}{did_you_mean(name, commands)}", file=sys.stderr)
        sys.exit(2)
    os.environ[CALLED] = "1"
    if tool.suffix == ".sh":
        os.environ.setdefault("PYTHON", sys.executable)
        os.execvp("bash", ["bash", str(tool), *sys.argv[2:]])
    sys.argv[:2] = [f"angio-ssl {_command_of(tool.stem)}"]
    _execute(tool)


def _find(name: str, commands: dict[str, Path]) -> Path | None:
    return commands.get(_command_of(name).removesuffix(".py").removesuffix(".sh"))


def _execute(tool: Path) -> None:
    # As Python does for a script, whose modules beside it are imported from there.
    sys.path.insert(0, str(tool.parent))
    # Not by runpy, which would name the program after the file, and take the module away at exit.
    program = sys.modules["__main__"] = ModuleType("__main__")
    program.__file__ = str(tool)
    tree = ast.parse(tool.read_bytes(), str(tool))
    if ast.get_docstring(tree):  # the description of its help
        tree.body[0].value.value = as_called(tree.body[0].value.value)
    exec(compile(tree, str(tool), "exec"), vars(program))


def _complete(commands: dict[str, Path]) -> NoReturn:
    """Answer a shell that asks for completions, and exit; file names are completed by the shell."""
    words = typed_words()
    if len(words) < 2:
        complete_command(commands)
    elif tool := _find(words[1], commands):
        tool = tool.with_name(_COMPLETED_AS.get(tool.name, tool.name))
        if tool.suffix == ".py":
            os.environ[ASKED] = str(int(os.environ[ASKED]) + 1)  # the subcommand is the program
            _execute(tool)
    sys.exit()
