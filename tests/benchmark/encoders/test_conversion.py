"""Released files become encoders with all of their tensors, without running any code in them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from official_shapes import Shapes
from released_files import FILES, Size, dinov3, fill, sam, vit

from benchmark.encoders.conversion import convert, network_arguments, read_release_file, select
from benchmark.encoders.encoder import ARCHITECTURES, load_encoder
from benchmark.encoders.releases import RELEASES, Release, find_release
from benchmark.errors import InputError
from benchmark.files import sha256_file
from benchmark.registry import build


class Foreign:
    """An object of a class only its author has."""


def release_of(case: str) -> Release:
    return find_release(case.partition("/")[0])


def write(path: Path, case: str, seed: int = 0, **others: Any) -> Path:
    file = FILES[case]
    torch.save({**file.wrap(fill(file.shapes(file.small_size), seed)), **others}, path)
    return path


def refusal(name: str, path: Path, **options: Any) -> str:
    """The line with which a file is refused, which leaves nothing behind."""
    out = path.with_name("refused")
    with pytest.raises(InputError) as error:
        convert(RELEASES[name], path, out, **options)
    assert not out.exists()
    return str(error.value)


def test_there_is_a_file_for_every_release():
    assert {case.partition("/")[0] for case in FILES} == set(RELEASES)


@pytest.mark.parametrize("case", FILES)
def test_released_files_are_converted_and_load(case, tmp_path):
    """Features are finite, those of these weights and no others, and survive the round trip."""
    release, small = release_of(case), FILES[case].small
    path = write(tmp_path / "file.pth", case)
    card = convert(release, path, tmp_path / "out", arguments=small).card
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
        "prefix": FILES[case].prefix,
        "arguments": {
            key: list(value) if isinstance(value, tuple) else value for key, value in small.items()
        },
    }
    renamed = select(release, torch.load(path), path).tensors
    state = encoder.state_dict()
    assert state.keys() == renamed.keys()
    assert all(torch.equal(state[name], renamed[name]) for name in state)

    second = convert(
        release, write(tmp_path / "b.pth", case, seed=1), tmp_path / "b", arguments=small
    ).card
    assert second.fingerprint != card.fingerprint


@pytest.mark.parametrize("case", FILES)
def test_names_and_shapes_fit_at_full_size(case):
    """The ViT-B of every release, without values: none missing, superfluous or of another shape."""
    release, file = release_of(case), FILES[case]
    content = file.wrap(fill(file.shapes(file.full), device="meta"))
    selection = select(release, content, Path("file"))
    arguments = network_arguments(release, selection, {})
    with torch.device("meta"):
        encoder = build({"type": ARCHITECTURES[release.architecture], **arguments})
    shapes = {name: tuple(value.shape) for name, value in encoder.state_dict().items()}
    assert {name: tuple(value.shape) for name, value in selection.tensors.items()} == shapes


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
def test_misfits_are_counted_and_named(edit, expected, tmp_path):
    tensors = fill(vit(FILES["mae_imagenet"].small_size))
    edit(tensors)
    path = tmp_path / "file.pth"
    torch.save({"model": tensors}, path)
    said = refusal("mae_imagenet", path, arguments=FILES["dino"].small)
    assert said.startswith(f"{path}: these weights do not fit VisionTransformer: ")
    assert expected in said


def test_a_file_of_another_release_is_refused(tmp_path):
    path = write(tmp_path / "file.pth", "mae_imagenet/decoder")
    assert refusal("med_dinov3", path) == (
        f"{path}: as a file of med_dinov3: no name in it ends with 'storage_tokens'; it holds "
        "'model.cls_token', 'model.pos_embed', 'model.patch_embed.proj.weight', "
        "'model.patch_embed.proj.bias', …"
    )
    for content, said in (
        # A name where others keep their weights.
        ({"model": "mae"}, "no name in it ends with 'patch_embed.proj.weight'; it holds 'model'"),
        ([1, 2], "holds a list, not tensors by name"),
        (
            {"model": {"patch_embed.proj.weight": torch.ones(2), "size": 224}},
            "'model.size' is not a tensor (1 such)",
        ),
    ):
        torch.save(content, path)
        assert refusal("mae_imagenet", path).endswith(said)


def test_foreign_objects_are_named_and_not_unpickled(tmp_path):
    """Refused, with the name of their class, in the new and in the old format; until trusted.

    `argparse.Namespace` is no more than a dictionary, and many scripts save one.
    """
    path, file = tmp_path / "file.pth", FILES["mae_imagenet"]
    for old in (False, True):
        content = {**file.wrap(fill(vit(file.small_size))), "args": argparse.Namespace(lr=1e-4)}
        torch.save(content, path, _use_new_zipfile_serialization=not old)
        assert read_release_file(path)["args"] == content["args"]
        content["x"] = Foreign()
        torch.save(content, path, _use_new_zipfile_serialization=not old)
        said = refusal("mae_imagenet", path, arguments=file.small)
        assert f"it holds {Foreign.__module__}.Foreign; " in said
        assert said.endswith("if you trust where it comes from, pass --trust")
        out = tmp_path / f"{old}"
        convert(RELEASES["mae_imagenet"], path, out, trust=True, arguments=file.small)
        load_encoder(out)


def test_other_sizes_are_arguments(tmp_path):
    """A larger network of the same kind; a wrong argument is refused by name."""
    release = replace(
        RELEASES["dino"], arguments={**RELEASES["dino"].arguments, **FILES["dino"].small}
    )
    path = write(tmp_path / "file.pth", "dino")
    convert(release, path, tmp_path / "out")
    for given, said in (
        ({"breadth": 3}, r"--arguments breadth: unknown; did you mean 'depth'"),
        ({"depth": 3}, "depth is 2 by its tensors, not 3"),
    ):
        with pytest.raises(InputError, match=said):
            convert(release, path, tmp_path / "b", arguments=given)


def test_every_release_states_what_tensors_do_not_tell():
    """Nothing is left to the defaults of a class; normalisations have a value per channel."""
    for release in RELEASES.values():
        unproven = ARCHITECTURES[release.architecture].unproven
        assert unproven <= release.arguments.keys(), release.name
        assert len(release.mean) == len(release.std) == 3


VIT_S = Size(width=48, heads=3)


def small_vit(folder: Path, shapes: Shapes | None = None) -> Path:
    path = folder / "vits.pth"
    torch.save(fill(vit(VIT_S) if shapes is None else shapes), path)
    return path


def test_num_heads_of_another_width_must_be_given(tmp_path):
    """DINO's ViT-S has 6, that of MoCo v3 12: the width does not tell, nor does any tensor."""
    path = small_vit(tmp_path)
    assert refusal("dino", path) == (
        f"{path}: its tensors are of another size than dino (embed_dim 48 instead of 768, depth 2 "
        "instead of 12, patch_size 8 instead of 16, img_size 32 instead of 224); tensors do not "
        "tell num_heads: add --arguments embed_dim=48 depth=2 patch_size=8 img_size=32 num_heads=…"
    )
    sizes = dict(embed_dim=48, depth=2, patch_size=8, img_size=32)
    said = f"{path}: tensors do not tell num_heads: add --arguments num_heads=…"
    assert refusal("dino", path, arguments=sizes) == said
    prints = set()
    for heads in (3, 6):
        done = convert(
            RELEASES["dino"], path, tmp_path / str(heads), arguments={**sizes, "num_heads": heads}
        )
        assert done.on_trust == {"num_heads": heads, "norm_eps": 1e-6, "activation": "gelu"}
        assert done.proven.items() >= sizes.items()
        assert done.card.arguments["num_heads"] == heads
        prints.add(done.card.fingerprint)
    assert len(prints) == 2  # so that it matters


def test_another_depth_keeps_num_heads_of_the_release(tmp_path):
    """Heads go with the width; global blocks go with the depth."""
    release = replace(
        RELEASES["dino"], arguments={**RELEASES["dino"].arguments, **FILES["dino"].small}
    )
    path = small_vit(tmp_path, vit(Size(depth=3)))
    assert (
        convert(release, path, tmp_path / "out", arguments={"depth": 3}).card.arguments["num_heads"]
        == (FILES["dino"].small["num_heads"])
    )
    release = RELEASES["lvm_med"]
    path = small_vit(tmp_path, sam(Size(depth=3, globals=(2,))))
    small = {**FILES["lvm_med"].small, "depth": 3}
    del small["global_blocks"], small["num_heads"]
    said = f"{path}: tensors do not tell global_blocks: add --arguments global_blocks=…"
    assert refusal("lvm_med", path, arguments=small) == said
    # Its tables of relative positions are as wide as a head, and so tell their number.
    done = convert(release, path, tmp_path / "b", arguments={**small, "global_blocks": (2,)})
    assert done.card.arguments["num_heads"] == Size().heads
    assert "num_heads" in done.proven
    assert done.on_trust.keys() == {"norm_eps", "window_size", "global_blocks", "img_size"}


def test_num_heads_of_dinov3_follow_from_its_rope_periods(tmp_path):
    path = small_vit(tmp_path, dinov3(Size()))
    small = {**FILES["dinov3"].small, "layer_scale": 1.0}
    said = refusal("dinov3", path, arguments={**small, "num_heads": 4})
    assert said.endswith("num_heads is 2 by its tensors, not 4")
    del small["num_heads"]
    done = convert(RELEASES["dinov3"], path, tmp_path / "out", arguments=small)
    assert done.proven["num_heads"] == 2
    assert done.on_trust.keys() == {"norm_eps", "rope_temperature", "img_size"}
    content = torch.load(path)
    del content["rope_embed.periods"]
    torch.save(content, path)
    said = refusal("dinov3", path, arguments=small)
    assert said.endswith("do not tell num_heads: add --arguments num_heads=…")


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("pos_embed", (1, 1 + 12, 48), "pos_embed: 12 patches are not a square; only encoders"),
        ("pos_embed", (1, 1 + 16 + 4, 48), "pos_embed: 20 patches are not a square"),
        ("pos_embed", (1, 4, 3, 48), "pos_embed: 4×3 patches: the images are not square"),
        ("patch_embed.proj.weight", (48, 3, 8, 4), "patches of 8×4 are not square"),
        ("pos_embed", (48,), "of another shape"),
        ("patch_embed.proj.weight", (48, 192), "of another shape"),
    ],
)
def test_encoders_of_non_square_images_are_refused(name, shape, expected, tmp_path):
    path = small_vit(tmp_path, {**vit(VIT_S), name: shape})
    arguments = {**FILES["dino"].small, "embed_dim": 48, "num_heads": 3}
    said = refusal("dino", path, arguments=arguments)
    assert said.startswith(f"{path}: ")
    assert expected in said


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"embed_dim": 48.0}, "--arguments embed_dim=48.0: must be an integer of 1 or more"),
        ({"num_heads": 0}, "--arguments num_heads=0: must be an integer of 1 or more"),
        ({"norm_eps": -1e-6}, "--arguments norm_eps=-1e-06: must be a number above 0"),
        ({"img_size": (64, 48)}, "--arguments img_size=(64, 48): must be an integer of 1 or more"),
        ({"class_token": 1}, "--arguments class_token=1: must be True or False"),
        ({"drop_path": 0.1}, "--arguments drop_path: unknown; did you mean 'depth'?"),
        ({"img_size": 448}, "img_size is 32 by its tensors, not 448"),
        ({"num_heads": 5}, "ViT: embed_dim=48 must be a multiple of 4 and num_heads"),
    ],
)
def test_invalid_arguments(given, expected, tmp_path):
    path = small_vit(tmp_path)
    arguments = {**FILES["dino"].small, "embed_dim": 48, "num_heads": 3, **given}
    assert refusal("dino", path, arguments=arguments).endswith(expected)


def test_the_student_is_converted_only_on_request(tmp_path):
    """And the description says so."""
    path = write(tmp_path / "file.pth", "dino/full")
    small = FILES["dino/full"].small
    teacher, student = (
        convert(RELEASES["dino"], path, tmp_path / str(prefix), arguments=small, prefix=prefix).card
        for prefix in (None, "student.module.backbone.")
    )
    assert teacher.provenance["prefix"] == "teacher.backbone."
    assert student.provenance["prefix"] == "student.module.backbone."
    weights = [
        load_encoder(tmp_path / str(prefix))[0].state_dict()["cls_token"]
        for prefix in (None, "student.module.backbone.")
    ]
    assert torch.equal(2 * weights[0], weights[1])
