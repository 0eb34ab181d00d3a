"""Reading and writing records and their per-image scores."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import files
from benchmark.errors import InputError, explain_os_error
from benchmark.results.examples import SUFFIX as EXAMPLES
from benchmark.results.examples import Example, pack_examples
from benchmark.results.schema import RunRecord, config_hash
from benchmark.schemas import read_validated, validate
from benchmark.text import visible

if TYPE_CHECKING:
    import pandas as pd

#: Larger records are refused; a typical one has about 10 KB.
MAX_RECORD_BYTES = 1 << 22
#: Scores beyond this are refused, so that sums of them stay finite.
MAX_SCORE = 1e100
SCORES = ".csv"
#: Name of the results folder of a work folder.
RESULTS = "results"
#: Text columns of the scores; all others are numeric.
NAMES = ("image", "patient")
_FLAGS = {"True": 1.0, "False": 0.0, "": math.nan}


def record_path(root: Path | str, protocol: str, method: str, dataset: str, seed: int) -> Path:
    """Path of the record of one run below `root`, the results folder."""
    return Path(root, protocol, method, dataset, f"seed{seed}.json")


def path_of(record: RunRecord, root: Path | str = "") -> Path:
    """`record_path` of a record; relative to the results folder unless `root` is given."""
    return record_path(root, record.protocol, record.method, record.dataset, record.seed)


def write_record(
    folder: Path | str, record: RunRecord, per_image: pd.DataFrame, examples: Sequence[Example] = ()
) -> Path:
    """Write a record with its scores and examples below `folder`, replacing an existing one.

    Args:
        folder: the results folder; the path below it is `record_path`.
        record: the record; its `per_image` and `examples` are set here.
        per_image: one row per scored image and one column per metric, in the metric's units; column
            ``image`` holds the image id, ``patient`` (if known) the patient.
        examples: example predictions.

    Returns the path of the JSON file.

    Raises:
        InputError: a value of the record is invalid, `config_hash` is not the hash of `config`, or
            the number of rows is not `n_images`.
    """
    path = path_of(record, folder)
    beside: dict[str, bytes] = {SCORES: per_image.to_csv(index=False, lineterminator="\n").encode()}
    if examples:
        beside[EXAMPLES] = pack_examples(examples)
    entries = {
        suffix: {"file": path.with_suffix(suffix).name, "sha256": files.sha256_bytes(content)}
        for suffix, content in beside.items()
    }
    data = record.model_dump(warnings=False)
    data |= {"per_image": entries[SCORES], "examples": entries.get(EXAMPLES)}
    # A copy of a record with other values was never validated.
    validate(RunRecord, data, path)
    if config_hash(record.config) != record.config_hash:
        raise InputError(f"{path}: key 'config_hash' is not the hash of 'config'")
    if (rows := len(per_image)) != record.n_images:
        raise InputError(f"{path}: key 'n_images' is {record.n_images}, but {rows} have scores")
    put_record(path, data, beside)
    return path


def put_record(path: Path, data: Mapping[str, Any], beside: Mapping[str, bytes]) -> None:
    """Write the files beside a record, given by suffix, and then the record itself.

    An interruption leaves either no record or a record with its own scores.
    """
    path.unlink(missing_ok=True)
    for suffix in (SCORES, EXAMPLES):
        if suffix in beside:
            with files.atomic_write(path.with_suffix(suffix)) as stream:
                stream.write(beside[suffix])
        else:
            path.with_suffix(suffix).unlink(missing_ok=True)
    files.write_json(path, data)


def read_record(path: Path | str) -> RunRecord:
    """Read one record and validate it against its schema and the hash of its scores.

    Examples are not opened: `read_examples` checks them.

    Raises:
        InputError: no such file, not a valid record, or its per-image scores are missing or were
            changed; names the file and the key.
    """
    path = Path(path)
    record = read_validated(path, RunRecord, MAX_RECORD_BYTES)
    scores = path.with_suffix(SCORES)
    if record.per_image is None:
        raise InputError(f"{path}: key 'per_image' must be an object, found None")
    if record.per_image.file != scores.name or not scores.exists():
        raise InputError(f"{path}: key 'per_image.file': {scores.name} is missing beside it")
    content, expected = files.read_regular(scores), record.per_image.sha256
    if files.sha256_bytes(content) != expected:
        if files.sha256_bytes(content.replace(b"\r\n", b"\n")) == expected:
            raise InputError(
                f"{path}: the lines of {scores.name} end in CRLF, but were written with LF; git "
                "converts them: run `git config core.autocrlf false` (or add `*.csv -text` "
                f"to .gitattributes), delete {scores.name} and check it out again"
            )
        raise InputError(f"{path}: key 'per_image.sha256' is not the hash of {scores.name}")
    return record


def read_scores(path: Path | str, columns: Collection[str] | None = None) -> dict[str, list[Any]]:
    """Read the per-image scores beside the record at `path`, column by column.

    The record is not opened; `read_record` compares its hash with the file.

    Args:
        path: the record's JSON file.
        columns: the columns to parse; None: all. Columns the file does not have are ignored.

    Returns:
        ``image`` and ``patient``: strings, None where the patient is unknown; the column
        ``patient`` is absent if no patient is known. Every other column: floats in the metric's
        units, NaN where the image has no such score, 1.0 and 0.0 for true and false.

    Raises:
        InputError: the file is missing or not a table of scores; names the row and the column.
    """
    file = Path(path).with_suffix(SCORES)
    content = files.read_regular(file)
    try:
        head, *rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
    except (ValueError, csv.Error) as error:
        raise InputError(f"{file}: not a table of scores ({error})") from None
    if "image" not in head or any(len(row) != len(head) for row in rows):
        raise InputError(
            f"{file}: not a table of scores (a column 'image', all rows of one length)"
        )
    if len(set(head)) < len(head):
        raise InputError(f"{file}: not a table of scores (two columns of one name)")
    table = dict(zip(head, zip(*rows) if rows else [()] * len(head)))
    wanted = head if columns is None else [name for name in head if name in columns]
    return {
        name: [cell or None for cell in table[name]]
        if name in NAMES
        else _numbers(table[name], f"{file}: column '{name}'")
        for name in wanted
    }


def _numbers(cells: Sequence[str], where: str) -> list[float]:
    try:
        numbers = list(map(float, cells))
    except ValueError:
        numbers = [_number(cell, f"{where}, row {row}") for row, cell in enumerate(cells, start=1)]
    for row, number in enumerate(numbers, start=1):
        if abs(number) > MAX_SCORE:
            raise InputError(f"{where}, row {row}: {number} is not a score")
    return numbers


def _number(cell: str, where: str) -> float:
    try:
        return _FLAGS[cell] if cell in _FLAGS else float(cell)
    except ValueError:
        raise InputError(f"{where}: {cell!r:.40} is not a number") from None


@dataclass(frozen=True, slots=True)
class ScannedRecords:
    """The records of a folder, and its problems.

    Attributes:
        records, paths: the records and their files by `path_of`.
        problems: one line per skipped file and per folder that could not be listed.
        unlisted: number of folders that could not be listed, whose records are unknown.
    """

    records: dict[Path, RunRecord]
    paths: dict[Path, Path]
    problems: list[str]
    unlisted: int


def scan_results(folder: Path | str) -> ScannedRecords:
    """Read every record below `folder`; `read_results` says which files are skipped.

    `folder` may also hold results folders, as ``work_dirs`` does: where something below it is
    called ``results``, other files outside of these folders are not records unless they are
    named like one.

    Raises:
        InputError: `folder` is not a folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of results; tools/finetune.py makes one")
    problems: list[str] = []
    # Nearest first, then by path.
    entries = sorted(files.walk(folder, problems), key=lambda path: (len(path.parts), path.parts))
    unlisted = len(problems)
    inside = [path for path in entries if RESULTS in path.parts[len(folder.parts) : -1]]
    if inside:
        within = set(inside)
        entries = [path for path in entries if path in within or path.name.startswith("seed")]
    records: dict[Path, RunRecord] = {}
    paths: dict[Path, Path] = {}
    for path in entries:
        try:
            if not _is_record(path):
                continue
            record = read_record(path)
        except InputError as error:
            problems.append(str(error))
            continue
        except OSError as error:
            problems.append(explain_os_error(error))
            continue
        place = path_of(record)
        if place in records:
            problems.append(f"{path}: a second record of the run {place.as_posix()}")
        elif path.absolute().parts[-4:] != place.parts:
            problems.append(f"{path}: its ids name another place, {place.as_posix()}")
        else:
            records[place], paths[place] = record, path
    lines = sorted(relative_line(folder, line) for line in problems)
    return ScannedRecords(records, paths, lines, unlisted)


def _is_record(path: Path) -> bool:
    """Whether a file of a results folder is meant to be a record; a stray one is an InputError."""
    name = path.name.lower()
    for suffix, what in ((EXAMPLES, "examples"), (SCORES, "per-image scores")):
        if name.startswith("seed") and name.endswith(suffix):
            if not path.with_name(path.name[: -len(suffix)] + ".json").exists():
                raise InputError(f"{path}: {what} without a record")
            return False
    if path.is_symlink() and not path.exists():
        raise InputError(f"{path}: a broken link")
    if not name.endswith(".json"):
        return False
    if path.suffix != ".json":
        raise InputError(f"{path}: is skipped for its extension; rename it to {path.stem}.json")
    return True


def relative_line(folder: Path, line: str) -> str:
    """A message that begins with a path below `folder`, relative to it: equal on all machines."""
    return visible(line).removeprefix(visible(f"{folder}{os.sep}"))


def placed_line(path: Path, place: Path, line: str) -> str:
    """A message that begins with a file beside the record at `path`, relative to all results."""
    file = visible(line).removeprefix(visible(f"{path.parent}{os.sep}"))
    return file if file == line else f"{place.parent.as_posix()}/{file}"


def read_results(folder: Path | str) -> tuple[list[RunRecord], list[str]]:
    """Read every record below `folder`, in the order of their paths.

    Returns:
        The valid records, and one line per skipped file: damaged, foreign, not at the path of its
        ids, a second record of a run (the one nearer to `folder` is kept), or scores or examples
        without a record; and one per folder that cannot be listed. Hidden files (``._…`` and
        ``.DS_Store`` of macOS) and those that end in ``.tmp`` are ignored.

    Raises:
        InputError: `folder` is not a folder.
    """
    found = scan_results(folder)
    return [found.records[place] for place in sorted(found.records)], found.problems
