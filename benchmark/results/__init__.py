"""Result records: one JSON file per run, with its per-image scores beside it.

::

    <results>/<protocol>/<method>/<dataset>/seed<k>.json          the record
                                            seed<k>.csv           per-image scores
                                            seed<k>.examples.npz  example predictions

The JSON holds the hashes of the other files and is written last: a run that is killed in between
leaves no record. Nothing here imports torch or pandas, so that the leaderboard starts fast. The
content of a record is described by `RunRecord` and in `docs/results.md`.
"""

from benchmark.results.dataset_ids import (
    DatasetId,
    label_share,
    labelled_id,
    parse_dataset_id,
    read_dataset_id,
)
from benchmark.results.examples import Example, StoredExamples, read_examples
from benchmark.results.merging import MergeStep, apply_step, plan_merge
from benchmark.results.provenance import collect_provenance, command_line
from benchmark.results.schema import NOT_HASHED, EncoderIdentity, RunRecord, config_hash
from benchmark.results.store import (
    path_of,
    read_record,
    read_results,
    read_scores,
    record_path,
    scan_results,
    write_record,
)
from benchmark.results.validation import find_problems

__all__ = [
    "NOT_HASHED",
    "DatasetId",
    "EncoderIdentity",
    "Example",
    "MergeStep",
    "RunRecord",
    "StoredExamples",
    "apply_step",
    "collect_provenance",
    "command_line",
    "config_hash",
    "find_problems",
    "label_share",
    "labelled_id",
    "parse_dataset_id",
    "path_of",
    "plan_merge",
    "read_dataset_id",
    "read_examples",
    "read_record",
    "read_results",
    "read_scores",
    "record_path",
    "scan_results",
    "write_record",
]
