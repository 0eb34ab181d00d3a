"""Whatever a record says of itself is shown, not obeyed, in every form of the board."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from matplotlib.text import Text

from benchmark.files import write_json
from benchmark.text import visible
from leaderboard.data import board_data
from leaderboard.figures import Choice, draw, draw_training
from leaderboard.page import render
from leaderboard.tables.latex import to_latex
from leaderboard.tables.long_format import to_csv
from leaderboard.tables.markdown import to_markdown
from leaderboard.tables.short_board import short_table
from leaderboard.tables.terminal import show

TOOL = Path(__file__).resolve().parents[2] / "tools" / "leaderboard.py"

#: Colours a terminal, ends a line, turns the words after it around, hides.
EVIL = "\x1b[31mBest\x07\r\n\u202e99.9\u2066 \u200b\x9b"
SHOWN = r"\x1b[31mBest\x07\r\n\u202e99.9\u2066 \u200b\x9b"


@pytest.fixture
def leaderboard(build, make_run):
    """Every free text of a record, and a label-efficiency curve."""
    records = []
    for seed in range(3):
        for dataset in ("arcade_v", "arcade_v-10pct", "xcav"):
            records.append(make_run("mae", dataset, seed, dsc=70.0 + seed))
            record = make_run(
                "evil",
                dataset,
                seed,
                dsc=75.0 + seed**2 / 3,
                title=EVIL,
                family=EVIL,
                pretraining=EVIL,
                version=EVIL,
                versions={EVIL: EVIL, "torch": EVIL},
                device=EVIL,
                git={"commit": EVIL, "dirty": False},
                encoder={"fingerprint": EVIL, "weights_sha256": EVIL, "provenance": {EVIL: [EVIL]}},
                config={"seed": seed, "nested": [{EVIL: EVIL}]},
            )
            records.append(record)
    # One definition per dataset: that of MAE has to be the same.
    definition = {"definition": EVIL}
    records = [
        record.model_copy(
            update={"metrics": {"dsc": record.metrics["dsc"].model_copy(update=definition)}}
        )
        for record in records
    ]
    return build(records, title=EVIL, problems=[f"{EVIL}.json: broken"])


def lines_are_visible(text):
    return all(visible(line) == line for line in text.split("\n"))


def texts_of(value):
    if isinstance(value, str):
        yield value
    for item in value if isinstance(value, (list, dict)) else ():
        yield from texts_of(item)
    for item in value.values() if isinstance(value, dict) else ():
        yield from texts_of(item)


def test_tables_are_visible_lines(leaderboard):
    markdown, latex, table = (f(leaderboard) for f in (to_markdown, to_latex, to_csv))
    assert all(map(lines_are_visible, (markdown, latex, table, short_table(leaderboard))))
    assert SHOWN.replace("\\", "\\\\") in markdown
    assert r"\textbackslash{}x1b[31mBest" in latex
    rows = list(csv.DictReader(io.StringIO(table)))
    assert {row["title"] for row in rows} == {"MAE", SHOWN}


def test_the_page_and_its_data_are_visible(leaderboard):
    data = board_data(leaderboard)
    text = json.dumps(data, ensure_ascii=False)
    assert lines_are_visible(text)
    assert json.loads(text)["title"] == SHOWN
    assert data["problems"] == [f"{SHOWN}.json: broken"]
    assert SHOWN in {line["title"] for curve in data["curves"] for line in curve["lines"]}
    run = data["runs"]["journal/evil/xcav/seed0"]
    assert run["versions"] == {SHOWN: SHOWN, "torch": SHOWN}
    assert run["config"]["nested"] == [{SHOWN: SHOWN}]
    page = render(data)
    assert lines_are_visible(page)
    # Nor is anything hidden behind the escapes of JSON, which the browser undoes.
    block = re.search(r"<script[^>]*application/json[^>]*>(.*?)</script>", page, re.DOTALL)[1]
    assert all(visible(text) == text for text in texts_of(json.loads(block)))


def test_a_terminal_is_given_visible_lines(leaderboard, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "4000")  # so that no line is folded
    show(leaderboard)
    shown = capsys.readouterr().out
    assert lines_are_visible(shown)
    assert shown.count(SHOWN) > 10


@pytest.mark.parametrize("kind", ["ranks", "datasets", "significance", "pairs", "curves"])
def test_figures_show_visible_names(leaderboard, kind):
    """Also those of a leaderboard.json that somebody else has written."""
    data = board_data(leaderboard)
    text = json.dumps(data).replace(json.dumps(SHOWN)[1:-1], json.dumps(EVIL)[1:-1])
    (figure,) = draw(kind, json.loads(text), Choice())
    texts = [found.get_text() for found in figure.findobj(Text)]
    # Names of columns are broken into two lines here.
    assert all(lines_are_visible(text) for text in texts)
    assert any(r"\x1b[31mBest" in text for text in texts)


def test_titles_of_runs_are_visible_in_curves(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "metrics.jsonl").write_text('{"step": 1, "epoch": 0, "loss": 1.0}\n')
    write_json(run / "run.json", {"config": {"card": {"title": EVIL}}})
    (figure,) = draw_training([run], "loss", 180.0)
    texts = [found.get_text() for found in figure.findobj(Text)]
    assert all(lines_are_visible(text) for text in texts)
    assert any(r"\x1b[31mBest" in text for text in texts)


@pytest.mark.parametrize("title", ["=HYPERLINK(A1)", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r@x"])
def test_no_cell_of_the_table_is_a_formula(build, make_run, title):
    records = [
        make_run("mae", "xcav", 0, dsc=70.0),
        make_run("evil", "xcav", 0, dsc=1.0, title=title),
    ]
    rows = list(csv.DictReader(io.StringIO(to_csv(build(records)))))
    cells = [cell for row in rows for cell in row.values()]
    texts = [cell for cell in cells if not re.fullmatch(r"-?[\d.]+(e-?\d+)?", cell)]
    assert not [cell for cell in texts if re.match(r"\s*[=+\-@\t\r]", cell)]
    assert any(title.strip() in cell for cell in texts)
    # Numbers stay numbers, negative ones too.
    assert {float(row["difference"]) for row in rows if row["difference"]} == {-69.0}
