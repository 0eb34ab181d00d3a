"""Invalid records are not written."""

from __future__ import annotations

import pytest

from benchmark.errors import InputError
from benchmark.results import read_record, write_record

LEAKAGE = {"report_hash": "4ea1", "exact": 0, "similar": 3, "groups": 1}


def metric(value: object, name: str = "dsc") -> dict:
    return {name: {"value": value, "definition": "dsc/v1", "higher_is_better": True}}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"schema": 2}, "schema"),
        ({"schema": 0}, "schema"),
        ({"schema": True}, "schema"),
        ({"method": "../escape"}, "method"),
        ({"method": ""}, "method"),
        ({"title": " "}, "title"),
        ({"task": "segmentaton"}, "task"),
        ({"seed": -1}, "seed"),
        ({"seed": "0"}, "seed"),
        ({"split_hash": None}, "split_hash"),
        ({"metrics": {}}, "metrics"),
        ({"metrics": {"dsc": 80.0}}, "metrics.dsc"),
        ({"metrics": metric(float("nan"))}, "metrics.dsc.value"),
        ({"metrics": metric(100.5)}, "metrics.dsc.value"),
        ({"metrics": metric(-0.5)}, "metrics.dsc.value"),
        ({"metrics": metric(None)}, "metrics.dsc.value"),
        ({"metrics": metric(-0.5, "relative_dsc")}, "metrics.relative_dsc.value"),
        ({"task": "representation", "metrics": metric(1e13)}, "metrics.dsc.value"),
        ({"metrics": {"dsc": {"value": 1.0, "definition": "v1"}}}, "metrics.dsc.higher_is_better"),
        ({"wall_time_s": float("inf")}, "wall_time_s"),
        ({"finished": "yesterday"}, "finished"),
        ({"started": "yesterday"}, "started"),
        ({"processes": 0}, "processes"),
        ({"precision": 16}, "precision"),
        ({"skipped_steps": -1}, "skipped_steps"),
        ({"skipped_steps": 0.5}, "skipped_steps"),
        ({"command": ["finetune.py"]}, "command"),
        ({"encoder": {"fingerprint": "f"}}, "encoder.weights_sha256"),
        ({"git": {"commit": "abc", "dirty": "no"}}, "git.dirty"),
        ({"leakage": {**LEAKAGE, "similar": -1}}, "leakage.similar"),
        ({"leakage": {"exact": 0, "similar": 0, "groups": 0}}, "leakage.report_hash"),
        ({"leakage": {**LEAKAGE, "groups": True}}, "leakage.groups"),
        ({"title": "V" * 201}, "title"),
        ({"title": "half \ud800"}, "title"),
        ({"family": ["a"]}, "family"),
        ({"method": "m" * 201}, "method"),
        ({"device": {"name": "cpu"}}, "device"),
        ({"seed": 2**53 + 1}, "seed"),
        ({"seed": True}, "seed"),
        ({"seeds": {"init": "0"}}, "seeds"),
        ({"seeds": {"init": -1}}, "seeds"),
        ({"seeds": [0]}, "seeds"),
        ({"versions": {"torch": ["2.11.0"]}}, "versions"),
        ({"versions": {"torch": None}}, "versions"),
        ({"versions": {"torch": " "}}, "versions"),
        ({"git": {"commit": 7, "dirty": False}}, "git.commit"),
        ({"encoder": {"fingerprint": 1, "weights_sha256": None, "provenance": {}}}, "encoder.f"),
        (
            {"encoder": {"fingerprint": "f", "weights_sha256": None, "provenance": "p"}},
            "encoder.provenance",
        ),
        ({"metrics": {"dsc": {**metric(1.0)["dsc"], "headline": 1}}}, "metrics.dsc.headline"),
        ({"metrics": {"dsc": {**metric(1.0)["dsc"], "definition": ""}}}, "metrics.dsc.definition"),
        ({"metrics": {"a/b": metric(1.0)["dsc"]}}, "metrics.a/b"),
        ({"images_per_s": True}, "images_per_s"),
        ({"n_images": 3}, "n_images"),
        ({"config_hash": "0"}, "config_hash"),
    ],
)
def test_writing_refuses_and_names_the_key(tmp_path, write, changes, key):
    with pytest.raises(InputError, match=f"seed.*json: key '{key}"):
        write(**changes)
    assert list(tmp_path.rglob("*")) == []


def test_a_copy_is_validated_when_it_is_written(tmp_path, make_record, scores):
    """Copies with other values are made without validation."""
    record = make_record().model_copy(update={"seed": -1, "git": {"commit": "abc"}})
    with pytest.raises(InputError, match=r"seed-1\.json: key 'seed' .* \(and 1 more error\)"):
        write_record(tmp_path, record, scores)
    assert list(tmp_path.rglob("*")) == []


def test_writing_refuses_a_configuration_that_json_cannot_hold(tmp_path, write):
    with pytest.raises(InputError, match="config: not JSON-able"):
        write(config={"layers": {1, 2}})
    assert list(tmp_path.rglob("*")) == []


def test_indices_of_a_representation_have_ranges_of_their_own(write):
    """Silhouettes may be negative, the Calinski-Harabasz index is some 1e5."""
    indices = {"silhouette": metric(-0.1)["dsc"], "calinski_harabasz": metric(1.39e5)["dsc"]}
    path = write(task="representation", metrics=indices)
    read = read_record(path).metrics
    assert {name: one.value for name, one in read.items()} == {
        "silhouette": -0.1,
        "calinski_harabasz": 1.39e5,
    }


def test_percent_of_another_score_may_exceed_100(write):
    """A weak model may be better on corrupted frames than on clean ones."""
    path = write(metrics=metric(104.2, "relative_dsc"))
    assert read_record(path).metrics["relative_dsc"].value == 104.2
