"""Installed software, compared with the lock."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from benchmark.checks.environment import Finding, software
from benchmark.errors import InputError


@pytest.fixture
def lock(tmp_path: Path):
    def write(text: str) -> dict[str, str]:
        path = tmp_path / "requirements.txt"
        path.write_text(text, encoding="utf-8")
        return software.read_lock(path)

    return write


def by_name(findings) -> dict[str, Finding]:
    return {found.name: found for found in findings}


def test_read_lock(lock):
    """Lines of other systems and Python versions and comments are skipped; names are canonical."""
    found = lock(
        "# made by uv\nnumpy==1.0 ; python_version < '3'\nnumpy==2.0 ; python_version >= '3'\n"
        "Some_Package==1.2  # why\nwin==1 ; sys_platform == 'nowhere'\n\n--hash=sha256:0\n"
    )
    assert found == {"numpy": "2.0", "some-package": "1.2"}


@pytest.mark.parametrize("line", ["numpy", "numpy==1,<3", "not a requirement!"])
def test_unpinned_lines_are_refused(lock, line):
    with pytest.raises(InputError, match=r"requirements.txt, line 2: not name==version"):
        lock(f"timm==1.0\n{line}\n")


def test_other_versions_than_locked_are_notes():
    installed = {name: metadata.version(name) for name in software.PACKAGES}
    assert {f.state for f in software.examine_packages(installed)} == {"ok"}
    found = by_name(software.examine_packages({**installed, "timm": "0.1"}))
    assert found["timm"].state == "note"
    assert "the lock says 0.1" in found["timm"].advice
    assert found["numpy"].state == "ok"


def test_local_version_is_ignored(monkeypatch):
    monkeypatch.setattr(software.metadata, "version", lambda name: "2.11.0+cu130")
    assert by_name(software.examine_packages({"torch": "2.11.0"}))["torch"].state == "ok"
    assert by_name(software.examine_packages({"torch": "2.11.1"}))["torch"].state == "note"


def test_missing_packages_and_missing_extras(monkeypatch):
    """Only `PACKAGES` are required; the lock also holds development tools."""
    true = metadata.version

    def version(name: str) -> str:
        if name in {"timm", "playwright"}:
            raise metadata.PackageNotFoundError(name)
        return true(name)

    monkeypatch.setattr(software.metadata, "version", version)
    found = by_name(software.examine_packages({"timm": "1", "playwright": "1", "pip": true("pip")}))
    assert found["timm"].state == "missing"
    assert found["other packages"].state == "ok"
    assert found["other packages"].value.startswith("1 of 1")


def test_other_packages_of_another_version_are_named():
    found = by_name(software.examine_packages({"pip": "0.1"}))["other packages"]
    assert found.state == "note"
    assert f"pip {metadata.version('pip')}" in found.advice


def test_compiler_is_found_like_torch_does(monkeypatch):
    monkeypatch.setenv("CXX", sys.executable)
    assert software.examine_compiler(on_gpu=False).value == Path(sys.executable).name
    monkeypatch.setenv("CXX", "no-such-compiler")
    found = software.examine_compiler(on_gpu=False)
    assert found.state == "slow"
    assert "no-such-compiler was not found" in found.advice
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "")
    assert "g++ or clang++ was not found" in software.examine_compiler(on_gpu=False).advice


def test_compiling_for_a_gpu_needs_triton(monkeypatch):
    monkeypatch.setenv("CC", sys.executable)
    monkeypatch.setattr(software, "find_spec", lambda name: None)
    assert "triton is not installed" in software.examine_compiler(on_gpu=True).advice


def test_mmcv_is_found_without_importing_it():
    """Importing takes seconds, and would install our operations."""
    code = (
        "from benchmark.checks.environment import software\n"
        "import sys\n"
        "print(software.examine_mmcv().value, 'mmcv' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    spec = software.find_spec("mmcv")
    (folder,) = spec.submodule_search_locations
    compiled = any(Path(folder).glob("_ext.*"))
    assert done.stdout.split()[-1] == "False"
    assert ("torchvision" in done.stdout) == (not compiled)


def test_compiled_operations_are_recognised(monkeypatch, tmp_path):
    class Spec:
        submodule_search_locations = [str(tmp_path)]

    monkeypatch.setattr(software, "find_spec", lambda name: Spec)
    assert "torchvision" in software.examine_mmcv().value
    (tmp_path / "_ext.cpython-311.so").touch()
    assert software.examine_mmcv().value == "compiled with mmcv"


@pytest.mark.parametrize(
    ("git", "state"),
    [
        (None, "note"),
        ({"commit": "0123456789abcdef", "dirty": True}, "note"),
        ({"commit": "0123456789abcdef", "dirty": False}, "ok"),
    ],
)
def test_uncommitted_changes_are_noted(monkeypatch, git, state):
    monkeypatch.setattr(software, "collect_provenance", lambda: {"git": git})
    found = software.examine_git()
    assert found.state == state
    assert git is None or found.value.startswith("0123456789ab")
    assert (git or {}).get("dirty", False) == ("changed" in found.value)


def test_missing_lock_is_noted(tmp_path):
    assert by_name(software.examine_software(tmp_path / "none.txt"))["lock"].state == "note"
