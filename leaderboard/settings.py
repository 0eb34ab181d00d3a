"""Settings that are not the method's: scores of one column are compared only if these agree."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from benchmark.results import NOT_HASHED

#: What makes the method (its network, and what its run is called), and the seed.
_OF_THE_METHOD = frozenset(("model", "seed", "method_settings", "data", "custom_hooks"))

#: Without meaning for a model that is scored as it is.
_OF_TRAINING = frozenset(
    (
        *("epochs", "batch_size", "base_lr", "lr_batch", "optimizer", "schedule", "clip_grad"),
        *("layer_decay", "precision", "train_pipeline", "label_fraction", "label_count"),
    )
)

_ABSENT = object()


def setting_differences(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], but: Collection[str] = ()
) -> dict[str, tuple[Any, Any]]:
    """Dotted key → the values in two configs of records, where both could have been the same.

    Left out are the network, what a method brings by its own config (``method_settings``), where
    files are, what `NOT_HASHED` names, and settings of the training where nothing was trained.

    Args:
        ours, theirs: `RunRecord.config` of two records of one dataset id.
        but: keys that are not compared either.
    """
    skipped = {*but, *_OF_THE_METHOD, *NOT_HASHED}
    for config in (ours, theirs):
        skipped |= set(config.get("method_settings", ()))
        skipped |= _OF_TRAINING if config.get("epochs") == 0 else set()
    found: dict[str, tuple[Any, Any]] = {}
    _collect("", ours, theirs, skipped, found)
    return found


def _collect(
    place: str,
    ours: Any,
    theirs: Any,
    skipped: Collection[str],
    found: dict[str, tuple[Any, Any]],
) -> None:
    if ours == theirs:
        return
    if not (isinstance(ours, Mapping) and isinstance(theirs, Mapping)):
        found[place] = tuple(None if value is _ABSENT else value for value in (ours, theirs))
        return
    for key in sorted({*ours, *theirs} - set(skipped)):
        name = f"{place}.{key}" if place else key
        _collect(name, ours.get(key, _ABSENT), theirs.get(key, _ABSENT), NOT_HASHED, found)


def difference_text(differences: Mapping[str, tuple[Any, Any]], most: int = 4) -> str:
    """``epochs 2, not 1; base_lr 0.001, not 0.0002``; long values by their key alone."""
    texts = []
    for key, (ours, theirs) in list(differences.items())[:most]:
        short = all(value is None or isinstance(value, (str, int, float)) for value in (ours, theirs))
        texts.append(f"{key} {ours}, not {theirs}" if short else key)
    more = len(differences) - most
    return "; ".join(texts) + (f"; and {more} more" if more > 0 else "")
