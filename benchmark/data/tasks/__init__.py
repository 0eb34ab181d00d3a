"""Downstream tasks as plain files; see `TaskFolder` for what lies where."""

from benchmark.data.tasks.folder import TaskFolder
from benchmark.data.tasks.writing import write_task_folder

__all__ = ["TaskFolder", "write_task_folder"]
