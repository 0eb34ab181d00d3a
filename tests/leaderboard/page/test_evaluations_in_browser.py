from __future__ import annotations

import copy
from typing import Any

import pytest

from leaderboard.build import build_leaderboard
from leaderboard.data import board_data

pytestmark = pytest.mark.page

AXES = (("x", "width"), ("y", "height"))


def texts(panel: Any, selector: str) -> list[str]:
    return panel.locator(selector).all_inner_texts()


def test_evaluations_share_a_tab_with_the_overview_first(visit, evaluated):
    page = visit().open(evaluated)
    assert texts(page, "[role=tab]") == ["Segmentation 4", "Evaluations 10"]
    assert page.locator("[name=evaluation]").is_hidden()
    page.locator("#tab-evaluations").click()
    titles = ["Overview", *(b["title"] for b in evaluated["boards"] if b.get("group"))]
    assert texts(page, "[name=evaluation] option") == titles
    panel = page.locator("#panel-overview")
    assert texts(panel, "h2") == ["Ranks by evaluation", "Frozen features against fine-tuning"]
    assert panel.get_attribute("aria-labelledby") == "tab-evaluations"
    page.locator("[name=evaluation]").select_option("LoRA")
    assert page.locator("#panel-lora").is_visible()
    assert panel.is_hidden()


def test_ranks_of_all_evaluations(visit, evaluated):
    page = visit().open(evaluated, "board=overview")
    (table,) = [t for t in evaluated["overview"]["tables"] if t["title"] == "Ranks by evaluation"]
    shown = page.locator("#overview-0 table")
    assert texts(shown, "thead th") == table["header"]
    assert texts(shown, "tbody tr:first-child > *") == table["rows"][0]
    assert shown.locator("tbody tr").nth(0).locator("b").count() == len(table["header"]) - 1
    assert "Average rank of a method in each table" in page.locator("#overview-0").inner_text()


def test_every_method_is_a_point_of_the_scatter(visit, evaluated):
    """Points lie in the order of their scores, to the right and up."""
    page = visit().open(evaluated, "board=overview")
    points = {p["method"]: p for p in evaluated["overview"]["scatter"]["points"]}
    dots = page.locator("#overview-1 [data-method]")
    dots.first.wait_for()
    found = {
        dot.get_attribute("data-method"): dot.locator("circle").bounding_box() for dot in dots.all()
    }
    assert set(found) == set(points) == {"mae", "vasomim", "simmim"}
    by_x = sorted(found, key=lambda method: found[method]["x"])
    by_y = sorted(found, key=lambda method: -found[method]["y"])
    assert by_x == sorted(points, key=lambda method: points[method]["frozen"])
    assert by_y == sorted(points, key=lambda method: points[method]["fine_tuned"])
    assert "Spearman's ρ = 0.50" in page.locator("#overview-1").inner_text()
    dots.first.locator("circle").hover()
    assert "75.10" in page.locator("#popover").inner_text()


def test_few_labels_end_with_all_of_them(visit, evaluated):
    page = visit().open(evaluated, "board=few-labels-dca1")
    panel = page.locator("#panel-few-labels-dca1")
    curve = panel.locator("#few-labels-dca1-curves svg")
    curve.wait_for()
    words = curve.locator("text").all_text_contents()
    assert {"1", "5", "all"} <= set(words)
    assert "TransUNet, all labels: 75.10" in words
    table = panel.locator("#few-labels-dca1-detail-0 table")
    heads = texts(table, "thead th")
    assert heads[:2] == ["Method", "DSC, all labels"]
    assert texts(table, "tbody tr:first-child > *")[heads.index("DSC, reaches TransUNet")] == (
        "all labels (+4.00, p = 1.0e-06)"
    )


@pytest.mark.parametrize("width", [390, 1440])
def test_every_evaluation_fits_the_window(visit, evaluated, width):
    page = visit(width).open(evaluated)
    for board in ["overview", *(b["id"] for b in evaluated["boards"])]:
        page.goto(page.url.split("#")[0] + f"#board={board}")
        page.locator(f"#panel-{board}").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_frozen_features_alone(visit, make_run):
    """No main board, no tab but that of the evaluations."""
    records = [make_run(m, "xcav-linear", 0, dsc=s) for m, s in (("mae", 70.0), ("dino", 71.0))]
    page = visit().open(board_data(build_leaderboard(records, "mae", "journal")))
    assert page.locator("#panel-overview").is_visible()
    assert "MAE" in page.locator("#head").inner_text()


def test_names_in_the_scatter_do_not_lie_over_the_bars(visit, evaluated):
    data = copy.deepcopy(evaluated)
    data["overview"]["scatter"]["points"] = [
        {"method": f"m{n}", "title": f"Method {n}", "frozen": 60.0 + n, "fine_tuned": 70.0 + n}
        | {"frozen_std": 0.5 + n / 5, "fine_tuned_std": 0.3}
        for n in range(6)
    ]
    page = visit().open(data, "board=overview")
    card = page.locator("#overview-1")
    card.locator("[data-method]").first.wait_for()
    names = [name.bounding_box() for name in card.locator("text.label").all()]
    bars = [bar.bounding_box() for bar in card.locator("line.leader").all()]
    assert (len(names), len(bars) >= 12) == (6, True)

    def overlap(a, b):
        return all(a[at] < b[at] + b[size] and b[at] < a[at] + a[size] for at, size in AXES)

    # Letters are lower than their boxes.
    inner = [{**box, "y": box["y"] + 3, "height": box["height"] - 6} for box in names]
    assert not any(overlap(name, bar) for name in inner for bar in bars)
