"""Records that hold exactly the published numbers."""

import math

import pytest

from leaderboard.columns import is_patches
from leaderboard.measured import read_measured
from leaderboard.published import COMPARABLE, read_tables


@pytest.fixture(scope="session")
def tables():
    return read_tables()


@pytest.fixture(scope="session")
def make_run(make_run):
    """Records whose metrics have the definitions comparable with the paper, or those given."""

    def run(method, dataset, seed, definitions=(), **given):
        record = make_run(method, dataset, seed, **given)
        declared = COMPARABLE[record.protocol]
        for name, metric in record.metrics.items():
            comparable = declared.get(f"{dataset}/{name}", declared[name])
            definition = dict(definitions).get(name, comparable)
            record.metrics[name] = metric.model_copy(update={"definition": definition})
        return record

    return run


@pytest.fixture(scope="session")
def published_records(tables, make_run):
    """Protocol → records with the means and standard deviations of its published scores.

    Two seeds per run: mean ± std / √2 have this mean and sample standard deviation.
    """

    def records(protocol, change=lambda value: value):
        cells = {}
        for table in tables:
            for row in table.rows if table.protocol == protocol else ():
                scores = table.scores[row.id].items()
                for column, score in ((c, s) for c, s in scores if c.score):
                    of_run = cells.setdefault((row.method, column.dataset), {})
                    # Some tables repeat a number without its standard deviation.
                    if column not in of_run or score.summary.std is not None:
                        of_run[column] = score.summary
        made = []
        for (method, dataset), summaries in cells.items():
            task = "representation" if is_patches(dataset) else "segmentation"
            task = {"stenosis": "detection", "denoising": "denoising"}.get(dataset, task)
            lower = [c.metric for c in summaries if not c.higher_is_better]
            for seed, sign in enumerate((-1, 1)):
                values = {
                    column.metric: float(change(one.mean) + sign * (one.std or 0) / math.sqrt(2))
                    for column, one in summaries.items()
                }
                about = {"task": task, "protocol": protocol, "lower_is_better": lower}
                made.append(make_run(method, dataset, seed, **values, **about))
        return made

    return records


@pytest.fixture(scope="session")
def measured(published_records):
    """The published numbers as if they had been measured."""
    return {name: read_measured(published_records(name), name) for name in ("journal", "aaai")}
