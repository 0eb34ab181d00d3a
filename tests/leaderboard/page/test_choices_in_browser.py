"""What a reader chooses: columns, rows to compare, a search; all of it is in the URL."""

from __future__ import annotations

import re
from typing import Any

import pytest
from board_locators import by_id, names_of

pytestmark = pytest.mark.page

TABLE = "#segmentation-table"


def heads(page: Any) -> list[str]:
    """Datasets and metrics above the visible columns."""
    texts = page.locator(f"{TABLE} thead th:visible").all_inner_texts()
    return [text.replace("\n", " ").replace("↑", "").strip() for text in texts]


def cells(page: Any) -> set[int]:
    """How many cells the visible rows have."""
    rows = page.locator(f"{TABLE} tbody tr:visible").all()
    return {row.locator("th:visible, td:visible").count() for row in rows}


def test_columns_and_datasets_can_be_chosen(visit, example):
    number = len(example["boards"][0]["columns"])
    page = visit().open(example, "hide=cost")
    assert cells(page) == {4 + 6}
    page.locator(f"{TABLE} .columns summary").click()
    chooser = page.locator(f"{TABLE} .columns-body")
    sets = {
        name: chooser.get_by_role("group", name=name)
        for name in ("About the row", "All datasets", "ARCADE-V", "CAXF", "XCAV")
    }
    sets["CAXF"].get_by_label("All", exact=True).uncheck()
    sets["XCAV"].get_by_label("clDice").uncheck()
    sets["About the row"].get_by_label("Family").uncheck()
    assert cells(page) == {3 + 3}
    assert heads(page)[2:] == [
        *("Average rank 29 of 30 rows", "ARCADE-V", "XCAV", "DSC %", "clDice %", "DSC %")
    ]
    assert page.locator(f"{TABLE} .columns summary").inner_text() == f"Columns: 3 of {number}"
    # A box for several columns shows that only some of them are there.
    mixed = "box => [box.checked, box.indeterminate]"
    assert sets["XCAV"].get_by_label("All", exact=True).evaluate(mixed) == [False, True]
    assert sets["All datasets"].get_by_label("DSC", exact=True).evaluate(mixed) == [False, True]
    # Ranks and marks are those of the complete board, and it says so.
    ranks = page.locator(f"{TABLE} tbody td.rank .mean").all_inner_texts()
    mean = example["boards"][0]["rows"][0]["average_rank"]["mean"]
    assert ranks[0] == f"{mean:.2f}"
    assert "over all columns, also over hidden ones" in page.locator(TABLE).inner_text()
    page.wait_for_url(re.compile(r"#hide=caxf,xcav/cldice,cost,family$"))
    page.reload()
    assert cells(page) == {3 + 3}
    page.locator(f"{TABLE} .columns summary").click()
    sets["All datasets"].get_by_label("clDice").check()
    assert heads(page)[-5:] == ["DSC %", "clDice %", "clDice %", "DSC %", "clDice %"]
    page.get_by_role("button", name="All columns").click()
    assert cells(page) == {4 + number}


def test_arrow_keys_skip_hidden_columns(visit, example):
    page = visit().open(example, "hide=family,pretraining,rank,arcade_v")
    first = page.locator(f"{TABLE} tbody tr").first
    first.locator("th").focus()
    page.keyboard.press("ArrowRight")
    focused = page.locator(":focus")
    row = example["boards"][0]["rows"][0]
    assert focused.locator(".mean").inner_text() == f"{row['cells'][2]['mean']:.2f}"
    page.keyboard.press("ArrowLeft")
    assert focused.evaluate("node => node.tagName") == "TH"


def test_hidden_columns_are_not_drawn_among_all(visit, example):
    page = visit().open(example, "plot=all&hide=caxf")
    titles = page.locator("#segmentation-dots figcaption").all_inner_texts()
    assert [title.split(" · ")[0] for title in titles] == ["ARCADE-V"] * 2 + ["XCAV"] * 2


def test_pinned_rows_stay_on_top_and_stand_side_by_side(visit, example):
    page = visit().open(example)
    board = example["boards"][0]
    rows = by_id(board)
    compare = page.locator("#segmentation-compare")
    links = page.get_by_role("navigation", name="Sections")
    assert compare.is_hidden()
    assert links.get_by_text("Side by side").is_hidden()
    page.get_by_label("Pin DINO", exact=True).check()
    assert names_of(page)[0] == "DINO"
    assert compare.is_hidden()
    # By keyboard: Space in any cell of a row.
    index = names_of(page).index("SimMIM")
    page.locator(f"{TABLE} tbody tr").nth(index).locator("td").nth(4).focus()
    page.keyboard.press("Space")
    assert page.locator(":focus").evaluate("node => node.cellIndex") == 5
    page.wait_for_url(re.compile(r"#pin=dino,simmim$"))
    order = [row["title"] for row in board["rows"] if row["id"] in ("dino", "simmim")]
    assert names_of(page)[:2] == order
    selected = page.locator(f"{TABLE} tr[aria-selected=true] .name").all_inner_texts()
    assert selected == order
    # A filter that they do not pass leaves them.
    page.locator(f"{TABLE} [name=q]").fill("HPM")
    assert names_of(page) == [*order, "HPM"]
    page.locator(f"{TABLE} [name=q]").fill("")
    page.get_by_label("Pinned rows only").check()
    assert names_of(page) == order
    assert compare.locator("thead th").all_inner_texts() == ["DINO", "SimMIM"]
    lines = {
        line.locator("th").inner_text(): line.locator("td").all_inner_texts()
        for line in compare.locator("tbody tr").all()
    }
    tests = {t["row"]: t for t in board["comparisons"]["vasomim"] if t["column"] == "caxf/dsc"}
    for place, name in enumerate(("dino", "simmim")):
        data, test = rows[name]["cells"][2], tests[name]
        score, against = lines["CAXF DSC (%)"][place].split("\n")
        assert score.startswith(f"{data['mean']:.2f} ± {data['std']:.2f}")
        sign = "+" if test["difference"] > 0 else "−"
        assert f"{sign}{abs(test['difference']):.2f}, p = " in against
    assert lines["Family"] == [rows["dino"]["family"], rows["simmim"]["family"]]
    assert lines["Code"] == ["facebookresearch/dino", "microsoft/SimMIM"]
    page.wait_for_url(re.compile("only=1"))
    page.reload()
    assert names_of(page) == order
    page.get_by_role("button", name="Unpin SimMIM").click()
    assert names_of(page) == ["DINO"]
    page.get_by_role("button", name="Unpin all").click()
    assert len(names_of(page)) == len(board["rows"])


def test_ids_with_commas_survive_the_url(visit, example):
    board = example["boards"][2]
    name = "published:LocalMIM, 100 %2C"
    first, *others = board["rows"]
    data = {**example, "boards": [{**board, "rows": [{**first, "id": name}, *others]}]}
    page = visit().open(data)
    page.locator("#denoising-table .pin").first.check()
    page.locator("#denoising-table .pin").nth(1).check()
    page.wait_for_url(re.compile(r"pin=published:LocalMIM.*,\w+$"))
    page.reload()
    assert page.locator("#denoising-table .pin:checked").count() == 2
    assert page.evaluate("listOf(readHash().pin)[0]") == name


def test_a_search_without_matches_says_so(visit, example):
    page = visit().open(example)
    table = page.locator(TABLE)
    empty = table.locator(".empty")
    assert empty.is_hidden()
    table.locator("[name=q]").fill("vassomim")
    assert names_of(page) == []
    assert table.get_by_role("status").inner_text() == ("0 of 31 rows: nothing matches “vassomim”")
    assert "Nothing matches “vassomim”." in empty.inner_text()
    empty.get_by_role("button", name="Clear the search").click()
    assert len(names_of(page)) == 31
    assert empty.is_hidden()
    # What is found does not pass another filter: that is something else.
    table.locator("[name=origin]").select_option("published")
    table.locator("[name=q]").fill("iBOT")
    assert "What matches “iBOT” (1 row) does not pass the other filters." in empty.inner_text()
    empty.get_by_role("button", name="Show all rows").click()
    assert len(names_of(page)) == 31


def test_the_url_holds_choices_and_nothing_else(visit, example):
    page = visit().open(example, "unknown=1&q=mae")
    table = page.locator(TABLE)
    table.locator("[name=ref]").select_option("mae")
    page.wait_for_url(re.compile(r"#q=mae&ref=mae$|#ref=mae&q=mae$"))
    # The declared reference, the first board and an empty search are no choices.
    table.locator("[name=ref]").select_option("vasomim")
    table.locator("[name=q]").fill("")
    page.locator("#tab-detection").click()
    page.locator("#tab-segmentation").click()
    page.locator("#theme").click()
    page.wait_for_url(re.compile(r"index\.html$"))


def test_a_link_is_followed_right_after_a_choice(visit, example):
    """The address of the choice, which is written a little later, does not replace the link's."""
    page = visit().open(example)
    page.evaluate("""() => {
        const real = window.setTimeout;
        const timers = [];
        window.setTimeout = (call) => timers.push(call);
        document.querySelector("#tab-detection").click();
        window.setTimeout = real;
        location.hash = "#board=denoising";
        for (const call of timers) call();  // before the event of the new address
    }""")
    page.locator("#panel-denoising").wait_for()
    assert page.url.endswith("#board=denoising")


def test_a_phone_says_what_its_folded_choices_hide(visit, example):
    page = visit(390).open(example, "hide=caxf&q=mim")
    rows = page.locator(f"{TABLE} tbody tr:visible").count()
    number = len(example["boards"][0]["columns"])
    fold = page.locator(f"{TABLE} .fold > summary")
    assert (
        fold.inner_text()
        == f"Choices and signs: {rows} of 31 rows, {number - 2} of {number} columns"
    )
    page.evaluate("location.hash = ''")
    page.locator(f"{TABLE} tbody tr:visible").nth(30).wait_for()
    assert fold.inner_text() == "Choices and signs"


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_controls_are_labelled_and_wrap(visit, example, width):
    page = visit(width).open(example, "pin=dino,simmim,mae&hide=caxf")
    if width < 720:
        page.locator(f"{TABLE} .fold > summary").click()
    page.locator(f"{TABLE} .columns summary").click()
    room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert room[0] <= room[1]
    unnamed = page.evaluate(
        "() => [...document.querySelectorAll('main input, main select, main button')]"
        ".filter((node) => node.checkVisibility() && !node.labels?.length"
        " && !(node.getAttribute('aria-label') || node.textContent.trim()))"
        ".map((node) => node.outerHTML)"
    )
    assert unnamed == []
