"""A record of an analysis: its numbers are scikit-learn's, and the same every time."""

from __future__ import annotations

import shutil
import sys
import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.metrics import (
    average_precision_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_score,
)
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmark.data.checks.leakage import REPORT, SCHEMA, report_folder
from benchmark.downstream.frozen import preview
from benchmark.downstream.frozen.compose import compose_representation
from benchmark.downstream.representation import analysis
from benchmark.downstream.representation.analysis import analyse_cell, definitions, points_of
from benchmark.downstream.representation.features import extract_features
from benchmark.encoders.encoder import load_encoder
from benchmark.errors import InputError
from benchmark.files import sha256_json, write_json
from benchmark.method_cards import CONFIGS
from benchmark.randomness import stream_key
from benchmark.results import config_hash, find_problems, read_record
from benchmark.training.config import to_plain


@pytest.fixture(scope="module")
def expected_of():
    """The metrics of features, with scikit-learn called by hand."""

    def metrics(features, vessel, groups, seed):
        state = stream_key(seed, "projection") % 2**32
        tsne = TSNE(init="pca", perplexity=30, max_iter=250, random_state=state)
        found = {}
        for suffix, space in (("", tsne.fit_transform(features)), ("_features", features)):
            found["silhouette" + suffix] = silhouette_score(space, vessel)
            found["calinski_harabasz" + suffix] = calinski_harabasz_score(space, vessel)
            found["davies_bouldin" + suffix] = davies_bouldin_score(space, vessel)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        scores = cross_val_predict(
            model, features, vessel, groups=groups, cv=GroupKFold(2), method="decision_function"
        )
        return {**found, "probe_ap": 100 * average_precision_score(vessel, scores)}

    return metrics


def test_a_record_holds_what_scikit_learn_says(make_cell, vessels, encoder, expected_of, capsys):
    cell = make_cell(seed=1)
    record = analyse_cell(cell)
    patches, card = extract_features(cell.config, vessels)
    items = vessels.splits["train"]
    groups = [items[frame]["group"] for frame in patches.frame]
    assert len(set(groups)) == 2
    expected = expected_of(patches.features, patches.vessel, groups, seed=1)
    assert {name: m.value for name, m in record.metrics.items()} == pytest.approx(
        {**expected, "patches": 4 * 64},
        abs=1e-6,  # a silhouette near zero is a difference of distances in single precision
    )
    assert [name for name, metric in record.metrics.items() if not metric.headline] == ["patches"]
    lower = {name for name, metric in record.metrics.items() if not metric.higher_is_better}
    assert lower == {"davies_bouldin", "davies_bouldin_features"}
    assert {n: m.definition for n, m in record.metrics.items()} == definitions(cell.config)
    written = read_record(cell.record)
    assert record == written.model_copy(update={"per_image": None})
    network, _ = load_encoder(encoder)
    assert record.parameters == sum(one.numel() for one in network.parameters())
    assert record.trained_parameters == 0
    assert (record.task, record.dataset, record.protocol) == (
        "representation",
        "vessels-patches",
        "demo",
    )
    assert record.encoder.fingerprint == card.fingerprint
    assert record.corpus_hash == "c0de"
    assert record.split_hash == vessels.split_hash
    assert record.seeds == {"sampling": 1, "projection": 1}
    assert "scikit-learn" in record.versions
    assert find_problems(cell.results) == (1, [])
    assert "seed 1: silhouette " in capsys.readouterr().out
    # Frames, weighted by their patches, make up the mean over patches.
    scores = pd.read_csv(cell.record.with_suffix(".csv"))
    assert list(scores["image"]) == [item["stem"] for item in items]
    assert list(scores["patient"]) == [item["group"] for item in items]
    assert list(scores["vessel_patches"]) == list(np.bincount(patches.frame, patches.vessel))
    assert list(scores["vessel_patches"] + scores["background_patches"]) == [64] * 4
    for name in ("silhouette", "silhouette_features"):
        assert scores[name].mean() == pytest.approx(expected[name], rel=1e-4)


def test_the_same_again_gives_the_same_bytes(make_cell):
    """But for times."""
    cell = make_cell("patches=100")
    first, again = analyse_cell(cell), None
    files = (cell.record.with_suffix(".csv"), cell.folder / "points.npz")
    before = [file.read_bytes() for file in files]
    written = cell.record.read_bytes()
    assert analyse_cell(cell) == read_record(cell.record), "kept"
    assert cell.record.read_bytes() == written
    again = analyse_cell(cell, "always")
    times = dict.fromkeys(("wall_time_s", "started", "finished"))
    assert first.model_copy(update=times) == again.model_copy(update=times)
    assert [file.read_bytes() for file in files] == before
    with pytest.raises(InputError, match="there already"):
        analyse_cell(cell, "never")


def test_points_are_kept_and_computed_again_when_lost(make_cell):
    cell = make_cell("patches=100")
    record = analyse_cell(cell)
    file = cell.folder / "points.npz"
    before, found = file.read_bytes(), points_of(cell, record)
    assert found.points.shape == (100, 2)
    assert found.vessel.any()
    file.unlink()
    assert np.array_equal(points_of(cell, record).points, found.points)
    assert file.read_bytes() == before
    # Those of other frames, settings or weights are replaced, and damaged ones are named.
    weights = record.encoder.model_copy(update={"weights_sha256": "0" * 64})
    for other in ({"split_hash": "0"}, {"config_hash": "0"}, {"encoder": weights}):
        read_before = file.read_bytes()
        points_of(cell, record.model_copy(update=other))
        assert file.read_bytes() != read_before, other
    file.write_bytes(before[:100])
    with pytest.raises(InputError, match=r"points\.npz: not the points"):
        points_of(cell, record)


def test_the_scatter_is_that_of_the_encoder_that_was_recorded(make_cell, export_vit, tmp_path):
    """Another one at the same place has other points, under the same settings."""
    cell = make_cell("patches=100")
    cell.config.model.backbone.folder = str(export_vit(tmp_path / "vit", 1, patch_size=8))
    first = points_of(cell, analyse_cell(cell)).points
    record, kept = read_record(cell.record), (cell.folder / "points.npz").read_bytes()
    export_vit(tmp_path / "vit", 2, patch_size=8)
    other = analyse_cell(cell, "always")
    assert other.config_hash == record.config_hash
    (cell.folder / "points.npz").write_bytes(kept)  # as if writing them had been interrupted
    assert not np.array_equal(points_of(cell, other).points, first)


def test_the_record_takes_up_what_the_leakage_check_found(make_cell, vessels):
    report = {
        "schema": SCHEMA,
        "corpus_hash": "c0de",
        "split_hash": vessels.split_hash,
        "counts": {"exact": 2, "similar": 1, "groups": 3},
    }
    report["report_hash"] = sha256_json(report)
    folder = report_folder(vessels.path, "c0de")
    write_json(folder / REPORT, report)
    try:
        record = analyse_cell(make_cell("patches=100"))
    finally:
        shutil.rmtree(folder.parent)
    found = {"report_hash": report["report_hash"], "exact": 2, "similar": 1, "groups": 3}
    assert record.leakage.model_dump() == found


def test_what_the_probe_refuses_is_refused_before_the_projection(make_cell, vessels, monkeypatch):
    def project(config, features):
        raise AssertionError("projected")

    monkeypatch.setattr(analysis, "_project", project)
    with pytest.raises(AssertionError, match="projected"):
        analyse_cell(make_cell())
    patches, card = extract_features(make_cell().config, vessels)
    first = vessels.splits["train"][0]["group"]
    of_first = [vessels.splits["train"][frame]["group"] == first for frame in patches.frame]
    for changed, words in (
        ({"frame": np.zeros_like(patches.frame)}, "patches of two patients"),
        # A fold is trained on the other patient, who shows no vessel.
        ({"vessel": patches.vessel & of_first}, "vessel and background patches in every fold"),
    ):
        found = replace(patches, **changed), card
        monkeypatch.setattr(analysis, "extract_features", lambda *_, found=found: found)
        with pytest.raises(InputError, match=words):
            analyse_cell(make_cell())


def test_frames_without_a_sampled_patch_have_no_silhouette(make_cell):
    cell = make_cell("patches=12", "tsne.perplexity=3", "tsne.iterations=250")
    for seed in range(20):
        cell.config.seed = cell.seed = seed
        record = analyse_cell(cell)
        scores = pd.read_csv(cell.record.with_suffix(".csv"))
        analysed = scores["vessel_patches"] + scores["background_patches"]
        assert analysed.sum() == 12
        assert scores["silhouette"].isna().equals(analysed == 0)
        assert record.n_images == 4
        if (analysed == 0).any():
            return
    raise AssertionError("no seed leaves a frame out")


def test_a_record_of_other_settings_is_refused(make_cell, export_vit, tmp_path):
    cell = make_cell("patches=100")
    analyse_cell(cell)
    cell.config.patches = 90
    with pytest.raises(InputError, match=r"other settings \(patches: 100 → 90\)"):
        analyse_cell(cell)
    cell.config.patches = 100
    cell.config.model.backbone.folder = str(export_vit(tmp_path / "other", 5, patch_size=8))
    with pytest.raises(InputError, match="made with another encoder"):
        analyse_cell(cell)


def test_the_hash_is_that_of_what_is_composed(make_cell, encoder, tmp_path):
    """As the sweep asks for it; neither places nor unused settings count."""
    record = analyse_cell(make_cell("patches=100"))
    assert "umap" not in record.config
    options = ["test_pipeline.1.scale=(64,64)", "tsne.iterations=250", "probe.folds=2"]
    config, card = compose_representation(
        CONFIGS, encoder, "synthetic_v", "tiny", [*options, "patches=100"], tmp_path / "else"
    )
    config.seed = 0
    assert config_hash(to_plain(config)) == record.config_hash
    assert card.method == record.method


def test_the_conference_protocol_projects_by_umap(encoder, tmp_path):
    config, _ = compose_representation(
        CONFIGS, encoder, "xcav", "paper", [], tmp_path, protocol="aaai"
    )
    assert (config.projection, config.protocol) == ("umap", "aaai")
    assert "tsne" not in config
    xcad, _ = compose_representation(CONFIGS, encoder, "xcad", "paper", [], tmp_path)
    assert (xcad.projection, xcad.protocol) == ("umap", "aaai"), "also by its own name"
    config, _ = compose_representation(CONFIGS, encoder, "xcav", "paper", [], tmp_path)
    assert (config.projection, config.protocol, config.split) == ("tsne", "journal", "train")
    assert config.test_pipeline[1]["scale"] == (224, 224)


def test_umap_gets_the_settings_and_a_seed(make_cell, monkeypatch):
    """The library is optional; a stand-in records how it is called."""
    calls = []

    class UMAP:
        def __init__(self, **settings):
            calls.append(settings)

        def fit_transform(self, features):
            return features[:, :2]

    module = types.ModuleType("umap")
    module.UMAP = UMAP
    monkeypatch.setitem(sys.modules, "umap", module)
    monkeypatch.setattr(preview.importlib.util, "find_spec", lambda name: module)
    record = analyse_cell(make_cell("projection=umap", "patches=100", "umap.neighbours=7"))
    state = stream_key(0, "projection") % 2**32
    assert calls == [{"n_neighbors": 7, "min_dist": 0.1, "random_state": state, "n_jobs": 1}]
    assert record.metrics["silhouette"].definition == (
        "silhouette/vessel-patches/umap-2d/1px-64x64-max100/min_distance0.1-neighbours7/v2"
    )
    with pytest.raises(InputError, match="smaller than the number of patches, 100"):
        analyse_cell(make_cell("projection=umap", "patches=100", "umap.neighbours=100"), "always")


def test_records_of_other_settings_never_share_a_column(make_cell):
    """Every setting that moves a value is in its id; how the number is written is not."""

    def ids(*options):
        return definitions(make_cell(*options).config)

    usual = ids()
    space = "tsne-2d/1px-64x64-max1500/iterations250-perplexity30"
    assert usual == {
        "silhouette": f"silhouette/vessel-patches/{space}/v2",
        "calinski_harabasz": f"calinski-harabasz/vessel-patches/{space}/v2",
        "davies_bouldin": f"davies-bouldin/vessel-patches/{space}/v2",
        **{
            f"{name}_features": f"{text}/vessel-patches/features/1px-64x64-max1500/v2"
            for name, text in (
                ("silhouette", "silhouette"),
                ("calinski_harabasz", "calinski-harabasz"),
                ("davies_bouldin", "davies-bouldin"),
            )
        },
        "probe_ap": "average-precision/vessel-patches/linear-probe/1px-64x64-max1500/"
        "grouped-c1-folds2-iterations1000/v2",
        "patches": "number/vessel-patches/1px-64x64-max1500/v2",
    }
    assert ids("tsne.perplexity=30") == ids("tsne.perplexity=30.0") == usual
    assert ids("micro_batch=3") == usual, "no value depends on it"
    for option in ("vessel_pixels=8", "patches=300", "test_pipeline.1.scale=(32,32)"):
        assert not set(ids(option).values()) & set(usual.values()), option
    projected = {"silhouette", "calinski_harabasz", "davies_bouldin"}
    for option, moved in {
        "tsne.perplexity=30.5": projected,
        "tsne.iterations=300": projected,
        "projection=umap": projected,
        "probe.folds=3": {"probe_ap"},
        "probe.c=0.1": {"probe_ap"},
        "probe.iterations=10": {"probe_ap"},
    }.items():
        assert {name for name, text in ids(option).items() if text != usual[name]} == moved, option
    umap = {
        ids("projection=umap", f"umap.{o}")["silhouette"]
        for o in ("neighbours=5", "min_distance=0.2")
    }
    assert len(umap) == 2


def test_settings_that_do_not_fit_the_patches_are_refused(make_cell):
    with pytest.raises(InputError, match=r"tsne.perplexity=30: must be smaller than .* 20"):
        analyse_cell(make_cell("patches=20"))
    with pytest.raises(InputError, match=r"tsne\.iterations=100: must be .* of 250 or more"):
        make_cell("tsne.iterations=100")
