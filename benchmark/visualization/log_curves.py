"""Training curves: a logged term over the epochs, one curve per run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib

from benchmark.errors import InputError
from benchmark.files import atomic_write, read_json, read_regular
from benchmark.files.strict_json import parse_json
from benchmark.text import visible

matplotlib.use("Agg")
from matplotlib import pyplot as plt

# Axis labels of terms whose names do not explain them.
_AXES = {
    "vessel_share": "fraction of vessel patches\namong the masked patches",
    "probe_ap": "average precision (%) of a\nlinear probe for vessel patches",
}
# Terms whose chance level is logged as well.
_CHANCE = {"probe_ap": "probe_chance"}
# Colours repeat after ten curves, then with another style.
_STYLES = ("-", "--", "-.", ":")


def read_curve(folder: Path, term: str) -> tuple[list[float], list[float]]:
    """Epochs (from 1; 0: before the first) and the mean of a logged term over each.

    Args:
        folder: run folder with a `metrics.jsonl`.
        term: key of the log, such as ``loss`` or ``vessel_share``.

    Raises:
        InputError: there is no log, it is damaged, or it has no such term.
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
            if value is not None:  # non-finite means are logged as null
                values[epoch].append(float(value))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(f"{path}, line {number}: not a log entry") from None
        names |= entry.keys()
    if not values:
        has = f"only {', '.join(sorted(names))}" if names else "it is empty"
        raise InputError(f"{path}: has no {term}, {has}")
    epochs = sorted(values)
    return [epoch + 1.0 for epoch in epochs], [
        sum(values[epoch]) / len(values[epoch]) for epoch in epochs
    ]


def chance_levels(folders: Sequence[Path], term: str) -> list[float]:
    """The distinct chance levels of a term in several runs, sorted; empty if it has none."""
    if term not in _CHANCE:
        return []
    found = set()
    for folder in folders:
        try:
            found |= set(read_curve(folder, _CHANCE[term])[1])
        except InputError:  # a run that ended before its first probe
            continue
    return sorted(found)


def axis_label(term: str) -> str:
    """The axis label of a term."""
    return _AXES.get(term, term.replace("_", " "))


def run_title(folder: Path) -> str:
    """Title of the method, from the config in `run.json`, or the name of the folder."""
    description = folder / "run.json"
    try:
        return visible(str(read_json(description)["config"]["card"]["title"]))
    except (InputError, KeyError, TypeError):
        return visible(folder.name)


def draw_curves(folders: Sequence[str | Path], term: str, out: str | Path) -> str:
    """Plot a logged term of several runs over their epochs; returns one line of summary."""
    curves = [(run_title(Path(f)), *read_curve(Path(f), term)) for f in folders]
    # A dollar sign in a title or term must not start a formula.
    with plt.rc_context({"text.parse_math": False}), atomic_write(out) as stream:
        figure, axis = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
        for number, (title, epochs, values) in enumerate(curves):
            style = _STYLES[number % len(_STYLES)]
            axis.plot(epochs, values, style, marker="o", markersize=2.5, linewidth=1.4, label=title)
        for number, level in enumerate(chance_levels([Path(f) for f in folders], term)):
            label = None if number else "chance"
            axis.axhline(level, linestyle=":", color="0.4", linewidth=1, zorder=0, label=label)
        axis.set_xlabel("epoch")
        axis.set_ylabel(axis_label(term))
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8, handlelength=3.5)
        # Without matplotlib's version in the metadata, equal images give equal files.
        figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
        plt.close(figure)
    return f"{out}: {term} of {len(curves)} runs"
