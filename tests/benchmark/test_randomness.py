"""Stateless randomness against SplitMix64 in plain integers, pinned values and uniformity tests."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy import stats

from benchmark import randomness
from benchmark.randomness import (
    hash_bits,
    numpy_generator,
    permutation,
    seed_torch,
    stream_key,
    uniform,
)

MASK = (1 << 64) - 1


def splitmix(value: int) -> int:
    """SplitMix64's finaliser, from its publication, on Python integers."""
    value &= MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def test_keys_are_blake2b_of_typed_parts():
    """The key is the documented digest, and nothing but equal parts shares one."""
    digest = hashlib.blake2b(b"int:7\x1fint:3\x1fstr:order", digest_size=8).digest()
    assert stream_key(7, 3, "order") == int.from_bytes(digest, "little") == 11036916505756507959
    different = [(1, 2), (2, 1), (12,), (1, "2"), ("1", 2), ("12",), ("1", "2"), (1, 2, ""), ()]
    assert len({stream_key(*parts) for parts in different}) == len(different)


@pytest.mark.parametrize("key", [0, 1, 1 << 63, MASK, stream_key(0, 0, "crop")])
def test_hash_is_splitmix64(key):
    """Every 64-bit value equals the integer arithmetic, overflow and sign included."""
    golden = 0x9E3779B97F4A7C15
    index = [0, 1, 2, 170_000, 2**40, 2**63 - 1, -1]
    bits = hash_bits(key, torch.tensor(index), 4)
    assert bits.dtype == torch.int64
    for row, sample in enumerate(index):
        state = splitmix(sample * golden + key)
        expected = [splitmix(state + position * golden) for position in range(1, 5)]
        assert [int(value) & MASK for value in bits[row]] == expected


def test_values_never_change():
    """Pinned numbers: a change here would change every published run."""
    drawn = uniform(0, 0, "crop", torch.tensor([0, 1, 170_000]), 3)
    assert (drawn.double() * 2**24).long().tolist() == [
        [8300771, 5499513, 4181557],
        [3921299, 6888453, 13342837],
        [1269513, 8894685, 15329289],
    ]
    assert permutation(0, 0, 10).tolist() == [7, 6, 3, 4, 8, 9, 1, 2, 0, 5]
    assert permutation(0, 1, 10).tolist() == [7, 3, 0, 5, 6, 1, 2, 4, 8, 9]
    assert permutation(1, 0, 10).tolist() == [3, 8, 6, 2, 9, 7, 1, 5, 0, 4]


def test_numbers_depend_on_the_sample_only():
    """The same sample gets the same numbers in any batch, any order and any count."""
    index = torch.tensor([5, 99, 0, 170_000, 7])
    whole = uniform(3, 2, "mask_noise", index, 50)
    order = torch.tensor([3, 0, 4])
    assert torch.equal(uniform(3, 2, "mask_noise", index[order], 50), whole[order])
    assert torch.equal(uniform(3, 2, "mask_noise", index[1:2].int(), 50), whole[1:2])
    assert torch.equal(uniform(3, 2, "mask_noise", index, 9), whole[:, :9])
    torch.manual_seed(1)
    assert torch.equal(uniform(3, 2, "mask_noise", index, 50), whole)


def test_streams_are_drawn_together_as_one_by_one():
    """Those of the first stream for all samples, then those of the second."""
    index, names = torch.tensor([5, 99, 170_000]), ["crop", "mask_noise"]
    together = uniform(3, 2, names, index, 7)
    assert torch.equal(together, torch.cat([uniform(3, 2, name, index, 7) for name in names]))


def test_interval_is_open(monkeypatch):
    """The extreme bit patterns stay inside (0, 1): both logarithms are finite."""
    extremes = torch.tensor([[0, -1, 2**63 - 1, -(2**63)]])
    monkeypatch.setattr(randomness, "hash_bits", lambda key, index, count: extremes)
    drawn = uniform(0, 0, "", torch.tensor([0]), 4)
    assert drawn.dtype == torch.float32
    expected = [2.0**-24, 1 - 2.0**-24, 0.5 - 2.0**-24, 0.5 + 2.0**-24]
    assert drawn[0].double().tolist() == expected
    assert drawn.log().isfinite().all()
    assert (1 - drawn).log().isfinite().all()


@pytest.mark.parametrize(("samples", "count"), [(100_000, 1), (1, 100_000), (500, 200)])
def test_numbers_are_uniform(samples, count):
    """Kolmogorov-Smirnov, along the samples, along the positions, and over both."""
    drawn = uniform(0, 5, "crop", torch.arange(samples), count).flatten()
    assert stats.kstest(drawn.numpy(), "uniform").pvalue > 0.01


def _independence(first: torch.Tensor, second: torch.Tensor) -> float:
    """p-value of χ² against independence, from a 12×12 table."""
    table = np.histogram2d(first.flatten(), second.flatten(), bins=12, range=[[0, 1]] * 2)[0]
    return stats.chisquare(table.flatten()).pvalue


def test_streams_are_independent():
    """Neighbouring seeds, epochs, streams, samples and positions are uncorrelated pairs."""
    index = torch.arange(20_000)
    base = uniform(0, 0, "crop", index, 2)
    others = {
        "seed": uniform(1, 0, "crop", index, 2),
        "epoch": uniform(0, 1, "crop", index, 2),
        "stream": uniform(0, 0, "mask_noise", index, 2),
        "sample": uniform(0, 0, "crop", index + 1, 2),
        "position": base.flip(1),
    }
    chances = {name: _independence(base[:, :1], other[:, :1]) for name, other in others.items()}
    assert min(chances.values()) > 0.005, chances


def test_epochs_of_one_sample_are_uniform():
    """The sequence one sample sees over many epochs is uniform too."""
    drawn = [uniform(0, epoch, "crop", torch.tensor([3]), 1).item() for epoch in range(1000)]
    assert stats.kstest(drawn, "uniform").pvalue > 0.01


def test_permutations():
    """Each is a permutation; epochs and seeds differ; all orders are equally likely."""
    assert sorted(permutation(0, 0, 1000)) == list(range(1000))
    assert permutation(0, 0, 7).dtype == np.int64
    assert permutation(0, 0, 0).tolist() == []
    orders = [permutation(seed, epoch, 1000) for seed in (0, 1) for epoch in (0, 1)]
    assert len({order.tobytes() for order in orders}) == 4
    seen = Counter(tuple(permutation(2, epoch, 4).tolist()) for epoch in range(2400))
    counts = [seen[order] for order in permutations(range(4))]
    assert stats.chisquare(counts).pvalue > 0.01


def test_generators_are_keyed():
    """numpy and torch generators start from the key, whatever was drawn before."""
    expected = np.random.Generator(np.random.PCG64(stream_key(4, "tree"))).random(5)
    np.testing.assert_array_equal(numpy_generator(4, "tree").random(5), expected)
    state = torch.random.get_rng_state()
    try:
        seed_torch(4, "init")
        first = torch.rand(3)
        assert torch.initial_seed() == stream_key(4, "init") >> 1
        seed_torch(4, "init")
        assert torch.equal(torch.rand(3), first)
        seed_torch(5, "init")
        assert not torch.equal(torch.rand(3), first)
    finally:
        torch.random.set_rng_state(state)
