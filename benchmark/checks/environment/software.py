"""Installed packages, compilers and the code version, compared with the lock."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from benchmark.checks.environment import Finding, judged
from benchmark.errors import InputError
from benchmark.files import list_folder
from benchmark.results import collect_provenance

ROOT = Path(__file__).resolve().parents[3]

#: Packages that results depend on; the others of the lock are only counted.
PACKAGES = (
    *("torch", "torchvision", "timm", "numpy", "scipy", "pandas", "pyarrow", "pillow"),
    *("scikit-image", "opencv-python-headless", "safetensors", "matplotlib"),
    *("onedl-mmengine", "onedl-mmcv", "onedl-mmsegmentation", "onedl-mmdetection"),
    "onedl-mmpretrain",
)
_INSTALL = "make setup installs the lock"


def read_lock(path: Path) -> dict[str, str]:
    """Versions locked for this Python and system: canonical name → version.

    Args:
        path: lines of ``name==version``, with or without a marker.

    Raises:
        InputError: a line has another form.
    """
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        line = line.partition("#")[0].strip()
        if not line or line.startswith("-"):
            continue
        try:
            requirement = Requirement(line)
            (pin,) = requirement.specifier
        except ValueError:  # also raised for anything but a single pin
            raise InputError(f"{path}, line {number}: not name==version: {line}") from None
        if requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = pin.version
    return found


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _same(installed: str, locked: str) -> bool:
    # The local part (2.11.0+cu130) denotes the build, not the version.
    return Version(installed).public == Version(locked).public


def examine_packages(lock: dict[str, str]) -> Iterator[Finding]:
    """One finding per package of `PACKAGES`, and one for all others of the lock."""
    for name in PACKAGES:
        installed, locked = _installed(name), lock.get(name)
        if installed is None:
            yield Finding(name, "not installed", "missing", f"required; {_INSTALL}")
        else:
            same = locked is None or _same(installed, locked)
            advice = f"the lock says {locked}: results may differ in the last digits; {_INSTALL}"
            yield judged(name, installed, same, advice, "note")
    others = {name: _installed(name) for name in lock if name not in PACKAGES}
    there = {name: version for name, version in others.items() if version is not None}
    wrong = [
        f"{name} {there[name]}" for name in sorted(there) if not _same(there[name], lock[name])
    ]
    advice = f"other versions than in the lock: {', '.join(wrong[:5])}; {_INSTALL}"
    value = f"{len(there) - len(wrong)} of {len(there)} installed ones match the lock"
    yield judged("other packages", value, not wrong, advice, "note")


def examine_python() -> Finding:
    """The Python version, of which the lock covers 3.10 to 3.12."""
    advice = "the lock is made for Python 3.10 to 3.12; make setup PYTHON=python3.12"
    state = "missing" if sys.version_info < (3, 10) else "note"
    good = (3, 10) <= sys.version_info[:2] <= (3, 12)
    return judged("python", platform.python_version(), good, advice, state)


def examine_mmcv() -> Finding:
    """Origin of mmcv's operations, without importing mmcv, which takes seconds."""
    spec = find_spec("mmcv")
    if spec is None or not spec.submodule_search_locations:
        return Finding("mmcv operations", "mmcv not installed", "missing", _INSTALL)
    folder = Path(next(iter(spec.submodule_search_locations)))
    compiled = bool(list_folder(folder, "_ext.*"))
    origin = "compiled with mmcv" if compiled else "torchvision's, by benchmark.openmmlab.mmcv_ops"
    return Finding("mmcv operations", origin)


def examine_compiler(on_gpu: bool) -> Finding:
    """Requirements of torch.compile: a C++ compiler; on a GPU, a C compiler and triton."""
    wanted = ("CC", "gcc", "clang") if on_gpu else ("CXX", "g++", "clang++")
    named = os.environ.get(wanted[0])
    candidates = [named] if named else wanted[1:]
    found = next((path for name in candidates if (path := shutil.which(name))), None)
    lacking = [] if found else [f"{named or ' or '.join(wanted[1:])} was not found"]
    if on_gpu and find_spec("triton") is None:
        lacking.append("triton is not installed")
    advice = (
        f"compile=True will fail ({', '.join(lacking)}): install it (Debian: apt install g++), or "
        "keep compile=False"
    )
    return judged("torch.compile", Path(found).name if found else "none", not lacking, advice)


def examine_git() -> Finding:
    """The commit that results will record."""
    git = collect_provenance()["git"]
    if git is None:
        advice = "results will not record a commit; work in a git clone"
        return Finding("git", "not a checkout", "note", advice)
    advice = "results will be marked as made with uncommitted changes; commit first"
    value = git["commit"][:12] + (", changed" if git["dirty"] else "")
    return judged("git", value, not git["dirty"], advice, "note")


def examine_software(lock: Path | None = None) -> Iterator[Finding]:
    """Python, packages, mmcv's operations and the commit.

    Args:
        lock: lock file; by default that of this checkout, if any.
    """
    lock = lock or ROOT / "requirements.txt"
    yield examine_python()
    if lock.is_file():
        yield from examine_packages(read_lock(lock))
    else:
        yield from examine_packages({})
        advice = "versions were not compared; run this from a clone"
        yield Finding("lock", f"no {lock}", "note", advice)
    yield examine_mmcv()
    yield examine_git()
