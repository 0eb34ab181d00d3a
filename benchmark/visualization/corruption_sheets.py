"""A frame under every corruption, to see what the severities look like."""

from __future__ import annotations

from pathlib import Path

from benchmark.data.corruptions import SEVERITIES
from benchmark.data.packs import FramePack
from benchmark.data.tasks import TaskFolder
from benchmark.downstream.transfer.identity import read_corruptions
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.visualization.contact_sheets import pack_rows, save_sheet
from benchmark.visualization.task_sheets import task_rows


def draw_corruptions(path: str | Path, out: str | Path, count: int = 1) -> str:
    """Draw frames clean and under all corruptions, a row for each of these.

    Args:
        path: folder of a pack or of a prepared task.
        out: PNG file to write.
        count: number of frames, evenly spaced.

    Returns:
        One line of summary.

    Raises:
        InputError: there is no pack and no task.
    """
    path = Path(path)
    if (path / "frames.u8").is_file():
        rows = pack_rows(FramePack.open(path), count)
    elif path.is_dir():
        rows = task_rows(TaskFolder.open(path), count)
    else:
        raise InputError(f"{path}: no such folder of a pack or a task")
    # The first column of either is the frame that a model is shown.
    frames = [next(iter(row.values())) for row in rows]
    corruptions = read_corruptions(CONFIGS)
    lines, names = [], []
    for frame in frames:
        for name in corruptions.levels:
            line = {"clean": frame}
            for severity in range(1, SEVERITIES + 1):
                line[f"severity {severity}"] = corruptions.apply(frame, name, severity)
            lines.append(line)
            names.append(name.replace("_", " "))
    save_sheet(lines, Path(out), names=names)
    return f"{out}: {len(frames)} frames of {path}, corruptions: {len(corruptions.levels)}"
