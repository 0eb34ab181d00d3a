"""Weights of others: nothing in a file is executed, nothing is loaded partially."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.weights import load_plain, load_strict, read_tensors


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(3, 2, generator=generator),
        "bias": torch.randn(3, generator=generator),
    }


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return list(first) == list(second) and all(torch.equal(first[k], second[k]) for k in first)


class Hostile:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("writer", ["zip", "legacy", "pickle"])
def test_hostile_pickle_is_refused_unexecuted(tmp_path: Path, writer: str) -> None:
    """A file whose unpickling would run a function is refused, and the function does not run."""
    path, marker = tmp_path / "evil.pth", tmp_path / "marker"
    content = {"model": {"weight": Hostile(marker)}}
    if writer == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=writer == "zip")
    for read in (load_plain, read_tensors):
        with pytest.raises(InputError, match=r"evil\.pth: refused or damaged") as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert not marker.exists()
    pickle.loads(pickle.dumps(content))
    assert marker.exists(), "the content is hostile indeed"


@pytest.mark.parametrize("wrap", [None, "model", "state_dict"])
@pytest.mark.parametrize("legacy", [False, True])
def test_state_dicts_are_unwrapped(
    tmp_path: Path, tensors: dict[str, Tensor], wrap: str | None, legacy: bool
) -> None:
    """Plain and wrapped state dicts, in both formats of torch, give the same tensors."""
    content = {wrap: tensors, "epoch": 3} if wrap else tensors
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    assert same(read_tensors(tmp_path / "a.pth"), tensors)
    assert same(read_tensors(str(tmp_path / "a.pth")), tensors)


def test_safetensors(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    """A safetensors file is read; every truncation of it is reported as damage."""
    path = tmp_path / "a.safetensors"
    save_file(tensors, path)
    read = read_tensors(path)
    assert same({name: read[name] for name in tensors}, tensors)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"a\.safetensors: damaged"):
            read_tensors(path)


def test_no_damaged_byte_of_exported_weights_is_missed(
    tmp_path: Path, tensors: dict[str, Tensor]
) -> None:
    """Of any network a run exports: safetensors itself reads a flipped bit as another number."""
    path = tmp_path / "segmentor.safetensors"
    save_file(tensors, path)
    content = path.read_bytes()
    described = {"weights_sha256": hashlib.sha256(content).hexdigest(), "provenance": {}}
    (tmp_path / "segmentor.json").write_text(json.dumps(described))
    read = read_tensors(path)
    assert same({name: read[name] for name in tensors}, tensors)
    draw = random.Random(7)
    for place in draw.sample(range(len(content)), 30):
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"segmentor\.safetensors: damaged, or not"):
            read_tensors(path)
    path.write_bytes(content)
    (tmp_path / "segmentor.json").write_text("{")
    with pytest.raises(InputError, match=r"segmentor\.json: "):
        read_tensors(path)
    (tmp_path / "segmentor.json").write_text('{"somebody": "else"}')
    assert read_tensors(path).keys() == tensors.keys()


@pytest.mark.parametrize("legacy", [False, True])
def test_truncated_and_overwritten_files(
    tmp_path: Path, tensors: dict[str, Tensor], legacy: bool
) -> None:
    """Wherever a file is cut off, the answer is the one-line message with its path."""
    stream = io.BytesIO()
    torch.save(tensors, stream, _use_new_zipfile_serialization=not legacy)
    whole, path = stream.getvalue(), tmp_path / "cut.pth"
    for length in range(0, len(whole), max(1, len(whole) // 120)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.pth: (damaged|refused or damaged) \(.+\)$"):
            read_tensors(path)
    for content in (b"", b"\x00" * 64, b"<html>404</html>", b"\x80\x02.", b"not a checkpoint"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cut\.pth: "):
            read_tensors(path)


@pytest.mark.parametrize("content", [{"epoch": 3}, [torch.zeros(2)], {"model": {"a": 1}}, 5])
def test_other_content_is_no_state_dict(tmp_path: Path, content: object) -> None:
    """Plain values are readable as such, but are no weights."""
    torch.save(content, tmp_path / "a.pth")
    assert str(load_plain(tmp_path / "a.pth")) == str(content)
    with pytest.raises(InputError, match=r"a\.pth: not a state dict"):
        read_tensors(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["none.pth", "none.safetensors"])
def test_missing_file(tmp_path: Path, name: str) -> None:
    """A path without a file, and a folder, are both reported as missing."""
    with pytest.raises(InputError, match=rf"{name}: no such file"):
        read_tensors(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=rf"{name}: no such file"):
        read_tensors(tmp_path / name)


def test_strict_load_fills_everything(tensors: dict[str, Tensor]) -> None:
    """Values arrive bit by bit, whatever the order of the names."""
    module = nn.Linear(2, 3)
    load_strict(module, dict(reversed(tensors.items())), "a.pth")
    assert same(dict(module.state_dict()), tensors)


def _change(tensors: dict[str, Tensor], change: str) -> dict[str, Tensor]:
    changed = dict(tensors)
    if "missing" in change:
        del changed["bias"]
    if "unexpected" in change:
        changed |= {"head.weight": torch.zeros(2), "head.bias": torch.zeros(1)}
    if "shape" in change:
        changed["weight"] = torch.zeros(2, 3)
    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", r"1 missing \(first: bias\)"),
        ("unexpected", r"2 unexpected \(first: head\.weight\)"),
        ("shape", r"1 of another shape \(first: weight \(2, 3\) instead of \(3, 2\)\)"),
        ("missing unexpected shape", r"1 missing .*; 2 unexpected .*; 1 of another shape .*"),
    ],
)
def test_misfit_loads_nothing(tensors: dict[str, Tensor], change: str, message: str) -> None:
    """The message counts and names every kind of misfit, and the module keeps its weights."""
    module = nn.Linear(2, 3)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(InputError, match=f"^a.pth: these weights do not fit Linear: {message}$"):
        load_strict(module, _change(tensors, change), "a.pth")
    assert same(dict(module.state_dict()), before)
