"""Result records: one run is one JSON file, with what it measured on every image beside it.

::

    <results>/<protocol>/<method>/<dataset>/seed<k>.json          the record
                                            seed<k>.csv           scores of every image
                                            seed<k>.examples.npz  some predictions, to be looked at

The JSON names the hashes of the others and is written last: a run that is killed in between leaves
no record. Nothing here imports torch or pandas, so that the leaderboard starts at once. What a
record holds: `RunRecord`, and `docs/results.md`.
"""

from benchmark.engine.records.checking import find_problems
from benchmark.engine.records.examples import Example, read_examples
from benchmark.engine.records.merging import MergeStep, apply_step, plan_merge
from benchmark.engine.records.origin import NOT_SCIENCE, command_line, provenance, science_hash
from benchmark.engine.records.schema import POLICIES, SCHEMA, TASKS, RunRecord
from benchmark.engine.records.store import (
    Found,
    path_of,
    read_record,
    read_results,
    read_scores,
    record_path,
    scan_results,
    write_record,
)

__all__ = [
    "NOT_SCIENCE",
    "POLICIES",
    "SCHEMA",
    "TASKS",
    "Example",
    "Found",
    "MergeStep",
    "RunRecord",
    "apply_step",
    "command_line",
    "find_problems",
    "path_of",
    "plan_merge",
    "provenance",
    "read_examples",
    "read_record",
    "read_results",
    "read_scores",
    "record_path",
    "scan_results",
    "science_hash",
    "write_record",
]
