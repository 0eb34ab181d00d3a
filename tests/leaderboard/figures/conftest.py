"""A small board of invented numbers in the form of ``leaderboard.json``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from leaderboard.columns import Column
from leaderboard.page.palette import series_style, series_styles

COLUMNS = ("a/dsc", "b/dsc", "c/lpips")
#: Row → mean and half of the interval per column; None for an empty cell.
CELLS = {
    "best": [(80.0, 1.0), (70.0, 0.5), (12.0, 2.0)],
    "base": [(78.0, 0.5), (69.0, 1.0), (15.0, 1.0)],
    "other": [(77.0, 2.0), (66.0, None), (14.0, 1.5)],
    "hole": [(60.0, 1.0), None, (30.0, 1.0)],
}
RANKS = {"best": (1.0, 1.0, 1.5), "base": (2.25, 1.5, 3.0), "other": (2.75, None, None)}


def column(name: str) -> dict[str, Any]:
    dataset, metric = name.split("/")
    own = Column(dataset, metric, f"{metric}/v1", metric != "lpips")
    kept = ("id", "dataset", "metric", "definition", "higher_is_better")
    titles = {"dataset_title": dataset.upper(), "label": metric.upper(), "unit": "%"}
    return {**{key: getattr(own, key) for key in kept}, **titles}


def cell(mean: float, half: float | None) -> dict[str, Any]:
    low, high = (None, None) if half is None else (mean - half, mean + half)
    numbers = {"mean": mean, "std": 1.0, "n": 5, "ci_low": low, "ci_high": high}
    marks = {"place": 1, "rank": None, "tier": None}
    return {**numbers, **marks, "seeds": [0], "values": [mean], "runs": []}


def row(name: str) -> dict[str, Any]:
    rank = dict(zip(("mean", "low", "high"), RANKS[name])) if name in RANKS else None
    return {
        "id": name,
        "method": f"m_{name}",
        "title": "$x_1$ & <b>" if name == "best" else name.title(),
        "family": "one" if name in ("best", "base") else "two",
        "pretraining": "XA",
        "origin": "measured",
        "source": None,
        "complete": name in RANKS,
        "average_rank": rank and {**rank, "std": 0.5},
        "cells": [entry and cell(*entry) for entry in CELLS[name]],
    }


def comparison(name: str, verdict: str, p: float | None, where: str | None = None, **more: Any):
    numbers = {"n": 5, "difference": 1.5, "ci_low": 0.5, "ci_high": 2.5}
    test = {"row": name, "verdict": verdict, **numbers, "p": p, "p_holm": p, "p_bh": p, **more}
    return test if where is None else {**test, "column": where, "per_image": None}


def make_data() -> dict[str, Any]:
    tests = [
        comparison("best", "better", 0.0004, "a/dsc"),
        comparison("other", "worse", 0.03, "a/dsc", difference=-1.0),
        comparison("other", "not separable", 0.4, "b/dsc"),
        comparison("hole", "identical values", None, "a/dsc", difference=None),
    ]
    board = {
        "id": "segmentation",
        "title": "Segmentation",
        "task": "segmentation",
        "origin": "measured",
        "reference_row": "base",
        "columns": [column(name) for name in COLUMNS],
        "rows": [row(name) for name in ("other", "base", "hole", "best")],
        "families": series_styles(["one", "two"]),
        "friedman": {
            "statistic": 5.5,
            "p": 0.012,
            "n": 3,
            "k": 3,
            "alpha": 0.05,
            "critical_difference": 1.25,
            "ranks": {"base": 2.0, "best": 1.0, "other": 3.0},
            "groups": [["best", "base"], ["base", "other"]],
        },
        "comparisons": {"base": tests, "best": [comparison("base", "worse", 0.0004, "a/dsc")]},
        "overall": {
            "base": [comparison("best", "better", 0.008), comparison("other", "worse", 0.2)],
            "best": [comparison("base", "worse", 0.008, difference=-1.5)],
        },
        "notes": [],
    }
    bare = {
        **board,
        "id": "detection",
        "friedman": None,
        "comparisons": {},
        "overall": {},
        "rows": [{**row("hole"), "id": "lone"}],
    }
    curve = {
        "id": "labels:a/dsc",
        "title": "Label efficiency",
        "x_label": "Share of the labels (%)",
        "unit": "%",
        "log_x": True,
        "column": "a/dsc",
        "lines": [
            {
                "row": name,
                "title": name,
                "style": series_style(number),
                "points": [
                    {"x": 100.0, "mean": 80.0, "std": 0.5, "n": 5},
                    {"x": 1.0, "mean": 60.0, "std": None, "n": 1},
                    {"x": 10.0, "mean": 70.0, "std": 2.0, "n": 5},
                ],
            }
            for number, name in enumerate(("best", "base"))
        ],
    }
    return {
        "schema": 1,
        "title": "Board",
        "protocol": "journal",
        "reference": "m_base",
        "correction": "holm",
        "boards": [bare, board],
        "curves": [curve],
        "runs": {},
        "gallery": [],
        "problems": [],
        "notes": [],
    }


def make_many(titles: Sequence[str], families: int = 4) -> dict[str, Any]:
    """A board of as many rows, all tested against each other, with a curve and a scatter plot."""
    data = make_data()
    board = data["boards"].pop()
    data["boards"] = [board]
    names = [f"m{number}" for number in range(len(titles))]
    verdicts = [("better", 0.0004), ("worse", 0.03), ("not separable", 0.4), ("one seed", None)]
    rows, tests = [], []
    for number, (name, title) in enumerate(zip(names, titles)):
        mean = {"mean": 1.0 + number, "std": 0.5, "low": 0.8 + number, "high": 1.5 + number}
        cells = [cell(80 - number / 3, half) for half in (1.0, None, 0.2)]
        about = {"id": name, "method": name, "title": title, "complete": True}
        family = f"family {number % families}"
        rows.append(
            {**row("best"), **about, "family": family, "average_rank": mean, "cells": cells}
        )
        verdict, p = verdicts[number % 4]
        tests.append(comparison(name, verdict, p, difference=9.0 - number))
    columns = [
        {**test, "column": column, "per_image": None} for column in COLUMNS for test in tests
    ]
    board |= {
        "reference_row": "m0",
        "rows": rows,
        "cost_axes": [
            {
                **{"id": "network_m", "title": "Parameters", "unit": "M", "digits": 1},
                **{"definition": "parameters of the network", "higher_is_better": False},
                "values": {name: 86 + (7 * n) % 13 + n / 7 for n, name in enumerate(names)},
            }
        ],
        "families": series_styles(sorted({row["family"] for row in rows})),
        "comparisons": {"m0": columns},
        "overall": {name: [t for t in tests if t["row"] != name] for name in names},
    }
    count = len(titles)
    ranks = {"ranks": {name: 1.0 + n for n, name in enumerate(names)}, "k": count, "n": 9}
    board["friedman"] |= {**ranks, "critical_difference": count / 5, "groups": [names[:2]]}
    (curve,) = data["curves"]
    line = curve["lines"][0]
    curve["lines"] = [
        {
            **{"row": name, "title": title, "style": series_style(n)},
            "points": [{**point, "mean": point["mean"] + n / 7} for point in line["points"]],
        }
        for n, (name, title) in enumerate(zip(names, titles))
    ]
    curve["levels"] = [{"title": "UNet", "mean": 75.0}]
    points = [
        {"method": name, "title": title, "frozen": 60 + n % 7 + n / 9, "fine_tuned": 70 + n / 5}
        for n, (name, title) in enumerate(zip(names, titles))
    ]
    scatter = {"metric": "DSC", "unit": "%", "datasets": ["XCAV", "DCA1"], "points": points}
    correlation = {"n": count, "rho": 0.5, "p": 0.25, "exact": False}
    data["overview"] = {"tables": [], "scatter": {**scatter, "correlation": correlation}}
    return data


@pytest.fixture
def data() -> dict[str, Any]:
    return make_data()


@pytest.fixture
def means() -> dict[str, list[tuple[float, float | None] | None]]:
    """What the cells of `data` were made of: mean and half an interval, per row and column."""
    return CELLS


@pytest.fixture
def ranks() -> dict[str, tuple[float, float | None, float | None]]:
    """Average rank and its interval of the rows of `data`."""
    return RANKS


@pytest.fixture(scope="session")
def many() -> Callable[..., dict[str, Any]]:
    return make_many
