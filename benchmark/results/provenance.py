"""Provenance of a result: code, versions, command line."""

from __future__ import annotations

import copy
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    *("numpy", "scipy", "pandas", "torch", "torchvision", "timm"),
    *("mmengine", "mmcv", "mmsegmentation", "mmdetection", "mmpretrain"),
    # What decodes and resizes frames, and what computes clDice, SSIM and average precision.
    *("pillow", "opencv-python-headless", "scikit-image", "pycocotools"),
)

# The folders of an absolute path, or of one that starts at a home.
_FOLDER = re.compile(r"(?<![\w.:…/-])[/~][^\s,;='\"\])]*/(?=[^/\s])")


def collect_provenance() -> dict[str, Any]:
    """The fields ``versions`` and ``git`` of a record.

    Returns:
        ``versions``: Python and the installed packages of `_PACKAGES`, from their metadata, without
        importing them. ``git``: ``{"commit", "dirty"}`` of the checkout that holds this file, not
        the current folder's; None where git does not track it. Dirty: a Python, TOML or
        requirements file differs from the commit; results written meanwhile do not count. Both are
        read once per process, as imported code stays the same if the files change.
    """
    return copy.deepcopy(_provenance())


@cache
def _provenance() -> dict[str, Any]:
    versions = {"python": platform.python_version(), **installed_versions(_PACKAGES)}
    # An untracked file is an installed copy inside somebody else's checkout.
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return {"versions": versions, "git": None}
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", ":/*.py", ":/*.toml", ":/requirements*.txt")
    known = commit is not None and changes is not None
    git = {"commit": commit, "dirty": changes != ""} if known else None
    return {"versions": versions, "git": git}


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of the packages that are installed, from their metadata."""
    versions = {}
    for name in packages:
        # The maintained distributions of the mm* packages carry a prefix.
        for distribution in (f"onedl-{name}", name):
            with suppress(metadata.PackageNotFoundError):
                versions[name] = metadata.version(distribution)
                break
    return versions


def _git(*arguments: str) -> str | None:
    """Output of git in this file's folder; None where git is absent or declines."""
    # Inside a git hook these variables would point every call at the hook's repository.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"  # else `git status` writes into the repository
    options = {"cwd": Path(__file__).resolve().parent, "env": environment, "timeout": 30}
    try:
        done = subprocess.run(["git", *arguments], **options, capture_output=True, text=True)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def command_line(arguments: Sequence[str]) -> str:
    """A command as one shell line, without local folders.

    Absolute paths are shortened to ``…/name``, and the program to its name: records are published,
    and local paths are neither reproducible nor public.

    Args:
        arguments: as in `sys.argv`, the program first.
    """
    program, *rest = arguments
    # Not quoted: it may be ``angio-ssl finetune``.
    command = f"{Path(program).name} {_FOLDER.sub('…/', shlex.join(rest))}"
    # A name that is not UTF-8 could not be written into a record.
    return command.encode("utf-8", "backslashreplace").decode()
