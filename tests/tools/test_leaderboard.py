import errno
import json
import os
import pty
import subprocess
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from record_values import make_record, metric

from benchmark.files import sha256_file
from benchmark.results import record_path, write_record

FILES = [f"leaderboard.{suffix}" for suffix in ("md", "csv", "tex", "json", "html")]
ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "leaderboard.py"


def write_run(folder: Path, method: str, seed: int, dsc: float, **changes) -> Path:
    about = {"protocol": "demo", "title": method.upper(), "pretraining": "synthetic"}
    scores = {"dsc": metric(dsc, "dsc/per-image-mean/v1")}
    values = {**about, "config": {"epochs": 1}, "metrics": scores, **changes}
    record = make_record(method=method, seed=seed, **values)
    return write_record(folder, record, pd.DataFrame({"image": ["a"], "dsc": [dsc]}))


def call_alone(*arguments: object, **options) -> subprocess.CompletedProcess:
    """The tool in a process of its own, as users run it."""
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def call(run_tool):
    return partial(run_tool, TOOL)


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    for seed, (mae, mim) in enumerate(zip([70.0, 71.0, 70.4], [80.0, 81.2, 80.1])):
        write_run(folder, "mae", seed, mae)
        write_run(folder, "mim", seed, mim)
    return folder


def test_two_runs_write_the_same_bytes_from_any_folder(call, results, tmp_path):
    first = call("--results", results, "--out", tmp_path / "a", "--title", "Demo")
    assert (first.returncode, first.stderr) == (0, "")
    # As with an editable install, the script's own folder, where `leaderboard` is the script, is
    # in front of the root on the import path.
    options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    second = call_alone("--results", "results", "--out", "b", "--title", "Demo", **options)
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout == first.stdout
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    # Not a terminal: what is printed is the file.
    text = (tmp_path / "a" / "leaderboard.md").read_text()
    assert first.stdout == text
    assert text.startswith("# Demo\n")
    assert "### Paired t-test against MAE" in text


def test_a_damaged_file_is_skipped_and_named(call, results, tmp_path):
    record_path(results, "demo", "mim", "arcade_v", 2).write_text('{"schema": 1, "prot')
    done = call("--results", results, "--out", tmp_path)
    assert done.returncode == 0
    assert "Skipped: demo/mim/arcade_v/seed2.json: not a JSON file" in done.stdout
    assert "Missing for MIM: ARCADE-V DSC, seed 2." in done.stdout


@pytest.mark.parametrize("code", [errno.EACCES, errno.ESTALE])
def test_folders_that_cannot_be_listed_are_named_with_exit_code_1(
    call, refuse_listing, results, tmp_path, code
):
    refuse_listing(results / "demo" / "mim", code)
    done = call("--results", results, "--out", tmp_path)
    assert done.returncode == 1
    line = f"Skipped: demo/mim: cannot be listed ({os.strerror(code)})"
    assert line in done.stdout
    assert line in (tmp_path / "leaderboard.md").read_text()
    assert "| MAE |" in done.stdout
    assert done.stderr.startswith("warning: the board may lack results: 1 folder(s)")
    refuse_listing(results / "demo", code)
    done = call("--results", results, "--out", tmp_path)
    assert (done.returncode, "demo: cannot be listed" in done.stderr) == (2, True)


def test_scores_that_cannot_be_read_cost_their_tests_only(call, results, tmp_path):
    """Their hash is right, so that only a look inside shows it."""
    path = record_path(results, "demo", "mim", "arcade_v", 1)
    path.with_suffix(".csv").write_text("image,dsc\na,high\n")
    data = json.loads(path.read_text())
    data["per_image"]["sha256"] = sha256_file(path.with_suffix(".csv"))
    path.write_text(json.dumps(data))
    write_run(results, "moco", 0, 70.5)
    done = call("--results", results, "--out", tmp_path, "--per-image", "--correction", "bh")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Images (patients) | Per-image 95 % CI | Per-image p (BH) |" in done.stdout
    assert done.stdout.count("Skipped: demo/mim/arcade_v/seed1.csv: column 'dsc', row 1") == 1
    rows = {
        line.split(" | ")[0][2:]: line
        for line in done.stdout.splitlines()
        if "ARCADE-V | DSC" in line
    }
    assert "| — | — | — |" in rows["MIM"]
    assert "| 1 | fewer than 5 images |" in rows["MOCO"]


def test_several_protocols_need_a_choice(call, results, tmp_path):
    write_run(results, "mae", 0, 60.0, protocol="aaai", split_hash="other")
    done = call("--results", results, "--out", tmp_path)
    assert done.returncode == 2
    assert "choose with --protocol: aaai, demo" in done.stderr
    done = call("--results", results, "--out", tmp_path, "--protocol", "aaai")
    assert done.returncode == 0
    assert "Protocol: aaai" in done.stdout
    done = call("--results", results, "--out", tmp_path, "--protocol", "journal")
    assert (done.returncode, "known: aaai, demo" in done.stderr) == (2, True)


def test_a_misspelt_reference_is_refused(call, results, tmp_path):
    """A method that has not run yet is none."""
    done = call("--results", results, "--out", tmp_path, "--reference", "vasomin")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unknown --reference 'vasomin'; did you mean 'vasomim'?\n"
    done = call("--results", results, "--out", tmp_path, "--reference", "dino")
    assert done.returncode == 0
    assert "The declared reference dino has no results here" in done.stdout


def test_out_has_to_be_a_folder(call, results, tmp_path):
    (tmp_path / "file").write_text("")
    done = call("--results", results, "--out", tmp_path / "file")
    assert (done.returncode, "--out must be a folder" in done.stderr) == (2, True)


@pytest.mark.parametrize("suffixes", [("csv",), ("json", "html"), ("md", "tex")])
def test_only_the_chosen_formats_are_written(call, results, tmp_path, suffixes):
    out = tmp_path / "out"
    assert call("--results", results, "--out", out, "--format", *suffixes).returncode == 0
    assert {path.name for path in out.iterdir()} == {f"leaderboard.{s}" for s in suffixes}


def test_the_papers_tables(call, tmp_path):
    done = call("--published", "--out", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "| VasoMIM-v1 | Medical SSL | XA-170K | 5 | 2.13 ± 0.35" in done.stdout
    assert "| VasoMIM | 6 | +0.59 | [+0.27, +0.92] | 0.0055 |" in done.stdout
    names = {f"published.{suffix}" for suffix in ("md", "csv", "tex", "json", "html")}
    assert {path.name for path in tmp_path.iterdir()} == names
    done = call("--published", "--out", tmp_path, "--reference", "moco")
    assert (done.returncode, "moco: no published table" in done.stderr) == (2, True)
    done = call("--published", "--per-image", "--out", tmp_path)
    assert (done.returncode, "--per-image has no effect" in done.stderr) == (2, True)


def test_published_rows_need_the_papers_protocol(call, results, tmp_path):
    done = call("--results", results, "--out", tmp_path, "--with-published")
    assert done.returncode == 2
    assert "protocol demo has no published tables (known: aaai, journal)" in done.stderr
    write_run(results, "mae", 0, 79.0, protocol="journal")
    options = ("--with-published", "--protocol", "journal")
    done = call("--results", results, "--out", tmp_path, *options)
    assert "arXiv 2602.11536, 2026, table I | 5 |  | 80.25 ± 0.12 |" in done.stdout


def test_the_short_board_of_a_page_is_kept_up_to_date(call, results, tmp_path):
    page = tmp_path / "README.md"
    page.write_text(
        "# Title\n<!-- board: generated by tools/leaderboard.py -->\n<!-- end of board -->\nrest\n"
    )
    texts = set()
    for _ in range(2):
        assert call("--results", results, "--out", tmp_path, "--write", page).returncode == 0
        texts.add(page.read_text())
    (text,) = texts
    assert "| MIM | synthetic | 1.00 | **80.43 ± 0.67** ▲ |" in text
    assert text.endswith("<!-- end of board -->\nrest\n")
    done = call("--results", results, "--out", tmp_path, "--write", page, "--marker", "other")
    assert done.returncode == 2
    assert "has no lines '<!-- board other: generated by" in done.stderr
    assert page.read_text() == text
    done = call("--results", results, "--out", tmp_path, "--marker", "other")
    assert done.returncode == 2
    assert "--marker needs --write" in done.stderr


def absent(folder: Path) -> str:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()
    return "no such folder"


def empty(folder: Path) -> str:
    absent(folder)
    folder.mkdir()
    return "no result files"


def broken(folder: Path) -> str:
    for path in folder.rglob("*.json"):
        path.write_text("{")
    return "no result files (6 skipped, first demo/mae/arcade_v/seed0.json"


def mixed(folder: Path) -> str:
    write_run(folder, "mim", 1, 81.2, split_hash="abcd")
    return (
        "arcade_v: split hashes must not mix: 5e1f in demo/mae/arcade_v/seed0.json, "
        "abcd in demo/mim/arcade_v/seed1.json"
    )


@pytest.mark.parametrize("spoil", [absent, empty, broken, mixed])
def test_unusable_results_end_with_one_line_and_code_2(call, results, tmp_path, spoil):
    words = spoil(results)
    out = tmp_path / "out"
    done = call("--results", results, "--out", out)
    assert words in done.refusal
    assert not out.exists()


def test_a_terminal_gets_drawn_tables(results, tmp_path):
    master, slave = pty.openpty()
    command = [sys.executable, str(TOOL), "--results", str(results), "--out", str(tmp_path)]
    environment = {**os.environ, "COLUMNS": "160", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                block = os.read(master, 65536)
            except OSError:  # how Linux says that the other end is closed
                break
            if not block:
                break
            shown += block
    os.close(master)
    text = shown.decode()
    assert process.returncode == 0, text
    assert "━" in text
    assert "80.43 ± 0.67" in text
    assert "[1]" in text, "rich must not take the rank for markup"
    assert "| MIM |" not in text


def test_torch_and_pandas_are_never_imported(results, tmp_path):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['leaderboard', '--results', {str(results)!r}, '--out', {str(tmp_path)!r}]\n"
        f"sys.path.insert(0, {str(TOOL.parent)!r})\n"
        "try:\n"
        f"    runpy.run_path({str(TOOL)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end.code\n"
        "assert 'leaderboard.page' in sys.modules\n"
        "assert not {'torch', 'pandas', 'scipy.stats', 'mmengine'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
