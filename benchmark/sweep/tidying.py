"""Removing what a sweep needs only while it runs, and what killed ones have left."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from benchmark.errors import InputError
from benchmark.files import list_folder, walk
from benchmark.results import read_record
from benchmark.sweep.job import LOCK
from benchmark.sweep.jobs import FineTuningJob, lock_path
from benchmark.sweep.locking import is_running, remove_free, take
from benchmark.sweep.plan import Plan
from benchmark.temporary_files import remove_leftovers
from benchmark.training.checkpoints.run_files import cell_folder, tidy_finished

PLAN = "plan.json"
"""What Snakemake reads."""

SNAKEMAKE = ".snakemake"
"""Folder Snakemake keeps its state in, of which a sweep uses nothing."""

_OLDER_PLAN = re.compile(r"plan-\d+-\d+\.json")
# They tell why a node failed.
_SLURM_LOGS = "slurm_logs"


def tidy(plan: Plan) -> None:
    """Remove everything a sweep leaves but results, logs and failures; its lock is held.

    What a job that still runs needs stays.
    """
    folder = plan.folder
    for path in list_folder(folder, "plan*.json"):
        if path.name == PLAN or _OLDER_PLAN.fullmatch(path.name):
            path.unlink(missing_ok=True)
    _remove_state(folder / SNAKEMAKE)
    for job in plan.jobs:
        _tidy_job(lock_path(job.id, folder))
        if isinstance(job, FineTuningJob) and job.state == "done":
            _tidy_cell(job, plan)
    unlisted: list[str] = []  # what cannot be listed is named where records are read
    below = [path for path in walk(plan.results, unlisted) if path.is_dir()]
    for place in (folder, folder / "jobs", plan.results, *below):
        remove_leftovers(place)


def _remove_state(folder: Path) -> None:
    """Remove what Snakemake has kept of the sweep, and its backups of results."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name != _SLURM_LOGS:
            shutil.rmtree(path, ignore_errors=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def tidy_alone(plan: Plan) -> None:
    """`tidy`, where there is something and no sweep is running."""
    if plan.folder.is_dir() and (stream := take(plan.folder / LOCK)) is not None:
        with stream:
            tidy(plan)
            stream.truncate(0)


def _tidy_cell(cell: FineTuningJob, plan: Plan) -> None:
    """Its checkpoints, if it was killed between its record and their end."""
    matrix = plan.matrix
    place = (matrix.protocol, cell.method, cell.dataset, cell.seed)
    with suppress(InputError):  # the record was replaced since it was looked at
        keep = read_record(cell.output).config.get("keep_checkpoints")
        if isinstance(keep, int):
            tidy_finished(cell_folder(matrix.folder, *place), keep)


def _tidy_job(lock: Path) -> None:
    # What is in its way is said where the job is planned.
    with suppress(InputError, OSError):
        if not is_running(lock):
            lock.with_suffix(".json").unlink(missing_ok=True)
            if lock.exists():
                remove_free(lock)
