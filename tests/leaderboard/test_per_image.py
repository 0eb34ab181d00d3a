import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from benchmark.errors import InputError
from benchmark.results import write_record
from leaderboard.comparisons import comparisons
from leaderboard.data import board_data
from leaderboard.per_image import with_per_image_tests
from leaderboard.resampling import paired_bootstrap, sign_flip
from leaderboard.tables.long_format import to_csv
from leaderboard.tables.markdown import to_markdown

IMAGES = [f"i{k}" for k in range(12)]
PATIENTS = [f"p{k // 2}" for k in range(12)]


@pytest.fixture
def tested(tmp_path, make_run, build_folder):
    """Scores of two methods and three seeds → (leaderboard, the tables of scores)."""

    def made(change=None, metric="dsc"):
        rng = np.random.default_rng(0)
        tables = {}
        for method, shift in (("mae", 0.0), ("vasomim", 1.0)):
            for seed in range(3):
                scores = rng.normal(80 + shift, 1, 12)
                table = pd.DataFrame({"image": IMAGES, "patient": PATIENTS, metric: scores})
                if change:
                    table = change(method, seed, table)
                record = make_run(
                    method, "xcav", seed, dsc=float(scores.mean()), n_images=len(table)
                )
                write_record(tmp_path, record, table)
                tables[method, seed] = table
        return with_per_image_tests(*build_folder(tmp_path), draws=2_000), tables

    return made


def mean_differences(tables, seeds):
    wide = {m: [tables[m, s].set_index("image")["dsc"] for s in seeds] for m in ("vasomim", "mae")}
    return (sum(wide["vasomim"]) - sum(wide["mae"])) / len(seeds)


def only(leaderboard):
    (comparison,) = comparisons(leaderboard.boards[0], "mae")
    return comparison.per_image


def test_scores_are_averaged_over_the_common_seeds_and_patients_resampled(tested):
    leaderboard, tables = tested()
    differences = mean_differences(tables, range(3))
    expected = paired_bootstrap(differences.to_numpy(), PATIENTS, 2_000)
    test = only(leaderboard)
    assert (test.bootstrap.n_images, test.bootstrap.n_clusters, test.seeds) == (12, 6, (0, 1, 2))
    assert test.bootstrap.difference == pytest.approx(differences.mean())
    assert test.bootstrap.ci_low == pytest.approx(expected.ci_low)
    assert test.p == sign_flip(differences.to_numpy(), PATIENTS, 2_000)


def test_images_that_one_run_lacks_are_skipped(tested):
    def drop(method, seed, table):
        if (method, seed) == ("mae", 1):
            table.loc[3, "dsc"] = np.nan
        return table.iloc[::-1] if method == "vasomim" else table

    leaderboard, tables = tested(drop)
    expected = mean_differences(tables, range(3)).drop("i3")
    test = only(leaderboard)
    assert test.bootstrap.n_images == 11
    assert test.bootstrap.difference == pytest.approx(expected.mean())


def test_without_patients_images_are_resampled(tested):
    leaderboard, _ = tested(lambda method, seed, table: table.drop(columns="patient"))
    assert only(leaderboard).bootstrap.n_clusters is None


def test_a_metric_that_is_no_mean_over_images_has_no_such_test(tested):
    leaderboard, _ = tested(metric="best_iou")
    assert only(leaderboard) is None


def test_average_precision_of_images_is_not_tested(tmp_path, make_run, build_folder):
    """Its column may rise where mAP falls: it is no mean over images, whatever it is called."""
    for method, shift in (("mae", 0.0), ("vasomim", 5.0)):
        scores = pd.DataFrame({"image": IMAGES, "map": np.linspace(60, 80, 12) + shift})
        metric = {
            "value": 50.0 - shift,
            "definition": "coco-ap/bbox/0.5:0.95/native-size/v1",
            "higher_is_better": True,
        }
        record = make_run(method, "stenosis", 0, task="detection", map=0.0, n_images=12)
        record = record.model_copy(
            update={"metrics": {"map": type(record.metrics["map"])(**metric)}}
        )
        write_record(tmp_path, record, scores)
    leaderboard = with_per_image_tests(*build_folder(tmp_path), draws=200)
    (comparison,) = comparisons(leaderboard.boards[0], "mae")
    assert comparison.test.difference == -5.0
    assert comparison.per_image is None
    assert "Per-image" not in to_markdown(leaderboard)


def test_scores_of_other_settings_are_not_tested(tmp_path, make_run, build_folder):
    for method, epochs in (("mae", 1), ("vasomim", 2), ("simmim", 1)):
        table = pd.DataFrame({"image": IMAGES, "dsc": np.linspace(60, 80, 12) + epochs})
        config = {"epochs": epochs, "seed": 0}
        record = make_run(method, "xcav", 0, dsc=70.0 + epochs, n_images=12, config=config)
        write_record(tmp_path, record, table)
    leaderboard = with_per_image_tests(*build_folder(tmp_path), draws=200)
    found = {c.row.method: c for c in comparisons(leaderboard.boards[0], "mae")}
    assert found["vasomim"].test.note == "other settings"
    assert found["vasomim"].per_image is None
    assert found["simmim"].per_image is not None


def test_they_are_corrected_as_a_family_of_their_own(tmp_path, make_run, build_folder):
    rng = np.random.default_rng(1)
    for method, shift in (("mae", 0.0), ("vasomim", 1.0), ("simmim", 0.3), ("dino", 0.5)):
        table = pd.DataFrame({"image": IMAGES, "dsc": rng.normal(80 + shift, 0.5, 12)})
        record = make_run(method, "xcav", 0, dsc=float(table["dsc"].mean()), n_images=12)
        write_record(tmp_path, record, table)
    leaderboard = with_per_image_tests(*build_folder(tmp_path), draws=2_000)
    found = comparisons(leaderboard.boards[0], "mae", "holm")
    raw = [comparison.per_image.p for comparison in found]
    expected = multipletests(raw, method="holm")[1]
    assert [c.image_p_used("holm") for c in found] == pytest.approx(expected)
    expected = multipletests(raw, method="fdr_bh")[1]
    assert [c.image_p_used("bh") for c in found] == pytest.approx(expected)
    assert [c.image_p_used("none") for c in found] == raw


def test_different_patients_of_one_image_are_refused(tested):
    def change(method, seed, table):
        return table.assign(patient="x") if method == "mae" else table

    with pytest.raises(InputError, match=r"xcav: image i0 is of patient p0 in .* vasomim .* x in"):
        tested(change)


def test_it_is_in_every_format(tested):
    leaderboard, _ = tested()
    text = to_markdown(leaderboard)
    assert "| Images (patients) | Per-image 95 % CI | Per-image p (Holm) |" in text
    assert "| 12 (6) |" in text
    assert "images,patients,image_ci_low" in to_csv(leaderboard)
    tests = board_data(leaderboard)["boards"][0]["comparisons"]
    assert tests["mae"][0]["per_image"]["n_clusters"] == 6
    # Only against the declared reference.
    assert tests["vasomim"][0]["per_image"] is None


def test_progress_covers_every_row(tested, build_folder, tmp_path):
    tested()
    seen = []
    with_per_image_tests(
        *build_folder(tmp_path), draws=10, progress=lambda items: seen.extend(items) or items
    )
    assert [row.id for _, row in seen] == ["vasomim"]
