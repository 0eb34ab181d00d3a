"""The jobs of a sweep: pre-trainings and cells, what they need, and their states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from benchmark.downstream.transfer.identity import scored_weights
from benchmark.errors import InputError, explain_os_error
from benchmark.files import list_folder, read_json, read_object, sha256_file
from benchmark.files.locking import is_locked
from benchmark.results import EncoderIdentity, read_record

MANIFEST = "manifest.json"
"""Name of the manifest of a prepared task."""

MODEL = "model.json"
"""Name of the description of a fine-tuned model."""

STATES = ("done", "running", "failed", "stale", "missing")
"""States of a job; ``stale``: its result exists, but from other settings or inputs."""


@dataclass
class Job:
    """One process of a sweep.

    Attributes:
        id: name of its files below the folder of the sweep.
        stage: ``segmentor``, ``pretrain``, or for a cell ``finetune``, ``evaluate``, ``analyse`` or
            ``test``.
        title: what lines about it start with.
        output: the file that exists once it is done.
        method: id of the method that it trains or scores; for the segmentor, that of its folder.
        config_hash: of the config as it is now; empty where `problem` says why there is none.
        command: what is run, without the options of `full_command`.
        needs: ids of the jobs whose results it starts from.
        gpus: how many it computes on; 0: it runs on the CPU.
        epochs: length of its run.
        frames: frames in an epoch; None where they are not known.
        overwrite: whether it replaces an existing result.
        problem: why it cannot run, a line for each reason; empty if it can.
        state: one of `STATES`, as of the last `inspect`.
        reason: why it is stale or failed, or what is known of a missing one.
        hours: estimated duration on one device.
        source: where `hours` comes from.
        requested: whether the matrix names it; if not, it runs only if another job needs it.
    """

    id: str
    stage: str
    title: str
    output: str
    method: str
    config_hash: str
    command: list[str]
    needs: list[str] = field(default_factory=list)
    gpus: int = 0
    epochs: int = 0
    frames: int | None = None
    overwrite: bool = False
    problem: str = ""
    state: str = "missing"
    reason: str = ""
    hours: float | None = None
    source: str = ""
    requested: bool = False

    resumes: ClassVar[tuple[str, ...]] = ()
    """Options that make its command resume an interrupted run."""

    @property
    def full_command(self) -> list[str]:
        """`command` with the option to resume, or to replace the existing result if it has to."""
        return [*self.command, *(("--overwrite",) if self.overwrite else self.resumes)]

    def inspect(self, folder: Path, upstream: Sequence[Job] = ()) -> None:
        """Set `state` and `reason` from the files.

        Args:
            folder: of the sweep.
            upstream: the jobs of `needs`, inspected before.
        """
        failure = read_failure(self, folder)
        try:
            running = is_locked(lock_path(self.id, folder))
        except InputError as error:
            running, self.problem = False, self.problem or str(error)
        except OSError as error:
            running, self.problem = False, self.problem or explain_os_error(error)
        if running:
            self.state, self.reason = "running", ""
            return
        self.state, self.reason = self.compare(upstream)
        if failure is not None and self.state != "done":
            self.state, self.reason = "failed", f"{failure['error']} ({failure['log']})"

    def compare(self, upstream: Sequence[Job] = ()) -> tuple[str, str]:
        """State and reason from the result alone, whether or not the job is running or failed."""
        raise NotImplementedError

    def supersedes(self) -> bool:
        """Whether results that used its output are outdated: it is stale or being retrained."""
        return self.state == "stale"

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Job:
        """The inverse of `vars`."""
        return (CellJob if "dataset" in value else PretrainingJob)(**value)


@dataclass
class PretrainingJob(Job):
    """The pre-training of an encoder, or the training of the segmentor.

    Attributes:
        folder: its run folder.
        corpus_hash: of the packs; None where they are missing.
        weights: key in the config → file of weights it starts from.
        convolutional: whether its encoder has no linear layers that LoRA could adapt.
    """

    folder: str = ""
    corpus_hash: str | None = None
    weights: dict[str, str] = field(default_factory=dict)
    convolutional: bool = False

    resumes: ClassVar[tuple[str, ...]] = ("--resume",)

    def compare(self, upstream: Sequence[Job] = ()) -> tuple[str, str]:
        description = Path(self.folder) / "run.json"
        if not description.exists():
            return "missing", ""
        try:
            run = read_object(description)
        except InputError as error:
            return "stale", str(error)
        if changed := self._changed(run) or retrained(upstream):
            # Without a checkpoint there is nothing to lose, and it simply starts.
            begun = "finished" in run or list_folder(self.folder, "epoch_*.pth")
            return ("stale", changed) if begun else ("missing", "")
        if "finished" not in run:
            return "missing", "interrupted"
        if not Path(self.output).is_file():
            return "stale", f"{self.output} is gone"
        return "done", ""

    def _changed(self, run: dict[str, Any]) -> str:
        """How the existing run differs from what would be run now; empty: not at all."""
        if run.get("config_hash") != self.config_hash:
            return "other settings"
        if self.corpus_hash not in (None, run.get("corpus_hash")):
            return "other frames"
        before = run.get("weights")
        for place, file in self.weights.items():
            known = before.get(place) if isinstance(before, dict) else None
            if Path(file).is_file() and known != sha256_file(file):
                return f"other weights in {file}"
        return ""

    def supersedes(self) -> bool:
        # A run that has begun will export other weights than those its dependants started from.
        return self.state == "stale" or (
            self.state != "done" and (Path(self.folder) / "run.json").exists()
        )

    def recorded_hours(self) -> float | None:
        """Device hours of the finished run in the folder, whatever its settings were."""
        try:
            finished = read_object(Path(self.folder) / "run.json").get("finished")
        except InputError:
            return None
        if not isinstance(finished, dict):
            return None
        numbers = finished.get("seconds"), finished.get("processes", 1)
        known = all(isinstance(number, int | float) for number in numbers)
        return numbers[0] * numbers[1] / 3600 if known else None


@dataclass
class CellJob(Job):
    """One cell of the benchmark: method × dataset × seed.

    Attributes:
        dataset, seed: dataset id and seed.
        task: what is predicted.
        data: folder of the prepared task.
        encoder: folder of the exported encoder; None without one.
        pretraining: identity of the pre-training of its encoder, as far as known: ``config_hash``
            and ``corpus_hash``.
        model: folder of the fine-tuned model that it scores; empty for a cell that trains.
        keeps: folder in which it leaves a model that other cells score; empty: it keeps none.
    """

    dataset: str = ""
    seed: int = 0
    task: str = ""
    data: str = ""
    encoder: str | None = None
    pretraining: dict[str, str] = field(default_factory=dict)
    model: str = ""
    keeps: str = ""

    @property
    def lacks_model(self) -> bool:
        """Whether other cells score its model, and there is none."""
        return bool(self.keeps) and not Path(self.keeps, MODEL).is_file()

    def compare(self, upstream: Sequence[Job] = ()) -> tuple[str, str]:
        if not Path(self.output).is_file():
            return "missing", ""
        try:
            record = read_record(self.output)
        except InputError as error:
            return "stale", str(error)
        if record.config_hash != self.config_hash:
            return "stale", "other settings"
        changed = self._changed(record.split_hash, record.encoder)
        changed = changed or self._other_model(record.config) or retrained(upstream)
        return ("stale", changed) if changed else ("done", "")

    def _other_model(self, config: dict[str, Any]) -> str:
        """Why the model differs from that of the record; empty if it does not, or there is none."""
        description = Path(self.model, MODEL)
        if not self.model or not description.is_file():
            return ""
        try:
            now = read_object(description).get("weights_sha256")
        except InputError as error:
            return str(error)
        return "" if now == scored_weights(config) else f"another model in {self.model}"

    def _changed(self, split_hash: str, encoder: EncoderIdentity | None) -> str:
        """Which input differs from that of the record; empty: none that can be compared."""
        manifest = Path(self.data) / MANIFEST
        if manifest.is_file():
            try:
                if task_of(self.data, manifest.stat().st_mtime_ns)[0] != split_hash:
                    return f"another split in {self.data}"
            except InputError as error:
                return str(error)
        if self.encoder is None or encoder is None:
            return ""
        origin = encoder.provenance or {}
        for key, value in self.pretraining.items():
            if origin.get(key, value) != value:
                return "its encoder was pre-trained with other settings or frames"
        description = Path(self.encoder) / "encoder.json"
        if description.is_file():
            try:
                now = read_object(description).get("weights_sha256")
            except InputError as error:
                return str(error)
            if now != encoder.weights_sha256:
                return f"another encoder in {self.encoder}"
        return ""


def retrained(upstream: Sequence[Job]) -> str:
    """The first of these jobs that replaces its result, for a message; empty: none."""
    return next((f"{job.title} is retrained" for job in upstream if job.supersedes()), "")


@cache
def task_of(folder: str, modified: int) -> tuple[str, dict[str, int]]:
    """Split hash and frames per split of a prepared task, read once per modification.

    Fine-tuning validates the rest of the folder, with libraries that are slow to import.

    Raises:
        InputError: the manifest is not that of a task.
    """
    manifest = read_json(Path(folder) / MANIFEST)
    try:
        frames = {split: len(items) for split, items in manifest["splits"].items()}
        return manifest["split_hash"], frames
    except (KeyError, TypeError, AttributeError):
        raise InputError(
            f"{folder}: not a task folder; make it with tools/prepare_data.py"
        ) from None


def lock_path(job: str, folder: Path) -> Path:
    """The lock of a running job."""
    return folder / "jobs" / f"{job}.lock"


def log_path(job: str, folder: Path) -> Path:
    """The output of a job; attempts are appended."""
    return folder / "logs" / f"{job}.log"


def failure_path(job: str, folder: Path) -> Path:
    """The description of a failed attempt."""
    return folder / "jobs" / f"{job}.failed.json"


def read_failure(job: Job, folder: Path) -> dict[str, Any] | None:
    """Why the last attempt failed; None if it did not, or had other settings."""
    path = failure_path(job.id, folder)
    if not path.exists():
        return None
    try:
        failure = read_object(path)
    except InputError:
        return None  # unreadable: the job is tried again
    known = {"error": "unknown", "log": str(log_path(job.id, folder)), **failure}
    return known if failure.get("config_hash") == job.config_hash else None
