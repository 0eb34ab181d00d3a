"""The schema of a record, validated key by key on reading and on writing, and its config hash."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from benchmark import files
from benchmark.errors import InputError
from benchmark.schemas import Amount, Count, ResultKind, Schema, Text, text_type, version_type

SCHEMA = 1

#: Configuration keys that affect where and how a run executes, not what it computes. Weights and
#: data at such paths are identified in the record itself (``encoder``, ``split_hash``,
#: ``corpus_hash``), so that moving them does not change the hash.
NOT_HASHED = frozenset(
    {
        *("work_dir", "out", "out_dir", "output", "results", "folder", "root", "path", "paths"),
        *("data_root", "data_dir", "cache_dir", "filename", "checkpoint", "load_from", "packs"),
        *("checkpoint_interval", "keep_checkpoints", "examples", "export_model"),
        *("num_workers", "workers", "persistent_workers", "prefetch_factor", "pin_memory"),
        *("micro_batch", "num_threads", "launcher", "local_rank", "resume", "device", "devices"),
        *("resident", "timeout_minutes"),
        *("env_cfg", "dist_cfg", "experiment_name", "timestamp", "log_level", "log_interval"),
        *("log_processor", "logger", "logging", "progress_bar", "visualizer", "vis_backends"),
        *("default_hooks", "method_settings"),
    }
)


def _check_id(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}", text):
        raise ValueError("must be an id of at most 200 letters, digits and . _ + -")
    return text


def _check_time(text: str) -> str:
    try:
        # Python 3.10 does not know the suffix "Z".
        datetime.fromisoformat(re.sub(r"Z$", "+00:00", text))
    except ValueError:
        raise ValueError("must be an ISO 8601 time") from None
    return text


#: Ids name folders, so they hold neither separators nor a leading dot.
Id = Annotated[str, AfterValidator(_check_id)]
Time = Annotated[str, AfterValidator(_check_time)]
Title = text_type(200)


RELATIVE = "relative_"
"""Prefix of the names of metrics in percent of another score."""

_LARGEST = 1e12  # so that sums and tables of values stay sensible


class Metric(Schema):
    """One metric of a run.

    Attributes:
        value: at full precision, 0 … 100: percent (decibels for PSNR). One relative to another
            score, ``relative_…``, may exceed 100 %. For a representation: any number, since cluster
            indices have other ranges.
        definition: id of the exact definition.
        higher_is_better: whether larger values are better.
        headline: whether it is a column of the board.
    """

    value: Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
    definition: Text
    higher_is_better: bool
    headline: bool = True


class EncoderIdentity(Schema):
    """Which encoder was fine-tuned, see `benchmark.encoders.card.EncoderCard`.

    An encoder with random weights has no weights file.
    """

    fingerprint: Text
    weights_sha256: Text | None
    provenance: dict[str, Any] | None


class GitState(Schema):
    """The commit of the code, and whether the code differed from it."""

    commit: Text
    dirty: bool


class FileEntry(Schema):
    """Name and hash of a file beside the record."""

    file: Text
    sha256: Text


class LeakageSummary(Schema):
    """What `benchmark.data.checks.leakage.find_leakage_report` returns."""

    report_hash: Text
    exact: Count
    similar: Count
    groups: Count


class RunRecord(Schema):
    """What one run measured, and where the numbers come from.

    None stands for what was not measured.

    Attributes:
        protocol, method, dataset: ids (``"journal"``, ``"vasomim"``, ``"arcade_v"``).
        title, family: the method's name and its section, as printed.
        pretraining: name of the pre-training dataset; ``"—"`` where there is none.
        task: kind of the task, or ``"representation"``.
        seed: seed of this run.
        split_hash: hash of the list of training and test images.
        corpus_hash: hash of the pre-training dataset; None where there is none.
        metrics: name → metric; at least one.
        n_images: number of scored images, which is the number of rows of the CSV file.
        config, config_hash: the resolved configuration, JSON-able, and its `config_hash`.
        seeds: every seed of the run by what it feeds (``{"init": 0, "order": 0, …}``).
        versions, git: from `provenance`; git is None outside a checkout.
        device: human-readable name of the device (``"cpu"``, ``"NVIDIA H200"``).
        wall_time_s: seconds the run took; time between an interruption and its resumption, and
            repeated steps, do not count.
        finished: end of the run, ISO 8601.
        started: start of the run, ISO 8601; for a resumed one, of its first part.
        processes: number of processes of the run.
        precision: arithmetic of the training, ``"bf16"`` or ``"fp32"``; None without training.
        skipped_steps: training steps skipped because their loss was not finite.
        command: from `command_line`.
        images_per_s, peak_memory_mb: training throughput and peak device memory (MiB).
        parameters, trained_parameters: of the network that was scored, and those of it (or of what
            is merged into it) that were trained.
        encoder: the encoder that was fine-tuned; None without one.
        per_image: the CSV file; set by `write_record`.
        examples: the example predictions; None where none were kept; set by `write_record`.
        leakage: None where the pre-training dataset and the task were not compared.
        schema_version: version of this layout; the key ``schema`` of the file.
    """

    later: ClassVar[frozenset[str]] = frozenset({"parameters", "trained_parameters"})

    schema_version: version_type(SCHEMA) = Field(SCHEMA, alias="schema")
    protocol: Id
    method: Id
    title: Title
    family: Title
    pretraining: Title
    dataset: Id
    task: ResultKind
    seed: Count
    split_hash: Text
    corpus_hash: Text | None
    metrics: Annotated[dict[Id, Metric], Field(min_length=1)]
    n_images: Count
    config: dict[str, Any]
    config_hash: Text
    seeds: dict[str, Count]
    versions: dict[str, Text]
    device: Text
    wall_time_s: Amount
    finished: Time
    started: Time | None = None
    processes: Annotated[Count, Field(ge=1)] | None = None
    precision: Text | None = None
    skipped_steps: Count | None = None
    command: text_type(100_000) | None = None
    images_per_s: Amount | None = None
    peak_memory_mb: Amount | None = None
    parameters: Count | None = None
    trained_parameters: Count | None = None
    encoder: EncoderIdentity | None = None
    git: GitState | None = None
    per_image: FileEntry | None = None
    examples: FileEntry | None = None
    leakage: LeakageSummary | None = None

    @field_validator("metrics")
    @classmethod
    def _check_percent(cls, metrics: dict[str, Metric], info: ValidationInfo) -> dict[str, Metric]:
        if info.data.get("task") == "representation":
            return metrics
        kind = PydanticCustomError("percent", "must be 0 to 100")
        wrong: list[InitErrorDetails] = [
            {"type": kind, "loc": (name, "value"), "input": metric.value}
            for name, metric in metrics.items()
            if not (0 <= metric.value <= 100 or (name.startswith(RELATIVE) and metric.value >= 0))
        ]
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return metrics


def config_hash(config: Mapping[str, Any], also_drop: Collection[str] = ()) -> str:
    """Hash of a configuration without the keys that do not affect the result.

    The keys of `NOT_HASHED` and of `also_drop` are dropped at any depth. The seed counts: pass
    ``also_drop=("seed",)`` to ask whether two runs differ in more than their seed.

    Raises:
        InputError: the configuration is not JSON-able.
    """
    dropped = NOT_HASHED | set(also_drop)

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
