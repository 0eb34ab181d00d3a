"""Released files become encoders: all of their tensors, the right ones, and nothing is run."""

from __future__ import annotations

import argparse
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from released_files import FILES, fill, vit
from safetensors.torch import save_file

from benchmark.build import build
from benchmark.engine.encoder import ARCHITECTURES, load_encoder
from benchmark.engine.released import Release, convert, read_release_file, rename, select
from benchmark.engine.releases import RELEASES, find_release
from benchmark.errors import InputError
from benchmark.files import sha256_file


class Foreign:
    """An object of a class only its author has."""


def release_of(case: str) -> Release:
    return find_release(case.partition("/")[0])


def write(path: Path, case: str, seed: int = 0, **others: Any) -> Path:
    file = FILES[case]
    torch.save({**file.wrap(fill(file.shapes(file.small_size), seed)), **others}, path)
    return path


def message(error: pytest.ExceptionInfo[InputError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_there_is_a_file_for_every_release() -> None:
    assert {case.partition("/")[0] for case in FILES} == set(RELEASES)


@pytest.mark.parametrize("case", FILES)
def test_released_files_convert_and_come_back(case: str, tmp_path: Path) -> None:
    """Features are finite, those of these weights and no others, and survive the round trip."""
    release, small = release_of(case), FILES[case].small
    path = write(tmp_path / "file.pth", case)
    card = convert(release, path, tmp_path / "out", arguments=small)
    encoder, again = load_encoder(tmp_path / "out")
    assert card == again
    assert card.architecture == release.architecture
    assert {key: card.arguments[key] for key in small} == {
        key: list(value) if isinstance(value, tuple) else value for key, value in small.items()
    }
    assert (card.mean, card.std) == (list(release.mean), list(release.std))
    assert card.provenance == {
        "release": release.name,
        "title": release.title,
        "pretraining": release.pretraining,
        "source": release.source,
        "file": "file.pth",
        "file_sha256": sha256_file(path),
    }
    _, tensors = select(release, torch.load(path), path)
    renamed, _ = rename(tensors, select(release, torch.load(path), path)[0])
    state = encoder.state_dict()
    assert state.keys() == renamed.keys()
    assert all(torch.equal(state[name], renamed[name]) for name in state)

    second = convert(
        release, write(tmp_path / "b.pth", case, seed=1), tmp_path / "b", arguments=small
    )
    assert second.fingerprint != card.fingerprint


@pytest.mark.parametrize("case", FILES)
def test_names_and_shapes_fit_at_full_size(case: str) -> None:
    """The ViT-B of every release, without values: none missing, superfluous or of another shape."""
    release, file = release_of(case), FILES[case]
    content = file.wrap(fill(file.shapes(file.full), device="meta"))
    layout, tensors = select(release, content, Path("file"))
    renamed, found = rename(tensors, layout)
    with torch.device("meta"):
        kind = ARCHITECTURES[release.architecture]
        encoder = build({"type": kind, **release.arguments, **found})
    shapes = {name: tuple(value.shape) for name, value in encoder.state_dict().items()}
    assert {name: tuple(value.shape) for name, value in renamed.items()} == shapes


def test_safetensors_are_read(tmp_path: Path) -> None:
    tensors = fill(vit(FILES["dino"].small_size))
    save_file(tensors, tmp_path / "file.safetensors")
    torch.save(tensors, tmp_path / "file.pth")
    prints = {
        convert(
            RELEASES["dino"], path, tmp_path / path.stem, arguments=FILES["dino"].small
        ).fingerprint
        for path in (tmp_path / "file.safetensors", tmp_path / "file.pth")
    }
    assert len(prints) == 1


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda t: t.pop("blocks.1.mlp.fc1.weight"), "1 missing (first: blocks.1.mlp.fc1.weight)"),
        (lambda t: t.pop("cls_token"), "1 missing (first: cls_token)"),
        (
            lambda t: t.update({"blocks.0.extra": torch.ones(2), "blocks.1.extra": torch.ones(2)}),
            "2 unexpected (first: blocks.0.extra)",
        ),
        (
            lambda t: t.update({"head.weight": torch.ones(2)}),
            "1 unexpected (first: head.weight (no rule))",
        ),
        (
            lambda t: t.update({"norm.weight": torch.ones(5)}),
            "1 of another shape (first: norm.weight (5,) instead of (32,))",
        ),
    ],
)
def test_what_does_not_fit_is_counted_and_named(edit, expected: str, tmp_path: Path) -> None:
    tensors = fill(vit(FILES["mae_imagenet"].small_size))
    edit(tensors)
    path = tmp_path / "file.pth"
    torch.save({"model": tensors}, path)
    with pytest.raises(InputError) as error:
        convert(RELEASES["mae_imagenet"], path, tmp_path / "out", arguments=FILES["dino"].small)
    assert message(error).startswith(f"{path}: these weights do not fit VisionTransformer: ")
    assert expected in message(error)
    assert not (tmp_path / "out").exists()


def test_a_file_of_another_release_is_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "file.pth", "mae_imagenet/decoder")
    with pytest.raises(InputError) as error:
        convert(RELEASES["med_dinov3"], path, tmp_path / "out")
    assert message(error) == (
        f"{path}: not a file of med_dinov3, whose tensors are under teacher; this one holds "
        "'model', 'epoch'"
    )
    torch.save({"model": "mae_vit_base_patch16"}, path)  # a name where others keep their weights
    with pytest.raises(InputError, match="whose tensors are under model or the top level"):
        convert(RELEASES["mae_imagenet"], path, tmp_path / "out")
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="holds a list, not tensors by name"):
        convert(RELEASES["mae_imagenet"], path, tmp_path / "out")
    torch.save({"model": {"patch_embed.proj.weight": torch.ones(2), "size": 224}}, path)
    with pytest.raises(InputError, match=r"'size' is no tensor \(1 such\)"):
        convert(RELEASES["mae_imagenet"], path, tmp_path / "out")


def test_foreign_objects_are_named_and_not_run(tmp_path: Path) -> None:
    """Refused, with the name of their class, in the new and in the old format; until trusted."""
    path = tmp_path / "file.pth"
    small = FILES["mae_imagenet"].small
    for old in (False, True):
        content = FILES["mae_imagenet"].wrap(fill(vit(FILES["mae_imagenet"].small_size)))
        torch.save({**content, "x": Foreign()}, path, _use_new_zipfile_serialization=not old)
        with pytest.raises(InputError) as error:
            convert(RELEASES["mae_imagenet"], path, tmp_path / "out", arguments=small)
        assert f"it holds {Foreign.__module__}.Foreign; " in message(error)
        assert message(error).endswith("if you trust where it comes from, pass --trust")
        assert not (tmp_path / "out").exists()
        convert(RELEASES["mae_imagenet"], path, tmp_path / f"{old}", trust=True, arguments=small)
        load_encoder(tmp_path / f"{old}")


def test_settings_saved_beside_the_weights_need_no_trust(tmp_path: Path) -> None:
    """`argparse.Namespace` is no more than a dictionary, and many scripts save one."""
    args = argparse.Namespace(lr=1e-4, epochs=800)
    path = write(tmp_path / "file.pth", "mae_imagenet", args=args)
    assert read_release_file(path)["args"] == args
    torch.save({"args": args, "x": Foreign()}, path)
    with pytest.raises(InputError) as error:
        read_release_file(path)
    assert "it holds" in message(error)
    assert "Namespace" not in message(error)


def test_damaged_and_missing_files_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    with pytest.raises(InputError, match="no such file") as error:
        read_release_file(path)
    message(error)
    whole = write(tmp_path / "whole.pth", "dino").read_bytes()
    for content in (b"", b"PK\x03\x04", whole[: len(whole) // 2], pickle.dumps({"a": 1})[:-3]):
        path.write_bytes(content)
        for trust in (False, True):
            with pytest.raises(InputError, match=r"cannot be read|refused") as error:
                read_release_file(path, trust)
            assert message(error).startswith(f"{path}: ")


def test_other_sizes_are_arguments(tmp_path: Path) -> None:
    """A larger network of the same kind; a wrong argument is refused by name."""
    release = replace(RELEASES["dino"], arguments=FILES["dino"].small)
    path = write(tmp_path / "file.pth", "dino")
    convert(release, path, tmp_path / "out")
    with pytest.raises(InputError, match=r"VisionTransformer.*'breadth'"):
        convert(release, path, tmp_path / "b", arguments={"breadth": 3})
    with pytest.raises(InputError, match="missing"):
        convert(release, path, tmp_path / "b", arguments={"depth": 3})
