"""The LaTeX tables compiled, with the engines that are installed."""

import os
import re
import shutil
import subprocess

import pytest

from leaderboard.build import published_leaderboard
from leaderboard.published import read_tables
from leaderboard.tables.latex import to_latex

pytestmark = pytest.mark.slow

#: As wide and high as the text block of IEEE's journals, and as that of LNCS.
TWO_COLUMNS = r"\documentclass[twocolumn]{article}\textwidth516pt\textheight696pt"
ONE_COLUMN = r"\documentclass{article}\textwidth347pt\textheight549pt"
MARGINS = r"\oddsidemargin-22pt\topmargin-60pt"

SCRIPTS = {
    "cjk": "北京 VasoMIM かな",
    "cyrillic": "Привет",
    "latin": "Łódź Ærø ßéñ Đặng",
    "greek": "α-MIM λ=½, x² ≤ ∞",
    "emoji": "😀 — ‘q’ “r” -- ''",
    "tex": r"[x] & \\ \input{c} % ^^M \end{tabular} #1 ~_",
    "long": "VeryLongNameWithoutAnySpace" * 7,
}


@pytest.fixture(scope="module", params=["pdflatex", "lualatex"])
def engine(request):
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param} (Debian: texlive-latex-recommended, texlive-luatex)")
    return request.param


def compiled(folder, engine, document, tables):
    """Log and number of pages of a document that reads the tables."""
    (folder / "leaderboard.tex").write_text(tables, encoding="utf-8")
    source = rf"{document}{MARGINS}\usepackage{{booktabs,longtable}}\begin{{document}}"
    (folder / "paper.tex").write_text(source + r"\input{leaderboard}\end{document}")
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    environment = {**os.environ, "max_print_line": "1000"}
    for _ in range(3):  # longtable measures its columns, and uses them in the next run
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    log = (folder / "paper.log").read_text(encoding="utf-8", errors="replace")
    return log, int(re.search(r"Output written on paper\.pdf \((\d+) page", log)[1])


def check(log):
    """No line or page is fuller than it should be by more than 3 pt, and no character is lost."""
    overfull = re.findall(r"Overfull \\[hv]box \(([\d.]+)pt", log)
    assert [float(points) for points in overfull if float(points) > 3] == []
    for warning in ("too large for page", "Missing character", "multiply defined", "undefined"):
        assert warning not in log


def printed(folder):
    """The text of the pages; None without pdftotext."""
    if shutil.which("pdftotext") is None:
        return None
    command = ["pdftotext", "-layout", "paper.pdf", "-"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout.decode()


@pytest.mark.parametrize(("document", "width"), [(TWO_COLUMNS, 178), (ONE_COLUMN, 122)])
def test_the_published_tables(engine, tmp_path, document, width):
    leaderboard = published_leaderboard(read_tables())
    log, pages = compiled(tmp_path, engine, document, to_latex(leaderboard, width))
    check(log)
    assert 8 <= pages <= 30
    if (text := printed(tmp_path)) is not None:
        for row, first in zip(leaderboard.boards[0].rows, ("80.25 ± 0.12", "79.90 ± 0.16")):
            assert re.search(rf"{row.title} .*{first}", text) or width < 178
            assert first in text


@pytest.mark.parametrize(("document", "width"), [(TWO_COLUMNS, 178), (ONE_COLUMN, 122)])
def test_every_evaluation_and_names_in_any_script(
    engine, tmp_path, document, width, build, make_evaluations, make_run
):
    records = make_evaluations()
    for method, title in SCRIPTS.items():
        about = {"title": title, "family": title, "pretraining": title, "device": title}
        for seed in range(3):
            score = 70.0 + seed / 7
            records.append(make_run(method, "xcav", seed, dsc=score, cldice=score, **about))
    leaderboard = build(records, title=SCRIPTS["tex"], problems=[f"{'folder/' * 60}x.json: broken"])
    log, pages = compiled(tmp_path, engine, document, to_latex(leaderboard, width))
    check(log)
    assert pages > 8
    if (text := printed(tmp_path)) is not None:
        assert "U+5317U+4EAC" in text.replace("\n", "") or "北京" in text
        assert "Privet" in text or "Привет" in text


def test_a_long_table_breaks_over_pages(engine, tmp_path, build, make_run):
    records = [
        make_run(f"m{method:03d}", "xcav", seed, dsc=60.0 + method / 10 + seed**2 / 9)
        for method in range(150)
        for seed in range(2)
    ]
    tables = r"\def\boardtables{segmentation}" + to_latex(build(records, reference="m000"))
    for document in (TWO_COLUMNS, ONE_COLUMN):
        log, pages = compiled(tmp_path, engine, document, tables)
        check(log)
        assert 3 <= pages <= 5
        if (text := printed(tmp_path)) is not None:
            assert len(set(re.findall(r"^ *m(\d{3}) ", text, re.MULTILINE))) == 150
            assert text.count("(continued)") >= 2


def test_more_floats_than_tex_keeps_waiting(engine, tmp_path, build, make_run):
    records = [
        make_run(method, f"set{number}-5images", seed, dsc=60.0 + len(method) + seed**2 / 9)
        for number in range(40)
        for method in ("mae", "vasomim")
        for seed in range(2)
    ]
    log, pages = compiled(tmp_path, engine, TWO_COLUMNS, to_latex(build(records)))
    check(log)
    assert pages > 10
