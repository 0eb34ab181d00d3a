"""How compiled loops are shared out and kept."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from benchmark.nn import kernels


@pytest.fixture
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


@pytest.mark.parametrize("samples", [1, 2, 3, 7])
def test_threads_share_the_samples(threads: int, samples: int) -> None:
    """Fewer samples than threads, as many, and a number that does not divide."""
    maps, result = torch.randn(samples, 8, 8, 4), torch.full((samples, 4, 4, 4), torch.nan)
    kernels.run(kernels.halve, (maps, result))
    assert torch.equal(result, maps.unfold(1, 2, 2).unfold(2, 2, 2).amax((-1, -2)).clamp(min=0))


def test_each_part_has_its_samples_and_all_of_what_is_shared(threads: int) -> None:
    calls: list[tuple[int, ...]] = []

    def kernel(shared: object, maps: object, result: object) -> None:
        calls.append((len(shared), len(maps), len(result)))
        result[:] = maps

    result = torch.zeros(7)
    kernels.run(kernel, (torch.arange(7.0), result), shared=(torch.zeros(5),))
    assert sorted(calls) == [(5, 2, 2), (5, 2, 2), (5, 3, 3)]
    assert result.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_an_error_in_a_part_is_raised(threads: int) -> None:
    def kernel(maps: object) -> None:
        raise ArithmeticError("in a part")

    with pytest.raises(ArithmeticError, match="in a part"):
        kernels.run(kernel, (torch.zeros(7),))


def test_a_forked_process_has_threads_of_its_own(threads: int) -> None:
    maps, result = torch.randn(6, 4, 4, 2), torch.zeros(6, 2, 2, 2)
    kernels.run(kernels.halve, (maps, result))
    child = os.fork()
    if child == 0:
        result.zero_()
        kernels.run(kernels.halve, (maps, result))
        os._exit(0 if torch.equal(result.amax(), maps.amax()) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_without_a_folder_for_compiled_code() -> None:
    """An installation and a home that cannot be written to: numba has no place to look at."""
    script = (
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "import torch\n"
        "from benchmark.nn import kernels\n"
        "result = torch.zeros(1, 1, 1, 1)\n"
        "kernels.run(kernels.halve, (torch.arange(4.0).view(1, 2, 2, 1), result))\n"
        "print(result.item())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("3.0\n", 0), done.stderr
