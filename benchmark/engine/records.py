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

from benchmark.errors import InputError
from benchmark.files import (
    atomic_write,
    read_json,
    sha256_bytes,
    sha256_file,
    sha256_json,
    write_json,
)

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1

#: Configuration keys that say where and how a run executes, not what it computes. Weights and data
#: named by such a path are identified in the record itself (``encoder``, ``split_hash``,
#: ``corpus_hash``), so that moving them does not change the hash.
NOT_SCIENCE = frozenset(
    {
        # paths
        *("work_dir", "out", "out_dir", "output", "results", "folder", "root", "path", "paths"),
        *("data_root", "data_dir", "cache_dir", "filename", "checkpoint", "load_from"),
        # workers and launching
        *("num_workers", "workers", "persistent_workers", "prefetch_factor", "pin_memory"),
        *("num_threads", "launcher", "local_rank", "resume", "device", "devices"),
        *("env_cfg", "dist_cfg", "experiment_name", "timestamp"),
        # logging
        *("log_level", "log_interval", "log_processor", "logger", "logging", "progress_bar"),
        *("visualizer", "vis_backends"),
    }
)


#: Module → the distributions that may supply it, the one the project asks for first.
_PACKAGES: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("numpy", "scipy", "pandas", "torch", "torchvision", "timm")},
    **{
        name: (f"onedl-{distribution}", distribution)
        for name, distribution in {
            "mmengine": "mmengine",
            "mmcv": "mmcv",
            "mmseg": "mmsegmentation",
            "mmdet": "mmdetection",
            "mmpretrain": "mmpretrain",
        }.items()
    },
}


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What one run measured, and what it takes to say where the numbers come from.

    Attributes:
        protocol: id of the protocol (``"journal"``, ``"aaai"``, ``"demo"``).
        method: id of the method (``"vasomim"``).
        title: the method's name as printed (``"VasoMIM"``).
        family: section of the board (``"Medical SSL"``).
        pretraining: name of the pre-training corpus; ``"—"`` where there is none.
        dataset: id of the downstream dataset (``"arcade_v"``).
        task: ``"segmentation"``, ``"detection"`` or ``"denoising"``.
        seed: seed of this run, 0 or more.
        split_hash: hash of the list of training and test images.
        corpus_hash: hash of the pre-training corpus; None where there is none.
        metrics: name → ``{"value": float, "definition": str, "higher_is_better": bool}``; values
            at full precision, 0 … 100: percent (decibels for PSNR).
        n_images: number of scored images, which is the number of rows of the CSV file.
        config: the resolved configuration; JSON-able.
        science_hash: `science_hash` of `config`.
        seeds: every seed of the run by what it feeds (``{"init": 0, "order": 0, …}``).
        versions: package → version, from `provenance`.
        device: the device in words (``"cpu"``, ``"NVIDIA H200"``).
        wall_time_s: duration of the run in seconds.
        finished: end of the run, ISO 8601.
        images_per_s: training throughput; None where nothing is trained.
        peak_memory_mb: peak device memory in MiB; None where it is not measured.
        encoder: ``{"fingerprint": …, "weights_sha256": …, "provenance": …}``; None without encoder.
        git: ``{"commit": str, "dirty": bool}``; None outside a checkout.
        per_image: ``{"file": name, "sha256": hash}`` of the CSV; filled in by `write_record`.
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
        return sha256_json(kept(config))
    except (TypeError, ValueError) as error:
        raise InputError(f"config: not JSON-able ({error})") from None


def provenance() -> dict[str, Any]:
    """What ran: the fields ``versions`` and ``git`` of a record.

    Returns:
        ``versions``: Python and every package of `_PACKAGES` that is installed, read from the
        packages' metadata without an import. ``git``: ``{"commit", "dirty"}`` of the checkout that
        holds this file, which need not be the current folder's; None where git does not track it.
        Dirty means that a Python or TOML file or a requirements file differs from the commit;
        results and boards written meanwhile do not count.
    """
    versions = {"python": platform.python_version()}
    for name, distributions in _PACKAGES.items():
        for distribution in distributions:
            with suppress(metadata.PackageNotFoundError):
                versions[name] = metadata.version(distribution)
                break
    commit = dirty = None
    # An untracked file is an installed copy inside somebody else's checkout.
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is not None:
        commit = _git("rev-parse", "HEAD")
        dirty = _git("status", "--porcelain", "--", ":/*.py", ":/*.toml", ":/requirements*.txt")
    known = commit is not None and dirty is not None
    git = {"commit": commit, "dirty": dirty != ""} if known else None
    return {"versions": versions, "git": git}


def _git(*arguments: str) -> str | None:
    """Output of git in this file's folder; None where git is absent or declines."""
    # Inside a git hook these variables would point every call at the hook's repository.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "-C", str(Path(__file__).resolve().parent), *arguments]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_id(value: Any) -> bool:
    # Ids are names of folders, so neither separators nor a leading dot.
    return (
        isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", value) is not None
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_amount(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0


def _is_time(value: Any) -> bool:
    try:
        # Python 3.10 does not know the suffix "Z".
        datetime.fromisoformat(re.sub(r"Z$", "+00:00", value))
    except (TypeError, ValueError):
        return False
    return True


def _is_file_name(value: Any) -> bool:
    return _is_text(value) and Path(value).name == value


Check = tuple[Callable[[Any], bool], str]
_TEXT: Check = (_is_text, "a non-empty text")
_ID: Check = (_is_id, "an id of letters, digits and . _ + -")
_COUNT: Check = (_is_count, "an integer, 0 or more")
_AMOUNT: Check = (_is_amount, "a finite number, 0 or more")
_DICT: Check = (lambda value: isinstance(value, dict), "an object")
_FLAG: Check = (lambda value: isinstance(value, bool), "true or false")

_CHECKS: dict[str, Check] = {
    "schema": (lambda value: type(value) is int and value == SCHEMA, str(SCHEMA)),
    **dict.fromkeys(("protocol", "method", "dataset"), _ID),
    **dict.fromkeys(("title", "family", "pretraining", "split_hash", "corpus_hash"), _TEXT),
    **dict.fromkeys(("science_hash", "device"), _TEXT),
    "task": (
        lambda value: value in ("segmentation", "detection", "denoising"),
        "segmentation, detection or denoising",
    ),
    "seed": _COUNT,
    "n_images": _COUNT,
    **dict.fromkeys(("wall_time_s", "images_per_s", "peak_memory_mb"), _AMOUNT),
    **dict.fromkeys(("config", "seeds", "versions", "encoder", "git", "per_image"), _DICT),
    "metrics": (lambda value: isinstance(value, dict) and bool(value), "an object with metrics"),
    "finished": (_is_time, "an ISO 8601 time"),
}
_OPTIONAL = {"corpus_hash", "images_per_s", "peak_memory_mb", "encoder", "git"}
_METRIC_CHECKS: dict[str, Check] = {
    "value": (lambda value: _is_amount(value) and value <= 100, "a finite number, 0 … 100"),
    "definition": _TEXT,
    "higher_is_better": _FLAG,
}
_NESTED_CHECKS: dict[str, dict[str, Check]] = {
    "per_image": {"file": (_is_file_name, "the name of a file beside the record"), "sha256": _TEXT},
    # An encoder that starts from random weights has no file of weights.
    "encoder": {
        "fingerprint": _TEXT,
        "weights_sha256": (lambda value: value is None or _is_text(value), "a hash or null"),
        "provenance": (lambda value: True, "given"),
    },
    "git": {"commit": _TEXT, "dirty": _FLAG},
}


def _check_keys(data: Mapping[str, Any], checks: Mapping[str, Check], where: str, key: str) -> None:
    """Every key of `checks` is in `data` and passes; `key` is the prefix printed before it."""
    for name, (passes, expected) in checks.items():
        if name not in data:
            raise InputError(f"{where}: key '{key}{name}' is missing")
        value = data[name]
        if not passes(value) and not (value is None and key == "" and name in _OPTIONAL):
            shown = repr(value)
            shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
            raise InputError(f"{where}: key '{key}{name}' must be {expected}, found {shown}")


def _validate(data: Any, where: str) -> None:
    """Raise an InputError that names the file `where` and the first key at fault."""
    if not isinstance(data, dict):
        raise InputError(f"{where}: not a result record (a JSON object is expected)")
    # The version comes first: under another schema, every other complaint would mislead.
    _check_keys(data, {"schema": _CHECKS["schema"]}, where, "")
    _check_keys(data, _CHECKS, where, "")
    if unknown := sorted(data.keys() - {field.name for field in fields(RunRecord)}):
        raise InputError(f"{where}: key '{unknown[0]}' is unknown to schema {SCHEMA}")
    for name, metric in data["metrics"].items():
        if not _is_id(name) or not isinstance(metric, dict):
            raise InputError(f"{where}: key 'metrics.{name}' must be an id that holds an object")
        _check_keys(metric, _METRIC_CHECKS, where, f"metrics.{name}.")
    for name, checks in _NESTED_CHECKS.items():
        if data[name] is not None:
            _check_keys(data[name], checks, where, f"{name}.")


def write_record(folder: Path | str, record: RunRecord, per_image: pd.DataFrame) -> Path:
    """Write the record and its per-image scores below `folder`; an older record is replaced.

    Args:
        folder: the folder of all results; the file's place below it is `record_path`.
        record: what to write; its `per_image` is filled in here.
        per_image: one row per scored image, with a column per metric in the metric's units.

    Returns:
        The path of the JSON file.

    Raises:
        InputError: a value of the record is not valid, `science_hash` is not that of `config`, or
            the rows are not `n_images`.
    """
    path = path_of(record, folder)
    scores = path.with_suffix(".csv")
    table = per_image.to_csv(index=False, lineterminator="\n").encode()
    whole = replace(record, per_image={"file": scores.name, "sha256": sha256_bytes(table)})
    data = asdict(whole)
    _validate(data, str(path))
    if science_hash(record.config) != record.science_hash:
        raise InputError(f"{path}: key 'science_hash' is not the hash of 'config'")
    if len(per_image) != record.n_images:
        raise InputError(
            f"{path}: key 'n_images' is {record.n_images}, but there are scores of "
            f"{len(per_image)} images"
        )
    # Gone before its scores are replaced: an old record never stands beside newer scores.
    path.unlink(missing_ok=True)
    with atomic_write(scores) as stream:
        stream.write(table)
    write_json(path, data)
    return path


def read_record(path: Path | str) -> RunRecord:
    """Read one record and check it against its schema and its per-image scores.

    Raises:
        InputError: the file is missing, is no valid record of this schema, or its per-image scores
            are missing or were changed; names the file and the key.
    """
    path = Path(path)
    data = read_json(path)
    _validate(data, str(path))
    scores = path.with_name(data["per_image"]["file"])
    if not scores.is_file():
        raise InputError(f"{path}: key 'per_image.file': {scores.name} is missing")
    if sha256_file(scores) != data["per_image"]["sha256"]:
        raise InputError(f"{path}: key 'per_image.sha256' is not the hash of {scores.name}")
    return RunRecord(**data)


def read_results(folder: Path | str) -> tuple[list[RunRecord], list[str]]:
    """Read every record below `folder`, in the order of their paths.

    Returns:
        The valid records, and one line per file that is left out: damaged, foreign, not in the
        place its ids name, a second record of the same run (the one nearer to `folder` is kept),
        or per-image scores without a record. Files that end in ``.tmp`` are passed over.

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
    """The files below `folder` that match, nearest first, then by path."""
    found = (path for path in folder.rglob(pattern) if path.is_file())
    return sorted(found, key=lambda path: (len(path.parts), path))
