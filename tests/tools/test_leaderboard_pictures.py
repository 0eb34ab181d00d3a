"""`tools/leaderboard.py` with pictures: embedded up to a limit, or files beside the page."""

from functools import partial
from pathlib import Path

import pytest

from benchmark.results.examples import SUFFIX
from leaderboard.bench import make_results

TOOL = Path(__file__).resolve().parents[2] / "tools" / "leaderboard.py"


@pytest.fixture
def call(run_tool):
    return partial(run_tool, TOOL)


@pytest.fixture
def results(tmp_path):
    make_results(tmp_path / "results", methods=2, datasets=6, seeds=1, examples=2)
    return tmp_path / "results"


def board(call, results, out, *options):
    return call("--results", results, "--out", out, "--reference", "method00", *options)


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_pictures_are_files_and_old_ones_go(call, results, tmp_path):
    out = tmp_path / "out"
    done = board(call, results, out, "--assets")
    assert (done.returncode, done.stderr) == (0, "")
    first = files(out)
    pictures = {path.name for path in first if path.parent.name == "leaderboard_pictures"}
    # Two frames of six datasets, and of five of them two truths and two masks of two methods.
    assert {Path(name).suffix for name in pictures} == {".jpg", ".png"}
    assert sum(name.endswith(".jpg") for name in pictures) == 12
    page = first[Path("leaderboard.html")].decode()
    assert all(name in page for name in pictures)
    assert "base64,/9j/" not in page

    again = board(call, results, tmp_path / "again", "--assets")
    assert (again.returncode, files(tmp_path / "again")) == (0, first)

    (out / "leaderboard_pictures" / "notes.txt").write_text("mine")
    for path in results.rglob(f"*{SUFFIX}"):
        if "stenosis" in path.parts:
            path.unlink()
    assert board(call, results, out, "--assets").returncode == 0
    left = {path.name for path in (out / "leaderboard_pictures").iterdir()}
    assert left - {"notes.txt"} < pictures
    assert len(left & pictures) == len(pictures) - 2
    assert board(call, results, out).returncode == 0
    assert [path.name for path in (out / "leaderboard_pictures").iterdir()] == ["notes.txt"]


def test_a_page_stays_below_its_limit_and_says_what_it_lacks(call, results, tmp_path):
    done = board(call, results, tmp_path / "all")
    assert (done.returncode, done.stderr) == (0, "")
    size = len((tmp_path / "all" / "leaderboard.html").read_bytes())
    limit = (size - 30_000) / 1e6
    done = board(call, results, tmp_path / "few", "--page-limit", f"{limit:.6f}")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert " of 12 example images are not embedded" in line
    assert "1 of stenosis" in line
    assert len((tmp_path / "few" / "leaderboard.html").read_bytes()) <= 1e6 * limit


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--assets", "--page-limit", "3"], "--page-limit has no effect with --assets"),
        (["--assets", "--page-limit", "0"], "--page-limit has no effect with --assets"),
        (["--assets", "--format", "md", "tex"], "--assets needs html or json in --format"),
        (["--page-limit", "3", "--format", "json"], "--page-limit needs html in --format"),
        (["--published", "--assets"], "--assets has no effect with --published"),
        (["--page-limit", "-1"], "--page-limit"),
        (["--page-limit", "nan"], "--page-limit"),
    ],
)
def test_options_that_cannot_work_are_refused(call, options, message):
    done = call(*options)
    assert (done.returncode, message in done.stderr) == (2, True)
