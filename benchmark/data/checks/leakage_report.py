"""The schema of leakage reports."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from benchmark.schemas import Count, Schema, Text, version_type

SCHEMA = "leakage-report/1"


class LeakageCounts(Schema):
    """Numbers of frames, patients and pairs, see `benchmark.data.checks.leakage.check_leakage`."""

    exact: Count
    similar: Count
    groups: Count
    exact_pairs: Count
    similar_pairs: Count
    listed_pairs: Count


class LeakageReport(Schema):
    """``report.json``, see `benchmark.data.checks.leakage.check_leakage`."""

    remedy: ClassVar[str] = "make it again with tools/check.py leakage"

    schema_version: version_type(SCHEMA) = Field(SCHEMA, alias="schema")
    corpus_hash: Text
    split_hash: Text
    parameters: dict[str, Any]
    pretrain: dict[str, Any]
    test: dict[str, Any]
    counts: LeakageCounts
    groups: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    report_hash: Text
