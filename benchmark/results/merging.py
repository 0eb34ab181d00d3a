"""Merging the results of several machines into one folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark import files
from benchmark.errors import InputError, explain_os_error, one_of
from benchmark.results.examples import SUFFIX as EXAMPLES
from benchmark.results.examples import read_examples
from benchmark.results.schema import RunRecord
from benchmark.results.store import SCORES, put_record, read_record, scan_results


@dataclass(frozen=True, slots=True)
class MergeStep:
    """The fate of one record in a merge.

    Attributes:
        source: file of the record.
        target: its place in the target folder.
        action: ``"copied"``; ``"equal"`` to the existing record; ``"replaced"`` the existing
            record; or ``"kept"`` the existing record, by the policy.
        conflict: how the two differ; None if there is no existing record or they are equal.
        examples: whether the examples are copied, too.
    """

    source: Path
    target: Path
    action: str
    conflict: str | None = None
    examples: bool = True


def plan_merge(
    sources: Iterable[Path | str],
    into: Path | str,
    policy: str = "only-missing",
    examples: bool = True,
) -> tuple[list[MergeStep], list[str]]:
    """Plan a merge without writing anything; `apply_step` performs each step.

    Args:
        sources: folders of results, merged in this order.
        into: the target folder; it need not exist.
        policy: one of `OVERWRITE_POLICIES`, for runs that have another record already; equal
            records do not conflict.
        examples: whether to copy the examples, too.

    Returns the steps in order, and one line per file of the sources that is skipped, as it is not a
    valid record with its scores and examples.

    Raises:
        InputError: unknown policy or source; `into` is a file, or one of the folders lies inside
            the other; or, under ``"never"``, two records of one run differ.
    """
    one_of("policy", policy, files.OVERWRITE_POLICIES)
    into = Path(into)
    if into.exists() and not into.is_dir():
        raise InputError(f"{into}: not a folder; give a folder to merge into")
    steps: list[MergeStep] = []
    problems: list[str] = []
    merged: dict[Path, RunRecord] = {}
    for source in map(Path, sources):
        _refuse_nested(source, into)
        found = scan_results(source)
        problems += [f"{source}: {line}" for line in found.problems]
        for place in sorted(found.records):
            record = _without_examples(found.records[place], examples)
            path, target = found.paths[place], into / place
            try:
                read_examples(path)
                conflict = _conflict(record, merged.get(place), target)
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
            action = _action(conflict, place in merged or target.exists(), policy)
            steps.append(MergeStep(path, target, action, conflict, examples))
            if action in ("copied", "replaced"):
                merged[place] = record
    return steps, problems


def _without_examples(record: RunRecord, keep: bool) -> RunRecord:
    return record if keep else record.model_copy(update={"examples": None})


def _refuse_nested(source: Path, into: Path) -> None:
    one, other = source.resolve(), into.resolve()
    if one in other.parents or other in one.parents:
        raise InputError(f"{source}: lies in {into} or around it; merge into a folder of its own")


def _action(conflict: str | None, is_there: bool, policy: str) -> str:
    if conflict is None:
        return "equal" if is_there else "copied"
    return "replaced" if policy == "always" else "kept"


def _conflict(record: RunRecord, existing: RunRecord | None, target: Path) -> str | None:
    """How a record differs from the existing one; None if it does not, or there is none."""
    if existing is None:
        if not target.exists():
            return None
        try:
            existing = read_record(target)
        except InputError as error:
            return str(error)
    differ = [
        name for name in RunRecord.model_fields if getattr(record, name) != getattr(existing, name)
    ]
    return f"they differ in {', '.join(differ)}" if differ else None


def apply_step(step: MergeStep) -> None:
    """Copy the scores, the examples and then the record of a step, unless it keeps the target.

    Raises:
        InputError: the source has changed since the step was planned; nothing is written.
    """
    if step.action not in ("copied", "replaced"):
        return
    changed = InputError(f"{step.source}: has changed since the merge was planned; merge again")
    try:
        record = _without_examples(read_record(step.source), step.examples)
    except InputError:
        raise changed from None
    entries = {SCORES: record.per_image, EXAMPLES: record.examples}
    beside = {
        suffix: files.read_regular(step.source.with_suffix(suffix))
        for suffix, entry in entries.items()
        if entry
    }
    if any(files.sha256_bytes(beside[suffix]) != entries[suffix].sha256 for suffix in beside):
        raise changed
    put_record(step.target, record.model_dump(), beside)
