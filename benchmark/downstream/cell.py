"""One cell of the benchmark: method × dataset × seed, and the values of its record."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from mmengine.config import Config
from mmengine.dist import get_world_size

from benchmark.data.checks.leakage import find_leakage_report
from benchmark.data.tasks import TaskFolder
from benchmark.device import device_name, uses_gpu
from benchmark.encoders.card import read_encoder_card
from benchmark.errors import InputError
from benchmark.method_cards import MethodCard
from benchmark.results import (
    RunRecord,
    collect_provenance,
    command_line,
    config_hash,
    read_record,
    record_path,
)
from benchmark.results.provenance import installed_versions
from benchmark.schemas import validate
from benchmark.training.config import config_differences, to_plain
from benchmark.training.run import utc


@dataclass
class BenchmarkCell:
    """One cell of the benchmark: method × dataset × seed, fine-tuned or evaluated frozen.

    Attributes:
        config: config of the training or evaluation.
        card: card of the method.
        dataset: id of the record (`benchmark.results.dataset_ids`).
        seed: seed of the run.
        folder: folder of its checkpoints, logs and predictions.
        results: folder of the records.
        live: whether one progress line is shown instead of log lines, on a terminal.
    """

    config: Config
    card: MethodCard
    dataset: str
    seed: int
    folder: Path
    results: Path
    live: bool = False

    @property
    def title(self) -> str:
        return f"{self.card.title} · {self.dataset} · seed {self.seed}"

    @property
    def record(self) -> Path:
        return record_path(
            self.results, self.config.protocol, self.card.method, self.dataset, self.seed
        )


def refuse_finished(cell: BenchmarkCell) -> None:
    """Under the policy ``never``: raise an `InputError` if the cell has a record."""
    if cell.record.exists():
        raise InputError(
            f"{cell.record}: there already; --overwrite only-missing keeps it, always replaces it"
        )


def open_cell(
    cell: BenchmarkCell, task: str, overwrite: str
) -> tuple[TaskFolder, RunRecord | None]:
    """The prepared task of a cell, and its record if it is finished and kept.

    Args:
        cell: its config gets the seed.
        task: kind of the prepared task.
        overwrite: ``"only-missing"``: a finished cell is read back. ``"always"``: it is
            ignored. ``"never"``: an existing record is an error.

    Raises:
        InputError: as `TaskFolder.open`, `refuse_finished` and `read_back`.
    """
    cell.config.seed = cell.seed
    if overwrite == "never":
        refuse_finished(cell)
    folder = TaskFolder.open(cell.config.data.folder, task)
    if overwrite == "always" or not cell.record.exists():
        return folder, None
    return folder, read_back(cell, folder)


def read_back(cell: BenchmarkCell, folder: TaskFolder) -> RunRecord:
    """The record of a finished cell.

    Raises:
        InputError: it was made with other settings, another split or another encoder.
    """
    content, record = to_plain(cell.config), read_record(cell.record)
    if record.config_hash != config_hash(content):
        changed = "; ".join(config_differences(record.config, content))
        raise InputError(
            f"{cell.record}: made with other settings ({changed}); --overwrite replaces it"
        )
    if record.split_hash != folder.split_hash:
        raise InputError(f"{cell.record}: made with another split; --overwrite replaces it")
    weights = _exported_weights(cell.config)
    if record.encoder and weights not in (None, record.encoder.weights_sha256):
        raise InputError(f"{cell.record}: made with another encoder; --overwrite replaces it")
    print(f"{cell.title}: done already", flush=True)
    return record


def _exported_weights(config: Config) -> str | None:
    """Hash of the weights a run would start from; None if they are not on this machine."""
    backbone = config.model.get("backbone") or {}
    if "folder" not in backbone:
        return None
    folder = Path(backbone["folder"])
    return read_encoder_card(folder).weights_sha256 if (folder / "encoder.json").is_file() else None


def with_patients(scores: pd.DataFrame, folder: TaskFolder, split: str = "test") -> pd.DataFrame:
    """The scores with a column ``patient``: images of one patient are not independent.

    Args:
        scores: one row per image of the split; column ``image`` names it.
        folder: the task. If it knows no patient (or study) at all, the scores are returned
            unchanged; images of unknown patients get empty cells.
    """
    groups = {item["stem"]: item["group"] for item in folder.splits[split]}
    if not any(groups.values()):
        return scores
    scores = scores.copy()
    scores.insert(1, "patient", scores["image"].map(groups))
    return scores


def leakage_with(folder: TaskFolder, encoder: dict[str, Any] | None) -> dict[str, Any] | None:
    """What `tools/check.py leakage` found between the encoder's frames and the task."""
    corpus_hash = encoder["provenance"].get("corpus_hash") if encoder else None
    return None if corpus_hash is None else find_leakage_report(folder.path, corpus_hash)


def values_of_cell(
    cell: BenchmarkCell,
    content: dict[str, Any],
    folder: TaskFolder,
    encoder: dict[str, Any] | None,
) -> dict[str, Any]:
    """The values of a record that follow from the cell and from where it runs.

    Args:
        cell: method, dataset and seed.
        content: its config as JSON-able values, as it was before anything was built.
        folder: the task.
        encoder: fingerprint, hash of the weights and provenance; None without one.
    """
    origin = encoder["provenance"] if encoder else {}
    on_gpu = uses_gpu()
    origins = collect_provenance()
    if on_gpu:
        cuda = {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
        origins["versions"].update(cuda)
    return dict(
        protocol=cell.config.protocol,
        method=cell.card.method,
        title=cell.card.title,
        family=cell.card.family,
        # The card names the pre-training dataset of the recipe; the record, that of this encoder.
        pretraining=origin.get("pretraining", cell.card.pretraining),
        dataset=cell.dataset,
        task=cell.config.task,
        seed=cell.seed,
        split_hash=folder.split_hash,
        corpus_hash=origin.get("corpus_hash"),
        config=content,
        config_hash=config_hash(content),
        device=device_name(),
        processes=get_world_size(),
        command=command_line(sys.argv),
        peak_memory_mb=torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
        encoder=encoder,
        **origins,
    )


def metric_entries(
    definitions: Mapping[str, str],
    values: Mapping[str, float],
    headlines: Collection[str],
    lower_is_better: Collection[str] = (),
) -> dict[str, dict[str, Any]]:
    """The metrics of a record, see `benchmark.results.schema.Metric`.

    Args:
        definitions: definition ids by name.
        values: by name.
        headlines: names of the columns of the board.
        lower_is_better: names of those for which lower is better.
    """
    return {
        name: {
            "value": values[name],
            "definition": definition,
            "higher_is_better": name not in lower_is_better,
            "headline": name in headlines,
        }
        for name, definition in definitions.items()
        if isfinite(values[name])  # a class without ground truth has no score
    }


def make_record(
    cell: BenchmarkCell,
    content: dict[str, Any],
    folder: TaskFolder,
    encoder: dict[str, Any] | None,
    begun: float,
    packages: Sequence[str] = (),
    **values: Any,
) -> RunRecord:
    """The record of a cell that was evaluated in one go and ends now.

    Args:
        cell, content, folder, encoder: as for `values_of_cell`.
        begun: time stamp of the start.
        packages: more packages whose versions are recorded.
        values: its other values.
    """
    values = {**values_of_cell(cell, content, folder, encoder), **values}
    values["versions"] |= installed_versions(packages)
    now = time.time()
    values |= {"wall_time_s": now - begun, "started": utc(begun), "finished": utc(now)}
    values["leakage"] = leakage_with(folder, encoder)
    return validate(RunRecord, values, cell.record)
