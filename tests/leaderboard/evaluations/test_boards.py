"""Every evaluation has tables of its own."""

import csv
import io
import json
import re

import pytest

from leaderboard.board import Board
from leaderboard.columns import Column, column_order, dataset_title
from leaderboard.data import board_data
from leaderboard.evaluations.kinds import EVALUATIONS, Table, table_of
from leaderboard.tables.latex import to_latex
from leaderboard.tables.long_format import to_csv
from leaderboard.tables.markdown import to_markdown
from leaderboard.tables.short_board import short_table

MAIN = ["segmentation"]
EVALUATED = [
    *("linear", "knn", "lora", "few-labels-xcav", "few-labels-dca1", "few-labels-xcav-linear"),
    *("few-labels-dca1-linear", "transfer", "corruptions"),
]


def by_id(leaderboard, name) -> Board:
    return next(board for board in leaderboard.boards if board.id == name)


@pytest.fixture(scope="module")
def leaderboard(build, make_evaluations):
    return build(make_evaluations())


def test_each_evaluation_is_a_board_after_the_main_ones(build, make_evaluations, make_run):
    records = make_evaluations()
    records += [make_run(m, "xcav-10pct", 0, dsc=60.0) for m in ("mae", "vasomim")]
    records += [make_run("mae", "xcav-patches", 0, task="representation", silhouette=0.1)]
    shown = build(records)
    analyses = ["labels-xcav", "clusters-xcav-patches"]
    assert [board.id for board in shown.boards] == [*MAIN, *EVALUATED, *analyses]
    assert [board.is_evaluation for board in shown.boards] == [
        *([False] * len(MAIN) + [True] * len(EVALUATED) + [False] * len(analyses))
    ]
    assert [board.ranks_methods for board in shown.boards].count(True) == 10


def test_no_table_mixes_evaluations(leaderboard):
    for board in leaderboard.boards:
        tables = {table_of(column.dataset) for column in board.columns}
        assert len(tables) == 1, board.id
    titles = {board.id: board.title for board in leaderboard.boards}
    assert titles["linear"] == "Frozen features, linear"
    assert titles["few-labels-dca1"] == "Few labels on DCA1"
    assert titles["few-labels-dca1-linear"] == "Few labels on DCA1, linear"


def test_fine_tuning_is_as_without_the_evaluations(build, make_evaluations, records, make_run):
    """Also in every file: what is there without them is there with them, byte for byte."""
    more = [r for r in make_evaluations() if table_of(r.dataset)]
    records += [
        make_run(m, "xcav-10pct", s, dsc=60.0 + s) for m in ("mae", "simmim") for s in (0, 1)
    ]
    plain, both = build(records), build([*records, *more])
    kept = [board for board in both.boards if not board.is_evaluation]
    for board, other in zip(plain.boards, kept, strict=True):
        assert (board.rows, board.columns, board.pairs) == (other.rows, other.columns, other.pairs)
        assert (board.friedman, board.dataset_pairs) == (other.friedman, other.dataset_pairs)
        assert not board.details
        assert not board.curves
    assert plain.overview is plain.scatter is None
    data, more_data = board_data(plain), board_data(both)
    assert more_data.keys() - data.keys() == {"overview"}
    assert data["boards"] == [b for b in more_data["boards"] if "group" not in b]
    lines = to_csv(plain).splitlines()
    assert lines == [line for line in to_csv(both).splitlines() if line in set(lines)]
    sections = re.split(r"^(?=## )", to_markdown(plain), flags=re.M)
    for section in sections:
        if not section.startswith(("## Notes", "## Provenance", "## Sources", "## Citation")):
            assert section in to_markdown(both)


def test_ids_and_their_tables():
    assert [table_of(name) for name in ("dca1", "dca1-10pct", "dca1-patches")] == [None] * 3
    assert table_of("dca1-linear") == Table("linear")
    assert table_of("dca1-5images") == Table("few-labels", "dca1", "fine-tuning")
    assert table_of("dca1-10pct-knn") == Table("few-labels", "dca1", "knn")
    assert table_of("dca1-5images-to-xcav") == table_of("dca1-to-xcav.val") == Table("transfer")
    assert table_of("dca1-10pct-corruptions") == Table("corruptions")


def test_datasets_are_called_after_what_was_done():
    titles = {
        "dca1-1images": "DCA1, 1 image",
        "dca1-5images": "DCA1, 5 images",
        "dca1-2.5pct-lora": "DCA1, 2.5 %, LoRA",
        "dca1-knn": "DCA1, k-NN",
        "arcade_v-to-xcav": "ARCADE-V → XCAV",
        "dca1-5images-to-mine.val": "DCA1, 5 images → mine, val",
        "dca1-corruptions": "DCA1, corruptions",
        "dca1-5images-lora-to-xcav": "DCA1, 5 images, LoRA → XCAV",
        "dca1-lora-corruptions": "DCA1, LoRA, corruptions",
        "xcad-patches-test": "XCAD patches, test",
    }
    assert {name: dataset_title(name) for name in titles} == titles


def test_order_of_the_columns():
    names = [
        *("mine-linear", "dca1-10images", "dca1-to-mine", "dca1-2images", "dca1-10pct", "dca1"),
        *("xcav-linear", "dca1-to-arcade_v", "dca1-2images-linear", "dca1-lora-to-xcav"),
    ]
    columns = [Column(name, "dsc", "d", True) for name in names]
    assert [column.dataset for column in sorted(columns, key=column_order)] == [
        *("xcav-linear", "dca1-2images", "dca1-2images-linear", "dca1-10images", "dca1-10pct"),
        *("dca1", "dca1-to-arcade_v", "dca1-lora-to-xcav", "dca1-to-mine", "mine-linear"),
    ]


def test_ranks_and_tests_within_a_table(leaderboard):
    linear = by_id(leaderboard, "linear")
    assert [row.id for row in linear.rows] == ["vasomim", "simmim", "mae"]
    assert [row.average_rank.mean for row in linear.rows] == [1, 2, 3]
    assert linear.reference == "mae"
    assert {name for pairs in linear.pairs for pair in pairs for name in pair} == {
        *("vasomim", "simmim", "mae")
    }
    corruptions = by_id(leaderboard, "corruptions")
    assert [column.metric for column in corruptions.columns[:4]] == [
        *("relative_dsc", "dsc", "ece", "brier")
    ]
    assert [column.higher_is_better for column in corruptions.columns[:4]] == [
        *(True, True, False, False)
    ]


def test_columns_of_one_tested_dataset_are_one_block(leaderboard):
    """Numbers of labels are no independent datasets for intervals of ranks and Friedman's test."""
    few = by_id(leaderboard, "few-labels-dca1")
    assert {row.rank_interval for row in few.rows} == {None}
    assert few.friedman is None
    assert by_id(leaderboard, "linear").friedman.n == 2


def test_there_is_no_overall_test(leaderboard):
    assert not any(b.dataset_pairs or b.column_pairs for b in leaderboard.boards if b.analysis)


def test_lora_shows_what_is_trained(leaderboard):
    board = by_id(leaderboard, "lora")
    shown = [(c.dataset, c.metric, c.score) for c in board.columns]
    assert shown == [
        (f"{dataset}-lora", metric, metric == "dsc")
        for dataset in ("xcav", "dca1")
        for metric in ("dsc", "network_m", "trained_m")
    ]
    cells = board.row("mae").cells
    assert [cells[1].summary.mean, cells[2].summary.mean] == [98.0, 12.345678]
    assert board.row("mae").average_rank.n == 2, "sizes are not ranked"
    assert "XCAV, LoRA Trained parameters, M" in to_markdown(leaderboard)


def test_scores_that_no_seed_changes_are_named(build, make_run):
    scores = {"mae": (70.0, 70.0), "dino": (70.0, 71.0)}
    records = [
        make_run(method, "xcav-knn", seed, patch_ap=value)
        for method, values in scores.items()
        for seed, value in enumerate(values)
    ]
    notes = " ".join(build(records).boards[0].notes)
    assert "Equal for all seeds in a column: MAE. Nothing in it" in notes
    (board,) = build(records[2:]).boards
    assert "Equal" not in " ".join(board.notes)


def test_encoders_of_one_method_are_told_apart(build, make_run):
    """Several folders given to --encoder: the title is the method's."""
    records = [
        make_run(method, "xcav-linear", 0, dsc=70.0, title=title)
        for method, title in (("mae", "MAE"), ("long_mae", "MAE"), ("dino", "DINO"))
    ]
    (board,) = build(records).boards
    titles = {row.method: row.title for row in board.rows}
    assert titles == {"mae": "MAE (mae)", "long_mae": "MAE (long_mae)", "dino": "DINO"}


def test_the_chance_level_of_patches_is_told(build, make_run):
    records = [
        make_run("mae", f"{name}-knn", 0, patch_ap=70.0, patch_chance=level)
        for name, level in (("xcav", 21.5), ("dca1", 30.25))
    ]
    for record in records:
        chance = record.metrics["patch_chance"]
        record.metrics["patch_chance"] = chance.model_copy(update={"headline": False})
    (board,) = build(records).boards
    assert [column.metric for column in board.columns] == ["patch_ap", "patch_ap"]
    (note,) = [note for note in board.notes if note.startswith("Chance level of Patch AP")]
    assert ": XCAV, k-NN 21.50; DCA1, k-NN 30.25." in note


def test_lora_of_several_tasks_is_a_table_each(build, make_run):
    records = [make_run("mae", "xcav-lora", 0, dsc=70.0)]
    records += [make_run("mae", "stenosis-lora", 0, task="detection", map50=90.0)]
    boards = build(records).boards
    assert [(b.id, b.title) for b in boards] == [
        ("lora-segmentation", "LoRA, segmentation"),
        ("lora-detection", "LoRA, detection"),
    ]
    assert all(len(board.columns) == 1 for board in boards), "sizes were not recorded"


def test_only_frozen_features_make_a_leaderboard(build, make_run):
    """The matrix of quick evaluations has no fine-tuning at all."""
    records = [
        make_run(m, "xcav-linear", s, dsc=70.0 + s + len(m))
        for m in ("mae", "dino")
        for s in (0, 1)
    ]
    shown = build(records)
    assert [board.id for board in shown.boards] == ["linear"]
    assert shown.reference_title == "MAE"
    assert shown.scatter is None
    assert "| **1.00** |" in to_markdown(shown)
    assert "MAE" in short_table(shown)
    json.dumps(board_data(shown), allow_nan=False)


def test_every_format_has_every_table(leaderboard):
    text = to_markdown(leaderboard)
    for name, (_, note) in EVALUATIONS.items():
        board = next(board for board in leaderboard.boards if board.analysis == name)
        assert f"\n## {board.title}\n" in text
        assert note in text
    lines = list(csv.DictReader(io.StringIO(to_csv(leaderboard))))
    assert {line["board"] for line in lines} == {*MAIN, *EVALUATED, "overview"}
    latex = to_latex(leaderboard)
    labels = re.findall(r"\\boardbegin\{tab:(.+?)\}", latex)
    assert len(set(labels)) == len(labels)
    assert {*EVALUATED, "overview", "overview-1"} <= set(labels)
    assert r"XCAV $\rightarrow$ DCA1" in latex
    data = board_data(leaderboard)
    assert [b["id"] for b in data["boards"] if b.get("group") == "evaluations"] == EVALUATED
    json.dumps(data, allow_nan=False)
