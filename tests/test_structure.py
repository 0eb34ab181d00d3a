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


def test_files_stay_readable() -> None:
    """About 400 lines are what one reads in a sitting."""
    rooms = ("benchmark", "methods", "configs", "leaderboard", "tools", "tests")
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 50
    long = {str(path): n for path in files if (n := len(path.read_text().splitlines())) > 400}
    assert not long
