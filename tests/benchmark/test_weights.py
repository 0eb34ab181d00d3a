"""Weights of others: nothing in a file is executed, nothing is loaded partially."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import pathlib
import pickle
import random
import re
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.weights import Refused, load_plain, load_strict, read_tensors

# How torch says that a file could be read if what is in it was run.
ADVICE = re.compile("weights.only|torch.load|safe_globals", re.IGNORECASE)


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
def test_hostile_pickle_is_refused_unexecuted(tmp_path, writer):
    """A file whose unpickling would run a function is refused, and the function does not run."""
    path, marker = tmp_path / "evil.pth", tmp_path / "marker"
    content = {"model": {"weight": Hostile(marker)}}
    if writer == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=writer == "zip")
    for read in (load_plain, read_tensors):
        with pytest.raises(Refused) as caught:
            read(path)
        assert str(caught.value) == (
            f"{path}: refused, since reading it would run code: "
            f"it holds {os.mkdir.__module__}.mkdir"
        )
        assert not marker.exists()
    pickle.loads(pickle.dumps(content))
    assert marker.exists(), "the content is hostile indeed"


@pytest.mark.parametrize("wrap", [None, "model", "state_dict"])
@pytest.mark.parametrize("legacy", [False, True])
def test_state_dicts_are_unwrapped(tmp_path, tensors, wrap, legacy):
    """Plain and wrapped state dicts, in both formats of torch, give the same tensors."""
    content = {wrap: tensors, "epoch": 3} if wrap else tensors
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    assert same(read_tensors(tmp_path / "a.pth"), tensors)
    assert same(read_tensors(str(tmp_path / "a.pth")), tensors)


def test_safetensors(tmp_path, tensors):
    """A safetensors file is read; every truncation of it is reported as damage."""
    path = tmp_path / "a.safetensors"
    save_file(tensors, path)
    read = read_tensors(path)
    assert same({name: read[name] for name in tensors}, tensors)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"a\.safetensors: ") as caught:
            read_tensors(path)
        kind = f"an incomplete file, {length} of (more than )?[0-9]+ bytes; download it again"
        kind = kind if length > 8 else "an empty file|damaged, or not a file of weights"
        assert re.search(kind, str(caught.value))


def test_no_damaged_byte_of_exported_weights_is_missed(tmp_path, tensors):
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
def test_truncated_and_overwritten_files(tmp_path, tensors, legacy):
    """Wherever a file is cut off, the answer is the one-line message with its path."""
    stream = io.BytesIO()
    torch.save(tensors, stream, _use_new_zipfile_serialization=not legacy)
    whole, path = stream.getvalue(), tmp_path / "cut.pth"
    for length in range(0, len(whole), max(1, len(whole) // 120)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.pth: ") as caught:
            read_tensors(path)
        assert re.search(
            r"an empty file|an incomplete file, cut off|damaged, or", str(caught.value)
        )
        assert not ADVICE.search(str(caught.value))
    for content in (b"", b"\x00" * 64, b"<html>404</html>", b"\x80\x02.", b"not a checkpoint"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cut\.pth: "):
            read_tensors(path)


@pytest.mark.parametrize("content", [{"epoch": 3}, [torch.zeros(2)], {"model": {"a": 1}}, 5])
def test_other_content_is_no_state_dict(tmp_path, content):
    """Plain values are readable as such, but are no weights."""
    torch.save(content, tmp_path / "a.pth")
    assert str(load_plain(tmp_path / "a.pth")) == str(content)
    with pytest.raises(InputError, match=r"a\.pth: not a state dict"):
        read_tensors(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["none.pth", "none.safetensors"])
def test_missing_file(tmp_path, name):
    """A path without a file, and a folder, are both reported as missing."""
    with pytest.raises(InputError, match=rf"{name}: no such file"):
        read_tensors(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=rf"{name}: no such file"):
        read_tensors(tmp_path / name)


def test_strict_load_fills_everything(tensors):
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
def test_misfit_loads_nothing(tensors, change, message):
    """The message counts and names every kind of misfit, and the module keeps its weights."""
    module = nn.Linear(2, 3)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(InputError, match=f"^a.pth: these weights do not fit Linear: {message}$"):
        load_strict(module, _change(tensors, change), "a.pth")
    assert same(dict(module.state_dict()), before)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4" * 64 + b"\nsize 343261189\n"


def _zip(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def _program() -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 3)), stream)
    return stream.getvalue()


# What a download leaves under the name of a file of weights, and what is said of it.
MISTAKEN = {
    "lfs": (LFS, "a Git LFS pointer to a file of 343,261,189 bytes, no weights; fetch it with"),
    "annex": (b"/annex/objects/SHA256E-s9--0.pth\n", "a git-annex pointer, no weights; fetch it"),
    "page": (
        b"\n<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>",
        "a web page ('Google Drive - Virus scan warning'), no weights; download it again",
    ),
    "big page": (b"<html>" + "Lädt … ".encode() * 2000, "a web page, no weights; download it"),
    "marked page": (b"\xef\xbb\xbf<html></html>", "a web page, no weights"),
    "xml": (b"<?xml version='1.0'?><Error>", "an XML text, no weights"),
    "json": (
        b'{"error":"Repository not found"}',
        'a JSON text (\'{"error":"Repository not found"}\')',
    ),
    "text": (b"Access denied.\n", "a text ('Access denied.'), no weights; download it again"),
    "escape": (b"\x1b[2J then text", "damaged, or not a file of weights"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(30), "a gzip archive, no weights; unpack it first"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(30), "an HDF5 file, no weights; convert it"),
    "tar": (bytes([7]) * 257 + b"ustar" + bytes(300), "a tar archive, no weights; unpack it"),
    "zip": (
        _zip(**{"readme.txt": b"x"}),
        "a zip archive of other files ('readme.txt'), no weights",
    ),
    "empty zip": (_zip(), "a zip archive of other files (nothing), no weights"),
    "program": (_program(), "a TorchScript program, no weights; save its state_dict() instead"),
    "empty": (b"", "an empty file; download it again"),
    "zeros": (bytes(5000), "a file of zeros, as a download that was broken off leaves"),
    "cut": (
        _saved({"a": torch.ones(9)})[:-30],
        "an incomplete file, cut off in a download or copy",
    ),
    "noise": (random.Random(1).randbytes(500), "damaged, or not a file of weights"),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin"])
@pytest.mark.parametrize("case", MISTAKEN)
def test_what_is_no_weights_is_named(tmp_path, case, suffix):
    """Whatever it is called and whether it is trusted; and nobody is told to run it."""
    content, message = MISTAKEN[case]
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    for trust in (False, True):
        with pytest.raises(InputError) as caught:
            load_plain(path, trust=trust)
        text = str(caught.value)
        assert text.startswith(f"{path}: {message}")
        assert not ADVICE.search(text)


def test_no_message_tells_to_run_a_file(tmp_path):
    """Of all that torch's readers say of damaged files: bytes of small ones are changed."""
    path, said = tmp_path / "file.pth", set()
    for legacy in (False, True):
        stream = io.BytesIO()
        torch.save({"a": torch.ones(2)}, stream, _use_new_zipfile_serialization=not legacy)
        whole = stream.getvalue()
        for place in random.Random(3).sample(range(len(whole)), 150):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
            try:
                load_plain(path)
            except InputError as error:
                said.add(str(error))
    assert len(said) > 10
    assert not [text for text in said if ADVICE.search(text) or "\n" in text]


def test_the_content_decides_not_the_name(tmp_path, tensors):
    save_file(tensors, tmp_path / "a.pth")
    torch.save(tensors, tmp_path / "b.safetensors")
    for name in ("a.pth", "b.safetensors"):
        read = read_tensors(tmp_path / name)
        assert same({key: read[key] for key in tensors}, tensors)


class WindowsPath:
    """Pickled like a path of Windows, which cannot be made elsewhere."""

    def __reduce__(self) -> tuple:
        return pathlib.WindowsPath, ("C:\\", "runs")


def test_paths_in_settings_are_no_code(tmp_path):
    """They are read as plain paths, on every system; trust changes nothing."""
    path = tmp_path / "a.pth"
    for legacy in (False, True):
        args = argparse.Namespace(output=WindowsPath(), data=Path("/data"))
        torch.save({"args": args}, path, _use_new_zipfile_serialization=not legacy)
        assert b"WindowsPath\n" in path.read_bytes()
        expected = argparse.Namespace(
            output=pathlib.PureWindowsPath("C:/runs"), data=pathlib.PurePosixPath("/data")
        )
        for trust in (False, True):
            assert load_plain(path, trust=trust)["args"] == expected


def test_a_broken_link_is_named(tmp_path):
    link = tmp_path / "a.pth"
    link.symlink_to(".git/annex/objects/a/b/SHA256E-s9--0.pth/SHA256E-s9--0.pth")
    with pytest.raises(
        InputError, match=r"a link to \.git/annex/.*`git annex get a\.pth` fetches it"
    ):
        load_plain(link)
    (tmp_path / "b.pth").symlink_to("blobs/1234")
    with pytest.raises(InputError, match=r"b\.pth: a link to blobs/1234, which is not there$"):
        load_plain(tmp_path / "b.pth")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.model."])
def test_prefixes_of_frameworks_come_off(tensors, prefix):
    module = nn.Linear(2, 3)
    load_strict(module, {prefix + name: value for name, value in tensors.items()}, "a.pth")
    assert same(dict(module.state_dict()), tensors)


def test_names_that_begin_like_a_framework_stay(tensors):
    """A network may have a part of that name; some names without it are another network."""
    module = nn.ModuleDict({"model": nn.Linear(2, 3)})
    load_strict(module, {f"model.{name}": value for name, value in tensors.items()}, "a.pth")
    assert torch.equal(module["model"].bias, tensors["bias"])
    mixed = {"module.weight": tensors["weight"], "bias": tensors["bias"]}
    with pytest.raises(InputError, match=r"1 missing \(first: weight\); 1 unexpected"):
        load_strict(nn.Linear(2, 3), mixed, "a.pth")


def test_another_prefix_is_named(tensors):
    there = {f"net.head.{name}": value for name, value in tensors.items()}
    with pytest.raises(
        InputError,
        match=r"2 missing .*; they are there behind 'net.head.', which has to be taken off",
    ):
        load_strict(nn.Linear(2, 3), {**there, "other": torch.ones(1)}, "a.pth")
