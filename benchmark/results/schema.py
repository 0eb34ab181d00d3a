"""What a record holds, and the check of every key on reading and on writing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from benchmark.errors import InputError

SCHEMA = 2
TASKS = ("segmentation", "detection", "denoising")

#: What happens to a record that is there already: it is kept, and only what is missing is added;
#: it is replaced; or it is an error.
POLICIES = ("only-missing", "always", "never")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What one run measured, and what it takes to say where the numbers come from.

    None stands for what was not measured, or for what a record of an older schema does not know.

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
        config, config_hash: the resolved configuration, JSON-able, and its `config_hash`.
        seeds: every seed of the run by what it feeds (``{"init": 0, "order": 0, …}``).
        versions, git: from `provenance`; git is None outside a checkout.
        device: the device in words (``"cpu"``, ``"NVIDIA H200"``).
        wall_time_s: seconds the run took; those between an interruption and its resumption, and
            steps that had to be repeated, do not count.
        finished: end of the run, ISO 8601.
        started: begin of the run, ISO 8601; for a resumed one, of its first part.
        processes: processes the run was spread over, 1 or more.
        precision: arithmetic of the training, ``"bf16"`` or ``"fp32"``; None without training.
        skipped_steps: training steps left out because their loss was not finite.
        command: from `command_line`.
        images_per_s, peak_memory_mb: training throughput and peak device memory (MiB), or None.
        encoder: ``{"fingerprint": …, "weights_sha256": …, "provenance": …}``; None without encoder.
        per_image: ``{"file": name, "sha256": hash}`` of the CSV; filled in by `write_record`.
        examples: the same of the example predictions; None where none were kept.
        leakage: counts of `benchmark.data.checks.leakage.find_leakage_report`; None where the
            pre-training dataset and the task were not compared.
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
    config_hash: str
    seeds: dict[str, int]
    versions: dict[str, str]
    device: str
    wall_time_s: float
    finished: str
    started: str | None = None
    processes: int | None = None
    precision: str | None = None
    skipped_steps: int | None = None
    command: str | None = None
    images_per_s: float | None = None
    peak_memory_mb: float | None = None
    encoder: dict[str, Any] | None = None
    git: dict[str, Any] | None = None
    per_image: dict[str, str] | None = None
    examples: dict[str, str] | None = None
    leakage: dict[str, Any] | None = None
    schema: int = SCHEMA


def _is_text(value: Any, most: int) -> bool:
    text = isinstance(value, str) and 0 < len(value) <= most and not value.isspace()
    # Half a surrogate pair, as of a file name that is not UTF-8, cannot be written.
    return text and not re.search("[\ud800-\udfff]", value)


def _is_count(value: Any, least: int = 0) -> bool:
    return type(value) is int and least <= value <= _MOST


def _is_amount(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value < math.inf


def _holds(value: Any, check: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(map(check, value.values()))


def _is_time(value: Any) -> bool:
    try:
        # Python 3.10 does not know the suffix "Z".
        datetime.fromisoformat(re.sub(r"Z$", "+00:00", value))
    except (TypeError, ValueError):
        return False
    return True


# Larger integers are not exact in every reader of JSON, the page of the board among them.
_MOST = 2**53

Check = tuple[Callable[[Any], bool], str]
_TITLE: Check = (lambda value: _is_text(value, 200), "a non-empty text of at most 200 characters")
_TEXT: Check = (
    lambda value: _is_text(value, 1_000),
    "a non-empty text of at most 1000 characters",
)
_LONG: Check = (
    lambda value: _is_text(value, 100_000),
    "a non-empty text of at most 100000 characters",
)
# Ids are names of folders, so neither separators nor a leading dot.
_ID: Check = (
    lambda value: (
        isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}", value)
    ),
    "an id of letters, digits and . _ + -",
)
_COUNT: Check = (_is_count, "an integer, 0 or more")
_AMOUNT: Check = (_is_amount, "a finite number, 0 or more")
_DICT: Check = (lambda value: isinstance(value, dict), "an object")
_FLAG: Check = (lambda value: isinstance(value, bool), "true or false")
_TIME: Check = (_is_time, "an ISO 8601 time")

# The version comes first: under another schema, every other complaint would mislead.
_CHECKS: dict[str, Check] = {
    "schema": (lambda value: type(value) is int and value == SCHEMA, f"1 to {SCHEMA}"),
    **dict.fromkeys(("protocol", "method", "dataset"), _ID),
    **dict.fromkeys(("title", "family", "pretraining"), _TITLE),
    **dict.fromkeys(("split_hash", "corpus_hash", "config_hash", "device", "precision"), _TEXT),
    "command": _LONG,
    "task": (lambda value: value in TASKS, " or ".join(TASKS)),
    **dict.fromkeys(("seed", "n_images", "skipped_steps"), _COUNT),
    "processes": (lambda value: _is_count(value, 1), "an integer, 1 or more"),
    **dict.fromkeys(("wall_time_s", "images_per_s", "peak_memory_mb"), _AMOUNT),
    **dict.fromkeys(("config", "encoder", "git", "leakage", "per_image", "examples"), _DICT),
    "seeds": (lambda value: _holds(value, _is_count), "an object of integers, 0 or more"),
    "versions": (lambda value: _holds(value, _TEXT[0]), "an object of non-empty texts"),
    "metrics": (lambda value: isinstance(value, dict) and bool(value), "an object with metrics"),
    **dict.fromkeys(("started", "finished"), _TIME),
}
#: Keys whose value may be null.
_OPTIONAL = {
    *("corpus_hash", "images_per_s", "peak_memory_mb", "encoder", "git", "weights_sha256"),
    "provenance",
    *("leakage", "started", "processes", "precision", "skipped_steps", "command", "examples"),
}
_METRIC_CHECKS: dict[str, Check] = {
    "value": (lambda value: _is_amount(value) and value <= 100, "a finite number, 0 … 100"),
    "definition": _TEXT,
    "higher_is_better": _FLAG,
    "headline": _FLAG,
}
_FILE_CHECKS: dict[str, Check] = {"file": _TEXT, "sha256": _TEXT}
_NESTED_CHECKS: dict[str, dict[str, Check]] = {
    "per_image": _FILE_CHECKS,
    "examples": _FILE_CHECKS,
    # An encoder that starts from random weights has no file of weights.
    "encoder": {"fingerprint": _TEXT, "weights_sha256": _TEXT, "provenance": _DICT},
    "git": {"commit": _TEXT, "dirty": _FLAG},
    "leakage": {"report_hash": _TEXT, **dict.fromkeys(("exact", "similar", "groups"), _COUNT)},
}
#: What a metric is taken for where it does not say so.
_METRIC_DEFAULTS = {"headline": True}


def _check_keys(data: Mapping[str, Any], checks: Mapping[str, Check], where: str, key: str) -> None:
    """Every key of `checks` is in `data` and passes; `key` is the prefix printed before it."""
    for name, (passes, expected) in checks.items():
        if name not in data:
            raise InputError(f"{where}: key '{key}{name}' is missing")
        if passes(data[name]) or (data[name] is None and name in _OPTIONAL):
            continue
        found = f"{data[name]!r:.60}"
        raise InputError(f"{where}: key '{key}{name}' must be {expected}, found {found}")


def validate(data: Any, where: str) -> None:
    """Check the content of a record of today's schema.

    Raises:
        InputError: names the file `where` and the first key at fault.
    """
    if not isinstance(data, dict):
        raise InputError(f"{where}: not a result record (a JSON object is expected)")
    _check_keys(data, _CHECKS, where, "")
    if unknown := sorted(data.keys() - {field.name for field in fields(RunRecord)}):
        raise InputError(f"{where}: key '{unknown[0]:.60}' is unknown to schema {SCHEMA}")
    for name, metric in data["metrics"].items():
        if not _ID[0](name) or not isinstance(metric, dict):
            raise InputError(
                f"{where}: key 'metrics.{name:.60}' must be an id that holds an object"
            )
        _check_keys(_METRIC_DEFAULTS | metric, _METRIC_CHECKS, where, f"metrics.{name}.")
    for name, checks in _NESTED_CHECKS.items():
        if data[name] is not None:
            _check_keys(data[name], checks, where, f"{name}.")
