"""The house keeps its rules: imports point one way, and no file grows beyond reading."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

_ABOVE_DATA = ("benchmark.engine", "benchmark.downstream", "benchmark.sweep")

# What each room may not import. `benchmark` modules beside the rooms (randomness, files, errors,
# method, …) are open to all.
FORBIDDEN = {
    "benchmark": ("methods", "leaderboard", "tools", "configs"),
    "benchmark/nn": (
        "benchmark.data",
        "benchmark.anatomy",
        "benchmark.engine",
        "benchmark.downstream",
        "benchmark.sweep",
    ),
    "benchmark/data": (*_ABOVE_DATA, "benchmark.anatomy"),
    "benchmark/anatomy": _ABOVE_DATA,
    "benchmark/engine": ("benchmark.downstream", "benchmark.sweep"),
    "benchmark/downstream": ("benchmark.sweep",),
    "benchmark/sweep": ("torch", "mmengine", "benchmark.nn"),
    "methods": ("leaderboard", "tools", "benchmark.engine", "benchmark.downstream"),
    "leaderboard": ("methods", "tools", "torch", "mmengine", "benchmark.data", "benchmark.nn"),
}


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return modules


@pytest.mark.parametrize("room", FORBIDDEN)
def test_imports_point_one_way(room: str) -> None:
    """No file of a room imports what lies above it."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for module in sorted(imported_modules(path))
        if any(module == name or module.startswith(f"{name}.") for name in FORBIDDEN[room])
    ]
    assert not wrong


# Files that may use what passes over a folder that cannot be listed, or reads JSON in more than one
# way, and why.
MAY = {
    "benchmark/files.py": "removes what is listed there",
    "benchmark/locking.py": "whatever a lock file holds, it says nobody",
    "benchmark/sweep/resolving.py": "what a process of our own prints",
    "benchmark/sweep/resolve.py": "what a process of our own asks",
    "benchmark/engine/watchdog.py": "what the other processes of a run say",
    "benchmark/data/pack/survey.py": "a file of our own that has no name",
    "leaderboard/bench.py": "the plain way that ours is compared with",
}


def careless_calls(path: Path) -> list[str]:
    """Calls of the standard library for which `benchmark.files` and `strict_json` are there."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        call = ast.unparse(node.func)
        if node.func.attr in ("glob", "rglob") or call in ("os.walk", "json.load", "json.loads"):
            found.append(f"{path.relative_to(ROOT)}:{node.lineno} {call}")
    return found


def test_folders_and_json_are_read_in_one_place() -> None:
    """A folder that cannot be listed is no empty one, and JSON means one thing only."""
    rooms = ("benchmark", "methods", "leaderboard", "tools")
    files = [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    careless = {path.relative_to(ROOT).as_posix(): careless_calls(path) for path in files}
    wrong = [call for name, calls in careless.items() if name not in MAY for call in calls]
    assert not wrong, "use list_folder, walk and read_json of benchmark.files"


def test_files_stay_readable() -> None:
    """About 400 lines are what one reads in a sitting."""
    rooms = ("benchmark", "methods", "configs", "leaderboard", "tools", "tests")
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 50
    long = {str(path): n for path in files if (n := len(path.read_text().splitlines())) > 400}
    assert not long
