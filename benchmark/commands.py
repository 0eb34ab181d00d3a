"""The command ``angio-ssl``: the files of ``tools/`` as its subcommands.

``angio-ssl prepare-data …`` and ``python -m benchmark prepare-data …`` run tools/prepare_data.py,
in a clone and where the package is installed.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from pathlib import Path
from types import ModuleType

from benchmark.errors import did_you_mean
from benchmark.files import list_folder

TOOLS = Path(__file__).resolve().parents[1] / "tools"


def list_commands(tools: Path = TOOLS) -> dict[str, Path]:
    """Name of every subcommand, such as ``prepare-data``, and its file in `tools`."""
    files = [file for file in list_folder(tools, "[!_]*.*") if file.suffix in (".py", ".sh")]
    return {file.stem.replace("_", "-"): file for file in files}


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
    """Run the subcommand that the command line names; exits as its tool does, 2 without one."""
    commands = list_commands()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        width = max(map(len, commands))
        lines = [f"  {known:{width}}  {summary(file)}" for known, file in commands.items()]
        print("usage: angio-ssl COMMAND …\n", *lines, sep="\n")
        print("\nangio-ssl COMMAND --help explains each; documents call them tools/COMMAND.py")
        sys.exit(0 if len(sys.argv) > 1 else 2)
    tool = commands.get(name.replace("_", "-").removesuffix(".py").removesuffix(".sh"))
    if tool is None:
        print(f"error: no command {name!r}{did_you_mean(name, commands)}", file=sys.stderr)
        sys.exit(2)
    if tool.suffix == ".sh":
        os.environ.setdefault("PYTHON", sys.executable)
        os.execvp("bash", ["bash", str(tool), *sys.argv[2:]])
    sys.argv[:2] = [f"angio-ssl {tool.stem.replace('_', '-')}"]
    # As Python does for a script, whose modules beside it are imported from there.
    sys.path.insert(0, str(tool.parent))
    # Not by runpy, which would name the program after the file, and take the module away at exit.
    program = sys.modules["__main__"] = ModuleType("__main__")
    program.__file__ = str(tool)
    exec(compile(tool.read_bytes(), str(tool), "exec"), vars(program))
