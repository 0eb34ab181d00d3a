"""Every dataset from its raw layout, with and without defects, to a checked pack and task."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from reading import read_all

from benchmark.data.checks import check_data
from benchmark.data.counts import count_rows, format_rows
from benchmark.data.packs import build_pack
from benchmark.data.sources import open_source
from benchmark.data.synthetic.raw import LAYOUTS, RawLayout, write_raw
from benchmark.data.tasks import write_task_folder

SOURCE = {"arcade_challenge": "arcade"}


@pytest.fixture(scope="module", params=LAYOUTS)
def dataset(request, tmp_path_factory) -> tuple[str, RawLayout]:
    """Name of the source and its raw folder."""
    name = request.param
    return SOURCE.get(name, name), write_raw(name, tmp_path_factory.mktemp(name) / "raw", size=64)


@pytest.mark.parametrize("defects", [False, True], ids=["clean", "defects"])
@pytest.mark.parametrize(
    "name", ["cadica", "coronary_dominance", "dca1", "folder", "syntax", "xa170k", "xcad"]
)
def test_frames_and_planted_defects_are_counted_exactly(
    tmp_path: Path, name: str, defects: bool
) -> None:
    layout = write_raw(name, tmp_path, size=48, defects=defects)
    reading = read_all(open_source(name, layout.root))
    assert (reading.splits, reading.skipped) == (layout.frames, layout.skipped)
    assert bool(reading.skipped) == defects


def _reasons(manifest: dict, key: str = "skipped") -> Counter[str]:
    return Counter({reason: entry["count"] for reason, entry in manifest.get(key, {}).items()})


def test_pack_contains_and_counts_what_the_layout_states(dataset, tmp_path: Path) -> None:
    name, layout = dataset
    pack = build_pack(open_source(name, layout.root), tmp_path / "pack", 64, progress=False)
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


def test_task_contains_and_counts_what_the_layout_states(dataset, tmp_path: Path) -> None:
    name, layout = dataset
    source = open_source(name, layout.root)
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


def test_published_counts_are_printed_beside_those_found(tmp_path: Path) -> None:
    """The published numbers are notes, never a condition."""
    layout = write_raw("xa170k", tmp_path / "raw", size=48, defects=False)
    pack = build_pack(open_source("xa170k", layout.root), tmp_path / "pack", 48, progress=False)
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
