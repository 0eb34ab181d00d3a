"""Raw datasets that are written once for all tests that only read them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
from reading import Reading, read_all

from benchmark.data.sources import open_source
from benchmark.data.synthetic.raw import RawDataset, write_raw


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RawDataset]:
    """The raw layout of a dataset, frames of 64², with or without defects; not to be changed."""

    @functools.cache
    def write(name: str, defects: bool = True) -> RawDataset:
        return write_raw(name, tmp_path_factory.mktemp(name) / "raw", size=64, defects=defects)

    return write


@pytest.fixture(scope="session")
def read(raw: Callable[..., RawDataset]) -> Callable[..., Reading]:
    """What a source reads from its raw layout; not to be changed."""

    @functools.cache
    def read(name: str, /, defects: bool = True, **options: str) -> Reading:
        source = name.removesuffix("_challenge")
        return read_all(open_source(source, raw(name, defects).root, **options))

    return read
