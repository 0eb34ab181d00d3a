"""Config dictionaries to objects, and whose mistake an error is."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest
import torch
from mmengine.config import ConfigDict
from torch import nn

from benchmark.errors import InputError
from benchmark.registry import MASKINGS, METHODS, REGISTRIES, build, find

ROOT = Path(__file__).resolve().parents[2]


class Part:
    def __init__(self, width: int, depth: int = 2) -> None:
        self.arguments = (width, depth)


class Broken:
    def __init__(self, width: int) -> None:
        self.area = width + "not a number"


class Outer:
    def __init__(self) -> None:
        self.part = Part()


@pytest.mark.parametrize("kind", [dict, ConfigDict])
def test_config_wins_over_defaults(kind):
    """Arguments come from the config, then from the caller, then from the class."""
    spec = kind(type=Part, depth=5)
    assert build(spec, width=3).arguments == (3, 5)
    assert build(spec, width=3, depth=7).arguments == (3, 5)
    assert build(kind(type=Part, width=9), width=3).arguments == (9, 2)
    assert dict(spec) == {"type": Part, "depth": 5}, "the config is not changed"


def test_functions_are_types_too():
    """Anything callable builds, e.g. a factory."""
    assert build({"type": lambda width: width * 2}, width=4) == 8


def test_registered_names_are_types_too():
    """In this project, and in mmengine; a name of both is this project's."""
    by_name = build({"type": "RandomMasking", "ratio": 0.5}, num_patches=16, patch_size=8)
    assert type(by_name) is MASKINGS.get("RandomMasking")
    assert find("AdamW") is torch.optim.AdamW
    assert find("CheckpointHook").__module__.startswith("benchmark.")
    assert find("EMAHook").__module__.startswith("mmengine.")
    assert METHODS.get("VasoMIM").__module__ == "methods.vasomim"


def test_an_unknown_name_is_an_input_error():
    with pytest.raises(InputError, match="unknown type 'VasoMIN'; did you mean 'VasoMIM'"):
        build({"type": "VasoMIN"})


def test_what_the_configs_name_is_registered():
    """Every class of this project that a config imports is found by its name, and in one place."""
    named = set()
    for path in sorted((ROOT / "configs").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(("bench", "meth")):
                named |= {(node.module, alias.name) for alias in node.names}
    assert len(named) > 80
    for module, name in sorted(named):
        found = find(name)
        assert found is getattr(importlib.import_module(module), name), name
        assert sum(name in registry.module_dict for registry in REGISTRIES) == 1, name


@pytest.mark.parametrize("value", [None, 3, "name", [1], Part(1), nn.Identity()])
def test_other_values_pass_through(value):
    """What is not a dict is taken as it is, and the defaults are not used."""
    assert build(value, width=1) is value


@pytest.mark.parametrize("spec", [{}, {"width": 3}, {"type": None}])
def test_missing_class_is_an_input_error(spec):
    with pytest.raises(InputError, match="without a class as its type"):
        build(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": Part}, r"Part: .*missing 1 required positional argument: 'width'"),
        ({"type": Part, "width": 1, "depht": 3}, r"Part: .*unexpected keyword argument 'depht'"),
    ],
)
def test_wrong_arguments_are_an_input_error(spec, message):
    """The message names the class and the argument."""
    with pytest.raises(InputError, match=message):
        build(spec)


@pytest.mark.parametrize("spec", [{"type": Broken, "width": 1}, {"type": Outer}])
def test_defects_keep_their_type(spec):
    """A TypeError from inside the constructor is a defect of the code, not of the config."""
    with pytest.raises(TypeError) as caught:
        build(spec)
    assert not isinstance(caught.value, InputError)
