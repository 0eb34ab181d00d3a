"""Nothing is read that is no file, and no folder passes for empty that could not be listed."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.data.checks.findings import Findings, check_files
from benchmark.data.sources.files import walk_images
from benchmark.data.splits import read_split_file
from benchmark.downstream.preview import find_dataset
from benchmark.errors import InputError
from benchmark.files import list_folder, read_json, read_regular, walk
from benchmark.method_cards import read_method_cards
from benchmark.training.checkpoints.checkpoint import checkpoint_paths
from benchmark.training.checkpoints.load_from import weights_file


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_pipe, "it is a named pipe, not a file"),
        (_socket, "it is a socket, not a file"),
        (Path.mkdir, "it is a folder, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
        (_loop, "cannot be read"),
        (lambda path: None, "no such file"),
        (lambda path: path.symlink_to("gone"), "no such file"),
    ],
)
@pytest.mark.parametrize("read", [read_regular, read_json])
def test_what_is_no_file_is_named_and_not_waited_for(tmp_path, monkeypatch, make, words, read):
    monkeypatch.chdir(tmp_path)  # the name of a socket has a hundred bytes at most
    path = Path("seed0.json")
    make(path)
    with pytest.raises(InputError, match=words) as caught:
        read(path)
    assert str(caught.value).startswith("seed0.json: ")


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch):
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_text("{}")
    os.mkfifo(pipe)
    status = os.stat(file)
    monkeypatch.setattr(os, "stat", lambda *given, **options: status)
    with pytest.raises(InputError, match="named pipe"):
        read_regular(pipe)


def test_a_file_is_read_up_to_its_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"12345678")
    (tmp_path / "link").symlink_to("a")
    assert read_regular(tmp_path / "link", 8) == b"12345678"
    with pytest.raises(InputError, match="larger than"):
        read_regular(tmp_path / "a", 7)
    with open(tmp_path / "large.json", "wb") as stream:
        stream.truncate(1 << 40)  # a hole, which takes no space
    with pytest.raises(InputError, match=r"large\.json: larger than 256 MiB"):
        read_json(tmp_path / "large.json")


def test_a_name_no_file_can_have(tmp_path):
    with pytest.raises(InputError, match=r"a\\x00b: cannot be read"):
        read_regular(f"{tmp_path}/a\0b")


def refuse(monkeypatch: pytest.MonkeyPatch, folder: Path, code: int) -> None:
    """Let the system refuse to list a folder, whoever runs the tests."""
    for name in ("scandir", "listdir"):
        usual = getattr(os, name)

        def call(path: object = ".", usual: Callable = usual) -> object:
            if Path(os.fspath(path)) == folder:
                raise OSError(code, os.strerror(code), str(folder))
            return usual(path)

        monkeypatch.setattr(os, name, call)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/2.json", "b/1.json", "a/x/y/3.json", "a/.hidden/4.json", "c.json", ".d.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def below(tree: Path, **options: object) -> list[str]:
    return [path.relative_to(tree).as_posix() for path in walk(tree, **options)]


def test_everything_is_walked_in_order_without_what_is_hidden(tree):
    seen = ["a", "a/x", "a/x/y", "a/x/y/3.json", "b", "b/1.json", "b/2.json", "c.json"]
    assert below(tree) == seen
    more = {".d.json", "a/.hidden", "a/.hidden/4.json"}
    assert set(below(tree, hidden=True)) == {*seen, *more}
    # As the standard library walks a tree in which everything can be listed.
    assert set(below(tree, hidden=True)) == {
        p.relative_to(tree).as_posix() for p in tree.rglob("*")
    }


@pytest.mark.parametrize("code", [errno.EACCES, errno.ESTALE, errno.EIO])
def test_a_folder_that_cannot_be_listed_is_named(tree, monkeypatch, code):
    refuse(monkeypatch, tree / "a" / "x", code)
    problems: list[str] = []
    assert below(tree, problems=problems) == ["a", "a/x", "b", "b/1.json", "b/2.json", "c.json"]
    assert problems == [f"{tree}/a/x: cannot be listed ({os.strerror(code)})"]
    with pytest.raises(InputError, match="a/x: cannot be listed"):
        below(tree)
    with pytest.raises(InputError, match="a/x: cannot be listed"):
        list_folder(tree / "a" / "x", "*.json")
    if code == errno.EACCES:  # what these are there for
        assert list((tree / "a" / "x").glob("*.json")) == []


def _unlisted_files(folder: Path) -> None:
    findings = Findings(folder, "pack", "")
    check_files(findings, ())
    ((reason, line),) = findings.errors
    assert reason == "folder that cannot be listed"
    raise InputError(line)


@pytest.mark.parametrize(
    "call",
    [
        checkpoint_paths,
        weights_file,
        read_method_cards,
        read_split_file,
        lambda folder: list(walk_images(folder)),
        lambda folder: find_dataset(folder.parent, "xcav"),
        _unlisted_files,
    ],
)
def test_nobody_takes_it_for_an_empty_one(tmp_path, monkeypatch, call):
    folder = tmp_path / "downstream"
    folder.mkdir()
    refuse(monkeypatch, folder, errno.EACCES)
    with pytest.raises(InputError, match="downstream: cannot be listed"):
        call(folder)


@pytest.mark.skipif(os.name == "nt", reason="folders have other rights")
def test_a_folder_without_the_right_to_read_is_named(tree):
    """The same with the system's own refusal, for which root becomes somebody else."""
    for path in (tree, *tree.parents):
        if os.getuid() == 0 and path.stat().st_uid == 0 and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    (tree / "b").chmod(0o300)
    child = os.fork()
    if child == 0:
        if os.getuid() == 0:
            os.setuid(65534)
        problems: list[str] = []
        list(walk(tree, problems))
        named = problems == [f"{tree}/b: cannot be listed ({os.strerror(errno.EACCES)})"]
        os._exit(0 if named else 9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    (tree / "b").chmod(0o700)


def test_links_are_followed_without_end_or_repetition(tree, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "5.json").touch()
    (outside / "back").symlink_to(tree)
    (outside / "round").symlink_to(outside)
    for name, target in (
        ("d", outside),
        ("e", outside),
        ("a/up", tree),
        ("a/beside", tree / "b"),
        ("loop", "loop"),
        ("gone", "nothing"),
    ):
        (tree / name).symlink_to(target)
    found = below(tree)
    assert [name for name in found if name.endswith("5.json")] == ["d/5.json"]
    assert {"e", "a/up", "a/beside", "loop", "gone", "d/back", "d/round"} < set(found)
    assert sum(name.endswith("1.json") for name in found) == 1


def test_a_missing_folder_is_an_error(tmp_path):
    for missing in (lambda: list_folder(tmp_path / "none"), lambda: below(tmp_path / "none")):
        with pytest.raises(InputError, match="none: no such folder"):
            missing()


def test_a_folder_is_listed_by_name(tree):
    assert [path.name for path in list_folder(tree / "b", "*.json")] == ["1.json", "2.json"]
    assert [path.name for path in list_folder(tree)] == [".d.json", "a", "b", "c.json"]
