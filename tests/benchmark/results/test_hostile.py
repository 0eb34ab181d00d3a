"""A faulty file or folder is named in one line and does not affect other records."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from benchmark.results import read_record, read_results, scan_results

PLACE = "journal/vasomim/arcade_v"


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone")


def _shout(path: Path) -> None:
    path.rename(path.with_suffix(path.suffix.upper()))


@pytest.mark.parametrize(
    ("suffix", "change", "line"),
    [
        (".json", _pipe, "seed0.json: cannot be read (it is a named pipe, not a file)"),
        (".csv", _pipe, "seed0.csv: cannot be read (it is a named pipe, not a file)"),
        (".json", _folder, "seed0.json: cannot be read (it is a folder, not a file)"),
        (".csv", _folder, "seed0.csv: cannot be read (it is a folder, not a file)"),
        (".json", _link, "seed0.json: a broken link"),
        (".csv", _link, "seed0.json: key 'per_image.file': seed0.csv is missing beside it"),
        (".csv", _shout, "seed0.json: key 'per_image.file': seed0.csv is missing beside it"),
        (".json", _shout, "seed0.JSON: is skipped for its extension; rename it to seed0.json"),
    ],
)
def test_special_files_and_other_extensions_are_named(tmp_path, write, suffix, change, line):
    path = write()
    good = write(seed=1)
    change(path.with_suffix(suffix))
    found, problems = read_results(tmp_path)
    assert found == [read_record(good)]
    assert f"{PLACE}/{line}" in problems


def test_scores_with_line_endings_converted_by_git_are_recognised(tmp_path, write):
    path = write()
    table = path.with_suffix(".csv")
    table.write_bytes(table.read_bytes().replace(b"\n", b"\r\n"))
    # The record itself means the same with other ends of lines.
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    _, (problem,) = read_results(tmp_path)
    assert problem.startswith(f"{PLACE}/seed0.json: the lines of seed0.csv end in CRLF")
    assert "git config core.autocrlf false" in problem
    table.write_bytes(table.read_bytes().replace(b"a,", b"c,"))
    _, (problem,) = read_results(tmp_path)
    assert problem.endswith("key 'per_image.sha256' is not the hash of seed0.csv")


def test_hidden_system_files_are_ignored(tmp_path, write):
    path = write()
    for name in ("._seed0.json", "._seed0.csv", ".DS_Store", "Thumbs.db", ".nfs0000.json"):
        path.with_name(name).write_bytes(b"\0\5\x16\7")
    copy = path.parent / ".ipynb_checkpoints" / "seed0.json"
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    assert read_results(tmp_path) == ([read_record(path)], [])


def test_names_that_are_not_utf8_are_named_in_ascii(tmp_path, write):
    path = write()
    try:
        os.rename(path, path.with_name(os.fsdecode(b"seed0\xff\n\x1b[2J.json")))
    except OSError:
        pytest.skip("a file system of UTF-8 names")
    found, problems = read_results(tmp_path)
    assert found == []
    expected = rf"{PLACE}/seed0\xff\n\x1b[2J.json: key 'per_image.file': "
    assert [line.startswith(expected) for line in problems] == [False, True]
    "\n".join(problems).encode("ascii")


@pytest.mark.parametrize("code", [errno.EACCES, errno.ESTALE])
def test_a_folder_that_cannot_be_listed_is_a_problem(tmp_path, write, monkeypatch, code):
    write()
    good = read_record(write(method="mae"))
    usual = os.scandir

    def scandir(path: object) -> object:
        if Path(os.fspath(path)).name == "vasomim":
            raise OSError(code, os.strerror(code), path)
        return usual(path)

    monkeypatch.setattr(os, "scandir", scandir)
    line = f"journal/vasomim: cannot be listed ({os.strerror(code)})"
    assert read_results(tmp_path) == ([good], [line])
    assert scan_results(tmp_path).unlisted == 1


def test_symbolic_links_are_followed(tmp_path, write):
    """A protocol or a method may live on another disk."""
    path = write(folder="disk")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "journal").symlink_to(tmp_path / "disk" / "journal")
    assert read_results(tmp_path / "results") == ([read_record(path)], [])
