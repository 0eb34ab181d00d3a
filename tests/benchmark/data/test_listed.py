"""List files: names that climb out, tables in every spelling, files that are no text."""

from __future__ import annotations

import pytest

from benchmark.data import listed
from benchmark.data.listed import plain_name, read_json_object, read_listing, read_table
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
        ("\\\\server\\7.png", None),
        ("C:\\7.png", None),
        ("c:7.png", None),
        ("7\0.png", None),
        ("", None),
        ("images/", None),
    ],
)
def test_names_that_leave_the_folder_are_refused(text, name):
    assert plain_name(text) == name


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_table_takes_the_named_columns_in_any_order_and_spelling(tmp_path, separator):
    rows = [["Extra", " B ", "A"], ["x", "1", " 2 "], ["short"], [], ["", "3", '"4"']]
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(map(separator.join, rows)).encode())
    assert read_table(path, ("a", "b")) == [("2", "1"), None, ("4", "3")]
    assert read_table(path, ("a", "c")) is None


def test_table_without_content(tmp_path):
    (tmp_path / "t.csv").write_text("\n \n")
    assert read_table(tmp_path / "t.csv", ("a",)) is None


def test_unreadable_files_are_errors_of_one_line(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    for content, message in ((b"\xff", "not UTF-8"), (b"a\n" + b"x" * 200_000, "damaged csv")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"t\.csv: {message}"):
            read_table(path, ("a",))
    with pytest.raises(InputError, match="cannot be read"):
        read_listing(tmp_path)
    with pytest.raises(InputError, match=r"absent\.json: no such file"):
        read_json_object(tmp_path / "absent.json")
    monkeypatch.setattr(listed, "MAX_LISTING_BYTES", 3 << 20)
    with path.open("wb") as stream:
        stream.truncate((3 << 20) + 1)
    with pytest.raises(InputError, match="larger than 3 MiB"):
        read_listing(path)
