"""The datasets of `configs/downstream`, with the state of their prepared tasks; without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.data.task_status import TaskStatus, task_status
from benchmark.errors import InputError
from benchmark.files import list_folder
from benchmark.method_cards import first_line, own_datasets
from benchmark.sweep.inputs import prepare_command
from benchmark.training.preview import read_values


@dataclass(frozen=True)
class DatasetCard:
    """One dataset of the benchmark.

    Attributes:
        name: id, the name of its config.
        task: kind of task; None where it cannot be read from the config.
        description: first line of its config.
        status: of its prepared task.
        command: what prepares it, from its config; empty if it does not say.
    """

    name: str
    task: str | None
    description: str
    status: TaskStatus
    command: str


def read_datasets(configs: Path, work: Path) -> list[DatasetCard]:
    """All datasets of a folder of configs, in the order of their names.

    Args:
        configs: folder of all configs.
        work: folder of all runs of a scale, ``{work}`` in paths.
    """
    files = list_folder(configs / "downstream", "[!_]*.py")
    if own := own_datasets(configs):
        files += list_folder(own, "[!_]*.py")
    return [_read(path, work) for path in sorted(files, key=lambda path: path.stem)]


def _read(path: Path, work: Path) -> DatasetCard:
    try:
        values = read_values(path) or {}
        description = first_line(path)
    except InputError:
        return DatasetCard(path.stem, None, "", TaskStatus("damaged: its config is not Python"), "")
    kind = values.get("task")
    folder = (values.get("data") or {}).get("folder")
    if not isinstance(kind, str) or not isinstance(folder, str):
        return DatasetCard(path.stem, None, description, TaskStatus("not known"), "")
    place = folder.replace("{work}", str(work))
    status = task_status(Path(place), kind)
    return DatasetCard(path.stem, kind, description, status, prepare_command(path, place))
