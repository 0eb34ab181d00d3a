"""A frame under every corruption, to see what the severities look like."""

from __future__ import annotations

from pathlib import Path

from benchmark.data.corruptions import SEVERITIES
from benchmark.data.packs import FramePack
from benchmark.data.tasks import TaskFolder
from benchmark.downstream.transfer.identity import read_corruptions
from benchmark.method_cards import CONFIGS
from benchmark.visualization.contact_sheets import pack_rows, save_sheet
from benchmark.visualization.sheet_kinds import sheet_kind
from benchmark.visualization.task_sheets import task_rows


def draw_corruptions(path: str | Path, out: str | Path, count: int = 1) -> str:
    """Draw frames clean and corrupted, a row for each corruption.

    Args:
        path: folder of a pack or of a prepared task.
        out: PNG file to write.
        count: number of frames, evenly spaced.

    Returns:
        One line of summary.

    Raises:
        InputError: the folder is neither a pack nor a task.
    """
    path = Path(path)
    if sheet_kind(path) == "pack":
        rows = pack_rows(FramePack.open(path), count)
    else:
        rows = task_rows(TaskFolder.open(path), count)
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
