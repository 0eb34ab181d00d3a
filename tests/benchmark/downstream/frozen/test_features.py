"""Features are those of the encoder, extracted once, and never those of something else."""

from __future__ import annotations

import errno
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from benchmark.downstream.frozen import features as features_module
from benchmark.downstream.frozen.compose import compose_representation
from benchmark.downstream.frozen.encoded import EncodedFrames
from benchmark.downstream.frozen.features import FeatureCache, labelled_frames
from benchmark.downstream.representation.features import extract_features
from benchmark.encoders.encoder import load_encoder
from benchmark.errors import InputError
from benchmark.files import read_object
from benchmark.method_cards import CONFIGS


def test_features_are_those_of_the_analysis_of_patches(make_cell, vessels, encoder, features):
    """Which a test compares with timm's network; in raster order, frame by frame."""
    found = FeatureCache(make_cell("linear").config, vessels, features).load("train")
    options = ["test_pipeline.1.scale=(64,64)"]
    config, _ = compose_representation(
        CONFIGS, encoder, "synthetic_v", "tiny", options, features.parent
    )
    config.seed = 0
    patches, _ = extract_features(config, vessels)
    assert found.features.shape == (4, 8, 8, 32)
    assert isinstance(found.features, np.memmap)
    assert np.array_equal(found.features.reshape(-1, 32), patches.features)
    vessel = found.truth.reshape(4, 8, 8, 8, 8).any(axis=(2, 4))
    assert np.array_equal(vessel.ravel(), patches.vessel)


def test_mirrored_features_are_those_of_mirror_images(make_cell, vessels, encoder, features):
    config = make_cell("linear").config
    cache = FeatureCache(config, vessels, features)
    usual, mirrored = cache.load("train"), cache.load("train", mirrored=True)
    assert np.array_equal(mirrored.truth, usual.truth[:, :, ::-1])
    assert not np.allclose(mirrored.features, usual.features[:, :, ::-1]), "positions matter"
    encoded = EncodedFrames(config, vessels, "train")
    frames = []
    usual_maps = encoded._encoder.feature_maps
    encoded._encoder.feature_maps = lambda images: frames.append(images) or usual_maps(images)
    list(encoded.batches())
    network, _ = load_encoder(encoder)
    with torch.no_grad():
        expected = network.eval().feature_maps(torch.cat(frames).flip(3))[-1]
    assert np.allclose(mirrored.features, expected.permute(0, 2, 3, 1), atol=1e-5)


def test_nothing_is_extracted_twice(make_cell, vessels, features, encoded_frames):
    """Neither for another seed, protocol, share of the labels, nor by another process."""
    for _ in range(2):
        for options in ((), ("label_fraction=0.5", "micro_batch=3")):
            cache = FeatureCache(make_cell("linear", *options).config, vessels, features)
            for split, mirrored in (("train", False), ("train", True), ("test", False)):
                cache.load(split, mirrored)
            assert sum(encoded_frames) == 4 + 4 + 2
    FeatureCache(make_cell("knn").config, vessels, features).load("train")
    assert sum(encoded_frames) == 4 + 4 + 2
    assert labelled_frames(make_cell("linear", "label_fraction=0.5").config, vessels, 0).size == 2


def test_whoever_comes_second_waits_for_the_first(make_cell, vessels, features, encoded_frames):
    config = make_cell("linear").config
    caches = [FeatureCache(config, vessels, features) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda cache: cache.load("train").features, caches))
    assert sum(encoded_frames) == 4
    assert all(np.array_equal(one, found[0]) for one in found)


def test_features_of_something_else_are_replaced(
    make_cell, vessels, export_vit, features, tmp_path
):
    config = make_cell("linear").config
    first = np.array(FeatureCache(config, vessels, features).load("test").features)
    other = make_cell("linear").config
    other.model.backbone.folder = str(export_vit(tmp_path / "other", 9, patch_size=8))
    replaced = FeatureCache(other, vessels, features).load("test")
    assert not np.allclose(replaced.features, first)
    smaller = make_cell("linear", "test_pipeline.1.scale=(32,32)").config
    found = FeatureCache(smaller, vessels, features).load("test")
    assert found.features.shape == (2, 4, 4, 32)
    assert found.truth.shape == (2, 32, 32)
    again = FeatureCache(config, vessels, features).load("test")
    assert np.array_equal(again.features, first)


@pytest.mark.parametrize("name", ["test.features.npy", "test.truth.npy", "test.json"])
def test_damaged_features_are_extracted_again(make_cell, vessels, features, name, capsys):
    config = make_cell("linear").config
    first = np.array(FeatureCache(config, vessels, features).load("test").features)
    path = features / name
    path.write_bytes(path.read_bytes()[:-100])
    found = FeatureCache(config, vessels, features).load("test")
    assert np.array_equal(found.features, first)
    assert "test.json: extracted again" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["test.features.npy", "test.truth.npy"])
def test_one_other_bit_of_the_same_size_is_noticed(make_cell, vessels, features, name, capsys):
    config = make_cell("linear").config
    FeatureCache(config, vessels, features).load("test")
    path = features / name
    content = bytearray(path.read_bytes())
    assert read_object(features / "test.json")["checksums"].count(zlib.crc32(content)) == 1
    content[-7] ^= 4
    path.write_bytes(content)
    FeatureCache(config, vessels, features).load("test")
    assert "extracted again (other arrays than were written)" in capsys.readouterr().out
    assert path.read_bytes() != content
    FeatureCache(config, vessels, features).load("test")
    assert "extracted" not in capsys.readouterr().out


def test_an_interrupted_extraction_leaves_nothing_to_be_read(
    make_cell, vessels, export_vit, features, tmp_path, monkeypatch
):
    config = make_cell("linear", "micro_batch=1").config
    FeatureCache(config, vessels, features).load("test")
    other = make_cell("linear", "micro_batch=1").config
    other.model.backbone.folder = str(export_vit(tmp_path / "other", 9, patch_size=8))
    usual = EncodedFrames.batches

    def batches(self, mirrored=False):
        yield next(usual(self, mirrored))
        raise KeyboardInterrupt

    monkeypatch.setattr(EncodedFrames, "batches", batches)
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(other, vessels, features).load("test")
    left = sorted(path.name for path in features.iterdir())
    assert left == ["test.features.npy", "test.truth.npy"], "those of before, without description"
    monkeypatch.undo()
    FeatureCache(other, vessels, features).load("test")
    identity = read_object(features / "test.json")["identity"]
    assert identity["weights_sha256"] == load_encoder(tmp_path / "other")[1].weights_sha256


def test_features_that_are_not_finite_are_refused(make_cell, vessels, features, monkeypatch):
    usual = EncodedFrames.batches

    def batches(self, mirrored=False):
        for indices, maps, truth in usual(self, mirrored):
            maps[-1, 0, 0, 0] = torch.inf
            yield indices, maps, truth

    monkeypatch.setattr(EncodedFrames, "batches", batches)
    with pytest.raises(InputError, match=r"features of .* are not finite"):
        FeatureCache(make_cell("linear").config, vessels, features).load("train")
    assert not list(features.glob("*.npy"))


def test_finished_features_are_read_where_nothing_can_be_written(
    make_cell, vessels, export_vit, features, tmp_path, monkeypatch
):
    """A lock cannot be made there, and no process can replace what is read."""
    config = make_cell("linear").config
    written = np.array(FeatureCache(config, vessels, features).load("test").features)

    def acquire(path, on_wait):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(features_module, "acquire", acquire)
    assert np.array_equal(FeatureCache(config, vessels, features).load("test").features, written)
    other = make_cell("linear").config
    other.model.backbone.folder = str(export_vit(tmp_path / "other", 9, patch_size=8))
    for missing, split in ((config, "train"), (other, "test")):
        with pytest.raises(OSError, match="Read-only"):
            FeatureCache(missing, vessels, features).load(split)
