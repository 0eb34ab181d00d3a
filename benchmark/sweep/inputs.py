"""What a sweep needs and does not produce: packs, prepared tasks, released encoders."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.downstream.frozen.preview import require_umap
from benchmark.errors import InputError
from benchmark.sweep.jobs import MANIFEST
from benchmark.sweep.matrix import Matrix


def missing_pack(matrix: Matrix, packs: Sequence[str], frames: int | None, anatomy: bool) -> str:
    """What these packs lack, and the command that makes it; or empty."""
    try:
        _, _, without_anatomy = corpus_of(tuple(packs), frames)
    except InputError as error:
        missing = next((path for path in packs if not Path(path).is_dir()), packs[0])
        command = _declared(matrix, missing)
        out = shlex.quote(missing)
        command = command or f"tools/prepare_data.py SOURCE --raw DIR --out {out}"
        if "tools/extract_anatomy.py" not in command:
            command += f" && tools/extract_anatomy.py {out}"
        return f"{error}: {command}"
    if anatomy and without_anatomy:
        command = f"tools/extract_anatomy.py {shlex.quote(str(without_anatomy))}"
        return f"{without_anatomy}: no vessel masks: {command}"
    return ""


@cache
def corpus_of(
    packs: tuple[str, ...], frames: int | None, held_out: float | None = None
) -> tuple[str, int, Path | None]:
    """Hash of the pre-training dataset, number of frames, and the first pack without vessel masks.

    Raises:
        InputError: a pack is missing or damaged.
    """
    # Importing pandas takes seconds.
    from benchmark.data.packs import open_packs, training_frames

    corpus = training_frames(open_packs(packs), frames, held_out)
    return corpus.corpus_hash, len(corpus), corpus.without_anatomy


def missing_task(matrix: Matrix, config: Path, folder: str) -> str:
    """A line that a prepared task is missing, with the command that makes it; or empty."""
    if (Path(folder) / MANIFEST).is_file():
        return ""
    command = _declared(matrix, folder) or prepare_command(config, folder)
    return f"{folder}: no such task: {command or 'see docs/datasets.md'}"


def prepare_command(config: Path, folder: str) -> str:
    """The command in the docstring of a dataset's config, writing into `folder`; or empty."""
    # The dataset of another protocol may be prepared as the usual config says.
    usual = config.parent.parent / config.name
    documented = _documented(config, "prepare_data") or _documented(usual, "prepare_data")
    # A function: in a replacement, backslashes have a meaning.
    return re.sub(r"--out \S+", lambda _: f"--out {shlex.quote(folder)}", documented)


def missing_encoder(matrix: Matrix, config: Path | None, folder: str) -> str:
    """A line that a released encoder is missing, with the command that makes it; or empty."""
    if (Path(folder) / "encoder.json").is_file():
        return ""
    command = _declared(matrix, folder) or _documented(config, "convert_checkpoint")
    if command and "--out" not in command:
        command += f" --out {shlex.quote(folder)}"
    return f"{folder}: no such encoder: {command or 'see docs/released_encoders.md'}"


def missing_library(facts: dict[str, Any]) -> str:
    """Which library that a cell needs is not installed, and the remedy; or empty."""
    try:
        if facts.get("umap"):
            require_umap()
    except InputError as error:
        return str(error)
    return ""


def _declared(matrix: Matrix, folder: str) -> str:
    """The command that the matrix itself gives for a folder; or empty."""
    for path, command in matrix.commands.items():
        if matrix.at(path) == folder:
            return matrix.command_at(command)
    return ""


def _documented(config: Path | None, tool: str) -> str:
    """The command of this tool in the docstring of a config, continued lines joined; or empty."""
    if config is None or not config.is_file():
        return ""
    text = ast.get_docstring(ast.parse(config.read_text(encoding="utf-8"))) or ""
    found = re.search(rf"tools/{tool}\.py (?:[^\n]*\\\n)*[^\n]*", text)
    return re.sub(r"\s*\\\n\s*", " ", found[0]).strip() if found else ""
