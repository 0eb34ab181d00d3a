"""Remove what a sweep needs only while it runs, and what killed sweeps have left."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from benchmark.errors import InputError
from benchmark.files import walk
from benchmark.files.locking import is_locked, remove_unlocked, try_acquire
from benchmark.files.temporary import remove_leftovers
from benchmark.results import read_record
from benchmark.sweep.jobs import CellJob, lock_path
from benchmark.sweep.plan import Plan
from benchmark.sweep.worker import LOCK
from benchmark.training.checkpoints.run_files import cell_folder, tidy_finished

PLAN = "plan.json"
"""What Snakemake reads."""

SNAKEMAKE = ".snakemake"
"""Folder of Snakemake's state, which a sweep does not use."""

# Kept: they tell why a node failed.
_SLURM_LOGS = "slurm_logs"


def clean_up(plan: Plan) -> None:
    """Remove everything but results, logs and failures; the lock of the sweep is held.

    What a running job needs stays.
    """
    folder = plan.folder
    (folder / PLAN).unlink(missing_ok=True)
    _remove_state(folder / SNAKEMAKE)
    for job in plan.jobs:
        _clean_up_job(lock_path(job.id, folder))
        if isinstance(job, CellJob) and job.state == "done":
            _clean_up_cell(job, plan)
    unlisted: list[str] = []  # reported where records are read
    below = [path for path in walk(plan.results, unlisted) if path.is_dir()]
    for place in (folder, folder / "jobs", plan.results, *below):
        remove_leftovers(place)


def _remove_state(folder: Path) -> None:
    """Remove the state of Snakemake and its backups of results."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name != _SLURM_LOGS:
            shutil.rmtree(path, ignore_errors=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def clean_up_if_idle(plan: Plan) -> None:
    """`clean_up`, unless a sweep is running."""
    if plan.folder.is_dir() and (stream := try_acquire(plan.folder / LOCK)) is not None:
        with stream:
            clean_up(plan)
            stream.truncate(0)


def _clean_up_cell(cell: CellJob, plan: Plan) -> None:
    """Remove its checkpoints, if it was killed between writing its record and removing them."""
    matrix = plan.matrix
    place = (matrix.protocol, cell.method, cell.dataset, cell.seed)
    with suppress(InputError):  # the record has been replaced meanwhile
        keep = read_record(cell.output).config.get("keep_checkpoints")
        if isinstance(keep, int):
            tidy_finished(cell_folder(matrix.folder, *place), keep)


def _clean_up_job(lock: Path) -> None:
    # What stands in the way is reported where the job is planned.
    with suppress(InputError, OSError):
        if not is_locked(lock):
            lock.with_suffix(".json").unlink(missing_ok=True)
            if lock.exists():
                remove_unlocked(lock)
