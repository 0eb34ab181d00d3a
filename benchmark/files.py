"""Files that are either absent or whole: write beside the target, fsync, rename."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from benchmark.errors import InputError
from benchmark.leftovers import remove_leftovers_once, temporary_beside

#: What a file system answers that has no such operation (network drives, FUSE, gocryptfs).
UNSUPPORTED = frozenset(
    getattr(errno, name)
    for name in ("EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "ENOLCK", "ENODEV", "ENOTTY")
    if hasattr(errno, name)
)


_noted: set[str] = set()


def note_once(about: str, text: str) -> None:
    """Print a note to stderr, the first one of this process about something."""
    if about in _noted:
        return
    _noted.add(about)
    print(f"note: {text}", file=sys.stderr, flush=True)


def fsync(stream: IO[Any] | int, path: str | os.PathLike[str]) -> None:
    """Bring what was written to `stream` (of `path`) to the disk, where the file system can."""
    try:
        with naming(path):
            os.fsync(stream)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        note_once(
            "fsync",
            f"{path}: no fsync on this file system; a power cut may cost the last files written",
        )


def fsync_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut, where the file system can."""
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
    """Give every `OSError` of the block that names no path this one: a full disk names none."""
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
    the block raises, the old content of `path` is untouched and the temporary file is removed; what
    a killed process has left of another, the next one that writes into the folder removes.

    Raises:
        OSError: it cannot be written; ``filename`` is `path`, whatever the block raised over it.
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
        # Also where its name was too long or a file stood in the way of the folder.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_written(folder: Path, patterns: Iterable[str]) -> None:
    """Remove what matches `patterns` below `folder`, and what then are empty folders in it.

    Everything else stays. A symbolic link is removed, never what it leads to.

    Args:
        patterns: relative to `folder`, as ``"epoch_*.pth"`` or ``"predictions/*.png"``.
    """
    emptied = set()
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            emptied |= set(path.relative_to(folder).parents) - {Path(".")}
    for inner in sorted(emptied, key=lambda path: -len(path.parts)):
        with suppress(OSError):  # it holds something else, which stays
            (folder / inner).rmdir()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    with atomic_write(path, "w") as stream:
        stream.write(text)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write strict JSON (no NaN), sorted and indented, so that equal values give equal files."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from None


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
