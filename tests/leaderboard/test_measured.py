import re

import pytest

from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS, read_method_card, read_method_cards
from benchmark.results.schema import Metric
from leaderboard.analyses import ANALYSES, BY_DATASET, PREFIX, find_analysis


def ids(leaderboard):
    return [board.id for board in leaderboard.boards]


def by_id(leaderboard, name):
    return next(board for board in leaderboard.boards if board.id == name)


def test_a_board_per_task_ranks_its_rows_among_themselves(
    build, records, make_run, make_detections
):
    """A method that only denoises has its rank there, whatever others did elsewhere."""
    records += make_detections({"mae": 92.0, "vasomim": 95.0, "detr": 89.0})
    records += [
        make_run(m, "denoising", s, task="denoising", psnr=p + s / 10, ssim=80.0 + p / 10)
        for m, p in (("nlm", 28.0), ("dncnn", 35.0))
        for s in range(3)
    ]
    leaderboard = build(records)
    assert ids(leaderboard) == ["segmentation", "detection", "denoising"]
    ranks = {
        board.id: {row.id: [cell.rank for cell in row.cells] for row in board.rows}
        for board in leaderboard.boards
    }
    assert ranks["segmentation"] == {"mae": [2, 1, 1], "vasomim": [1, 2, 1], "frangi": [3, 3, 3]}
    assert ranks["detection"] == {"vasomim": [1, 1], "mae": [2, 2], "detr": [3, 3]}
    assert ranks["denoising"] == {"dncnn": [1, 1], "nlm": [2, 2]}
    # The papers' overall test joins segmentation and detection, over complete rows.
    assert [column.id for column in leaderboard.combined.columns] == [
        *("arcade_v/dsc", "arcade_v/cldice", "xcav/dsc", "stenosis/map50", "stenosis/map")
    ]
    pairs = leaderboard.combined.column_pairs
    assert {name for pair in pairs for name in pair} == {"mae", "vasomim"}
    assert pairs["vasomim", "mae"].n == 5


def test_a_single_task_has_no_combined_board(build, records):
    assert build(records).combined is None


def test_label_shares_and_analyses_stay_off_the_main_board(build, records, make_run):
    main = by_id(build(records), "segmentation")
    records += [
        make_run(method, f"arcade_v-{share}pct", seed, dsc=60.0 + share / 5 + seed)
        for method in ("mae", "vasomim")
        for share in (10, 25)
        for seed in range(2)
    ]
    records += [
        make_run(f"analysis-{name}", "arcade_v", seed, title="VasoMIM, γ", dsc=78.0 + seed)
        for name in ("masking_ratio_025", "masking_ratio_075", "my_idea")
        for seed in range(2)
    ]
    leaderboard = build(records)
    assert ids(leaderboard) == [
        *("segmentation", "labels-arcade_v", "analysis-masking_ratio", "analysis-other")
    ]
    assert by_id(leaderboard, "segmentation").rows == main.rows
    labels = by_id(leaderboard, "labels-arcade_v")
    assert {row.id for row in labels.rows} == {"mae", "vasomim"}
    assert [column.dataset for column in labels.columns] == [
        *("arcade_v-10pct", "arcade_v-25pct", "arcade_v", "arcade_v")
    ]
    ratio = by_id(leaderboard, "analysis-masking_ratio")
    assert [row.title for row in ratio.rows] == ["γ = 0.25", "γ = 0.5", "γ = 0.75"]
    assert [row.id for row in ratio.rows][1] == "vasomim"
    assert (ratio.reference, labels.reference) == ("vasomim", "mae")
    # Only what the runs of the analysis have: VasoMIM's other columns would be empty for them.
    assert [column.id for column in ratio.columns] == ["arcade_v/dsc"]
    assert [row.id for row in by_id(leaderboard, "analysis-other").rows] == [
        *("vasomim", "analysis-my_idea")
    ]


def test_the_analyses_are_those_of_the_page_on_ablations(request):
    """Every table with its rows in the same order, and every row is a config or a method."""
    page = (request.config.rootpath / "docs" / "ablations.md").read_text(encoding="utf-8")
    journal, _, conference = page.partition("## Conference version")
    found = {}
    for paper, text in (("journal", journal), ("aaai", conference)):
        for source, body in re.findall(r"^### .*?\((.+?)\)\n(.*?)(?=^##|\Z)", text, re.M | re.S):
            configs = re.findall(r"^\| .+? \| `configs/(\w+)/(\w+)\.py` \|", body, re.M)
            names = [PREFIX + name if folder == "analysis" else folder for folder, name in configs]
            found[paper, source] = names
    assert found == {(a.protocol, a.source): [m.method for m in a.members] for a in ANALYSES}
    known = {card.method for card in read_method_cards()} | {
        PREFIX + path.stem for path in (CONFIGS / "analysis").glob("*.py")
    }
    assert {member.method for a in ANALYSES for member in a.members} <= known


def test_analyses_are_well_formed():
    assert len({(a.protocol, a.id) for a in ANALYSES}) == len(ANALYSES)
    assert len({(a.protocol, a.source) for a in ANALYSES}) == len(ANALYSES)
    single = [a.id for a in ANALYSES if a.id not in BY_DATASET]
    assert len(set(single)) == len(single)
    for analysis in ANALYSES:
        methods = [member.method for member in analysis.members]
        assert analysis.reference in methods
        assert len(set(methods)) == len({m.title for m in analysis.members}) == len(methods)
        assert len({member.x is None for member in analysis.members}) == 1
        assert (analysis.x_label != "") == (analysis.members[0].x is not None)
        assert find_analysis(analysis.protocol, analysis.id) is analysis
    assert find_analysis("aaai", "components") is None


def test_a_board_shows_the_analyses_of_its_paper(build, make_run):
    """A run of both papers is in the tables of each; other scales show what they have runs of."""

    def shown(protocol, *methods):
        records = [
            make_run(method, "arcade_v", seed, dsc=70.0 + seed, protocol=protocol)
            for method in methods
            for seed in range(2)
        ]
        return [name for name in ids(build(records, protocol=protocol)) if name != "segmentation"]

    random, v1 = "analysis-guidance_random", "analysis-v1_schedule_1_1"
    journal = ["analysis-components", "analysis-guidance", "analysis-schedule"]
    aaai = ["analysis-components_v1", "analysis-schedule_v1", "analysis-direction_v1"]
    assert shown("journal", "vasomim", random) == journal
    assert shown("aaai", "vasomim_v1", random) == aaai
    assert shown("aaai-demo", "vasomim_v1", random) == aaai
    assert shown("demo", "vasomim", random) == journal
    assert shown("demo", "vasomim", random, v1) == [*journal, "analysis-schedule_v1"]
    assert shown("journal", "vasomim", v1) == ["analysis-other"]


def test_methods_of_the_main_board_make_an_analysis_together(build, make_run):
    def shown(*methods):
        return ids(build([make_run(method, "xcav", 0, dsc=80.0) for method in methods]))

    assert shown("spt", "mae") == ["segmentation"]
    assert shown("vasomim", "mae") == ["segmentation"]
    assert shown("spt", "vasomim") == ["segmentation", "analysis-supervised"]
    assert shown("mae_imagenet", "mae", "hpm") == ["segmentation", "analysis-origin"]


def test_patch_features_have_a_board_of_their_own(build, records, make_run):
    """Neither on the main boards nor in the overall test; Davies–Bouldin is better if lower."""
    plain = build(records)
    scores = {"mae": (-0.1, 5.0), "vasomim": (0.3, 1.2), "analysis-objective_clip": (0.2, 3.0)}
    records += [
        make_run(
            method,
            "xcav-patches",
            seed,
            task="representation",
            silhouette=silhouette + seed / 100,
            davies_bouldin=index + seed / 10,
            lower_is_better=("davies_bouldin",),
        )
        for method, (silhouette, index) in scores.items()
        for seed in range(2)
    ]
    leaderboard = build(records)
    assert ids(leaderboard) == ["segmentation", "clusters-xcav-patches"]
    assert leaderboard.boards[0].rows == plain.boards[0].rows
    board = leaderboard.boards[1]
    assert (board.title, board.analysis) == ("Patch features, XCAV patches", "clusters")
    assert [column.title for column in board.columns] == [
        *("XCAV patches Silhouette", "XCAV patches Davies–Bouldin")
    ]
    assert {row.id: [cell.rank for cell in row.cells] for row in board.rows} == {
        **{"vasomim": [1, 1], "analysis-objective_clip": [2, 2], "mae": [3, 3]}
    }


@pytest.fixture
def patch_notes(build, make_run):
    """The notes on a board of patch features of two methods, from their values by seed."""

    def notes(mae, vasomim, numbers=(34_300, 34_300)):
        records = [make_run("mae", "xcav", 0, dsc=80.0)]
        for method, values, number in zip(("mae", "vasomim"), (mae, vasomim), numbers):
            for seed, (projected, probe) in enumerate(values):
                about = {"task": "representation", "silhouette": projected, "probe_ap": probe}
                run = make_run(method, "xcav-patches", seed, **about, patches=float(number))
                run.metrics["patches"] = run.metrics["patches"].model_copy(
                    update={"headline": False}
                )
                records.append(run)
        (board,) = (b for b in build(records).boards if b.analysis == "clusters")
        assert [column.metric for column in board.columns] == ["silhouette", "probe_ap"]
        return " ".join(board.notes)

    return notes


def test_seeds_that_are_equal_by_construction_are_named(patch_notes):
    same, other = [(0.1, 60.0), (0.2, 60.0)], [(0.3, 70.0), (0.4, 71.0)]
    both = patch_notes(same, [(0.3, 70.0), (0.4, 70.0)])
    assert "Equal for all seeds: Linear probe AP. Where every patch is analysed" in both
    assert "Equal for all seeds: Linear probe AP (MAE)." in patch_notes(same, other)
    assert "Equal" not in patch_notes(other, other)
    assert "Equal" not in patch_notes(same[:1], other[:1]), "of one seed"


def test_numbers_of_patches_that_differ_are_named(patch_notes):
    values = [(0.1, 60.0), (0.2, 61.0)]
    assert "number of patches" not in patch_notes(values, values)
    found = patch_notes(values, values, (40_000, 34_300))
    assert "only where that is equal: 34,300 (VasoMIM); 40,000 (MAE)." in found


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (
            {"split_hash": "split-2"},
            "split hashes must not mix: split of arcade_v in .*, split-2 in",
        ),
        ({"version": "v2"}, "definitions of dsc must not mix: .*v1.*v2"),
        ({"higher_is_better": False}, "definitions of dsc must not mix: .*higher.*lower"),
        ({"n_images": 299}, "numbers of scored images must not mix: 300 in .*, 299 in"),
        ({"protocol": "aaai"}, "protocols must not mix: aaai/"),
        ({"title": "Other"}, "pre-training dataset must not mix: .*MAE.*Other"),
        ({"task": "denoising"}, "tasks must not mix: segmentation in .*, denoising in"),
    ],
)
def test_mixed_records_are_refused_with_both_files(build, make_run, odd, words):
    records = [make_run("mae", "arcade_v", 0, dsc=79.0)]
    records.append(make_run("mae", "arcade_v", 1, **{"dsc": 80.0, **odd}))
    with pytest.raises(InputError, match=words) as caught:
        build(records)
    message = str(caught.value)
    assert "mae/arcade_v/seed1.json" in message
    assert "\n" not in message
    if "protocol" not in odd:
        assert "journal/mae/arcade_v/seed0.json" in message


def test_the_same_run_twice_and_no_run_at_all_are_refused(build, make_run):
    with pytest.raises(InputError, match=r"seed0\.json: the same run is given twice"):
        build([make_run("mae", "arcade_v", 0, dsc=79.0)] * 2)
    with pytest.raises(InputError, match="at least one"):
        build([])


def test_seeds_of_different_configs_are_noted(build, make_run):
    def notes(*configs):
        records = [
            make_run("mae", "arcade_v", seed, config=config, dsc=79.0)
            for seed, config in enumerate(configs)
        ]
        return build(records).boards[0].notes

    assert notes({"seed": 0, "epochs": 1}, {"seed": 1, "epochs": 1}) == ()
    # A nested seed and what only says where a run executes make no difference.
    assert notes({"a": {"seed": 0}, "device": "cpu"}, {"a": {"seed": 1}, "device": "cuda"}) == ()
    (note,) = notes({"seed": 0, "epochs": 1}, {"seed": 1, "epochs": 2})
    assert note.startswith("mae on arcade_v: the seeds come from more than one configuration")


def test_only_headline_metrics_make_a_column(build, records):
    """They change neither ranks nor the family of the tests."""
    plain = build(records).boards[0]
    extra = {"definition": "dsc/pooled/v1", "higher_is_better": True, "headline": False}
    for record in records:
        record.metrics["dsc_dataset"] = Metric(value=5.0 * record.seed, **extra)
    more = build(records).boards[0]
    assert (more.columns, more.rows, more.pairs) == (plain.columns, plain.rows, plain.pairs)


def test_where_a_method_was_published_comes_from_its_card(build, records):
    rows = build(records, cards={"mae": read_method_card("mae")}).boards[0].rows
    assert {row.id: row.paper for row in rows} == {
        "mae": "He et al., CVPR 2022",
        "vasomim": None,
        "frangi": None,
    }
