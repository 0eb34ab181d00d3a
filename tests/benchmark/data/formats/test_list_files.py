"""List files: path traversal, table variants, unreadable files."""

from __future__ import annotations

import unicodedata

import pytest

from benchmark.data.formats import list_files
from benchmark.data.formats.list_files import (
    base_name,
    name_key,
    nfc,
    read_json_object,
    read_list_file,
    read_table,
)
from benchmark.errors import InputError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("7.png", "7.png"),
        (" images/7.png ", "7.png"),
        ("a\\b\\7.png", "7.png"),
        ("./7.png", "7.png"),
        ("..7.png", "..7.png"),
        ("../7.png", None),
        ("a/../../7.png", None),
        ("a\\..\\7.png", None),
        ("..", None),
        ("/etc/passwd", None),
        ("7\0.png", None),
        ("", None),
        ("images/", None),
    ],
)
def test_paths_outside_the_folder_are_refused(text, name):
    assert base_name(text, "list.csv: row 1") == name


@pytest.mark.parametrize(
    "text",
    ["C:\\data\\7.png", " c:7.png", "D:/data/7.png", "\\\\server\\share\\7.png", "//server/7.png"],
)
def test_absolute_windows_paths_are_refused_with_a_hint(text):
    with pytest.raises(InputError, match=r"^list.csv: row 1: .* Windows path; .* as '7\.png'$"):
        base_name(text, "list.csv: row 1")


COMPOSED = "Gef\u00e4\u00df_\u0130_\u1e9b\u0323.PNG"
"""A umlaut, sharp s, a dotted capital I, and a letter with two accents."""


def test_name_key_ignores_case_and_normal_form():
    forms = {unicodedata.normalize(form, COMPOSED) for form in ("NFC", "NFD")}
    assert len(forms) == 2
    cases = {change(name) for name in forms for change in (str, str.lower, str.casefold)}
    assert len({name_key(name) for name in cases}) == 1
    assert name_key("Gefa\u00df") != name_key(COMPOSED)
    assert name_key("IMG_1.PNG") == "img_1.png"
    assert {nfc(name) for name in forms} == {unicodedata.normalize("NFC", COMPOSED)}
    # File names need not be valid UTF-8.
    assert name_key("\udcff\u00c4") == "\udcff\u00e4"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_table_columns_in_any_order_and_case(tmp_path, separator):
    rows = [["Extra", " B ", "A"], ["x", "1", " 2 "], ["short"], [], ["", "3", '"4"']]
    path = tmp_path / "t.csv"
    rows += [["x", "5", "6", ""], ["x", "1", "2", "3"]]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(map(separator.join, rows)).encode())
    assert read_table(path, ("a", "b")) == [("2", "1"), None, ("4", "3"), ("6", "5"), None]
    assert read_table(path, ("a", "c")) is None


def test_empty_tables(tmp_path):
    (tmp_path / "t.csv").write_text("\n \n")
    assert read_table(tmp_path / "t.csv", ("a",)) is None


def test_unreadable_files_are_one_line_errors(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    for content, message in ((b"\xff", "not UTF-8"), (b"a\n" + b"x" * 200_000, "damaged csv")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"t\.csv: {message}"):
            read_table(path, ("a",))
    with pytest.raises(InputError, match="cannot be read"):
        read_list_file(tmp_path)
    with pytest.raises(InputError, match=r"absent\.json: no such file"):
        read_json_object(tmp_path / "absent.json")
    monkeypatch.setattr(list_files, "MAX_LIST_BYTES", 3 << 20)
    with path.open("wb") as stream:
        stream.truncate((3 << 20) + 1)
    with pytest.raises(InputError, match="larger than 3 MiB"):
        read_list_file(path)
