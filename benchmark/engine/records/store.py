"""Reading and writing records and the scores beside them."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import files
from benchmark.engine.records.examples import SUFFIX as EXAMPLES
from benchmark.engine.records.examples import Example, packed
from benchmark.engine.records.migrations import to_current
from benchmark.engine.records.origin import science_hash
from benchmark.engine.records.schema import RunRecord, validate
from benchmark.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SCORES = ".csv"
#: Columns of the scores that hold names; those of all others are numbers.
NAMES = ("image", "patient")
_FLAGS = {"True": 1.0, "False": 0.0, "": math.nan}


def record_path(root: Path | str, protocol: str, method: str, dataset: str, seed: int) -> Path:
    """Where the record of one run lies below `root`, the folder of all results."""
    return Path(root) / protocol / method / dataset / f"seed{seed}.json"


def path_of(record: RunRecord, root: Path | str = "") -> Path:
    """`record_path` of a record; relative to the folder of all results unless `root` is given."""
    return record_path(root, record.protocol, record.method, record.dataset, record.seed)


def write_record(
    folder: Path | str,
    record: RunRecord,
    per_image: pd.DataFrame,
    examples: Sequence[Example] = (),
) -> Path:
    """Write the record and what lies beside it below `folder`; an older record is replaced.

    Args:
        folder: the folder of all results; the file's place below it is `record_path`.
        record: what to write; its `per_image` and `examples` are filled in here.
        per_image: one row per scored image, with a column per metric in the metric's units; column
            ``image`` names the image, ``patient`` (where known) whose it is.
        examples: predictions to be looked at.

    Returns the path of the JSON file.

    Raises:
        InputError: a value of the record is not valid, `science_hash` is not that of `config`, or
            the rows are not `n_images`.
    """
    path = path_of(record, folder)
    beside: dict[str, bytes] = {SCORES: per_image.to_csv(index=False, lineterminator="\n").encode()}
    if examples:
        beside[EXAMPLES] = packed(examples)
    entries = {
        suffix: {"file": path.with_suffix(suffix).name, "sha256": files.sha256_bytes(content)}
        for suffix, content in beside.items()
    }
    record = replace(record, per_image=entries[SCORES], examples=entries.get(EXAMPLES))
    data = asdict(record)
    validate(data, str(path))
    if science_hash(record.config) != record.science_hash:
        raise InputError(f"{path}: key 'science_hash' is not the hash of 'config'")
    if (rows := len(per_image)) != record.n_images:
        raise InputError(f"{path}: key 'n_images' is {record.n_images}, but {rows} have scores")
    put_record(path, data, beside)
    return path


def put_record(path: Path, data: Mapping[str, Any], beside: Mapping[str, bytes]) -> None:
    """Put a record in its place, last of all, and what lies beside it by its suffix.

    Whenever this is interrupted, either no record is there or one with its own scores.
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
    """Read one record and check it against its schema and its per-image scores.

    Records of older schemas are read as if they were of today's. Examples are not opened: whoever
    reads them (`read_examples`) checks them.

    Raises:
        InputError: no such file, no valid record, or its per-image scores are missing or were
            changed; names the file and the key.
    """
    path = Path(path)
    data = to_current(files.read_json(path), str(path))
    validate(data, str(path))
    scores = path.with_suffix(SCORES)
    if data["per_image"]["file"] != scores.name or not scores.is_file():
        raise InputError(f"{path}: key 'per_image.file': {scores.name} is missing beside it")
    if files.sha256_file(scores) != data["per_image"]["sha256"]:
        raise InputError(f"{path}: key 'per_image.sha256' is not the hash of {scores.name}")
    return RunRecord(**data)


def read_scores(path: Path | str, columns: Collection[str] | None = None) -> dict[str, list[Any]]:
    """The scores of every image beside the record at `path`, column by column.

    The record is not opened; `read_record` is what compares its hash with the file.

    Args:
        path: the record's JSON file (`path_of` names it below the folder of all results).
        columns: the ones that are needed, which is faster; None: all. One that the file does not
            have is left out.

    Returns:
        ``image`` and ``patient``: texts, None where the patient is not known; the column is absent
        where no patient is. Every other column: floats in the metric's units, NaN where the image
        has no such score, 1.0 and 0.0 for true and false.

    Raises:
        InputError: the file is missing or is not a table of scores; names the row and the column.
    """
    file = Path(path).with_suffix(SCORES)
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            head, *rows = csv.reader(stream)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; the scores lie beside their record") from None
    except (ValueError, csv.Error) as error:
        raise InputError(f"{file}: not a table of scores ({error})") from None
    if "image" not in head or any(len(row) != len(head) for row in rows):
        raise InputError(
            f"{file}: not a table of scores (a column 'image', all rows of one length)"
        )
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
        return list(map(float, cells))
    except ValueError:
        return [_number(cell, f"{where}, row {row}") for row, cell in enumerate(cells, start=1)]


def _number(cell: str, where: str) -> float:
    try:
        return _FLAGS[cell] if cell in _FLAGS else float(cell)
    except ValueError:
        raise InputError(f"{where}: {cell!r:.40} is not a number") from None


@dataclass(frozen=True, slots=True)
class Found:
    """The records of a folder by their place in it, their files, and why others are left out."""

    records: dict[Path, RunRecord]
    paths: dict[Path, Path]
    problems: list[str]


def scan_results(folder: Path | str) -> Found:
    """What `read_results` returns, and the file of every record.

    Raises:
        InputError: `folder` is not a folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of results")
    found = Found({}, {}, [])
    for suffix, what in ((SCORES, "per-image scores"), (EXAMPLES, "examples")):
        found.problems.extend(
            f"{file.relative_to(folder).as_posix()}: {what} without a record"
            for file in _files(folder, f"seed*{suffix}")
            if not file.with_name(file.name.removesuffix(suffix) + ".json").exists()
        )
    for path in _files(folder, "*.json"):
        name = path.relative_to(folder).as_posix()
        try:
            record = read_record(path)
        except (InputError, OSError) as error:
            found.problems.append(str(error).replace(str(path), name))
            continue
        place = path_of(record)
        if place in found.records:
            found.problems.append(f"{name}: a second record of the run {place.as_posix()}")
        elif path.absolute().parts[-4:] != place.parts:
            found.problems.append(f"{name}: its ids name another place, {place.as_posix()}")
        else:
            found.records[place] = record
            found.paths[place] = path
    found.problems.sort()
    return found


def read_results(folder: Path | str) -> tuple[list[RunRecord], list[str]]:
    """Read every record below `folder`, in the order of their paths.

    Returns:
        The valid records, and one line per file left out: damaged, foreign, not in the place its
        ids name, a second record of a run (the one nearer to `folder` is kept), or scores or
        examples without a record. Files that end in ``.tmp`` are passed over.

    Raises:
        InputError: `folder` is not a folder.
    """
    found = scan_results(folder)
    return [found.records[place] for place in sorted(found.records)], found.problems


def _files(folder: Path, pattern: str) -> list[Path]:
    """What matches below `folder`, nearest first, then by path."""
    return sorted(folder.rglob(pattern), key=lambda path: (len(path.parts), path))
