"""What a file really is where something else was expected: a pointer, a web page, an archive."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import InputError
from benchmark.files import read_json, sha256_file
from benchmark.files.strict_json import parse_json

_HEAD = 4096  # bytes that are inspected
_AGAIN = "download it again"
# How files of other kinds begin, what they are, and what to do.
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "convert it to safetensors first"),
    (b"\x93NUMPY", "a NumPy array", "convert it to safetensors first"),
    (b"%PDF", "a PDF document", _AGAIN),
)


class PointerSystem(NamedTuple):
    """A system that keeps pointers in place of files, and the command that fetches a file."""

    name: str
    command: str


_POINTERS = {
    "version https://git-lfs": PointerSystem("Git LFS", "git lfs pull"),
    "/annex/objects/": PointerSystem("git-annex", "git annex get"),
}


def pointer_system(text: str) -> PointerSystem | None:
    """The system whose pointer a file is, by its first text; None if it is not a pointer."""
    return next((system for how, system in _POINTERS.items() if text.startswith(how)), None)


def is_broken_link(path: Path) -> bool:
    """Whether a path is a link to something that does not exist."""
    return path.is_symlink() and not path.exists()


def _is_annex_link(path: Path) -> bool:
    """Whether a link points into the object store of git-annex."""
    return "annex/objects" in path.readlink().as_posix()


def pointer_reason(path: Path) -> str | None:
    """Which placeholder an unreadable file is, and how to fetch its content, or None.

    Call it after reading has failed.
    """
    try:
        if is_broken_link(path):
            command = "git annex get" if _is_annex_link(path) else "dvc pull, or download it again"
            return f"broken link ({command})"
        if not path.is_file():
            return None
        system = pointer_system(_inspect(path)[1].decode("ascii", errors="replace"))
    except OSError:
        return None
    return f"{system.name} pointer in place of the file ({system.command})" if system else None


def require_file(path: Path) -> None:
    """Raise an `InputError` if there is no file, which says where a broken link points to."""
    if path.is_file():
        return
    reason = "no such file"
    if is_broken_link(path):
        fetch = f"; `git annex get {path.name}` fetches it" if _is_annex_link(path) else ""
        reason = f"a link to {path.readlink()}, which is not there{fetch}"
    raise InputError(f"{path}: {reason}")


def other_content(path: Path) -> str | None:
    """What a file holds instead of weights, and what to do, in one line.

    Call it after reading failed: only what is certainly something else is named.

    Returns:
        None if the file may be weights, damaged or not, or is not there.
    """
    if not path.is_file():
        return None
    size, head = _inspect(path)
    kinds = [(kind, remedy) for magic, kind, remedy in _MAGIC if head.startswith(magic)]
    if head[257:262] == b"ustar":
        kinds = [("a tar archive", "unpack it first")]
    kind, remedy = kinds[0] if kinds else _text(head, size)
    return f"{kind}, no weights; {remedy}" if kind else None


def refuse_other_content(path: Path) -> None:
    """Raise an `InputError` if an unreadable file certainly does not hold weights."""
    other = other_content(path)
    if other is not None:
        raise InputError(f"{path}: {other}") from None


def verify_export(path: Path) -> None:
    """Compare exported weights with the sha256 in the description of the same name beside them.

    Safetensors has no checksum. Third-party weights without such a description pass, and so does a
    missing file. 0.2 s for a ViT-B.

    Raises:
        InputError: they differ.
    """
    description = path.with_suffix(".json")
    if path.suffix != ".safetensors" or not path.is_file() or not description.exists():
        return
    content = read_json(description)
    expected = content.get("weights_sha256") if isinstance(content, dict) else None
    if expected not in (None, sha256_file(path)):
        refuse_other_content(path)
        raise InputError(
            f"{path}: damaged, or not the weights {description.name} describes (sha256 differs); "
            "copy both from where they were exported"
        )


def _inspect(path: Path) -> tuple[int, bytes]:
    """Size and first bytes of a file."""
    with path.open("rb") as stream:
        return path.stat().st_size, stream.read(_HEAD)


def mistaken_download(path: Path) -> str | None:
    """As `other_content`, for a downloaded file, which may also be incomplete."""
    if not path.is_file():
        return None
    size, head = _inspect(path)
    if not head:
        return f"an empty file; {_AGAIN}"
    if not head.strip(b"\x00"):
        return f"a file of zeros, as a download that was broken off leaves; {_AGAIN}"
    if head.startswith(b"PK"):
        return _archive(path)
    if head[6:9] == b"\x00\x00{":  # the length of a header, and the header, of safetensors
        return _cut_off(path, size)
    return other_content(path)


def is_torchscript(path: Path) -> bool:
    """Whether a file is a complete archive that `torch.jit.save` wrote."""
    return path.is_file() and _holds_program(_names(path) or [])


def _holds_program(names: list[str]) -> bool:
    return any(name.endswith("/constants.pkl") for name in names)


def _names(path: Path) -> list[str] | None:
    """Names of the files in a zip archive; None if it is none, or incomplete."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, EOFError, ValueError, OSError):
        return None


def _archive(path: Path) -> str | None:
    names = _names(path)
    if names is None:
        return f"an incomplete file, cut off in a download or copy; {_AGAIN}"
    ends = {name.rpartition("/")[2] for name in names}
    if _holds_program(names):
        return "a TorchScript program, no weights; save its state_dict() instead"
    if "data.pkl" in ends:
        return None
    shown = shortened(names[0], 40) if names else "nothing"
    return f"a zip archive of other files ({shown}), no weights; unpack it first"


def _cut_off(path: Path, size: int) -> str | None:
    """Bytes that a safetensors file lacks according to its own header."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = stream.read(min(length, size))
    expected = 8 + length
    if expected > size:
        return f"an incomplete file, {size:,} of more than {expected:,} bytes; {_AGAIN}"
    try:
        tensors = parse_json(header, str(path))
        tensors.pop("__metadata__", None)
        expected += max((one["data_offsets"][1] for one in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None
    return (
        f"an incomplete file, {size:,} of {expected:,} bytes; {_AGAIN}" if expected > size else None
    )


def _text(head: bytes, size: int) -> tuple[str, str]:
    """What a text file is, and what to do; two empty strings if it is not text."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4 or size <= _HEAD:  # else a character is cut in two
            return "", ""
        text = head[: error.start].decode("utf-8")
    text = text.lstrip("\ufeff \t\r\n")
    if len(text) < 8 or any(ord(letter) < 32 and letter not in "\t\r\n\f" for letter in text):
        return "", ""
    first = text.split("\n")[0].strip()
    if system := pointer_system(first):
        found = re.search(r"^size (\d+)", text, re.MULTILINE)
        target = f" to a file of {int(found[1]):,} bytes" if found else ""
        return f"a {system.name} pointer{target}", f"fetch it with `{system.command}`, or {_AGAIN}"
    if text[0] == "<":
        title = re.search(r"<title[^>]*>([^<]*)<", text, re.IGNORECASE)
        shown = f" ({shortened(title[1].strip(), 60)})" if title and title[1].strip() else ""
        page = not text.startswith("<?xml") or "<html" in text
        return (
            f"{'a web page' if page else 'an XML text'}{shown}",
            f"{_AGAIN}, and look at its address in a browser",
        )
    return f"a{' JSON' if text[0] in '{[' else ''} text ({shortened(first, 40)})", _AGAIN


def shortened(text: str, length: int) -> str:
    """Quoted text of an unknown file."""
    return repr(text if len(text) <= length else text[: length - 1] + "…")
