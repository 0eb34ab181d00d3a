"""Features of frames are those of the encoder on what its pre-training showed it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.downstream.representation.encoding import encode_frames
from benchmark.encoders.encoder import export_encoder
from benchmark.errors import InputError

MEAN, STD = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)


@pytest.fixture
def folder(tiny_vit, tmp_path):
    export_encoder(tmp_path, tiny_vit, {}, MEAN, STD)
    return tmp_path


def test_features_are_those_of_the_normalised_frames(folder, tiny_vit):
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    found = encode_frames(folder, frames, batch_size=2)
    shown = (frames[:, None] / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    with torch.no_grad():
        tokens = tiny_vit.eval()(torch.from_numpy(shown).float())[:, 1:]
    wanted = tokens.transpose(1, 2).reshape(3, -1, 4, 4).numpy()
    assert (found.dtype, found.shape) == (np.float32, wanted.shape)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_frames_are_resized(folder):
    """As PIL does on floats, which is bilinear and antialiased, too."""
    frames = [
        np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
        for shape in ((64, 48), (40, 96))
    ]
    resized = [
        np.round(np.asarray(Image.fromarray(f.astype(np.float32)).resize((32, 32), 2)))
        for f in frames
    ]
    found = encode_frames(folder, frames, size=32)
    wanted = encode_frames(folder, [f.astype(np.uint8) for f in resized])
    np.testing.assert_allclose(found, wanted, atol=0.05 * np.abs(wanted).max())  # rounded levels


def test_frames_that_cannot_be_encoded(folder):
    frame = np.zeros((32, 32), np.uint8)
    for frames, said in (
        ([], "no frames"),
        ([frame / 255], "a frame is float64"),
        ([frame, frame[:16]], "frame 1 is"),
        ([frame[:, :28]], "image size 28 is no multiple of the patch size 8"),
    ):
        with pytest.raises(InputError, match=said):
            encode_frames(folder, frames)
