"""Downstream tasks as plain files; see `TaskFolder` for their layout."""

from benchmark.data.tasks.building import write_task_folder
from benchmark.data.tasks.folder import TaskFolder

__all__ = ["TaskFolder", "write_task_folder"]
