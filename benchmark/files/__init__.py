"""Atomic writes (temporary file, fsync, rename) and strict reads.

Only regular files of bounded size are read, and a folder that cannot be listed is never treated as
an empty one.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import io
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from benchmark.errors import InputError
from benchmark.files.strict_json import parse_json
from benchmark.files.temporary import remove_leftovers_once, temporary_beside

MAX_JSON_BYTES = 1 << 28
"""Larger JSON files are rejected; the largest one written here, the detections on a test set of
8,000 frames, has about 100 MB."""

#: What happens to a result that exists: it is kept and only missing ones are added, it is replaced,
#: or it is an error.
OVERWRITE_POLICIES = ("only-missing", "always", "never")

#: Errors of file systems that lack an operation (network drives, FUSE, gocryptfs).
UNSUPPORTED = frozenset(
    getattr(errno, name)
    for name in ("EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "ENOLCK", "ENODEV", "ENOTTY")
    if hasattr(errno, name)
)


_noted: set[str] = set()


def note_once(about: str, text: str) -> None:
    """Print a note to stderr, once per topic and process."""
    if about in _noted:
        return
    _noted.add(about)
    print(f"note: {text}", file=sys.stderr, flush=True)


def fsync(stream: IO[Any] | int, path: str | os.PathLike[str]) -> None:
    """Sync `stream` (of `path`) to the disk, if the file system supports it."""
    try:
        with naming(path):
            os.fsync(stream)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        note_once(
            "fsync",
            f"{path}: no fsync on this file system; a power cut may lose the files written last",
        )


def fsync_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut, if the file system supports it."""
    # Windows cannot open folders; its renames are journalled by the file system.
    if os.name == "nt":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written but not read
        return
    try:
        fsync(handle, folder)
    finally:
        os.close(handle)


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Add a path to every `OSError` of the block without one, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = os.fspath(path)
        raise


class _RawFile(io.FileIO):
    """A file that remembers why it could not be written.

    Writers in C++ (`torch.save`) lose the reason, and report a position that does not fit instead.
    """

    refusal: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.refusal = error
            raise


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary sibling of `path` and rename it over `path` when the block succeeds.

    The temporary file has to be a sibling: a rename is atomic only inside one file system. When
    the block raises, `path` is unchanged and the temporary file is removed; temporary files of
    killed processes are removed by the next one that writes into the folder.

    Raises:
        OSError: it cannot be written; its ``filename`` is `path`, even if the block raised another
            error because of it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers_once(path.parent)
    temporary = temporary_beside(path)
    raw = None
    try:
        raw = _RawFile(temporary, "w")
        stream: IO[Any] = io.BufferedWriter(raw)
        if "b" not in mode:
            stream = io.TextIOWrapper(stream, encoding="utf-8")
        with stream:
            yield stream
            stream.flush()
            fsync(stream.fileno(), path)
        os.replace(temporary, path)
        fsync_folder(path.parent)
    except Exception as error:
        refusal = raw.refusal if raw is not None and raw.refusal is not None else error
        names = (None, temporary, str(temporary))
        if isinstance(refusal, OSError) and refusal.errno and refusal.filename in names:
            refusal.filename, refusal.filename2 = str(path), None
        if refusal is error:
            raise
        raise refusal from error
    finally:
        # May fail if the name is too long or a file is in the way of the folder.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_written(folder: Path, patterns: Iterable[str]) -> None:
    """Remove what matches `patterns` below `folder`, and folders in it that are then empty.

    Nothing else is removed. A symbolic link is removed, but not its target.
    """
    emptied = set()
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            emptied |= set(path.relative_to(folder).parents) - {Path(".")}
    for inner in sorted(emptied, key=lambda path: -len(path.parts)):
        with suppress(OSError):  # not empty
            (folder / inner).rmdir()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 file.

    Raises:
        InputError: the text contains a file name that is not UTF-8.
    """
    try:
        with atomic_write(path, "w") as stream:
            stream.write(text)
    except UnicodeEncodeError as error:
        around = text[max(0, error.start - 40) : error.end + 40]
        raise InputError(f"{path}: cannot hold a name that is not UTF-8: {around}") from None


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write strict JSON (no NaN), sorted and indented, so that equal values give equal files."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_regular(path: str | os.PathLike[str], limit: int = MAX_JSON_BYTES) -> bytes:
    """The content of a regular file, or of a link to one. Never blocks: no FIFO is opened.

    Raises:
        InputError: it is missing, not a regular file, larger than `limit` bytes, or unreadable.
    """
    try:
        _require_regular(path, os.stat(path))
        # Non-blocking, in case another file has taken its place by now.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb") as stream:
            status = os.fstat(stream.fileno())
            _require_regular(path, status)
            if status.st_size > limit:
                raise InputError(f"{path}: larger than {limit / (1 << 20):.3g} MiB; not read")
            return stream.read(status.st_size)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except InputError:
        raise
    except ValueError as error:  # an invalid name, with a null byte for example
        raise InputError(f"{path}: cannot be read ({error})") from None


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def _require_regular(path: str | os.PathLike[str], status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise InputError(f"{path}: cannot be read (it is {kind}, not a file)")


def read_json(path: str | os.PathLike[str], limit: int = MAX_JSON_BYTES) -> Any:
    """Read a JSON file, strictly (`parse_json`).

    Raises:
        InputError: as `read_regular` and `parse_json`.
    """
    return parse_json(read_regular(path, limit), str(path))


def read_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        InputError: as `read_json`, or it is another JSON value.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object")
    return value


def check_output_folder(folder: str | os.PathLike[str]) -> None:
    """Refuse, before hours of work, a folder that cannot be created.

    Raises:
        InputError: a file stands in its place, or in that of one of its parents.
    """
    for place in (Path(folder), *Path(folder).parents):
        if place.is_dir():
            return
        if os.path.lexists(place):
            raise InputError(
                f"{place}: a file stands where a folder is needed; move it or choose another path"
            )


def list_folder(folder: str | os.PathLike[str], pattern: str = "*") -> list[Path]:
    """The entries of a folder whose names match, sorted by name.

    `Path.glob` would treat a folder that cannot be listed as empty; here it is an `InputError`.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(_not_listed(folder, error)) from None
    return [Path(folder, name) for name in fnmatch.filter(names, pattern)]


def walk(
    folder: str | os.PathLike[str], problems: list[str] | None = None, hidden: bool = False
) -> Iterator[Path]:
    """All files and folders below a folder, sorted by name, a folder before its content.

    `Path.rglob` and `os.walk` would silently skip a folder that cannot be listed. Links to folders
    outside of `folder` are followed, each target once; links back into it are not.

    Args:
        folder: the top, not yielded itself.
        problems: receives a line for each folder that cannot be listed; None: raise an error.
        hidden: whether names that begin with a dot are included, with everything below.

    Raises:
        InputError: a folder cannot be listed and `problems` is None.
    """
    root = Path(os.path.realpath(folder))
    linked: set[Path] = set()

    def report(line: str) -> None:
        if problems is None:
            raise InputError(line)
        problems.append(line)

    def is_entered(path: Path, entry: os.DirEntry[str]) -> bool:
        try:
            if not entry.is_dir():
                return False
        except OSError as error:
            if error.errno != errno.ELOOP:  # a link to itself
                report(_not_listed(path, error))
            return False
        if entry.is_symlink():
            target = Path(os.path.realpath(path))
            if target in linked or target.is_relative_to(root) or root.is_relative_to(target):
                return False
            linked.add(target)
        return True

    def scan(place: Path) -> list[tuple[Path, bool]]:
        try:
            with os.scandir(place) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            report(_not_listed(place, error))
            return []
        kept = [entry for entry in found if hidden or not entry.name.startswith(".")]
        return [(path := place / entry.name, is_entered(path, entry)) for entry in kept][::-1]

    waiting = scan(Path(folder))  # a stack
    while waiting:
        path, is_folder = waiting.pop()
        yield path
        if is_folder:
            waiting += scan(path)


def _not_listed(folder: str | os.PathLike[str], error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{folder}: no such folder"
    return f"{folder}: cannot be listed ({error.strerror})"


def sha256_bytes(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: str | os.PathLike[str]) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """Hash of a JSON-able value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256_bytes(text.encode())
