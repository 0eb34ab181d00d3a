"""Values of a valid record, for tests that write some."""

from __future__ import annotations

from typing import Any

from benchmark.results import RunRecord, config_hash


def metric(value: object, definition: str = "dsc/v1", **more: object) -> dict[str, Any]:
    """One metric of a record, higher is better."""
    return {"value": value, "definition": definition, "higher_is_better": True, **more}


def record_values(**changes: Any) -> dict[str, Any]:
    """A run of MAE on ARCADE-V that scored one image; `changes` come on top."""
    values = {
        "protocol": "journal",
        "method": "mae",
        "title": "MAE",
        "family": "masked image modelling",
        "pretraining": "XA-170K",
        "dataset": "arcade_v",
        "task": "segmentation",
        "seed": 0,
        "split_hash": "5e1f",
        "corpus_hash": None,
        "metrics": {"dsc": metric(80.0)},
        "n_images": 1,
        "config": {"seed": changes.get("seed", 0)},
        "seeds": {"init": 0},
        "versions": {"torch": "2.11.0"},
        "device": "cpu",
        "wall_time_s": 1.0,
        "finished": "2025-01-02T03:04:05",
        **changes,
    }
    if "config_hash" not in values:
        values["config_hash"] = config_hash(values["config"])
    return values


def make_record(**changes: Any) -> RunRecord:
    return RunRecord(**record_values(**changes))
