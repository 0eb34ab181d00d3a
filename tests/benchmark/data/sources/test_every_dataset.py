"""Every dataset from its raw layout, with and without defects, to a checked pack and task."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.checks import check_data
from benchmark.data.counts import count_rows, format_rows
from benchmark.data.frame import Source
from benchmark.data.packs import build_pack
from benchmark.data.sources import SOURCES, open_source
from benchmark.data.synthetic.raw import LAYOUTS, RawDataset
from benchmark.data.tasks import write_task_folder
from benchmark.errors import InputError


@pytest.fixture(params=LAYOUTS)
def name(request) -> str:
    return request.param


def _open(raw, name: str, defects: bool = True) -> tuple[Source, RawDataset]:
    written = raw(name, defects)
    return open_source(name.removesuffix("_challenge"), written.root), written


@pytest.mark.parametrize("defects", [False, True], ids=["clean", "defects"])
def test_frames_and_planted_defects_are_counted_exactly(raw, read, name, defects) -> None:
    reading, written = read(name, defects), raw(name, defects)
    assert (reading.splits, reading.skipped) == (written.frames, written.skipped)
    assert bool(reading.skipped - reading.set_aside) == defects


CADICA, SYNTAX = "selectedVideos/p14/v7/input/p14_v7_", "SYNTAX/images/Patient 10"
CURATED = "coronary_dominance/Study00123_LCA_sequence1_slice10.png"
PATIENT = "export/patient_1"
# Source → file → the arguments of `RawDataset.draw` it shows, in every encoding.
SHOWN: dict[str, dict[str, tuple[int, ...]]] = {
    "cadica": {
        "selectedVideos/p2/v10/input/p2_v10_00009.png": (2, 10, 1),
        "selectedVideos/p14/v3/input/p14_v3_00012.png": (14, 3, 4),
        **{f"{CADICA}0000{end}": (14, 7) for end in ("1.PNG", "2.png", "3.png", "4.png")},
    },
    "dca1": {
        **{f"{number}.pgm": (number,) for number in range(1, 9)},
        "9.PGM": (9,),
        "10.png": (10,),
    },
    "folder": {
        **{
            f"{PATIENT}/{file}#0000{position}": (1, 0, 3 + position)
            for file in ("run.npz", "run.npy", "run.dcm")
            for position in (0, 1)
        },
        **{
            f"{PATIENT}/other/{file}#0000{position}": (1, 0, 3 + position)
            for file in ("inverted.IMA", "IM0001", "1.2.840.113619")
            for position in (0, 1)
        },
        f"{PATIENT}/single/4.png": (1, 0, 4),
        **{f"{PATIENT}/other/{f}": (1, 0, 4) for f in ("DEEP.TIF", "colour.bmp", "palette.png")},
    },
    "syntax": {
        f"{SYNTAX}/{file}": (10, 0)
        for file in ("0.png", "deep.tiff", "picture.npy#00000", "picture.dcm#00000")
    },
    "xa170k": {CURATED: (8,), "cadica/more/p2_v1_00010.PNG": (1,), "xcad/2.png": (6,)},
    "xcad": {
        "train/trainB/1.png": (1,),
        **{f"train/trainB/{file}": (6,) for file in ("6.PNG", "7.png", "8.png")},
    },
}


@pytest.mark.parametrize("name", SHOWN)
def test_every_encoding_gives_the_intensities_that_were_drawn(raw, read, name) -> None:
    pixels = read(name).pixels
    for path, drawn in SHOWN[name].items():
        np.testing.assert_array_equal(pixels[path], raw(name).draw(*drawn).image, err_msg=path)


def _reasons(manifest: dict, key: str = "skipped") -> Counter[str]:
    return Counter({reason: entry["count"] for reason, entry in manifest.get(key, {}).items()})


def test_pack_contains_and_counts_what_the_layout_states(raw, name, tmp_path: Path) -> None:
    source, layout = _open(raw, name)
    pack = build_pack(source, tmp_path / "pack", 64, progress=False)
    counts = pack.manifest["counts"]
    planted = layout.skipped - Counter(counts["set_aside"])
    assert not _reasons(pack.manifest) - planted
    # A pack takes the frames whose annotation cannot be used as well.
    unlabelled = planted - _reasons(pack.manifest)
    assert all("mask" in reason or "no usable" in reason for reason in unlabelled)
    assert counts["kept"] == len(pack) == layout.frames.total() + unlabelled.total()
    if not unlabelled:
        assert counts["splits"] == {split: n for split, n in layout.frames.items() if split}
    report = json.loads((pack.path / "report.json").read_text())
    listed = {reason: entry["count"] for reason, entry in report.items()}
    assert listed == _reasons(pack.manifest) + _reasons(pack.manifest, "intensity")
    found = check_data(pack.path, progress=False)
    assert not found.errors
    text = "\n".join(format_rows(pack.manifest))
    assert all(reason in text for reason in {*planted} & {*_reasons(pack.manifest)})


def test_task_contains_and_counts_what_the_layout_states(raw, name, tmp_path: Path) -> None:
    source, layout = _open(raw, name)
    form = next((form for form in source.forms if form in ("segmentation", "detection")), None)
    if form is None:
        pytest.skip("not annotated")
    folder = write_task_folder(source, tmp_path / "task", form, progress=False)
    kept = {split: len(items) for split, items in folder.splits.items()}
    annotated = {split: n for split, n in layout.frames.items() if split}
    planted = layout.skipped + Counter({"no split": layout.frames[None]})
    if name == "xcad":  # its training frames have no masks, and their defects do not matter
        annotated.pop("train")
        planted = Counter({why: count for why, count in planted.items() if "mask" in why})
    assert kept == annotated
    assert _reasons(folder.manifest) == planted
    assert not check_data(folder.path, progress=False).errors
    rows = {label.strip(): number for label, number, _ in count_rows(folder.manifest)}
    assert rows["kept"] == str(sum(kept.values()))


def test_published_counts_are_printed_beside_those_found(raw, tmp_path: Path) -> None:
    """The published numbers are notes, never a condition."""
    source, _ = _open(raw, "xa170k", defects=False)
    pack = build_pack(source, tmp_path / "pack", 48, progress=False)
    rows = {label.strip(): (number, note) for label, number, note in count_rows(pack.manifest)}
    assert rows["frames found"] == (str(len(pack)), "published: 171,478")
    sources = Counter(pack.index["source"])
    for part, published in (
        ("cadica", "6,594"),
        ("syntax", "2,943"),
        ("xcad", "1,621"),
        ("coronary_dominance", "160,320"),
    ):
        assert rows[part] == (str(sources[part]), f"published: {published}")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("syntetic", {}, "did you mean 'synthetic'"),
        ("synthetic", {"patient": 3}, "did you mean 'patients'"),
        ("synthetic", {"patients": "many"}, "patients=many: not of type int"),
        ("synthetic", {"patients": 0}, "patients=0: must be an integer of 1 or more"),
        ("synthetic", {"test_fraction": 1.5}, "test_fraction=1.5: must be"),
        ("synthetic", {"first_frame": 8}, "first_frame=8: must be from 0 to 7"),
        ("synthetic", {"field": 1.5}, "field=1.5: must be at most 1"),
        ("synthetic", {"field": 0.01}, "would be drawn with 51200 pixels a side; at most 4096"),
        ("synthetic", {}, "reads no folder"),
        ("dca1", {"rule": "all"}, "unknown option of dca1"),
        ("syntax", {"name": "other"}, "unknown option of syntax"),
        ("arcade", {"task": "arcade-vs"}, "did you mean 'arcade_vs'"),
        ("arcade", {"train": "test"}, "unknown train 'test'"),
        ("cadica", {"rule": "selected_frame"}, "did you mean 'selected_frames'"),
        ("stenosis", {"split": "patients"}, "did you mean 'patient'"),
        ("folder", {"group": "folders"}, "did you mean 'folder'"),
        ("coronary_dominance", {"denoising": "excluded"}, "did you mean 'exclude'"),
        ("coronary_dominance", {"frames_per_video": -1}, "frames_per_video=-1: must be"),
        ("xa20k", {"stenosis_split": "patients"}, "did you mean 'patient'"),
        ("xa170k", {"cadica_rule": "some"}, "unknown cadica_rule"),
        ("xa170k", {"syntax_group": "x"}, "unknown syntax_group"),
        ("paired", {"name": "A/B"}, "name 'A/B': use lower-case letters"),
        *[("folder", {"name": n}, "use lower-case letters") for n in ("", "Clinic", "../x", "a b")],
        ("arcade", {}, "does not look like ARCADE"),
        ("cadica", {}, "does not look like CADICA"),
        ("caxf", {}, "does not look like caxf"),
        ("coronary_dominance", {}, "does not look like CoronaryDominance.*; unpack main.7z first"),
        ("dca1", {}, "does not look like DCA1"),
        ("folder", {}, "not a folder of images.*; unpack main.7z first"),
        ("stenosis", {}, "does not look like the stenosis dataset"),
        ("xa20k", {}, "does not look like XA-20K"),
        ("xa170k", {}, "does not look like XA-170K"),
        ("xcav", {}, "does not look like XCAV"),
    ],
)
def test_bad_options_and_other_folders_are_refused(tmp_path, source, options, message) -> None:
    (tmp_path / "train" / "images").mkdir(parents=True)
    (tmp_path / "CVAI-1" / "images").mkdir(parents=True)
    (tmp_path / "readme.txt").touch()
    (tmp_path / "train" / "main.7z").touch()
    with pytest.raises(InputError, match=message):
        open_source(source, tmp_path, **options)


@pytest.mark.parametrize("name", sorted(SOURCES.keys() - {"synthetic"}))
def test_a_folder_has_to_be_given(tmp_path, name) -> None:
    with pytest.raises(InputError, match="give it with --raw"):
        open_source(name)
    with pytest.raises(InputError, match="no such folder"):
        open_source(name, tmp_path / "absent")
