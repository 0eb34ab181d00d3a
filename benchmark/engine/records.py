"""Result records: one run is one JSON file, with its per-image scores in a CSV file beside it.

``results/<protocol>/<method>/<dataset>/seed<k>.json`` and ``seed<k>.csv``. The CSV is written
first and the JSON, which names the CSV's hash, last: a run that is killed in between leaves no
record. Nothing here imports torch, so that the leaderboard starts at once.
"""

from __future__ import annotations

import math
import os
import platform
import re
import subprocess
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import files
from benchmark.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
TASKS = ("segmentation", "detection", "denoising")

#: Configuration keys that say where and how a run executes, not what it computes. Weights and data
#: named by such a path are identified in the record itself (``encoder``, ``split_hash``,
#: ``corpus_hash``), so that moving them does not change the hash.
NOT_SCIENCE = frozenset(
    {
        *("work_dir", "out", "out_dir", "output", "results", "folder", "root", "path", "paths"),
        *("data_root", "data_dir", "cache_dir", "filename", "checkpoint", "load_from", "packs"),
        *("checkpoint_interval", "keep_checkpoints"),
        *("num_workers", "workers", "persistent_workers", "prefetch_factor", "pin_memory"),
        *("micro_batch", "num_threads", "launcher", "local_rank", "resume", "device", "devices"),
        *("env_cfg", "dist_cfg", "experiment_name", "timestamp", "log_level", "log_interval"),
        *("log_processor", "logger", "logging", "progress_bar", "visualizer", "vis_backends"),
    }
)

_PACKAGES = (
    *("numpy", "scipy", "pandas", "torch", "torchvision", "timm"),
    *("mmengine", "mmcv", "mmsegmentation", "mmdetection", "mmpretrain"),
)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What one run measured, and what it takes to say where the numbers come from.

    Attributes:
        protocol, method, dataset: ids (``"journal"``, ``"vasomim"``, ``"arcade_v"``).
        title, family: the method's name and its section, as printed.
        pretraining: name of the pre-training corpus; ``"—"`` where there is none.
        task: one of `TASKS`.
        seed: seed of this run, 0 or more.
        split_hash: hash of the list of training and test images.
        corpus_hash: hash of the pre-training corpus; None where there is none.
        metrics: name → ``{"value": float, "definition": str, "higher_is_better": bool}``, and
            ``"headline": False`` where it makes no column of the board; values
            at full precision, 0 … 100: percent (decibels for PSNR).
        n_images: number of scored images, which is the number of rows of the CSV file.
        config, science_hash: the resolved configuration, JSON-able, and its `science_hash`.
        seeds: every seed of the run by what it feeds (``{"init": 0, "order": 0, …}``).
        versions, git: from `provenance`; git is None outside a checkout.
        device: the device in words (``"cpu"``, ``"NVIDIA H200"``).
        wall_time_s: duration of the run in seconds.
        finished: end of the run, ISO 8601.
        images_per_s, peak_memory_mb: training throughput and peak device memory (MiB), or None.
        encoder: ``{"fingerprint": …, "weights_sha256": …, "provenance": …}``; None without encoder.
        per_image: ``{"file": name, "sha256": hash}`` of the CSV; filled in by `write_record`.
        leakage: counts of `benchmark.data.leakage.find_leakage_report`; None where the corpus and
            the task were not compared.
        schema: version of this layout.
    """

    protocol: str
    method: str
    title: str
    family: str
    pretraining: str
    dataset: str
    task: str
    seed: int
    split_hash: str
    corpus_hash: str | None
    metrics: dict[str, dict[str, Any]]
    n_images: int
    config: dict[str, Any]
    science_hash: str
    seeds: dict[str, int]
    versions: dict[str, str]
    device: str
    wall_time_s: float
    finished: str
    images_per_s: float | None = None
    peak_memory_mb: float | None = None
    encoder: dict[str, Any] | None = None
    git: dict[str, Any] | None = None
    per_image: dict[str, str] | None = None
    leakage: dict[str, Any] | None = None
    schema: int = SCHEMA


def record_path(root: Path | str, protocol: str, method: str, dataset: str, seed: int) -> Path:
    """Where the record of one run lies below `root`, the folder of all results."""
    return Path(root) / protocol / method / dataset / f"seed{seed}.json"


def path_of(record: RunRecord, root: Path | str = "") -> Path:
    """`record_path` of a record; relative to the folder of all results unless `root` is given."""
    return record_path(root, record.protocol, record.method, record.dataset, record.seed)


def science_hash(config: Mapping[str, Any], also_drop: Collection[str] = ()) -> str:
    """Hash of a configuration without the keys that do not change the result.

    The keys of `NOT_SCIENCE` and of `also_drop` are left out at any depth. The seed counts: pass
    ``also_drop=("seed",)`` to ask whether two runs differ in more than their seed.

    Raises:
        InputError: the configuration is not JSON-able.
    """
    dropped = NOT_SCIENCE | set(also_drop)

    def kept(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: kept(item) for key, item in value.items() if key not in dropped}
        if isinstance(value, list | tuple):
            return [kept(item) for item in value]
        return value

    try:
        return files.sha256_json(kept(config))
    except (TypeError, ValueError) as error:
        raise InputError(f"config: not JSON-able ({error})") from None


def provenance() -> dict[str, Any]:
    """What ran: the fields ``versions`` and ``git`` of a record.

    Returns:
        ``versions``: Python and the installed ones of `_PACKAGES`, from their metadata, without an
        import. ``git``: ``{"commit", "dirty"}`` of the checkout that holds this file, not the
        current folder's; None where git does not track it. Dirty: a Python, TOML or requirements
        file differs from the commit; results written meanwhile do not count.
    """
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        # The maintained distributions of the mm* packages carry a prefix.
        for distribution in (f"onedl-{name}", name):
            with suppress(metadata.PackageNotFoundError):
                versions[name] = metadata.version(distribution)
                break
    # An untracked file is an installed copy inside somebody else's checkout.
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return {"versions": versions, "git": None}
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", ":/*.py", ":/*.toml", ":/requirements*.txt")
    known = commit is not None and changes is not None
    git = {"commit": commit, "dirty": changes != ""} if known else None
    return {"versions": versions, "git": git}


def _git(*arguments: str) -> str | None:
    """Output of git in this file's folder; None where git is absent or declines."""
    # Inside a git hook these variables would point every call at the hook's repository.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    options = {"cwd": Path(__file__).resolve().parent, "env": environment, "timeout": 30}
    try:
        done = subprocess.run(["git", *arguments], **options, capture_output=True, text=True)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _is_amount(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value < math.inf


def _is_time(value: Any) -> bool:
    try:
        # Python 3.10 does not know the suffix "Z".
        datetime.fromisoformat(re.sub(r"Z$", "+00:00", value))
    except (TypeError, ValueError):
        return False
    return True


Check = tuple[Callable[[Any], bool], str]
_TEXT: Check = (lambda value: isinstance(value, str) and value.strip(), "a non-empty text")
# Ids are names of folders, so neither separators nor a leading dot.
_ID: Check = (
    lambda value: isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", value),
    "an id of letters, digits and . _ + -",
)
_COUNT: Check = (lambda value: type(value) is int and value >= 0, "an integer, 0 or more")
_AMOUNT: Check = (_is_amount, "a finite number, 0 or more")
_DICT: Check = (lambda value: isinstance(value, dict), "an object")
_ANY: Check = (lambda value: True, "given")
_FLAG: Check = (lambda value: isinstance(value, bool), "true or false")

# The version comes first: under another schema, every other complaint would mislead.
_CHECKS: dict[str, Check] = {
    "schema": (lambda value: type(value) is int and value == SCHEMA, str(SCHEMA)),
    **dict.fromkeys(("protocol", "method", "dataset"), _ID),
    **dict.fromkeys(("title", "family", "pretraining", "split_hash", "corpus_hash"), _TEXT),
    **dict.fromkeys(("science_hash", "device"), _TEXT),
    "task": (lambda value: value in TASKS, " or ".join(TASKS)),
    **dict.fromkeys(("seed", "n_images"), _COUNT),
    **dict.fromkeys(("wall_time_s", "images_per_s", "peak_memory_mb"), _AMOUNT),
    **dict.fromkeys(("config", "seeds", "versions", "encoder", "git", "per_image"), _DICT),
    "leakage": _DICT,
    "metrics": (lambda value: isinstance(value, dict) and bool(value), "an object with metrics"),
    "finished": (_is_time, "an ISO 8601 time"),
}
#: Keys whose value may be null.
_OPTIONAL = {
    *("corpus_hash", "images_per_s", "peak_memory_mb", "encoder", "git", "weights_sha256"),
    "leakage",
}
_METRIC_CHECKS: dict[str, Check] = {
    "value": (lambda value: _is_amount(value) and value <= 100, "a finite number, 0 … 100"),
    "definition": _TEXT,
    "higher_is_better": _FLAG,
    "headline": _FLAG,
}
_NESTED_CHECKS: dict[str, dict[str, Check]] = {
    "per_image": {"file": _TEXT, "sha256": _TEXT},
    # An encoder that starts from random weights has no file of weights.
    "encoder": {"fingerprint": _TEXT, "weights_sha256": _TEXT, "provenance": _ANY},
    "git": {"commit": _TEXT, "dirty": _FLAG},
    "leakage": {"report_hash": _TEXT, **dict.fromkeys(("exact", "similar", "groups"), _COUNT)},
}
#: Keys that older records of this schema lack.
_ADDED = {"leakage": None}
_ADDED_TO_METRICS = {"headline": True}


def _check_keys(data: Mapping[str, Any], checks: Mapping[str, Check], where: str, key: str) -> None:
    """Every key of `checks` is in `data` and passes; `key` is the prefix printed before it."""
    for name, (passes, expected) in checks.items():
        if name not in data:
            raise InputError(f"{where}: key '{key}{name}' is missing")
        if passes(data[name]) or (data[name] is None and name in _OPTIONAL):
            continue
        found = f"{data[name]!r:.60}"
        raise InputError(f"{where}: key '{key}{name}' must be {expected}, found {found}")


def _validate(data: Any, where: str) -> None:
    """Raise an InputError that names the file `where` and the first key at fault."""
    if not isinstance(data, dict):
        raise InputError(f"{where}: not a result record (a JSON object is expected)")
    data = _ADDED | data
    _check_keys(data, _CHECKS, where, "")
    if unknown := sorted(data.keys() - {field.name for field in fields(RunRecord)}):
        raise InputError(f"{where}: key '{unknown[0]}' is unknown to schema {SCHEMA}")
    for name, metric in data["metrics"].items():
        if not _ID[0](name) or not isinstance(metric, dict):
            raise InputError(f"{where}: key 'metrics.{name}' must be an id that holds an object")
        _check_keys(_ADDED_TO_METRICS | metric, _METRIC_CHECKS, where, f"metrics.{name}.")
    for name, checks in _NESTED_CHECKS.items():
        if data[name] is not None:
            _check_keys(data[name], checks, where, f"{name}.")


def write_record(folder: Path | str, record: RunRecord, per_image: pd.DataFrame) -> Path:
    """Write the record and its per-image scores below `folder`; an older record is replaced.

    Args:
        folder: the folder of all results; the file's place below it is `record_path`.
        record: what to write; its `per_image` is filled in here.
        per_image: one row per scored image, with a column per metric in the metric's units.

    Returns the path of the JSON file.

    Raises:
        InputError: a value of the record is not valid, `science_hash` is not that of `config`, or
            the rows are not `n_images`.
    """
    path = path_of(record, folder)
    scores = path.with_suffix(".csv")
    table = per_image.to_csv(index=False, lineterminator="\n").encode()
    entry = {"file": scores.name, "sha256": files.sha256_bytes(table)}
    data = asdict(replace(record, per_image=entry))
    _validate(data, str(path))
    if science_hash(record.config) != record.science_hash:
        raise InputError(f"{path}: key 'science_hash' is not the hash of 'config'")
    if (rows := len(per_image)) != record.n_images:
        raise InputError(f"{path}: key 'n_images' is {record.n_images}, but {rows} have scores")
    # Gone before its scores are replaced: an old record never stands beside newer scores.
    path.unlink(missing_ok=True)
    with files.atomic_write(scores) as stream:
        stream.write(table)
    files.write_json(path, data)
    return path


def read_record(path: Path | str) -> RunRecord:
    """Read one record and check it against its schema and its per-image scores.

    Raises:
        InputError: no such file, no valid record of this schema, or its per-image scores are
            missing or were changed; names the file and the key.
    """
    path = Path(path)
    data = files.read_json(path)
    _validate(data, str(path))
    scores = path.with_suffix(".csv")
    if data["per_image"]["file"] != scores.name or not scores.is_file():
        raise InputError(f"{path}: key 'per_image.file': {scores.name} is missing beside it")
    if files.sha256_file(scores) != data["per_image"]["sha256"]:
        raise InputError(f"{path}: key 'per_image.sha256' is not the hash of {scores.name}")
    return RunRecord(**data)


def read_results(folder: Path | str) -> tuple[list[RunRecord], list[str]]:
    """Read every record below `folder`, in the order of their paths.

    Returns:
        The valid records, and one line per file left out: damaged, foreign, not in the place its
        ids name, a second record of a run (the one nearer to `folder` is kept), or per-image scores
        without a record. Files that end in ``.tmp`` are passed over.

    Raises:
        InputError: `folder` is not a folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of results")
    records: dict[Path, RunRecord] = {}
    problems = [
        f"{scores.relative_to(folder).as_posix()}: per-image scores without a record"
        for scores in _files(folder, "seed*.csv")
        if not scores.with_suffix(".json").exists()
    ]
    for path in _files(folder, "*.json"):
        name = path.relative_to(folder).as_posix()
        try:
            record = read_record(path)
        except (InputError, OSError) as error:
            problems.append(str(error).replace(str(path), name))
            continue
        place = path_of(record)
        if place in records:
            problems.append(f"{name}: a second record of the run {place.as_posix()}")
        elif path.absolute().parts[-4:] != place.parts:
            problems.append(f"{name}: its ids name another place, {place.as_posix()}")
        else:
            records[place] = record
    return [records[place] for place in sorted(records)], sorted(problems)


def _files(folder: Path, pattern: str) -> list[Path]:
    """What matches below `folder`, nearest first, then by path."""
    return sorted(folder.rglob(pattern), key=lambda path: (len(path.parts), path))
