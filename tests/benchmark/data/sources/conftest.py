"""Raw datasets that are written once for all tests that only read them."""

from __future__ import annotations

import functools
import os
import pickle
from collections.abc import Callable

import pytest
from reading import Reading, read_all

from benchmark.data.sources import open_source
from benchmark.data.synthetic.raw import RawDataset, write_raw
from benchmark.files.locking import acquire


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RawDataset]:
    """The raw layout of a dataset, frames of 64², with or without defects; not to be changed.

    Processes that share the tests share the layouts: drawing the frames takes longest.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    @functools.cache
    def write(name: str, defects: bool = True) -> RawDataset:
        folder = shared / f"raw-{name}-{'defects' if defects else 'clean'}"
        stated = folder.with_suffix(".pickle")
        with acquire(folder.with_suffix(".lock")):
            if not stated.exists():
                written = write_raw(name, folder / "raw", size=64, defects=defects)
                stated.write_bytes(pickle.dumps(written))
        return pickle.loads(stated.read_bytes())

    return write


@pytest.fixture(scope="session")
def read(raw: Callable[..., RawDataset]) -> Callable[..., Reading]:
    """What a source reads from its raw layout; not to be changed."""

    @functools.cache
    def read(name: str, /, defects: bool = True, **options: str) -> Reading:
        source = name.removesuffix("_challenge")
        return read_all(open_source(source, raw(name, defects).root, **options))

    return read
