"""Pictures beside the page: ours are replaced and removed, and nothing else."""

import pytest

from benchmark.errors import InputError
from leaderboard.pictures.files import name_of, remove_old_pictures, write_pictures

ONE, TWO = b"first picture", b"second picture"
NAMES = [name_of(content, ".png") for content in (ONE, TWO)]


@pytest.fixture
def folder(tmp_path):
    write_pictures(tmp_path / "board_pictures", dict(zip(NAMES, (ONE, TWO))))
    return tmp_path / "board_pictures"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_lies_there_is_not_written_again(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    write_pictures(folder, {NAMES[0]: ONE})
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_old_pictures_are_removed_and_nothing_else(folder, tmp_path):
    foreign = ["notes.txt", "0123456789abcdef0123.png", "mine.png"]
    for name in foreign:
        (folder / name).write_bytes(ONE)
    linked = name_of(b"linked", ".jpg")
    (tmp_path / "elsewhere.jpg").write_bytes(b"linked")
    (folder / linked).symlink_to(tmp_path / "elsewhere.jpg")
    remove_old_pictures(folder, {NAMES[1]})
    assert names(folder) == sorted([*foreign, linked, NAMES[1]])
    assert (tmp_path / "elsewhere.jpg").read_bytes() == b"linked"


def test_an_empty_folder_goes_too(folder):
    remove_old_pictures(folder)
    assert not folder.exists()
    remove_old_pictures(folder)


def test_a_folder_elsewhere_is_left_alone(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    remove_old_pictures(tmp_path / "link")
    assert names(folder) == sorted(NAMES)


def test_a_changed_picture_is_not_overwritten(folder):
    (folder / NAMES[0]).write_bytes(b"edited")
    with pytest.raises(InputError, match=rf"{NAMES[0]}: not the picture written here"):
        write_pictures(folder, {NAMES[0]: ONE})
    assert (folder / NAMES[0]).read_bytes() == b"edited"


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "board_pictures").write_text("")
    with pytest.raises(InputError, match="board_pictures: a file stands where a folder"):
        write_pictures(tmp_path / "board_pictures", {NAMES[0]: ONE})
