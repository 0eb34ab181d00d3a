"""Every tool with what it needs to run, and the faults a system has."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]

_TIMES = b"seconds|images_per_s|wall_time_s|started|finished|created|command"
_CLOCK = re.compile(rb'"(?:' + _TIMES + rb')": ?(?:"[^"]*"|[-\d.e]+),?')

TRAIN = (
    *("train", "configs/mae/pretrain.py", "--scale", "tiny", "--packs", "{pack}"),
    *("--work-dir", "{out}", "--cfg-options", "epochs=1", "batch_size=2", "micro_batch=2"),
    *("method.views.size=32", "method.encoder.img_size=32", "method.encoder.depth=1"),
    *("method.decoder.depth=1", "checkpoint_interval=1", "lr_batch=2"),
)
SYNTHETIC = ("size=64", "patients=3", "videos=1", "frames=3", "first_frame=2")
RELEASED = ("img_size=32", "patch_size=8", "embed_dim=32", "depth=1", "num_heads=4")

#: A name → the tool and its arguments. `{out}` is what it writes.
WRITERS: dict[str, tuple[str, ...]] = {
    "train": TRAIN,
    "finetune": (
        *("finetune", "--method", "frangi", "--dataset", "synthetic_v", "--scale", "tiny"),
        *("--data", "{task}", "--work", "{out}"),
    ),
    "analyse": (
        *("analyse", "representations", "--encoder", "{run}", "--dataset", "synthetic_v"),
        *("--scale", "tiny", "--data", "{task}", "--work", "{out}"),
        *("--cfg-options", "patches=60", "tsne.perplexity=5", "tsne.iterations=250"),
    ),
    "evaluate": (
        *("evaluate", "knn", "--encoder", "{run}", "--dataset", "synthetic_v"),
        *("--scale", "tiny", "--data", "{task}", "--work", "{out}"),
    ),
    "predict": ("predict", "{model}", "{task}/images/test", "--out", "{out}"),
    "test": (
        *("test", "{model}", "--dataset", "synthetic_v", "--data", "{task}"),
        *("--results", "{out}"),
    ),
    "pack": (
        *("prepare_data", "synthetic", "--size", "64", "--out", "{out}", "--option", *SYNTHETIC),
    ),
    "task": (
        *("prepare_data", "synthetic", "--as", "segmentation", "--out", "{out}"),
        *("--option", *SYNTHETIC),
    ),
    "detection": (
        *("prepare_data", "synthetic", "--as", "detection", "--out", "{out}"),
        *("--option", *SYNTHETIC),
    ),
    "raw": ("make_raw", "dca1", "--out", "{out}", "--size", "48"),
    "export": ("export_encoder", "{run}", "--out", "{out}"),
    "convert": (
        *("convert_checkpoint", "mae_imagenet", "{released}", "--out", "{out}"),
        *("--arguments", *RELEASED),
    ),
    "board": ("leaderboard", "--published", "--out", "{out}"),
    "merge": ("results", "merge", "{results}", "--into", "{out}"),
    "plot": ("plot", "training", "{run}", "--out", "{out}/loss.png"),
    "show": ("show", "{pack}", "--out", "{out}/sheet.png"),
    "curve": ("show", "{run}", "--curve", "loss", "--out", "{out}/loss.png"),
    "check data": ("check", "data", "{pack}", "--out", "{out}"),
    "check leakage": (
        *("check", "leakage", "--pretrain", "{pack}", "--test", "{task}", "--out", "{out}"),
    ),
    "bench": (
        *("bench", "views", "--frames", "4", "--size", "64", "--batch", "2", "--repeats", "1"),
        *("--out", "{out}/views.csv"),
    ),
    "matrix": ("matrix", "run", "{matrix}", "--work", "{out}"),
}

#: Tools that read `{out}`.
READERS: dict[str, tuple[str, ...]] = {
    "read pack": ("show", "{out}", "--out", "{spare}/sheet.png"),
    "anatomy": ("extract_anatomy", "{out}"),
    "read board": ("leaderboard", "--results", "{out}", "--out", "{spare}"),
    "validate": ("results", "validate", "{out}"),
    "show records": ("results", "show", "{out}"),
    "read run": ("export_encoder", "{out}", "--out", "{spare}/export"),
    "read raw": (
        *("prepare_data", "dca1", "--raw", "{out}", "--as", "segmentation"),
        *("--out", "{spare}/task"),
    ),
    "read config": ("train", "{out}", "--print-config"),
    "read matrix": ("matrix", "status", "{out}"),
    "check a pack": ("check", "data", "{out}"),
    "encoder": ("finetune", "--encoder", "{out}", "--dataset", "synthetic_v"),
    "read model": ("predict", "{out}", "{task}/images/test", "--out", "{spare}/predicted"),
    "read frames": ("predict", "{model}", "{out}", "--out", "{spare}/predicted"),
    "read released": ("convert_checkpoint", "mae_imagenet", "{out}", "--out", "{spare}/converted"),
    "read logs": ("plot", "training", "{out}", "--out", "{spare}/loss.png"),
}


def file_in_the_way(folder: Path) -> Path:
    (folder / "file").write_text("no folder")
    return folder / "file" / "out"


def symlink_loop(folder: Path) -> Path:
    (folder / "loop").symlink_to("loop")
    return folder / "loop" / "out"


def long_name(folder: Path) -> Path:
    return folder / ("n" * 300)


def denied(folder: Path) -> Path:
    (folder / "locked").mkdir(mode=0o500)
    return folder / "locked" / "out"


def unreadable(folder: Path) -> Path:
    (folder / "locked").mkdir(mode=0o000)
    return folder / "locked" / "out"


PLACES: dict[str, Callable[[Path], Path]] = {
    "file in the way": file_in_the_way,
    "symlink loop": symlink_loop,
    "long name": long_name,
    "denied": denied,
}


@contextlib.contextmanager
def no_privileges() -> Iterator[None]:
    """Let the modes of files count for root, too, as they do for everybody else."""
    if os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of capget, this thread
    before = (ctypes.c_uint32 * 6)()
    if libc.capget(header, before):
        raise OSError(ctypes.get_errno(), "capget")
    after = (ctypes.c_uint32 * 6)(*before)
    after[0] &= ~0b110  # of the effective ones: DAC_OVERRIDE and DAC_READ_SEARCH
    if libc.capset(header, after):
        raise OSError(ctypes.get_errno(), "capset")
    try:
        yield
    finally:
        libc.capset(header, before)


@contextlib.contextmanager
def full_disk(most: int = 150) -> Iterator[None]:
    """No file grows beyond `most` bytes: every larger write is refused, as by a full disk.

    No bytecode is cached meanwhile: Python 3.11 does not notice when its file is cut short.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        with (
            mock.patch.object(sys, "dont_write_bytecode", True),
            mock.patch.dict(os.environ, PYTHONDONTWRITEBYTECODE="1"),
        ):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def content(folder: Path) -> dict[str, bytes]:
    """What is in the files below a folder, without what depends on the clock.

    Files and numbers that say when, how long and where something was done are ignored, and so is
    what was on the screen.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        log = "/mmengine/" in name or path.name == "train.log"
        if path.is_dir() or log or path.suffix == ".pth":
            continue
        data = path.read_bytes()
        if path.suffix in (".json", ".jsonl"):
            data = _CLOCK.sub(b"", data)
        found[name] = data
    return found
