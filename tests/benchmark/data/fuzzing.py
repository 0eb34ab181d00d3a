"""Raw folders with mutated files, read to the end: run as a program, so that memory can be limited.

    python fuzzing.py TEMPLATES WORK SEED FILES

TEMPLATES holds a folder for each dataset. FILES files are mutated, some at a time, in copies below
WORK. A round may give a result or an `InputError` of one line; anything else ends the program. What
came of it is printed as JSON.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.data.packs import build_pack
from benchmark.data.sources import open_source
from benchmark.data.tasks import write_task_folder
from benchmark.errors import InputError

PER_ROUND = 8
SECONDS_PER_ROUND = 60
MEMORY = 3 << 30

PICTURES = {".png", ".bmp", ".dcm"}

READERS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "arcade": [("arcade", {"task": task}) for task in ("arcade_v", "arcade_vs", "arcade_s")],
    "arcade_challenge": [("arcade", {"task": "arcade_v"})],
    "coronary_dominance": [("coronary_dominance", {"denoising": "keep"})],
    "stenosis": [("stenosis", {}), ("stenosis", {"split": "patient"})],
}


def truncated(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content) + 1)]


def emptied(content: bytes, dice: random.Random) -> bytes:
    return b""


def noise(content: bytes, dice: random.Random) -> bytes:
    return dice.randbytes(dice.randrange(1, 4000))


def flipped(content: bytes, dice: random.Random) -> bytes:
    """A few bytes anywhere, rather in front, where headers are."""
    changed = bytearray(content or b"\0")
    for _ in range(dice.randrange(1, 9)):
        end = len(changed) if dice.random() < 0.5 else min(len(changed), 128)
        changed[dice.randrange(end)] = dice.randrange(256)
    return bytes(changed)


def doubled(content: bytes, dice: random.Random) -> bytes:
    cut = dice.randrange(len(content) + 1)
    return content[:cut] + content[cut // 2 :]


def huge_png(content: bytes, dice: random.Random) -> bytes:
    side = dice.choice([20_000, 60_000, 2**31 - 1])
    chunks = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(99)))):
        chunks += struct.pack(">I", len(data)) + kind + data
        chunks += struct.pack(">I", zlib.crc32(kind + data))
    return chunks


def huge_bmp(content: bytes, dice: random.Random) -> bytes:
    side = dice.choice([30_000, 2**31 - 1, -5])
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info + bytes(64)


def _npy(shape: str, kind: str = "|u1") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def _archive(member: bytes, name: str = "pixel_array.npy") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, member)
    return stream.getvalue()


def huge_npz(content: bytes, dice: random.Random) -> bytes:
    """A header that claims terabytes, negative or senseless axes, objects, or another name."""
    shape = dice.choice(
        ["(9999999, 512, 512)", "(-3, 512, 512)", "(2, 3, 4, 5)", "()", "(0, 4, 4)"]
    )
    kind = dice.choice(["|u1", "<f8", "|O", "<M8[s]", "<U9"])
    return _archive(_npy(shape, kind) + bytes(64), dice.choice(["pixel_array.npy", "../x.npy"]))


_BOMB = _archive(_npy("(1000, 512, 512)") + bytes(1000 * 512 * 512))


def npz_bomb(content: bytes, dice: random.Random) -> bytes:
    """262 MB of one value in 255 kB."""
    return _BOMB


def hostile_text(content: bytes, dice: random.Random) -> bytes:
    """Deep nesting, entities, wrong types, values no number can have."""
    return dice.choice(
        [
            b"[" * 100_000,
            b'{"images": 3, "annotations": {}, "categories": null}',
            b'{"images": [1, null, {}], "annotations": [[], {"id": []}], "categories": [7]}',
            b'{"images": [{"id": NaN, "file_name": 5}], "annotations": [{"image_id": 1e999}]}',
            b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>',
            b"<annotation>" * 20_000,
            b"<annotation><object><bndbox><xmin>x</xmin></bndbox></object></annotation>",
            b"filename,width\n\0\0,\xff\xfe",
            b'"' * 50_000,
            "\ud800".encode("utf-16", "surrogatepass"),
            ("9" * 6000).encode(),
        ]
    )


def elsewhere(content: bytes, dice: random.Random) -> bytes:
    """Names inside lists lead out of the folder."""
    outside = dice.choice(
        [b"../outside.png", b"/etc/hostname.png", b"..\\outside.bmp", b"a\0b.png"]
    )
    for mark in (b".png", b".bmp", b"_0", b"p2_v1"):
        position = content.find(mark)
        if position >= 0:
            start = max(content.rfind(sign, 0, position) for sign in (b'"', b">", b"\n", b","))
            return content[: start + 1] + outside + content[position + len(mark) :]
    return outside


ANY = [truncated, emptied, noise, flipped, flipped, flipped, doubled]
SPECIAL: dict[str, list[Callable[[bytes, random.Random], bytes]]] = {
    ".png": [huge_png, huge_bmp],
    ".bmp": [huge_bmp, huge_png],
    ".npz": [huge_npz, huge_npz, npz_bomb],
    ".json": [hostile_text, elsewhere],
    ".xml": [hostile_text, elsewhere],
    ".csv": [hostile_text, elsewhere],
    ".txt": [hostile_text, elsewhere],
}


def mutate(path: Path, dice: random.Random, outside: Path) -> str:
    """Change one file in place; the name of what was done."""
    act = dice.random()
    if act < 0.02:
        path.unlink()
        path.mkdir()
        return "folder"
    if act < 0.04:
        path.unlink()
        path.symlink_to(dice.choice([outside, path.parent, Path("absent")]))
        return "link"
    if act < 0.06:
        path.rename(
            path.with_name(dice.choice(["p1_v1_1.png", "Ünïcode \n.png", "-.npz", "1e9.bmp"]))
        )
        return "name"
    special = SPECIAL.get(path.suffix.lower(), [])
    change = dice.choice(special if special and dice.random() < 0.4 else ANY)
    path.write_bytes(change(path.read_bytes(), dice))
    return change.__name__


def refused(error: InputError) -> str:
    if "\n" in str(error):
        raise ValueError(f"more than one line: {error}")
    return "refused"


def attempt(name: str, raw: Path, options: dict[str, str], out: Path) -> str:
    """Read everything there is, in every form; what came of it."""
    outcome = "read"
    for form in open_source(name, raw, **options).forms:
        if out.exists():
            shutil.rmtree(out)
        source = open_source(name, raw, **options)
        try:
            if form == "pack":
                build_pack(source, out, size=48, progress=False)
            else:
                write_task_folder(source, out, form, progress=False)
        except InputError as error:
            outcome = refused(error)
        if (out / "manifest.json").exists():
            manifest = json.loads((out / "manifest.json").read_text())
            outcome = "skipped" if manifest["skipped"] and outcome == "read" else outcome
    return outcome


def too_slow(*_: object) -> None:
    raise TimeoutError(f"a round took more than {SECONDS_PER_ROUND} s")


def main(templates: Path, work: Path, seed: int, files: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, too_slow)
    dice = random.Random(seed)
    outside = work / "outside.png"
    outside.write_bytes(b"not to be read or written")
    names = sorted(folder.name for folder in templates.iterdir())
    mutated: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    slowest, number = 0.0, 0
    while mutated.total() < files:
        dataset = names[number % len(names)]
        raw, out = work / "raw", work / "out"
        shutil.copytree(templates / dataset, raw, symlinks=True)
        candidates = sorted(path for path in raw.rglob("*") if path.is_file())
        dice.shuffle(candidates)
        # Lists are few beside images, and break more.
        candidates.sort(key=lambda path: path.suffix in PICTURES or dice.random() < 0.5)
        chosen = candidates[:PER_ROUND]
        done = [(path.relative_to(raw), mutate(path, dice, outside)) for path in chosen]
        mutated.update(what for _, what in done)
        for reader, options in READERS.get(dataset, [(dataset, {})]):
            start = time.monotonic()
            signal.alarm(SECONDS_PER_ROUND)
            try:
                outcomes[attempt(reader, raw, options, out)] += 1
            except InputError as error:
                outcomes[refused(error)] += 1
            except BaseException:
                print(f"round {number}, {reader} {options}: {done}", file=sys.stderr)
                raise
            signal.alarm(0)
            slowest = max(slowest, time.monotonic() - start)
        left = {entry.name for entry in work.iterdir()}
        assert left <= {"raw", "out", "out.partial", "outside.png"}, left
        assert outside.read_bytes() == b"not to be read or written"
        for folder in (raw, out, work / "out.partial"):
            shutil.rmtree(folder, ignore_errors=True)
        number += 1
    # Not `getrusage`, whose maximum includes what the process that started this one had.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print(
        json.dumps(
            {
                "mutated": mutated,
                "outcomes": outcomes,
                "rounds": number,
                "slowest_s": round(slowest, 1),
                "peak_mib": round(peak),
            }
        )
    )


if __name__ == "__main__":
    np.seterr(all="ignore")
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    os._exit(0)
