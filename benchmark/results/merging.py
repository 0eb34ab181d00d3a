"""Bringing the results of several machines together in one folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from benchmark import files
from benchmark.errors import InputError, explain_os_error
from benchmark.results.examples import SUFFIX as EXAMPLES
from benchmark.results.examples import read_examples
from benchmark.results.schema import POLICIES, RunRecord
from benchmark.results.store import MAX_RECORD_BYTES, SCORES, put_record, read_record, scan_results


@dataclass(frozen=True, slots=True)
class MergeStep:
    """What becomes of one record.

    Attributes:
        source: its file.
        target: where it belongs in the folder that is merged into.
        action: ``"copied"``; ``"equal"`` to the one that is there; ``"replaced"`` that one; or
            ``"kept"``, that one, because of the policy.
        conflict: how the two differ; None where there is no other or they are equal.
    """

    source: Path
    target: Path
    action: str
    conflict: str | None = None


def plan_merge(
    sources: Iterable[Path | str], into: Path | str, policy: str = "only-missing"
) -> tuple[list[MergeStep], list[str]]:
    """What merging would do. Nothing is written; `apply_step` does each of the steps.

    Args:
        sources: folders of results; a later one finds what the ones before it have brought.
        into: the folder they are merged into; it need not exist.
        policy: one of `POLICIES`, for runs of which another record is there: it is kept, replaced,
            or an error. Equal records are no conflict.

    Returns the steps in order, and one line per file of the sources that is left out, as it is not
    a valid record with its scores and examples.

    Raises:
        InputError: no such policy or source; `into` is a file, or one of the folders lies inside
            the other; or, under ``"never"``, two records of one run differ.
    """
    if policy not in POLICIES:
        raise InputError(f"policy {policy!r}: not one of {', '.join(POLICIES)}")
    into = Path(into)
    if into.exists() and not into.is_dir():
        raise InputError(f"{into}: not a folder; results are merged into one")
    steps: list[MergeStep] = []
    problems: list[str] = []
    arrived: dict[Path, RunRecord] = {}
    for source in map(Path, sources):
        _refuse_nested(source, into)
        found = scan_results(source)
        problems += [f"{source}: {line}" for line in found.problems]
        for place in sorted(found.records):
            record, path, target = found.records[place], found.paths[place], into / place
            try:
                read_examples(path)
                conflict = _conflict(record, arrived.get(place), target)
            except InputError as error:
                problems.append(str(error))
                continue
            except OSError as error:
                problems.append(explain_os_error(error))
                continue
            if conflict and policy == "never":
                raise InputError(
                    f"{target}: there already, and {path} is another ({conflict}); nothing was "
                    "merged; --policy only-missing keeps it, always replaces it"
                )
            action = _action(conflict, place in arrived or target.exists(), policy)
            steps.append(MergeStep(path, target, action, conflict))
            if action in ("copied", "replaced"):
                arrived[place] = record
    return steps, problems


def _refuse_nested(source: Path, into: Path) -> None:
    one, other = source.resolve(), into.resolve()
    if one in other.parents or other in one.parents:
        raise InputError(f"{source}: lies in {into} or around it; merge into a folder of its own")


def _action(conflict: str | None, is_there: bool, policy: str) -> str:
    if conflict is None:
        return "equal" if is_there else "copied"
    return "replaced" if policy == "always" else "kept"


def _conflict(record: RunRecord, arrived: RunRecord | None, target: Path) -> str | None:
    """How a record differs from the one in its place; None where it does not, or none is there."""
    if arrived is None:
        if not target.exists():
            return None
        try:
            arrived = read_record(target)
        except InputError as error:
            return str(error)
    names = [field.name for field in fields(RunRecord)]
    differ = [name for name in names if getattr(record, name) != getattr(arrived, name)]
    return f"they differ in {', '.join(differ)}" if differ else None


def apply_step(step: MergeStep) -> None:
    """Copy a record, its scores and its examples if the step says so, the record last.

    Raises:
        InputError: the source was changed after the step was planned; nothing is written.
    """
    if step.action not in ("copied", "replaced"):
        return
    # As it is in the file: a record of an older schema stays one.
    data = files.read_json(step.source, MAX_RECORD_BYTES)
    try:
        entries = {SCORES: data["per_image"], EXAMPLES: data.get("examples")}
        beside = {
            suffix: files.read_regular(step.source.with_suffix(suffix))
            for suffix, entry in entries.items()
            if entry
        }
        whole = all(files.sha256_bytes(beside[name]) == entries[name]["sha256"] for name in beside)
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise InputError(f"{step.source}: was changed in the meantime; merge once more")
    put_record(step.target, data, beside)
