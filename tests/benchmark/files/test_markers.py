"""Only what is between two lines of a document is replaced."""

import pytest

from benchmark.errors import InputError
from benchmark.files.markers import write_between


def test_text_between_the_lines_is_replaced_and_again(tmp_path):
    file = tmp_path / "page.md"
    file.write_text("before\n<!-- a -->\nold\n<!-- end -->\nafter <!-- end -->\n")
    for _ in range(2):
        write_between(file, "<!-- a -->", "<!-- end -->", "new \\1\n\nlines")
        assert file.read_text() == (
            "before\n<!-- a -->\n\nnew \\1\n\nlines\n\n<!-- end -->\nafter <!-- end -->\n"
        )


@pytest.mark.parametrize("content", ["", "<!-- a -->\n", "<!-- end -->\n<!-- a -->\n"])
def test_a_document_without_the_lines_stays_as_it_is(tmp_path, content):
    file = tmp_path / "page.md"
    file.write_text(content)
    with pytest.raises(InputError, match="has no lines '<!-- a -->' and '<!-- end -->'"):
        write_between(file, "<!-- a -->", "<!-- end -->", "new")
    assert file.read_text() == content


def test_no_document(tmp_path):
    with pytest.raises(InputError, match="no such file to write the board into"):
        write_between(tmp_path / "page.md", "a", "b", "new", "the board")
