"""What a run shows: its lines on screen, all of them in ``train.log`` as well, or one live line."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from benchmark.errors import InputError
from benchmark.files import naming
from benchmark.training.distributed.signals import RunEnded

LOG = "train.log"

# A named pipe without a reader fails instead of blocking.
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0)


class Screen:
    """The lines of a run: printed, or in ``train.log`` alone while a live line is drawn."""

    def __init__(self) -> None:
        self._log: _Log | None = None
        self._live: _LiveLine | None = None

    @contextmanager
    def opened(self, folder: Path, live: bool) -> Iterator[None]:
        """Append what the block writes to stdout and stderr to ``train.log`` of the run folder.

        Every line is stamped with the local time. An error that ends the block is logged, too. The
        output of child processes and C libraries is not.

        Args:
            folder: of the run; exists.
            live: draw one progress line in place of those of the log, if stdout is a terminal.

        Raises:
            InputError, OSError: the file cannot be opened.
        """
        live_line = _LiveLine() if live and sys.stdout.isatty() else None
        with _Log(folder / LOG) as log:
            # A live line redirects the streams itself, so that lines appear above it.
            if live_line is not None:
                live_line.start()
            streams = sys.stdout, sys.stderr
            sys.stdout, sys.stderr = copies = [_Copied(stream, log) for stream in streams]
            self._log, self._live = log, live_line
            try:
                yield
            except RunEnded:  # the reason is printed already
                raise
            except InputError as error:
                log.add(f"error: {error}\n")
                raise
            except KeyboardInterrupt:
                log.add("interrupted\n")
                raise
            except BaseException:
                log.add(traceback.format_exc())
                raise
            finally:
                self._log = self._live = None
                for copy in copies:
                    copy.end_line()
                sys.stdout, sys.stderr = streams
                if live_line is not None:
                    live_line.stop()

    def progress(
        self, title: str, place: str, terms: str, pace: str, done: int, total: int
    ) -> None:
        """Show a line of the log: print it, or redraw the live line.

        Args:
            title: of the run.
            place: where the training stands.
            terms: what was measured; a live line that is too long is cut there.
            pace: how fast it is.
            done, total: steps.
        """
        line = f"{title}  {place}  {terms}  {pace}"
        if self._live is None or self._log is None:
            print(line, flush=True)
        else:
            self._log.add(f"{line}\n")
            self._live.draw(title, f"{place}  {pace}  {terms}", done, total)


class _Log:
    """A file to which lines are appended with the time, until it cannot be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def __enter__(self) -> _Log:
        with naming(self.path):
            self._file = os.open(self.path, _APPEND, 0o666)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def add(self, text: str) -> None:
        """Append lines."""
        if self._file is None:
            return
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        lines = (f"{now}  {line}\n" for line in text.splitlines())
        try:
            os.write(self._file, "".join(lines).encode("utf-8", errors="backslashreplace"))
        except OSError as error:
            # As with the screen, a lost line does not end a run.
            os.close(self._file)
            self._file = None
            print(f"warning: {self.path}: no longer written ({error.strerror})", file=sys.stderr)


class _Copied:
    """A stream whose complete lines are logged as well; a redrawn line in its last state."""

    def __init__(self, stream: TextIO, log: _Log) -> None:
        self._stream = stream
        self._log = log
        self._begun = ""

    def write(self, text: str) -> int:
        self._stream.write(text)
        self._begun += text
        complete, newline, rest = self._begun.rpartition("\n")
        if newline:
            self._begun = rest
            self._add(complete)
        return len(text)

    def end_line(self) -> None:
        """Log the last line if it is incomplete."""
        if self._begun:
            self._add(self._begun)
            self._begun = ""

    def _add(self, text: str) -> None:
        self._log.add("\n".join(line.rpartition("\r")[2] for line in text.split("\n")))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _LiveLine:
    """One line of rich that is redrawn; no thread draws it between the lines of the log."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, Task, TaskProgressColumn, TextColumn
        from rich.table import Column
        from rich.text import Text

        class CutText(TextColumn):
            """Text that is cut where the terminal ends. The table may shrink only this column."""

            def render(self, task: Task) -> Text:
                text = super().render(task)
                text.no_wrap, text.overflow = True, "ellipsis"
                return text

        def fixed() -> Column:
            return Column(no_wrap=True, overflow="ellipsis")

        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=fixed()),
            BarColumn(bar_width=20, table_column=fixed()),
            TaskProgressColumn(table_column=fixed()),
            CutText("{task.fields[text]}", markup=False, table_column=Column()),
            console=Console(file=sys.stdout),
            auto_refresh=False,
        )
        self._task: Any = None

    def start(self) -> None:
        self._progress.start()

    def draw(self, title: str, text: str, done: int, total: int) -> None:
        if self._task is None:
            self._task = self._progress.add_task(title, total=total, text="")
        self._progress.update(self._task, completed=done, text=text, refresh=True)

    def stop(self) -> None:
        self._progress.stop()
