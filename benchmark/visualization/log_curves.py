"""What the logs of runs say, drawn over the epochs: one curve per run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib

from benchmark.errors import InputError
from benchmark.files import atomic_write, read_json, read_regular
from benchmark.strict_json import parse_json
from benchmark.text import visible

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def read_curve(folder: Path, term: str) -> tuple[list[float], list[float]]:
    """Mean of a term over each epoch of a run, and the share of the run that was done after it.

    Args:
        folder: run folder with a `metrics.jsonl`.
        term: a name of its lines, ``loss`` or ``vessel_share`` for example.
    """
    path = folder / "metrics.jsonl"
    if not path.exists():
        raise InputError(f"{path}: no such log; is {folder} the folder of a run?")
    try:
        lines = read_regular(path).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a log ({error})") from None
    values: dict[int, list[float]] = defaultdict(list)
    names: set[str] = set()
    for number, line in enumerate(lines, start=1):
        try:
            entry = parse_json(line, str(path))
            epoch = int(entry["epoch"])
            value = entry.get(term)
            if value is not None:  # a mean that is not finite is null
                values[epoch].append(float(value))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(f"{path}, line {number}: not a line of a log") from None
        names |= entry.keys()
    if not values:
        raise InputError(f"{path}: has no {term}, only {', '.join(sorted(names)) or 'no line'}")
    epochs = sorted(values)
    return [epoch + 1.0 for epoch in epochs], [
        sum(values[epoch]) / len(values[epoch]) for epoch in epochs
    ]


def _title(folder: Path) -> str:
    """The method's title, from the config in `run.json`; the folder's name without one."""
    description = folder / "run.json"
    try:
        return visible(str(read_json(description)["config"]["card"]["title"]))
    except (InputError, KeyError, TypeError):
        return visible(folder.name)


def draw_curves(folders: Sequence[str | Path], term: str, out: str | Path) -> str:
    """Draw a term of the logs of several runs over their epochs; one line about what was drawn."""
    curves = [(_title(Path(f)), *read_curve(Path(f), term)) for f in folders]
    # A dollar sign in a title or a term starts no formula.
    with plt.rc_context({"text.parse_math": False}), atomic_write(out) as stream:
        figure, axis = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
        for title, epochs, values in curves:
            axis.plot(epochs, values, marker="o", markersize=2.5, linewidth=1.4, label=title)
        axis.set_xlabel("epoch")
        axis.set_ylabel(term.replace("_", " "))
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8)
        # Without the version of matplotlib in it, equal pictures give equal files.
        figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
        plt.close(figure)
    return f"{out}: {term} of {len(curves)} runs"
