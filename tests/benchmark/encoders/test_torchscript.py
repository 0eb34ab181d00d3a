"""TorchScript archives are read as data: all tensors, and nothing is run."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmark.encoders.conversion import read_release_file
from benchmark.encoders.torchscript import read_torchscript
from benchmark.encoders.weight_layouts import flatten
from benchmark.errors import InputError


class Network(nn.Module):
    """Layers in a sequence, buffers of other types, a strided and an empty tensor, settings."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.Conv2d(3, 4, 2, padding=1, bias=False))
        self.turned = nn.Parameter(torch.randn(5, 3).T)
        self.register_buffer("rounded", torch.randn(3).half())
        self.register_buffer("count", torch.tensor(224))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("none", torch.zeros(0, 3))
        self.size, self.names, self.table = 3, ["a", "b"], {"a": 1.0}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers[0](x) * self.size + self.table["a"] + len(self.names)


def test_all_tensors_are_read(tmp_path):
    network = Network()
    torch.jit.save(torch.jit.script(network), tmp_path / "network.pt")
    found = flatten(read_release_file(tmp_path / "network.pt"))
    wanted = network.state_dict()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def archive(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("network/data.pkl", content)
        file.writestr("network/constants.pkl", pickle.dumps(()))
    return path


class Command:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps(Command(), 2), r"no TorchScript archive \(holds posix.mkdir\)"),
        (pickle.dumps(nn.Linear, 2), r"\(holds torch.nn.modules.linear.Linear\)"),
        (pickle.dumps([1, 2], 2), "holds a list, not tensors by name"),
        (b"\x80\x02c__torch__\nM\n", "damaged, or no TorchScript archive"),
        (b"", "damaged, or no TorchScript archive"),
    ],
)
def test_other_content_is_refused_and_not_run(content, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "network.pt", content)
    with pytest.raises(InputError, match=said) as error:
        read_release_file(path)
    assert str(error.value).startswith(f"{path}: ")
    assert not (tmp_path / "ran").exists()


def test_missing_tensors_are_an_error(tmp_path):
    torch.jit.save(torch.jit.script(Network()), tmp_path / "network.pt")
    with zipfile.ZipFile(tmp_path / "network.pt") as source:
        kept = [name for name in source.namelist() if not name.endswith("/data/0")]
        with zipfile.ZipFile(tmp_path / "less.pt", "w") as target:
            for name in kept:
                target.writestr(name, source.read(name))
    with pytest.raises(InputError, match=r"less\.pt: damaged, or no TorchScript archive"):
        read_torchscript(tmp_path / "less.pt")
