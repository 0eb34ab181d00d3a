"""Placeholders of files that were not fetched are named, in every format."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from raw_layouts import picture, save

from benchmark.data.formats.dicom.reading import read_dicom_header
from benchmark.data.formats.headers import image_size
from benchmark.data.formats.images import read_image
from benchmark.data.formats.list_files import read_json_object, read_table
from benchmark.data.formats.masks import read_mask
from benchmark.data.formats.video import count_frames, decode_array, read_frame
from benchmark.data.formats.voc import read_voc
from benchmark.data.frame import UnreadableFrame
from benchmark.data.sources import open_source
from benchmark.errors import InputError
from benchmark.files.contents import is_broken_link, pointer_reason

OID = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
POINTERS = {
    "lfs": f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 12345\n",
    "annex pointer": f"/annex/objects/SHA256E-s12345--{OID}.png\n",
}
LINKS = {
    "annex": f"../.git/annex/objects/Gx/W4/SHA256E-s12345--{OID}.png/SHA256E",
    "link": "../blobs/absent",
}


def _stand_in(kind: str, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind in POINTERS:
        path.write_text(POINTERS[kind])
    else:
        path.symlink_to(LINKS[kind])
    return path


REASONS = {
    "lfs": "Git LFS pointer in place of the file (git lfs pull)",
    "annex pointer": "git-annex pointer in place of the file (git annex get)",
    "annex": "broken link (git annex get)",
    "link": "broken link (dvc pull, or download it again)",
}


@pytest.mark.parametrize("kind", REASONS)
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("a.png", read_image),
        ("a.png", read_mask),
        ("a.dcm", read_dicom_header),
        ("a.npz", count_frames),
        ("a.npy", count_frames),
        ("a.npy", lambda path: read_frame(path, 0, decode_array)),
        ("a.xml", read_voc),
        ("a.json", read_json_object),
        ("a.csv", lambda path: read_table(path, ("name",))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_reader_names_pointers(tmp_path, kind, name, read):
    path = _stand_in(kind, tmp_path / name)
    with pytest.raises((UnreadableFrame, InputError)) as caught:
        read(path)
    assert str(caught.value).removeprefix(f"{path}: ") == REASONS[kind]


def test_other_files_are_not_pointers(tmp_path):
    good = save(tmp_path / "a.png", picture(1))
    (tmp_path / "link.png").symlink_to(good)
    (tmp_path / "text.png").write_text("version 2")
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("a.png", "link.png", "text.png", "pipe.png", "absent.png"):
        assert pointer_reason(tmp_path / name) is None
        assert not is_broken_link(tmp_path / name)
    assert image_size(_stand_in("lfs", tmp_path / "lfs.png")) is None
    with pytest.raises(UnreadableFrame, match=r"^not an image$"):
        read_image(tmp_path / "text.png")


@pytest.mark.parametrize("kind", REASONS)
def test_unfetched_files_are_counted(tmp_path, kind):
    for number in range(3):
        save(tmp_path / "images" / f"{number}.png", picture(number))
        save(tmp_path / "masks" / f"{number}.png", picture(number) > 90)
    for path in ("images/3.png", "masks/3.png", "masks/0.png"):
        _stand_in(kind, tmp_path / path)
    source = open_source("paired", tmp_path)
    reasons = []
    frames = list(source.frames())
    for frame in frames:
        for read in (source.read, source.read_masks):
            try:
                read(frame)
            except UnreadableFrame as error:
                reasons.append((frame.path, str(error)))
    assert len(frames) == 4
    assert reasons == [
        ("images/0.png", f"mask: {REASONS[kind]}"),
        ("images/3.png", REASONS[kind]),
        ("images/3.png", f"mask: {REASONS[kind]}"),
    ]


@pytest.mark.parametrize("kind", REASONS)
def test_unfetched_lists_are_errors(tmp_path, kind):
    cadica = tmp_path / "cadica" / "selectedVideos" / "p1" / "v1"
    save(cadica / "input" / "p1_v1_00001.png", picture(1))
    _stand_in(kind, cadica / "p1_v1_selectedFrames.txt")
    arcade = tmp_path / "arcade" / "syntax" / "train"
    save(arcade / "images" / "1.png", picture(1))
    _stand_in(kind, arcade / "annotations" / "train.json")
    for name, file in (("cadica", "p1_v1_selectedFrames.txt"), ("arcade", "train.json")):
        with pytest.raises(InputError) as caught:
            list(open_source(name, tmp_path / name).frames())
        assert str(caught.value).endswith(f"{file}: {REASONS[kind]}")


def test_unfetched_folders_are_named(tmp_path):
    (tmp_path / "arcade").symlink_to("../.git/annex/objects/arcade")
    with pytest.raises(InputError, match=r"; arcade: broken link \(git annex"):
        open_source("arcade", tmp_path)
    (tmp_path / "arcade").unlink()
    (tmp_path / "arcade.dvc").write_text("outs:\n- md5: a.dir\n")
    with pytest.raises(InputError, match=r"; fetch the data of arcade\.dvc first \(dvc pull\)"):
        open_source("arcade", tmp_path)
