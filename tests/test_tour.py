"""docs/tour.ipynb is small, speaks to the public names only, and runs."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import nbformat
import pytest

import benchmark
from benchmark.commands import list_commands

ROOT = Path(__file__).resolve().parents[1]
TOUR = ROOT / "docs" / "tour.ipynb"
# What a machine, not the reader's, calls its folders.
_ABSOLUTE = re.compile(r"(?<![\w.:/~}])/(?:[A-Za-z_][\w.-]*/)+[\w.-]+")


def read(path: Path = TOUR) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in code(notebook) for output in cell.outputs]


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    """Sources, and what is text of the outputs."""
    found = [cell.source for cell in notebook.cells]
    for output in outputs(notebook):
        found.append(output.get("text", ""))
        found += [v for kind, v in output.get("data", {}).items() if kind.startswith("text/")]
    return found


def test_it_is_a_valid_notebook_of_ten_cells_in_order() -> None:
    notebook = read()
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, 11))
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert not any("execution" in cell.metadata for cell in notebook.cells)  # time stamps


def test_it_is_small_and_of_no_machine() -> None:
    assert TOUR.stat().st_size < 300_000
    assert max(len(str(output)) for output in outputs(read())) < 100_000
    assert [found for text in texts(read()) for found in _ABSOLUTE.findall(text)] == []


def test_it_uses_public_names_and_known_commands() -> None:
    """And no module of the package."""
    names, modules, commands = set(), set(), set()
    for cell in code(read()):
        source = "\n".join(line for line in cell.source.splitlines() if line[:1] != "%")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "benchmark":
                names.add(node.attr)
            elif isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(f"from {node.module}")
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "angio_ssl":
                commands |= {*re.findall(r"^f?['\"]([\w-]+) ", ast.unparse(node.args[0]))}
    assert names <= set(benchmark.__all__)
    assert {"angiogram", "vessel_mask", "encode_frames", "load_model"} <= names
    expected = {"benchmark", "matplotlib", "numpy", "pandas", "subprocess", "sys", "torch"}
    assert modules == expected | {"warnings"}
    assert commands == {
        *("prepare-data", "extract-anatomy", "train", "show", "finetune", "leaderboard")
    }
    assert commands <= list_commands().keys()


def test_its_links_exist() -> None:
    found = [link for text in texts(read()) for link in re.findall(r"\]\(([\w./-]+)", text)]
    assert found
    assert [link for link in found if not (TOUR.parent / link).exists()] == []


@pytest.mark.slow
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own: everything is drawn, and the board has its three rows."""
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    notebook = read()
    for cell in code(notebook):
        cell.outputs, cell.execution_count = [], None
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=place).execute()
    kinds = [kind for output in outputs(notebook) for kind in output.get("data", {})]
    assert kinds.count("image/jpeg") == 6
    (table,) = [
        output.data["text/html"] for output in outputs(notebook) if "text/html" in str(output)
    ]
    assert re.findall(r"<th>([A-Z][^<]*)</th>", table)[-3:] == ["Frangi filter", "MAE", "VasoMIM"]
    assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]
    assert (tmp_path / "work_dirs" / "tour" / "leaderboard.html").is_file()
