"""What the system refuses is said in one line with a path and a remedy."""

from __future__ import annotations

import errno
import os

import pytest

from benchmark.errors import explain_os_error


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "free some"),
        (errno.EDQUOT, "free some"),
        (errno.EACCES, "mode"),
        (errno.EROFS, "choose another folder"),
        (errno.ENAMETOOLONG, "choose a shorter one"),
        (errno.ELOOP, "real path"),
        (errno.ENOTDIR, "move it"),
        (errno.EISDIR, "move it"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ESTALE, "check the mount"),
    ],
)
def test_every_refusal_has_its_remedy(code, remedy):
    line = explain_os_error(OSError(code, os.strerror(code), "/data/run"))
    assert line.startswith("/data/run: ")
    assert remedy in line
    assert "\n" not in line


def test_real_refusals(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for path, words in (
        (tmp_path / "file" / "below", "a file stands where a folder is needed"),
        (tmp_path / "loop", "lead in a circle"),
        (tmp_path / ("n" * 300), "too long"),
        (tmp_path, "a folder stands where a file is needed"),
        (tmp_path / "line\nbreak", "no such file or folder"),
    ):
        with pytest.raises(OSError, match=r"Errno") as caught:
            path.read_bytes()
        line = explain_os_error(caught.value)
        assert words in line
        assert "\n" not in line


def test_the_target_of_a_rename_is_the_one_at_fault(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").touch()
    with pytest.raises(OSError, match=r"not empty") as caught:
        os.replace(tmp_path / "a", tmp_path / "b")
    assert explain_os_error(caught.value).startswith(f"{tmp_path / 'b'}: not empty")


def test_without_a_path_the_reason_stands_alone():
    assert explain_os_error(OSError("no route")) == "no route"
    assert explain_os_error(OSError(errno.EPIPE, "Broken pipe")) == "Broken pipe"
