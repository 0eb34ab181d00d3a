"""Locating a network in a file: recognised prefixes, and those that must be given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from released_files import FILES, fill, vit
from torch import Tensor

from benchmark.encoders.conversion import select
from benchmark.encoders.releases import RELEASES
from benchmark.encoders.weight_layouts import WeightLayout, files_beside, flatten, locate
from benchmark.errors import InputError

ANY = (WeightLayout(r"patch_embed\.proj\.weight$", ()),)
TEACHER = (*ANY, WeightLayout(r"patch_embed\.proj\.weight$", (), "teacher.backbone."))


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    return fill(vit(FILES["mae_imagenet"].small_size))


def names(*prefixes: str) -> list[str]:
    """Of a file with a network behind each of these."""
    return [
        prefix + name for prefix in prefixes for name in ("cls_token", "patch_embed.proj.weight")
    ]


def test_keys_and_names_form_one_path():
    content = {
        "model": {"module._orig_mod.a": 1, "b": {"c": 2, 3: 4}},
        "blocks.0._checkpoint_wrapped_module.norm": 5,
        "_orig_mod": {"d": 6},
    }
    assert flatten(content) == {
        "model.module.a": 1,
        "model.b.c": 2,
        "model.b.3": 4,
        "blocks.0.norm": 5,
        "d": 6,
    }


def test_a_self_referencing_file_does_not_hang():
    """Once, or many times over: 50¹⁰ names, of which it has 51."""
    content: dict[str, Any] = {"a": 1}
    content["model"] = content
    assert flatten(content) == {"a": 1}
    node: dict[str, Any] = {str(number): number for number in range(51)}
    for _ in range(10):
        node = dict.fromkeys(map(str, range(50)), node)
    assert sorted(flatten(node).values()) == list(range(51))
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert flatten(deep) == {}


@pytest.mark.parametrize(
    "prefix",
    [
        *("", "module.", "model.", "backbone.", "teacher.", "student.", "encoder."),
        *("state_dict.model.", "model.module.", "module.model.", "teacher.backbone."),
        *("state_dict.student.module.backbone.", "model.encoder.", "ema.", "network.net."),
    ],
)
def test_unambiguous_prefixes_are_recognised(prefix):
    """The only one of a file; what torch puts in is gone by then."""
    assert locate(ANY, [*names(prefix), "epoch", "optimizer.lr"]) == (ANY[0], prefix)


@pytest.mark.parametrize("prefix", ["trunk.", "model.visual.", "module.image_encoder."])
def test_other_prefixes_must_be_given(prefix):
    with pytest.raises(InputError, match=rf"is meant; pass --prefix {prefix}$"):
        locate(ANY, names(prefix))
    assert locate(ANY, names(prefix), prefix) == (ANY[0], prefix)
    assert locate(ANY, names(prefix), prefix.rstrip(".")) == (ANY[0], prefix)


def test_the_release_selects_among_several_networks():
    both = names("student.module.backbone.", "teacher.backbone.")
    assert locate(TEACHER, both) == (TEACHER[1], "teacher.backbone.")
    # DDP wraps a teacher, too, where it has batch norms.
    assert locate(TEACHER, names("student.", "teacher.module."))[1] == "teacher.module."
    assert locate(TEACHER, both, "student.module.backbone.")[1] == "student.module.backbone."
    with pytest.raises(
        InputError,
        match=r"pass --prefix student\.module\.backbone\. or --prefix teacher\.backbone\.$",
    ):
        locate(ANY, both)
    # The plain one is it where there is one; averages of the weights are others.
    assert locate(ANY, names("model.", "model_ema."))[1] == "model."
    with pytest.raises(
        InputError, match=r"more than once; pass --prefix model\. or --prefix state_"
    ):
        locate(ANY, names("model.", "state_dict."))


def test_another_role_than_that_of_the_release_is_refused():
    """A student is no teacher, and the encoder that is trained not its average."""
    with pytest.raises(InputError, match=r"is meant; pass --prefix student\.backbone\.$"):
        locate(TEACHER, names("student.backbone."))
    layouts = RELEASES["chexworld_cxr500k"].layouts
    with pytest.raises(InputError, match=r"pass --prefix model\.encoder\.$"):
        locate(layouts, names("model.encoder."))
    assert locate(layouts, names("model."))[1] == "model."  # somebody has cut it out


def test_a_missing_prefix_is_answered_with_the_existing_ones():
    with pytest.raises(
        InputError, match=r"^--prefix ema\.: not there; pass --prefix '' or --prefix m"
    ):
        locate(ANY, names("", "model."), "ema.")
    message = (
        r"^no name in it ends with 'patch_embed\.proj\.weight'; it holds 'a', 'b', 'c', 'd', …"
    )
    with pytest.raises(InputError, match=message):
        locate(ANY, list("abcde"))
    with pytest.raises(InputError, match=r"it holds nothing$"):
        locate(ANY, [])


def test_values_outside_the_network_are_counted():
    found = [*names("teacher.backbone."), "teacher.head.a", "teacher.head.b", "student.x", "epoch"]
    assert files_beside(found, "teacher.backbone.") == {"teacher.head": 2, "student": 1, "epoch": 1}
    assert files_beside(found, "") == {}


def test_other_networks_and_non_weights_are_skipped(tensors):
    part = {**tensors, "mask_token": torch.ones(1), "decoder_embed.weight": torch.ones(1)}
    found = select(RELEASES["mae_imagenet"], {"model": part, "epoch": 3}, Path("file"))
    assert found.skipped == {"epoch": 1, "model.mask_token": 1, "model.decoder_embed": 1}
    assert found.prefix == "model."


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: {"model": {f"module.{name}": value for name, value in t.items()}},
        lambda t: {"model": {f"_orig_mod.{name}": value for name, value in t.items()}},
        lambda t: {"state_dict": {f"model.{name}": value for name, value in t.items()}, "epoch": 3},
        lambda t: {f"module._orig_mod.{name}": value for name, value in t.items()},
        lambda t: {n.replace("blocks.0.", "blocks.0._orig_mod."): v for n, v in t.items()},
        lambda t: {"teacher": {f"backbone.{name}": value for name, value in t.items()}},
    ],
    ids=["DDP", "compiled", "Lightning", "both", "compiled blocks", "teacher"],
)
def test_wrapped_files_are_the_same_encoder(wrap, tensors):
    release = RELEASES["mae_imagenet"]
    plain, wrapped = (
        select(release, content, Path("file")).tensors for content in (tensors, wrap(tensors))
    )
    assert plain.keys() == wrapped.keys()
    assert all(torch.equal(plain[name], wrapped[name]) for name in plain)
