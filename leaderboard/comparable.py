"""What must not mix: records are averaged, ranked and tested only if they are comparable."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, starmap
from typing import Any

from benchmark.errors import InputError
from benchmark.results import NOT_HASHED, RunRecord, config_hash, path_of

#: Keys of the method (its network and how that is adapted), the seed, and where the data are.
_OF_THE_METHOD = frozenset(("model", "seed", "method_settings", "data", "custom_hooks"))

#: Keys without meaning for a model that is scored as it is.
_OF_TRAINING = frozenset(
    (
        *("epochs", "batch_size", "base_lr", "lr_batch", "optimizer", "schedule", "clip_grad"),
        *("layer_decay", "precision", "train_pipeline", "label_fraction", "label_count"),
    )
)


#: Counts of a leakage report, and what they count.
LEAKAGE = {"exact": "identical", "similar": "near-duplicate", "groups": "shared patients"}

#: Marks of a score with known leakage, and of one whose training skipped steps.
LEAKAGE_MARK, SKIPPED_MARK = "‡", "§"

#: What they warn of.
WARNINGS = {
    LEAKAGE_MARK: "known leakage between pre-training and test frames",
    SKIPPED_MARK: "training steps were skipped, their loss was not finite",
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the values of one method on one dataset were obtained.

    Attributes:
        config: of its first run.
        exact, similar, groups: known leakage: test frames that are among the frames of the
            pre-training, those that nearly are, and patients in both.
        skipped_steps: training steps without a finite loss, over all runs.
        shared: the settings that are not the method's own, as text.
    """

    config: Mapping[str, Any]
    exact: int = 0
    similar: int = 0
    groups: int = 0
    skipped_steps: int = 0
    shared: str = ""

    @property
    def leaked(self) -> bool:
        """Whether leakage is known."""
        return bool(self.exact or self.similar or self.groups)

    @property
    def leakage(self) -> str:
        """The leakage in words; empty without any."""
        counts = ((getattr(self, name), what) for name, what in LEAKAGE.items())
        return ", ".join(f"{number} {what}" for number, what in counts if number)

    @property
    def marks(self) -> str:
        """The marks that warn a reader of the score."""
        return LEAKAGE_MARK * self.leaked + SKIPPED_MARK * bool(self.skipped_steps)


def settings_agree(ours: Conditions | None, theirs: Conditions | None) -> bool:
    """Whether cells may be tested against each other: the settings agree that are no method's own.

    Published numbers always may.
    """
    if ours is None or theirs is None or ours.shared == theirs.shared:
        return True
    return not setting_differences(ours.config, theirs.config)


def settings_differ(cells: Iterable[Conditions | None]) -> bool:
    """Whether two of these cells may not be tested against each other."""
    known = [cell for cell in cells if cell]
    kinds = {(c.shared, *map(str, c.config.get("method_settings", ()))): c for c in known}
    return not all(starmap(settings_agree, combinations(kinds.values(), 2)))


def conditions_of(runs: Sequence[RunRecord]) -> Conditions:
    """The conditions of the runs of one method on one dataset."""
    found = [run.leakage for run in runs if run.leakage]
    worst = (max((getattr(one, key) for one in found), default=0) for key in LEAKAGE)
    skipped = sum(run.skipped_steps or 0 for run in runs)
    config = runs[0].config
    shared = {k: v for k, v in config.items() if k not in _OF_THE_METHOD | NOT_HASHED}
    return Conditions(config, *worst, skipped, json.dumps(shared, sort_keys=True))


def without_leakage(records: Sequence[RunRecord]) -> tuple[list[RunRecord], list[str]]:
    """The records without known leakage, and a line for each of the others.

    Raises:
        InputError: nothing is left.
    """
    leaked = {path_of(r): words for r in records if (words := conditions_of([r]).leakage)}
    kept = [record for record in records if path_of(record) not in leaked]
    if not kept:
        raise InputError(f"all {len(records)} results have known leakage; remove --without-leakage")
    return kept, [f"{path.as_posix()}: known leakage ({words})" for path, words in leaked.items()]


def setting_differences(
    ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Dotted key → the values in two configs of records, where both could have been the same.

    Not compared are the network, what a method brings by its own config (``method_settings``),
    where files are, what `NOT_HASHED` names, and settings of the training where nothing was
    trained.

    Args:
        ours, theirs: `RunRecord.config` of two records of one dataset id.
    """
    skipped = {*_OF_THE_METHOD, *NOT_HASHED}
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
        found[place] = (ours, theirs)
        return
    for key in sorted({*ours, *theirs} - set(skipped)):
        name = f"{place}.{key}" if place else key
        _collect(name, ours.get(key), theirs.get(key), NOT_HASHED, found)


def difference_words(differences: Mapping[str, tuple[Any, Any]], most: int = 4) -> str:
    """``epochs 2, not 1; base_lr 0.001, not 0.0002``; long values by their key alone."""
    texts = [
        f"{key} {ours}, not {theirs}"
        if all(value is None or isinstance(value, str | int | float) for value in (ours, theirs))
        else key
        for key, (ours, theirs) in list(differences.items())[:most]
    ]
    more = len(differences) - most
    return "; ".join([*texts, *([f"and {more} more"] if more > 0 else [])])


def check_comparable(records: Sequence[RunRecord], protocol: str) -> None:
    """Refuse records that were not obtained in the same way.

    Raises:
        InputError: a record of another protocol; the same run twice; a method with two titles,
            families or pre-training datasets; a dataset with two tasks, split hashes, numbers of
            scored images or definitions of a metric. Names both values and both files.
    """
    for record in records:
        if record.protocol != protocol:
            raise InputError(
                f"protocols must not mix: {path_of(record).as_posix()} on a board of {protocol}"
            )
    for runs in grouped(records, lambda r: (r.method, r.dataset, r.seed)).values():
        if len(runs) > 1:
            raise InputError(f"{path_of(runs[0]).as_posix()}: the same run is given twice")
    for method, runs in grouped(records, lambda r: r.method).items():
        _require_equal(
            runs,
            f"{method}: title, family and pre-training dataset",
            lambda r: (r.title, r.family, r.pretraining),
        )
    for dataset, runs in grouped(records, lambda r: r.dataset).items():
        _require_equal(runs, f"{dataset}: tasks", lambda r: r.task)
        _require_equal(runs, f"{dataset}: split hashes", lambda r: r.split_hash)
        _require_equal(runs, f"{dataset}: numbers of scored images", lambda r: r.n_images)
        for metric in sorted({name for run in runs for name in run.metrics}):
            _require_equal(
                [run for run in runs if metric in run.metrics],
                f"{dataset}: definitions of {metric}",
                lambda r, metric=metric: (
                    r.metrics[metric].definition,
                    "higher" if r.metrics[metric].higher_is_better else "lower",
                ),
            )


def is_mixed(runs: Sequence[RunRecord]) -> bool:
    """Whether these runs differ in more than the seed, so that ± is not its spread alone.

    What does not change the result may differ.
    """
    first, *others = runs
    if any(other.corpus_hash != first.corpus_hash for other in others):
        return True
    ours, *theirs = ({k: v for k, v in run.config.items() if k != "seed"} for run in runs)

    def hashed(config: Mapping[str, Any]) -> str:
        return config_hash(config, also_drop=("seed", "seeds"))

    # Nearly always they are equal without the seed, and comparing is much faster than hashing.
    return any(config != ours and hashed(config) != hashed(ours) for config in theirs)


def grouped(
    records: Sequence[RunRecord], key: Callable[[RunRecord], Any]
) -> dict[Any, list[RunRecord]]:
    """Key → the records that have it, in their order."""
    groups: dict[Any, list[RunRecord]] = defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    return groups


def _require_equal(
    records: Sequence[RunRecord], what: str, value: Callable[[RunRecord], Any]
) -> None:
    """Raise an InputError that names the first two different values and their files."""
    first = records[0]
    for other in records[1:]:
        if value(other) != value(first):
            raise InputError(
                f"{what} must not mix: {value(first)} in {path_of(first).as_posix()}, "
                f"{value(other)} in {path_of(other).as_posix()}"
            )
