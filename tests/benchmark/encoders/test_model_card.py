"""Model cards: the YAML header, the text, and the scores."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from benchmark.encoders.card import EncoderCard
from benchmark.encoders.encoder import export_encoder
from benchmark.encoders.model_card import model_card, scores_of
from benchmark.errors import InputError
from benchmark.results import RunRecord, config_hash, write_record

ORIGIN = {
    "run": "pretrain",
    "title": "A | B",
    "family": "masked image modelling",
    "paper": "He et al., CVPR 2022",
    "pretraining": "xa170k, 171,478 frames",
    "epochs": 800,
    "config_hash": "5c1e",
    "corpus_hash": "c0a9",
}
RUN = {
    "config": {
        "epochs": 800,
        "base_lr": 1.5e-4,
        "packs": ["/secret/pack"],
        "method": {
            "type": "methods.mae.MAE",
            "masking": {"type": "benchmark.nn.masking.random.RandomMasking", "ratio": 0.75},
            "segmentor": {"type": "x.UNeXt", "checkpoint": "/secret/segmentor"},
        },
    },
    "git": {"commit": "abcdef", "dirty": True},
    "versions": {"python": "3.11.7", "torch": "2.11.0"},
    "finished": {"device": "H200", "processes": 8, "seconds": 7200.0, "skipped_steps": 3},
}


@pytest.fixture
def source(make_encoder, tmp_path: Path) -> tuple[Path, EncoderCard]:
    folder = tmp_path / "run"
    card = export_encoder(folder, make_encoder("vit"), ORIGIN)
    (folder / "run.json").write_text(json.dumps(RUN))
    return folder, card


def write(folder: Path, card: EncoderCard | None, seed: int, dsc: float, **changes: Any) -> None:
    config = changes.pop("config", {"seed": seed, "lr": 1e-4})
    origin = {"weights_sha256": "0" * 64, "fingerprint": "f", "provenance": {}}
    if card is not None:
        origin["weights_sha256"] = card.weights_sha256
    values = {
        "protocol": "journal",
        "method": "mae",
        "title": "MAE",
        "family": "masked image modelling",
        "pretraining": "XA-170K",
        "dataset": "arcade_v",
        "task": "segmentation",
        "seed": seed,
        "split_hash": "5e1f",
        "corpus_hash": "c0a9",
        "metrics": {"dsc": {"value": dsc, "definition": "dsc/v1", "higher_is_better": True}},
        "n_images": 1,
        "config": config,
        "config_hash": config_hash(config),
        "seeds": {"init": seed},
        "versions": {},
        "device": "cpu",
        "wall_time_s": 1.0,
        "finished": "2026-01-01T00:00:00",
        "encoder": origin,
    }
    scores = pd.DataFrame({"image": ["a"], "dsc": [dsc]})
    write_record(folder, RunRecord(**{**values, **changes}), scores)


def head(text: str) -> dict[str, Any]:
    _, block, _ = text.split("---\n", 2)
    return yaml.safe_load(block)


def test_the_header_is_yaml_as_hubs_expect(source):
    folder, card = source
    found = head(model_card(folder, card, "out"))
    assert found["library_name"] == "timm"
    assert found["license"] == "other"
    assert "model-index" not in found
    assert head(model_card(folder, card, "out", licence="cc-by-4.0"))["license"] == "cc-by-4.0"


def test_provenance_and_recipe_are_complete_and_without_paths(source):
    folder, card = source
    text = model_card(folder, card, "out")
    for value in (*map(str, ORIGIN.values()), card.weights_sha256, card.fingerprint, "abcdef"):
        assert value.replace("|", "\\|") in text
    assert "| method.masking | `RandomMasking(ratio=0.75)` |" in text
    assert "| base_lr | `0.00015` |" in text
    assert "8 × H200, 2.00 h" in text
    assert "with changes" in text
    assert "/secret" not in text


def test_the_loading_example_runs(source, tmp_path, monkeypatch):
    """The code in the card, word by word, and the shape it promises."""
    import torch

    from benchmark.encoders.timm_export import open_export, write_timm

    folder, card = source
    out = tmp_path / "out"
    out.mkdir()
    write_timm(out, folder, open_export(folder)[0], card)
    text = model_card(folder, card, "out")
    code = text.split("```python\n")[1].split("```")[0]
    assert code.count("\n") == 3
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"images": torch.zeros(2, 3, 64, 64)}
    exec(code, names)
    assert "B×(1 + 64)×32" in code
    assert names["features"].shape == (2, 1 + 64, 32)


def test_scores_are_those_of_these_weights(source, tmp_path):
    """Mean and sample deviation over seeds; other encoders and damaged files stay out."""
    folder, card = source
    results = tmp_path / "results"
    values = [70.0, 72.0, 77.0]
    for seed, value in enumerate(values):
        write(results, card, seed, value)
    write(results, None, 0, 10.0, method="other")
    leakage = {"report_hash": "r", "exact": 2, "similar": 1, "groups": 0}
    write(results, card, 0, 50.0, dataset="xcav", leakage=leakage)
    broken = results / "journal" / "mae" / "caxf" / "seed0.json"
    broken.parent.mkdir()
    broken.write_text("{")
    scores, problems = scores_of(card, results)
    assert len(problems) == 1
    assert [(s.run.dataset, s.values) for s in scores] == [
        ("arcade_v", tuple(values)),
        ("xcav", (50.0,)),
    ]
    text = model_card(folder, card, "out", scores)
    mean, std = statistics.fmean(values), statistics.stdev(values)
    assert f"| journal | mae | arcade_v | dsc (`dsc/v1`) | {mean:.2f} ± {std:.2f} | 3 |" in text
    assert "| 50.00 | 1 | 2 identical, 1 similar frames, 0 patients |" in text
    (model,) = head(text)["model-index"]
    first = model["results"][0]
    assert first["dataset"]["type"] == "arcade_v"
    assert first["metrics"][0]["value"] == pytest.approx(73.0)


def test_indices_of_patch_features_are_among_the_scores(source, tmp_path):
    folder, card = source
    results = tmp_path / "results"
    index = {"value": 1.39e5, "definition": "ch/v1", "higher_is_better": True}
    changes = {"task": "representation", "dataset": "xcav-patches", "metrics": {"ch": index}}
    write(results, card, 0, 0.0, **changes)
    scores, _ = scores_of(card, results)
    text = model_card(folder, card, "out", scores)
    assert "| journal | mae | xcav-patches | ch (`ch/v1`) | 139000.00 | 1 |" in text
    (model,) = head(text)["model-index"]
    assert model["results"][0]["task"]["type"] == "image-feature-extraction"


def test_results_of_other_encoders_are_an_error(source, tmp_path):
    _, card = source
    write(tmp_path / "results", None, 0, 10.0)
    with pytest.raises(InputError, match="none of 1 results is of this encoder"):
        scores_of(card, tmp_path / "results")


@pytest.mark.parametrize(
    "change",
    [
        {"split_hash": "other"},
        {"config": {"seed": 1, "lr": 5e-4}},
        {"metrics": {"dsc": {"value": 1.0, "definition": "dsc/v2", "higher_is_better": True}}},
    ],
)
def test_runs_that_differ_in_more_than_seed_are_refused(source, tmp_path, change):
    _, card = source
    write(tmp_path / "results", card, 0, 70.0)
    write(tmp_path / "results", card, 1, 71.0, **change)
    with pytest.raises(InputError, match=r"seed1.json: differs from .*seed0.json in more than"):
        scores_of(card, tmp_path / "results")


def test_converted_weights_point_to_their_authors(make_encoder, tmp_path):
    origin = {"release": "x", "title": "X", "source": "https://example.org/x", "file": "x.pth"}
    card = export_encoder(tmp_path, make_encoder("resnet"), origin)
    text = model_card(tmp_path, card, "out")
    assert "converted from those of https://example.org/x, whose terms apply" in text
    assert "## Recipe" not in text
    assert card.architecture in text
