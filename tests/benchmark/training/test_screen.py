"""`train.log` holds what is on screen; `--live` draws one line in its place, on a terminal only."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

import pytest

from benchmark.errors import InputError
from benchmark.training.distributed.signals import Stopped
from benchmark.training.screen import LOG, Screen
from benchmark.training.train import train

STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d  ")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def logged(folder: Path) -> list[str]:
    """The lines without their stamps, which all have."""
    lines = (folder / LOG).read_text().splitlines()
    assert all(STAMP.match(line) for line in lines)
    return [STAMP.sub("", line) for line in lines]


def test_both_streams_are_copied_and_given_back(tmp_path, capsys):
    before = sys.stdout, sys.stderr
    with Screen().opened(tmp_path, live=False):
        print("one\ntwo")
        print("three", file=sys.stderr)
        print("10 %\r20 %\r100 %")
        print("no end", end="")
        assert not sys.stdout.isatty()
    assert (sys.stdout, sys.stderr) == before
    assert logged(tmp_path) == ["one", "two", "three", "100 %", "no end"]
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("one\ntwo\n10 %\r20 %\r100 %\nno end", "three\n")


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (InputError("a.py: wrong"), ["error: a.py: wrong"]),
        (KeyboardInterrupt(), ["interrupted"]),
        (Stopped("saved"), []),  # has been printed where it was raised
        (ZeroDivisionError("by zero"), ["ZeroDivisionError: by zero"]),
    ],
)
def test_what_ends_a_run_is_in_the_log(tmp_path, error, lines):
    before = sys.stdout, sys.stderr
    with pytest.raises(type(error)), Screen().opened(tmp_path, live=False):
        raise error
    assert logged(tmp_path)[-1:] == lines
    assert (sys.stdout, sys.stderr) == before


def test_a_full_disk_loses_the_log_and_not_the_run(tmp_path, capsys, monkeypatch):
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with Screen().opened(tmp_path, live=False):
        print("one")
        with monkeypatch.context() as patched:
            patched.setattr("os.write", refuse)
            print("two")
        print("three")
    shown = capsys.readouterr()
    assert shown.out == "one\ntwo\nthree\n"
    assert shown.err == (
        f"warning: {tmp_path / LOG}: no longer written (No space left on device)\n"
    )
    assert logged(tmp_path) == ["one"]


def test_a_live_line_takes_the_place_of_log_lines(tmp_path, monkeypatch):
    """Other lines are printed above it; the log has all."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    screen = Screen()
    with screen.opened(tmp_path, live=True):
        screen.progress("MAE [x]", "epoch 1/2", "loss 0.5", "7 img/s", 1, 4)
        print("warning: something")
        screen.progress("MAE [x]", "epoch 2/2", "loss 0.25", "7 img/s", 4, 4)
    assert sys.stdout is terminal
    assert logged(tmp_path) == [
        "MAE [x]  epoch 1/2  loss 0.5  7 img/s",
        "warning: something",
        "MAE [x]  epoch 2/2  loss 0.25  7 img/s",
    ]
    shown = terminal.getvalue()
    assert "warning: something\n" in shown
    assert "100%" in shown
    # Line breaks end the two lines that stay; everything else is drawn over.
    assert shown.count("\n") == 2


@pytest.mark.skipif(os.name == "nt", reason="has no pseudo terminals")
@pytest.mark.parametrize("width", [80, 110, 140, 200])
def test_a_live_line_that_is_too_long_loses_terms_only(tmp_path, width):
    """On a real terminal: title, bar, share, place and pace stay, on a single line."""
    import pexpect

    code = (
        "from pathlib import Path; from benchmark.training.screen import Screen; s = Screen()\n"
        f"with s.opened(Path({str(tmp_path)!r}), live=True):\n"
        "    s.progress('MAE', 'epoch 1/2', 'loss 0.5  ' * 20, '7 img/s  ETA 0:01', 1, 2)\n"
    )
    terminal = {**os.environ, "TERM": "xterm"}
    terminal.pop("COLUMNS", None)
    child = pexpect.spawn(
        sys.executable, ["-c", code], dimensions=(24, width), encoding="utf-8", env=terminal
    )
    shown = child.read()
    child.close()
    assert child.exitstatus == 0, shown
    lines = [re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", line).strip() for line in shown.split("\n")]
    last = lines[0].rpartition("\r")[2]
    assert re.fullmatch(r"MAE [━╸╺ ]{20}  50% epoch 1/2  7 img/s  ETA 0:01  loss 0\.5.*…", last), (
        repr(last)
    )
    assert len(last) <= width
    assert not any(lines[1:])


def test_without_a_terminal_it_is_as_before(tmp_path, capsys):
    screen = Screen()
    with screen.opened(tmp_path, live=True):
        screen.progress("MAE", "epoch 1/2", "loss 0.5", "7 img/s", 1, 4)
    assert capsys.readouterr().out == "MAE  epoch 1/2  loss 0.5  7 img/s\n"
    assert logged(tmp_path) == ["MAE  epoch 1/2  loss 0.5  7 img/s"]


def test_a_run_logs_its_screen_and_appends_when_resumed(small_config, tmp_path, capsys):
    folder = tmp_path / "run"
    options = ("epochs=2", "checkpoint_interval=1", "default_hooks.logger.screen_seconds=0.0")

    def lines(**how: bool) -> list[str]:
        train(small_config("mae", *options), folder, "MAE", **how)
        return capsys.readouterr().out.splitlines()

    first = lines(resume=False, overwrite=False)
    assert first[-1] == f"MAE: finished, exported to {folder}"
    assert logged(folder) == first
    before = (folder / LOG).read_bytes()
    lines(resume=True, overwrite=False)
    assert (folder / LOG).read_bytes() == before, "a finished run is left alone"
    (folder / "run.json").unlink()  # interrupted, as far as the folder tells
    second = lines(resume=True, overwrite=False)
    assert second[0].startswith("MAE: resuming after epoch 2")
    assert logged(folder) == first + second
    third = lines(resume=False, overwrite=True)
    assert logged(folder) == third, "a new run starts a new log"
