"""The layout keeps its rules: imports point one way, rooms and files stay small."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = ("benchmark", "methods", "leaderboard", "tools")

# Rooms from lowest to highest; a room may import those below it, and any room the modules directly
# in `benchmark` (randomness, errors, method, …).
ROOMS = (
    ("files", "openmmlab"),
    ("nn", "data", "results"),
    ("anatomy",),
    ("encoders",),
    ("training",),
    ("downstream",),
    ("sweep", "checks", "visualization"),
    ("speed",),
    ("acceptance",),
)


def _above(room: str) -> tuple[str, ...]:
    level = next(i for i, rooms in enumerate(ROOMS) if room in rooms)
    beside = [name for name in ROOMS[level] if name != room]
    higher = [name for rooms in ROOMS[level + 1 :] for name in rooms]
    return tuple(f"benchmark.{name}" for name in (*beside, *higher))


FORBIDDEN = {
    "benchmark": ("methods", "leaderboard", "tools", "configs"),
    **{f"benchmark/{room}": _above(room) for rooms in ROOMS for room in rooms},
    # These start instantly, without torch.
    "benchmark/results": (*_above("results"), "torch"),
    "benchmark/sweep": (*_above("sweep"), "torch", "mmengine", "benchmark.nn"),
    "methods": ("leaderboard", "tools", "benchmark.training", "benchmark.downstream"),
    "leaderboard": ("methods", "tools", "torch", "mmengine", "benchmark.data", "benchmark.nn"),
}


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return modules


@pytest.mark.parametrize("room", FORBIDDEN)
def test_imports_point_one_way(room: str) -> None:
    """No file of a room imports from a room above it."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for module in sorted(imported_modules(path))
        if any(module == name or module.startswith(f"{name}.") for name in FORBIDDEN[room])
    ]
    assert not wrong


# Files that may call functions which ignore unreadable folders or parse JSON leniently, and why.
EXEMPT = {
    "benchmark/files/__init__.py": "removes the files it lists",
    "benchmark/files/locking.py": "any damaged lock file means no holder",
    "benchmark/sweep/config_cache.py": "output of our own process",
    "benchmark/sweep/config_facts.py": "input from our own process",
    "benchmark/training/distributed/watchdog.py": "messages of other processes of a run",
    "leaderboard/bench.py": "the baseline for comparison",
}


def careless_calls(path: Path) -> list[str]:
    """Calls of the standard library that `benchmark.files` replaces."""
    found = []
    for node in nodes(path):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        call = ast.unparse(node.func)
        if node.func.attr in ("glob", "rglob") or call in ("os.walk", "json.load", "json.loads"):
            found.append(f"{path.relative_to(ROOT)}:{node.lineno} {call}")
    return found


def test_folders_and_json_are_read_in_one_place() -> None:
    """An unreadable folder is not an empty one, and JSON is parsed strictly."""
    files = [path for room in CODE for path in sorted((ROOT / room).rglob("*.py"))]
    careless = {path.relative_to(ROOT).as_posix(): careless_calls(path) for path in files}
    wrong = [call for name, calls in careless.items() if name not in EXEMPT for call in calls]
    assert not wrong, "use list_folder, walk and read_json of benchmark.files"


# Rooms that may have more files, and why.
CROWDED = {
    "methods": "one file per method",
    "tools": "one file per command",
}


def test_rooms_stay_small() -> None:
    """At most 15 modules per folder, not counting `__init__.py` and private modules (`_…`)."""
    folders = {path.parent for room in CODE for path in (ROOT / room).rglob("*.py")}
    counts = {
        folder.relative_to(ROOT).as_posix(): len(list(folder.glob("[!_]*.py")))
        for folder in folders
    }
    assert not {name: n for name, n in counts.items() if n > 15 and name not in CROWDED}


def test_files_stay_readable() -> None:
    """At most 400 lines."""
    rooms = ("benchmark", "methods", "configs", "leaderboard", "tools", "tests")
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 50
    long = {str(path): n for path in files if (n := len(path.read_text().splitlines())) > 400}
    assert not long
