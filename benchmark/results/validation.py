"""Thorough validation of a results folder, before it is shared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmark.errors import InputError, explain_os_error
from benchmark.results.examples import read_examples
from benchmark.results.schema import RunRecord
from benchmark.results.store import read_scores, relative_line, scan_results

#: Part of the definition id of a metric that is the mean of its column.
MEAN_OVER_IMAGES = "/per-image-mean/"


def find_problems(folder: Path | str) -> tuple[int, list[str]]:
    """Find all problems of the results below `folder`.

    Beyond what reading checks: that every image has exactly one row, that the scores are numbers
    and give the metrics of the record, and that the examples can be opened.

    Args:
        folder: the results folder.

    Returns the number of complete records, and one line per faulty file, sorted.

    Raises:
        InputError: `folder` is not a folder.
    """
    folder = Path(folder)
    found = scan_results(folder)
    problems, faulty = list(found.problems), 0
    for place, path in found.paths.items():
        wrong = [relative_line(folder, line) for line in _faults(path, found.records[place])]
        problems += wrong
        faulty += bool(wrong)
    return len(found.paths) - faulty, sorted(set(problems))


def _faults(path: Path, record: RunRecord) -> Iterator[str]:
    for check in (_scores_fault, _examples_fault):
        try:
            fault = check(path, record)
        except InputError as error:
            fault = str(error)
        except OSError as error:
            fault = explain_os_error(error)
        if fault:
            yield fault


def _scores_fault(path: Path, record: RunRecord) -> str | None:
    scores = read_scores(path)
    file = path.with_suffix(".csv")
    if (rows := len(scores["image"])) != record.n_images:
        return f"{file}: {rows} rows, but the record says {record.n_images} images"
    image, count = Counter(scores["image"]).most_common(1)[0] if rows else ("", 1)
    if count > 1:
        return f"{file}: {count} rows for image '{image}'"
    for name, metric in record.metrics.items():
        column = scores.get(name)
        if column is None or MEAN_OVER_IMAGES not in metric.definition:
            continue
        mean = math.fsum(column) / len(column) if column else math.nan
        if not math.isclose(mean, metric.value, rel_tol=1e-9, abs_tol=1e-9):
            return f"{path}: key 'metrics.{name}.value' is {metric.value}, its scores give {mean}"
    return None


def _examples_fault(path: Path, record: RunRecord) -> str | None:
    images = [example.image for example in read_examples(path)]
    unknown = sorted(set(images) - set(read_scores(path, ["image"])["image"])) if images else []
    return f"{path}: example '{unknown[0]}' is not a scored image" if unknown else None
