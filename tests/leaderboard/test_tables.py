import csv
import io
import itertools
import math

import pytest
from scipy import stats

from benchmark.engine.records import RunRecord, science_hash
from benchmark.errors import InputError
from leaderboard.board import build_board
from leaderboard.statistics import holm
from leaderboard.tables import CSV_HEADER, grids, notes, to_csv, to_markdown

TITLES = {"mae": "MAE", "vasomim": "VasoMIM", "simmim": "SimMIM", "frangi": "Frangi Filter"}


def make_run(
    method: str,
    dataset: str,
    seed: int,
    *,
    title: str | None = None,
    split_hash: str = "split-1",
    protocol: str = "journal",
    version: str = "v1",
    higher_is_better: bool = True,
    n_images: int = 300,
    config: dict | None = None,
    **metrics: float,
) -> RunRecord:
    config = config or {"seed": seed}
    return RunRecord(
        protocol=protocol,
        method=method,
        title=title or TITLES[method],
        family="Traditional" if method == "frangi" else "General SSL",
        pretraining="—" if method == "frangi" else "XA-170K",
        dataset=dataset,
        task="segmentation",
        seed=seed,
        split_hash=split_hash,
        corpus_hash=None,
        metrics={
            name: {
                "value": value,
                "definition": f"{name}/per-image-mean/{version}",
                "higher_is_better": higher_is_better,
            }
            for name, value in metrics.items()
        },
        n_images=n_images,
        config=config,
        science_hash=science_hash(config),
        seeds={"init": seed},
        versions={},
        device="cpu",
        wall_time_s=1.0,
        finished="2025-01-02T03:04:05",
    )


MAE = [79.2, 79.4, 79.6, 79.3, 79.5]
VASO = [80.1, 80.2, 80.4, 80.3, 80.0]


def make_records() -> list[RunRecord]:
    """Three complete rows on two datasets; the filter is deterministic."""
    records = []
    for seed, (mae, vaso) in enumerate(zip(MAE, VASO)):
        records += [
            make_run("mae", "arcade_v", seed, dsc=mae, cldice=mae + 1.5),
            make_run("vasomim", "arcade_v", seed, dsc=vaso, cldice=mae + 1.6 - seed / 10),
            make_run("frangi", "arcade_v", seed, dsc=41.3, cldice=40.91),
            make_run("mae", "xcav", seed, dsc=84.0 + seed),
            make_run("vasomim", "xcav", seed, dsc=84.0 + seed),
            make_run("frangi", "xcav", seed, dsc=58.46),
        ]
    return records


def board_of(records: list[RunRecord], reference: str = "mae", **options):
    return build_board(records, reference, "journal", **options)


def csv_lines(board) -> dict[tuple[str, str, str], dict[str, str]]:
    lines = csv.DictReader(io.StringIO(to_csv(board)))
    return {(line["method"], line["dataset"], line["metric"]): line for line in lines}


def test_columns_follow_the_fixed_order():
    records = make_records()
    records += [make_run("mae", "zebra", 0, map=1.0, dsc=2.0, aaa=3.0)]
    columns = [(column.dataset, column.metric) for column in board_of(records).columns]
    assert columns == [
        *(("arcade_v", "dsc"), ("arcade_v", "cldice"), ("xcav", "dsc")),
        *(("zebra", "dsc"), ("zebra", "map"), ("zebra", "aaa")),
    ]


def test_ranks_and_average_rank_by_hand():
    board = board_of(make_records())
    ranks = {row.method: [cell.rank for cell in row.cells] for row in board.rows}
    # clDice means: MAE 80.9, VasoMIM 80.8. XCAV: both 86, so both first and the filter third.
    assert ranks == {"vasomim": [1, 2, 1], "mae": [2, 1, 1], "frangi": [3, 3, 3]}
    average = {row.method: row.average_rank for row in board.rows}
    assert average["mae"].mean == pytest.approx(4 / 3)
    assert average["mae"].std == pytest.approx(math.sqrt(1 / 3))
    assert [row.title for row in board.rows] == ["MAE", "VasoMIM", "Frangi Filter"]


def test_scores_and_marks_in_markdown():
    text = to_markdown(board_of(make_records()))
    assert "Protocol: journal · reference: MAE (mae)" in text
    row = next(line for line in text.splitlines() if line.startswith("| VasoMIM | General"))
    assert row == (
        "| VasoMIM | General SSL | XA-170K | 5 | 1.33 ± 0.58 | **80.20 ± 0.16** [1] "
        "| <u>80.80 ± 0.16</u> [2] | **86.00 ± 1.58** [1] |"
    )
    # A deterministic method: no spread, and it says so.
    assert "41.30 ± 0.00 [3]" in text


def test_tests_equal_scipy_and_holm_runs_within_the_dataset():
    lines = csv_lines(board_of(make_records()))
    cldice = [mae + 1.6 - seed / 10 for seed, mae in enumerate(MAE)]
    reference = [mae + 1.5 for mae in MAE]
    raw = [
        stats.ttest_rel(VASO, MAE).pvalue,
        stats.ttest_rel([41.3] * 5, MAE).pvalue,
        stats.ttest_rel(cldice, reference).pvalue,
        stats.ttest_rel([40.91] * 5, reference).pvalue,
    ]
    keys = [
        (method, "arcade_v", metric)
        for metric, method in itertools.product(("dsc", "cldice"), ("vasomim", "frangi"))
    ]
    assert [float(lines[key]["p"]) for key in keys] == pytest.approx(raw, rel=1e-9)
    adjusted = [float(lines[key]["p_holm"]) for key in keys]
    assert adjusted == pytest.approx(holm(raw), rel=1e-9)
    # On XCAV VasoMIM equals MAE seed by seed, which leaves one test: nothing to correct.
    assert lines["vasomim", "xcav", "dsc"]["p"] == ""
    assert lines["frangi", "xcav", "dsc"]["p"] == lines["frangi", "xcav", "dsc"]["p_holm"]


def test_verdicts_family_and_n_are_in_words():
    board = board_of(make_records())
    verdicts = {(c.method, c.column.dataset, c.column.metric): c.verdict for c in board.comparisons}
    assert verdicts["vasomim", "arcade_v", "dsc"] == "better"
    assert verdicts["vasomim", "arcade_v", "cldice"] == "not separable"
    assert verdicts["vasomim", "xcav", "dsc"] == "identical"
    assert verdicts["frangi", "arcade_v", "dsc"] == "worse"
    text = to_markdown(board)
    assert "Size of the family: arcade_v 4, xcav 1." in text
    assert "## Paired t-test against MAE" in text
    assert "| VasoMIM | xcav | DSC | 5 | +0.00 | — | — | — | identical |" in text
    row = next(line for line in text.splitlines() if line.startswith("| VasoMIM | arcade_v | DSC"))
    assert row.split("|")[4].strip() == "5"


def test_the_overall_test_pairs_the_metric_means():
    (vaso, frangi) = sorted(board_of(make_records()).overall, key=lambda c: -c.test.difference)
    expected = stats.ttest_rel([41.3, 40.91, 58.46], [79.4, 80.9, 86.0])
    assert (vaso.method, frangi.method) == ("vasomim", "frangi")
    assert frangi.test.p == pytest.approx(expected.pvalue)
    assert frangi.test.n == 3


def test_decibels_stay_out_of_the_overall_test():
    """Denoising has its columns and ranks; the test over all columns is of those in percent."""
    without = board_of(make_records()).overall
    noise = [
        make_run(method, "denoising", seed, psnr=psnr + seed / 10, ssim=80.0 + psnr)
        for method, psnr in (("mae", 30.0), ("vasomim", 33.0), ("frangi", 20.0))
        for seed in range(3)
    ]
    board = board_of([*make_records(), *noise])
    assert [c.test for c in board.overall] == [c.test for c in without]
    assert {column.metric for column in board.columns} >= {"psnr", "ssim"}
    assert board_of(noise).overall == ()


def test_incomplete_coverage_is_an_empty_cell_without_ranks():
    records = [*make_records(), make_run("simmim", "xcav", 0, dsc=99.0)]
    board = board_of(records)
    row = board.rows[-1]
    assert (row.method, row.cells[0], row.average_rank) == ("simmim", None, None)
    assert row.cells[2].rank is None
    # The others keep the ranks they have among complete rows.
    assert [cell.rank for cell in board.rows[0].cells] == [2, 1, 1]
    text = to_markdown(board)
    assert "| SimMIM | General SSL | XA-170K | 1 |  |  |  | **99.00** |" in text
    assert "Missing seeds of SimMIM: xcav DSC 1–4." in text
    assert ("simmim", "arcade_v", "dsc") not in csv_lines(board)
    line = csv_lines(board)["simmim", "xcav", "dsc"]
    assert (line["seeds"], line["std"], line["rank"], line["difference"]) == ("1", "", "", "15.0")


def test_missing_seeds_pair_what_is_common():
    records = [r for r in make_records() if (r.method, r.dataset, r.seed) != ("mae", "xcav", 2)]
    board = board_of(records)
    frangi = next(
        c for c in board.comparisons if (c.method, c.column.dataset) == ("frangi", "xcav")
    )
    assert frangi.test.n == 4
    assert "Missing seeds of MAE: xcav DSC 2." in to_markdown(board)
    assert "| MAE | General SSL | XA-170K | 4–5 |" in to_markdown(board)


def test_lower_is_better():
    records = [
        make_run(method, "d", seed, higher_is_better=False, error=base + [0.1, 0.2, 0.4][seed] * k)
        for method, base, k in (("mae", 10.0, 1), ("vasomim", 5.0, 2), ("simmim", 20.0, 3))
        for seed in range(3)
    ]
    board = board_of(records)
    assert [row.method for row in board.rows] == ["vasomim", "mae", "simmim"]
    assert {c.method: c.verdict for c in board.comparisons} == {
        "vasomim": "better",
        "simmim": "worse",
    }
    assert "d error ↓" in to_markdown(board)


def test_a_reference_without_results():
    board = board_of(make_records(), reference="moco")
    assert board.comparisons == ()
    assert board.overall == ()
    text = to_markdown(board)
    assert "reference: moco (no results, no tests)" in text
    assert "The reference moco has no results here, so nothing is tested." in text
    assert [grid.heading for grid in grids(board)] == ["Scores"]
    assert "**80.20 ± 0.16** [1]" in text


def test_a_reference_without_one_dataset():
    records = [r for r in make_records() if (r.method, r.dataset) != ("mae", "xcav")]
    board = board_of(records)
    assert {c.column.dataset for c in board.comparisons} == {"arcade_v"}
    assert "No tests, for want of results of MAE: xcav DSC." in notes(board)


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"split_hash": "split-2"}, "split hashes must not mix: split-1 in .*, split-2 in"),
        ({"version": "v2"}, "definitions of dsc must not mix: .*v1.*v2"),
        ({"higher_is_better": False}, "definitions of dsc must not mix: .*higher.*lower"),
        ({"n_images": 299}, "numbers of scored images must not mix: 300 in .*, 299 in"),
        ({"protocol": "aaai"}, "protocols must not mix: aaai/"),
        ({"title": "Other"}, "pre-training corpus must not mix: .*MAE.*Other"),
    ],
)
def test_what_must_not_mix_is_refused_with_both_files(odd, words):
    records = [make_run("mae", "arcade_v", 0, dsc=79.0)]
    records.append(make_run("mae", "arcade_v", 1, **{"dsc": 80.0, **odd}))
    with pytest.raises(InputError, match=words) as caught:
        board_of(records)
    message = str(caught.value)
    assert "mae/arcade_v/seed1.json" in message
    assert "\n" not in message
    if "protocol" not in odd:
        assert "journal/mae/arcade_v/seed0.json" in message


def test_the_same_run_twice_and_no_run_at_all_are_refused():
    with pytest.raises(InputError, match=r"seed0\.json: the same run is given twice"):
        board_of([make_run("mae", "arcade_v", 0, dsc=79.0)] * 2)
    with pytest.raises(InputError, match="at least one"):
        board_of([])


def test_seeds_of_different_configurations_are_pointed_out():
    def run(seed: int, epochs: int) -> RunRecord:
        return make_run("mae", "arcade_v", seed, config={"epochs": epochs, "seed": seed}, dsc=79.0)

    assert board_of([run(0, 100), run(1, 100)]).mixed == ()
    mixed = board_of([run(0, 100), run(1, 200)])
    assert "mae on arcade_v: the seeds come from more than one" in to_markdown(mixed)


def test_equal_records_give_equal_bytes_in_any_order():
    records = make_records()
    boards = [board_of(records), board_of(records[::-1])]
    assert to_markdown(boards[0]) == to_markdown(boards[1])
    assert to_csv(boards[0]) == to_csv(boards[1])


def test_csv_is_long_and_at_full_precision():
    text = to_csv(board_of(make_records()))
    assert text.splitlines()[0].split(",") == list(CSV_HEADER)
    line = csv_lines(board_of(make_records()))["vasomim", "arcade_v", "dsc"]
    assert float(line["mean"]) == math.fsum(VASO) / 5
    assert float(line["std"]) == pytest.approx(math.sqrt(0.025), rel=1e-12)
    assert line["definition"] == "dsc/per-image-mean/v1"
    assert len(csv_lines(board_of(make_records()))) == 9


def test_titles_cannot_break_the_table():
    records = [make_run("mae", "arcade_v", 0, title="A|B <i>\n# *x*", dsc=79.0)]
    text = to_markdown(board_of(records, title="T|U", problems=["x|y.json: broken"]))
    assert "| A\\|B &lt;i&gt; # \\*x\\* | General SSL |" in text
    assert "# T\\|U\n" in text
    assert "- Left out: x\\|y.json: broken" in text


def test_metrics_that_are_no_headline_make_no_column():
    """They change neither ranks nor the family of the tests."""
    plain = make_records()
    more = make_records()
    for record in more:
        record.metrics["dsc_dataset"] = {
            "value": 5.0 * record.seed,
            "definition": "dsc/pooled/v1",
            "higher_is_better": True,
            "headline": False,
        }
    assert to_markdown(board_of(more)) == to_markdown(board_of(plain))
