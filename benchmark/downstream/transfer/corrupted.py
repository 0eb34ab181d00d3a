"""Scoring a segmentor on its own test split under corruptions (`docs/protocol.md`).

Every condition, a corruption at a severity or none, is scored as fine-tuning scores its test split.
`dsc`, `ece` and `brier` are their means over all corruptions and severities, and `relative_dsc` is
the mean of DSC / clean DSC, as ImageNet-C averages errors relative to those of a reference network;
here every model is its own reference, which a model that finds next to nothing in clean frames
cannot be.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import reduce
from math import isfinite
from operator import add

import numpy as np
import pandas as pd
from PIL import Image

from benchmark.data.corruptions import SEVERITIES, Corruptions
from benchmark.data.progress import progress_bar
from benchmark.data.tasks.folder import TaskItem
from benchmark.downstream.fine_tuned.model import FineTunedModel, load_model
from benchmark.downstream.segmentation.calibration import Calibration
from benchmark.downstream.segmentation.metrics import (
    definitions,
    dice_of_counts,
)
from benchmark.downstream.transfer.planning import ModelTest
from benchmark.downstream.transfer.scoring import write_test
from benchmark.results import RunRecord

Condition = tuple[str, int] | None
"""A corruption and its severity; None: the frames as they are."""

LEAST_CLEAN_DSC = 10.0
"""Percent; a model with a smaller clean DSC has no relative DSC."""

_HEADLINE = ("relative_dsc", "dsc", "ece", "brier")


def score_corruptions(
    test: ModelTest, batch_size: int | None = None, progress: bool = True
) -> RunRecord:
    """Score a model under all corruptions and write the record, replacing an existing one.

    A frame is read once. Batches are those of the scoring at the end of the run, in every
    condition, so that the clean scores are those of its record.

    Args: as for `score_transfer`.

    Raises:
        InputError: the model cannot be loaded.
    """
    begun = time.time()
    model, corruptions = load_model(test.model), test.corruptions
    scores: list[dict[Condition, float]] = []
    calibrations: list[dict[Condition, Calibration]] = []
    items = test.folder.splits[test.split]
    size = batch_size or model.batch_size
    with progress_bar(test.dataset, len(items), 0, progress) as advance:
        for start in range(0, len(items), size):
            batch = items[start : start + size]
            for dsc, calibration in _score(model, test, batch):
                scores.append(dsc)
                calibrations.append(calibration)
            advance(len(batch))
    table = pd.DataFrame({"image": [item["stem"] for item in items]})
    rows = [_summary(dsc, one) for dsc, one in zip(scores, calibrations)]
    for name in rows[0]:
        if name != "relative_dsc":  # a ratio of small numbers says nothing about an image
            table[name] = [row[name] for row in rows]
    means = {one: float(np.mean([row[one] for row in scores])) for one in scores[0]}
    pooled = {one: reduce(add, (row[one] for row in calibrations)) for one in calibrations[0]}
    at = model.config.score_at
    ids = corrupted_definitions(corruptions, definitions(test.folder.classes[1:], at))
    metrics = {
        name: {
            "value": value,
            "definition": ids[name],
            "higher_is_better": not name.startswith(("ece", "brier")),
            "headline": name in _HEADLINE,
        }
        for name, value in _summary(means, pooled).items()
        if isfinite(value)
    }
    return write_test(test, model.network, begun, metrics, table)


def _score(
    model: FineTunedModel, test: ModelTest, items: Sequence[TaskItem]
) -> list[tuple[dict[Condition, float], dict[Condition, Calibration]]]:
    """DSC in percent and calibration of each frame of a batch, by condition."""
    metric = model.task.build_metric(model.config, test.folder, test.record.parent, test.split)
    stems = [item["stem"] for item in items]
    frames = [np.asarray(Image.open(test.folder.image(test.split, stem))) for stem in stems]
    found = [({}, {}) for _ in stems]
    truths: list[np.ndarray] = []
    for condition in conditions(test.corruptions):
        shown = frames
        if condition is not None:
            shown = [test.corruptions.apply(frame, *condition) for frame in frames]
        predictions = model.predict(shown)
        if not truths:
            sizes = (one.masks.shape[1:] for one in predictions)
            truths = [metric.read_truth(*pair) for pair in zip(stems, sizes)]
        for (dsc, calibration), one, truth in zip(found, predictions, truths):
            total = one.masks.sum() + truth.sum()
            dsc[condition] = 100 * float(dice_of_counts((one.masks & truth).sum(), total))
            if one.probabilities is not None:
                calibration[condition] = Calibration.of(one.probabilities, truth)
    return found


def conditions(corruptions: Corruptions) -> list[Condition]:
    """None, and every corruption at every severity."""
    every = range(1, SEVERITIES + 1)
    return [None, *((name, severity) for name in corruptions.levels for severity in every)]


def _summary(
    dsc: Mapping[Condition, float], calibration: Mapping[Condition, Calibration]
) -> dict[str, float]:
    """The metrics of a split or of an image, in percent, from its scores by condition.

    Below `LEAST_CLEAN_DSC`, `relative_dsc` is NaN; a model without probabilities has no
    calibration.
    """
    kinds: dict[str, dict[int, float]] = defaultdict(dict)
    for condition, value in dsc.items():
        if condition is not None:
            name, severity = condition
            kinds[name][severity] = value
    mean = float(np.mean([list(one.values()) for one in kinds.values()]))
    clean = dsc[None]
    found = {
        "relative_dsc": 100 * mean / clean if clean >= LEAST_CLEAN_DSC else float("nan"),
        "dsc": mean,
    }
    corrupted = [one.scores for condition, one in calibration.items() if condition is not None]
    if corrupted:
        found |= {name: float(np.mean([one[name] for one in corrupted])) for name in corrupted[0]}
    found["dsc_clean"] = clean
    if corrupted:
        found |= {f"{name}_clean": value for name, value in calibration[None].scores.items()}
    for name, values in kinds.items():
        found[f"dsc_{name}"] = float(np.mean(list(values.values())))
        found |= {f"dsc_{name}_{severity}": value for severity, value in values.items()}
    return found


def corrupted_definitions(corruptions: Corruptions, usual: Mapping[str, str]) -> dict[str, str]:
    """Definition ids: the corruption, followed by the id of the score of clean frames.

    Args:
        corruptions: different levels give different ids.
        usual: ids of ``dsc``, ``ece`` and ``brier`` of a test split.
    """
    levels = f"levels-{corruptions.identity}"
    every = f"corrupted/{len(corruptions.levels)}-kinds-{SEVERITIES}-severities/{levels}"
    found = {"relative_dsc": f"relative-to-clean/{every}/{usual['dsc']}"}
    for name in ("dsc", "ece", "brier"):
        found |= {name: f"{every}/{usual[name]}", f"{name}_clean": usual[name]}
    for kind in corruptions.levels:
        found[f"dsc_{kind}"] = f"corrupted/{kind}-{SEVERITIES}-severities/{levels}/{usual['dsc']}"
        for severity in range(1, SEVERITIES + 1):
            one = f"corrupted/{kind}-severity-{severity}/{levels}/{usual['dsc']}"
            found[f"dsc_{kind}_{severity}"] = one
    return found
