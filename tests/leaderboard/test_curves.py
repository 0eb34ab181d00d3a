from leaderboard.build import published_leaderboard
from leaderboard.curves import curves
from leaderboard.published import read_tables


def test_label_efficiency(build, make_run):
    records = [
        make_run(method, dataset, seed, dsc=base + share / 10 + seed)
        for method, base in (("mae", 60.0), ("vasomim", 65.0))
        for dataset, share in (("xcav-10pct", 10), ("xcav-2.5pct", 2.5), ("xcav", 100))
        for seed in (0, 1)
    ]
    (curve,) = curves(build(records).boards)
    assert (curve["column"], curve["unit"], curve["log_x"]) == ("xcav/dsc", "%", False)
    assert curve["title"] == "Label efficiency on XCAV, DSC"
    lines = {line["row"]: line["points"] for line in curve["lines"]}
    assert [point["x"] for point in lines["mae"]] == [2.5, 10, 100]
    assert [point["mean"] for point in lines["vasomim"]] == [65.75, 66.5, 75.5]
    assert lines["mae"][0]["n"] == 2


def test_an_analysis_with_an_axis_is_a_curve(build, make_run):
    records = [
        make_run(method, "caxf", 0, dsc=score)
        for method, score in (
            ("vasomim", 89.0),
            ("analysis-corpus_010k", 85.0),
            ("analysis-corpus_080k", 88.0),
            ("analysis-objective_clip", 80.0),
        )
    ]
    (curve,) = curves(build(records).boards)
    assert (curve["id"], curve["log_x"]) == ("analysis-corpus:caxf/dsc", True)
    (line,) = curve["lines"]
    assert (line["row"], line["title"]) == ("vasomim", "VasoMIM")
    assert [(p["x"], p["mean"], p["std"]) for p in line["points"]] == [
        *((10_000, 85.0, None), (80_000, 88.0, None), (171_478, 89.0, None))
    ]


def test_published_points_are_a_line_of_their_own(build, make_run):
    records = [
        make_run(method, "arcade_v", 0, dsc=score)
        for method, score in (("vasomim", 79.0), ("analysis-quality_alpha_50", 78.0))
    ]
    (curve,) = curves(build(records, published=read_tables()).boards)
    lines = {line["title"]: [p["mean"] for p in line["points"]] for line in curve["lines"]}
    assert lines == {
        "VasoMIM": [78.0, 79.0],
        "Frangi filter (published)": [12.06, 27.06, 41.3],
        "VasoMIM (published)": [79.71, 79.67, 80.25],
    }


def test_a_curve_with_two_lines(build, make_run):
    """Pre-training length of two methods; each line is named after its run on the main board."""
    scores = {"mae": 83.5, "analysis-mae_length_200": 82.0, "analysis-mae_length_300": 82.5}
    scores |= {"vasomim_v1": 84.5, "analysis-length_300": 83.75}
    records = [make_run(m, "caxf", 0, dsc=s, protocol="aaai") for m, s in scores.items()]
    (curve,) = curves(build(records, protocol="aaai").boards)
    assert [(line["row"], line["title"]) for line in curve["lines"]] == [
        *(("vasomim_v1", "VasoMIM-v1"), ("mae", "MAE"))
    ]
    points = [[(p["x"], p["mean"]) for p in line["points"]] for line in curve["lines"]]
    assert points == [[(300, 83.75), (800, 84.5)], [(200, 82.0), (300, 82.5), (800, 83.5)]]


def test_curves_of_the_papers():
    found = {curve["id"]: curve for curve in curves(published_leaderboard(read_tables()).boards)}
    lines = {line["title"]: line for line in found["aaai-6:arcade_v/dsc"]["lines"]}
    line = lines["VasoMIM-v1 (published)"]
    assert [(p["x"], p["mean"]) for p in line["points"]] == [(25, 56.93), (50, 63.64), (100, 68.85)]
    assert set(found) == {
        *(f"journal-X:{name}/{m}" for name in ("arcade_v", "xcav") for m in ("dsc", "cldice")),
        *("journal-fig6:arcade_v/dsc", "aaai-6:arcade_v/dsc", "aaai-fig7:caxf/dsc"),
    }
    quality = {line["title"]: line for line in found["journal-X:xcav/cldice"]["lines"]}
    points = quality["Frangi filter (published)"]["points"]
    assert [(p["x"], p["mean"]) for p in points] == [(50, 22.58), (80, 62.51), (92, 57.15)]


def test_one_point_is_no_curve(build, make_run):
    assert curves(build([make_run("mae", "xcav-10pct", 0, dsc=1.0)]).boards) == []


def test_lines_of_one_title_have_one_style_in_all_curves():
    drawn = curves(published_leaderboard(read_tables()).boards)
    styles = {}
    for curve in drawn:
        looks = [(s["colour"], tuple(s["dash"])) for s in (one["style"] for one in curve["lines"])]
        assert len(set(looks)) == len(looks)
        for line, look in zip(curve["lines"], looks):
            assert styles.setdefault(line["title"], look) == look
    assert len(styles) == len(set(styles.values())) > 5
