"""A record of a frozen encoder says what was measured, and is kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmark.data.sources import open_source
from benchmark.data.tasks import write_task_folder
from benchmark.downstream.frozen.cell import evaluate_cell
from benchmark.downstream.frozen.compose import compose_frozen
from benchmark.downstream.frozen.knn import knn_definitions
from benchmark.downstream.frozen.preview import settings_of
from benchmark.downstream.segmentation.metrics import definitions
from benchmark.encoders.encoder import load_encoder
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.results import config_hash, find_problems, read_examples, read_record
from benchmark.training.config import to_plain


def test_a_linear_record_has_scores_of_masks_and_of_pixels(make_cell, vessels, features, capsys):
    cell = make_cell("linear", "examples=2", seed=1)
    record = evaluate_cell("linear", cell, features)
    expected = definitions(["vessel"]) | {
        "pixel_ap": "average-precision/pooled-over-all-pixels/8192-levels-of-the-logit/"
        "native-size/v1",
        "patch_ap": "average-precision/vessel-patches/pooled/linear/1px-64x64-patch8/v1",
    }
    assert {name: metric.definition for name, metric in record.metrics.items()} == expected
    headlines = {name for name, metric in record.metrics.items() if metric.headline}
    assert headlines == {"patch_ap", "pixel_ap", "dsc"}
    assert (record.task, record.dataset, record.protocol) == (
        "segmentation",
        "vessels-linear",
        "demo",
    )
    assert record.seeds == {"weights": 1, "order": 1}
    encoder, _ = load_encoder(cell.config.model.backbone.folder)
    frozen = sum(one.numel() for one in encoder.parameters())
    head = 2 * 32 + 32 + 1  # scales and offsets of the norm, weights and bias
    assert (record.parameters, record.trained_parameters) == (frozen + head, head)
    assert (record.n_images, record.corpus_hash, record.split_hash) == (
        2,
        "c0de",
        vessels.split_hash,
    )
    scores = pd.read_csv(cell.record.with_suffix(".csv"))
    assert list(scores["image"]) == [item["stem"] for item in vessels.splits["test"]]
    assert list(scores["patient"]) == [item["group"] for item in vessels.splits["test"]]
    assert scores["dsc"].mean() == pytest.approx(record.metrics["dsc"].value)
    written = read_record(cell.record)
    assert len(read_examples(cell.record)) == 2
    assert "vessels-linear · seed 1: patch_ap " in capsys.readouterr().out
    assert evaluate_cell("linear", cell, features) == written, "kept"
    assert find_problems(cell.results) == (1, [])


def test_a_knn_record_has_scores_of_patches(make_cell, vessels, features):
    cell = make_cell("knn")
    record = evaluate_cell("knn", cell, features)
    found = {name: metric.definition for name, metric in record.metrics.items()}
    assert found == knn_definitions(cell.config)
    columns = [name for name, metric in record.metrics.items() if metric.headline]
    assert columns == ["patch_ap", "patch_dsc"]
    assert all(metric.higher_is_better for metric in record.metrics.values())
    scores = pd.read_csv(cell.record.with_suffix(".csv"))
    assert scores["patch_dsc"].mean() == pytest.approx(record.metrics["patch_dsc"].value)
    assert record.seeds == {"sampling": 0}
    assert record.examples is None
    assert record.trained_parameters == 0


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_the_same_again_gives_the_same_numbers(make_cell, features, kind):
    cell = make_cell(kind)
    first = evaluate_cell(kind, cell, features)
    csv = cell.record.with_suffix(".csv").read_bytes()
    with pytest.raises(InputError, match="there already"):
        evaluate_cell(kind, cell, features, "never")
    again = evaluate_cell(kind, cell, features, "always")
    times = dict.fromkeys(("wall_time_s", "started", "finished"))
    assert first.model_copy(update=times) == again.model_copy(update=times)
    assert cell.record.with_suffix(".csv").read_bytes() == csv


def test_records_of_other_settings_or_encoders_are_refused(
    make_cell, features, export_vit, tmp_path
):
    cell = make_cell("knn")
    evaluate_cell("knn", cell, features)
    cell.config.neighbours = 7
    with pytest.raises(InputError, match=r"other settings \(neighbours: 5 → 7\)"):
        evaluate_cell("knn", cell, features)
    cell.config.neighbours = 5
    cell.config.model.backbone.folder = str(export_vit(tmp_path / "other", 5, patch_size=8))
    with pytest.raises(InputError, match="made with another encoder"):
        evaluate_cell("knn", cell, features)


def test_unknown_metrics_are_refused_before_anything_is_computed(make_cell, features):
    for kind in ("linear", "knn"):
        with pytest.raises(InputError, match="metric 'dice'"):
            evaluate_cell(kind, make_cell(kind, "metrics=('dice',)"), features)
    assert not features.exists()


def test_the_hash_says_what_is_measured_and_not_how_it_is_run(encoder, tmp_path):
    def hashed(*options, kind="linear", dataset="synthetic_v"):
        config, _ = compose_frozen(
            settings_of(kind, CONFIGS), CONFIGS, encoder, dataset, "tiny", options, tmp_path
        )
        return config_hash(to_plain(config))

    usual = hashed()
    assert hashed("micro_batch=3", "num_threads=2", "examples=0", "label_count=None") == usual
    changed = [
        *(hashed(option) for option in ("steps=9", "base_lr=0.1", "label_count=2")),
        hashed(kind="knn"),
    ]
    assert len({usual, *changed}) == 5
    config, _ = compose_frozen(
        settings_of("linear", CONFIGS), CONFIGS, encoder, "dca1", "paper", [], tmp_path
    )
    assert (config.metrics, config.score_at) == (("patch_ap", "pixel_ap", "dsc"), "native")
    assert (config.protocol, config.test_pipeline[1]["scale"]) == ("journal", (224, 224))


@pytest.mark.parametrize("dataset", ["synthetic_d", "synthetic_n"])
def test_detection_and_denoising_have_no_frozen_protocol(encoder, tmp_path, dataset):
    with pytest.raises(InputError, match=f"{dataset}: a dataset for .*; patch features"):
        compose_frozen(
            settings_of("linear", CONFIGS), CONFIGS, encoder, dataset, "tiny", [], tmp_path
        )


@pytest.mark.parametrize("method", ["unet", "frangi"])
def test_a_method_without_an_encoder_is_refused(tmp_path, method):
    with pytest.raises(InputError, match=f"{method}: has no exported encoder"):
        compose_frozen(
            settings_of("knn", CONFIGS), CONFIGS, method, "synthetic_v", "tiny", [], tmp_path
        )


def test_several_classes_have_a_score_each(make_cell, features, tmp_path):
    source = open_source("synthetic", patients=3, videos=1, frames=4, first_frame=3, size=80)
    task = write_task_folder(
        source, tmp_path / "segments", "segmentation", "synthetic_vs", progress=False
    )
    cell = make_cell("linear")
    cell.config.data.folder = str(task.path)
    record = evaluate_cell("linear", cell, features)
    assert np.isfinite([metric.value for metric in record.metrics.values()]).all()
