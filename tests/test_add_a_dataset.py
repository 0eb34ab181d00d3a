"""docs/add_a_dataset.md works as written: its commands on data in its layouts, at scale tiny."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.frame import Frame
from benchmark.data.sources import open_source
from benchmark.data.tasks import TaskFolder

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "add_a_dataset.md").read_text(encoding="utf-8")
CONFIGS = dict(re.findall(r"`(configs/[\w/]+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]
# What makes a run short enough for a test.
TINY = ("--scale", "tiny", "--work", "work_dirs")
SHORT = ("--cfg-options", "epochs=1")


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _angiograms() -> Iterator[tuple[int, Frame, np.ndarray, np.ndarray, np.ndarray]]:
    """Number, frame, pixels, vessel mask and boxes of ten patients, one frame each."""
    source = open_source("synthetic", patients=10, videos=1, frames=4, first_frame=3, size=96)
    for number, frame in enumerate(source.frames()):
        mask, boxes = source.read_masks(frame)[0], source.read_boxes(frame)
        yield number, frame, source.read(frame), mask, boxes


def _coco(entries: list[tuple[int, np.ndarray]]) -> str:
    images = [{"id": n, "file_name": f"{n}.png", "height": 96, "width": 96} for n, _ in entries]
    annotations = [
        {"image_id": n, "category_id": 1 + n % 2, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        for n, boxes in entries
        for x0, y0, x1, y1, _ in boxes.tolist()
    ]
    categories = [{"id": 1, "name": "stenosis"}, {"id": 2, "name": "occlusion"}]
    numbered = [{"id": number, **entry} for number, entry in enumerate(annotations)]
    return json.dumps({"images": images, "annotations": numbered, "categories": categories})


def _write_downloads(root: Path) -> None:
    """The four datasets of the page, in the layouts it shows."""
    listed: dict[str, list[tuple[int, np.ndarray]]] = {"train": [], "test": []}
    for number, _, pixels, mask, boxes in _angiograms():
        split = ("train", "train", "val", "test")[min(number // 3, 3)]
        _save(root / f"mine/images/{split}/{number}.png", pixels)
        _save(root / f"mine/masks/{split}/{number}.png", mask.astype(np.uint8) * 255)
        labels = mask * (1 + np.arange(96) // 32).astype(np.uint8)  # three classes, left to right
        _save(root / f"segments/images/{number}.png", pixels)
        _save(root / f"segments/masks/{number}.png", labels)
        split = "train" if number < 7 else "test"
        _save(root / f"stenoses/images/{split}/{number}.png", pixels)
        listed[split].append((number, boxes))
        _save(root / f"frames/p{number:02d}_1.png", pixels)
    rows = "".join(f"{number},P{number // 2}\n" for number in range(10))
    (root / "segments" / "patients.csv").write_text(f"name,patient\n{rows}")
    (root / "stenoses" / "annotations").mkdir()
    for split, entries in listed.items():
        (root / "stenoses" / "annotations" / f"{split}.json").write_text(_coco(entries))


@pytest.fixture
def tool(run_tool: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a tool in a folder with the data of the page, and with its configs."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for name, content in CONFIGS.items():
        assert not (ROOT / name).exists()
        (tmp_path / name).write_text(content, encoding="utf-8")
    _write_downloads(tmp_path / "downloads")
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str | Path | float) -> str:
        code, out, err = run_tool(name, *arguments)
        assert code == 0, f"{name} {arguments}: {err}"
        return out

    return run


def _board(tool: Callable, protocol: str) -> str:
    tool(
        "leaderboard", *("--results", "work_dirs/results", "--out", "board"), "--protocol", protocol
    )
    return Path("board/leaderboard.md").read_text(encoding="utf-8").replace("\\", "")


def _commands(*tools: str) -> list[tuple[str, list[str]]]:
    """Name and arguments of the commands of the page that call these tools."""
    return [(Path(c[0]).stem, c[1:]) for c in COMMANDS if Path(c[0]).stem in tools]


def test_configs_are_at_most_six_lines() -> None:
    assert len(CONFIGS) == 5
    for name, content in CONFIGS.items():
        if "downstream" in name:
            lines = [line for line in content.splitlines() if line.strip()]
            assert len(lines) <= 6, name


def test_the_page_prepares_lists_and_shows_its_data(tool: Callable, tmp_path: Path) -> None:
    for name, arguments in _commands("prepare_data"):
        printed = tool(name, *arguments)
        assert printed.startswith("layout: ") == (arguments[0] == "paired")
    for name, arguments in _commands("check", "show"):
        if arguments[0] != "leakage" and "finetune" not in arguments[0]:
            assert "error:" not in tool(name, *arguments)
    assert (tmp_path / "mine.png").is_file()

    made = {path.name: TaskFolder.open(path) for path in Path("work_dirs/downstream").iterdir()}
    assert {name: task.kind for name, task in made.items()} == {
        "mine": "segmentation",
        "mine_segments": "segmentation",
        "mine_stenoses": "detection",
        "mine_dose": "denoising",
    }
    assert all(task.task == name for name, task in made.items())
    skipped = {reason for task in made.values() for reason in task.manifest["skipped"]}
    assert skipped <= {"no object in the annotation"}  # frames without a stenosis
    assert made["mine_segments"].classes == ["background", "lad", "lcx", "rca"]
    assert made["mine_stenoses"].classes == ["stenosis", "occlusion"]
    truth = {number: (mask, boxes) for number, _, _, mask, boxes in _angiograms()}
    for split, items in made["mine"].splits.items():
        for item in items:
            mask = truth[int(Path(item["path"]).stem)][0]
            np.testing.assert_array_equal(made["mine"].channels(split, item["stem"]), mask[None])
    for items in made["mine_stenoses"].splits.values():
        for item in items:
            number = int(Path(item["path"]).stem)
            expected = truth[number][1][:, :4].tolist()
            assert item["boxes"] == [[*box, number % 2] for box in expected]
    groups = [{i["group"] for i in items} for items in made["mine_segments"].splits.values()]
    assert not groups[0] & groups[1]

    listed = tool("list", "datasets", "--configs", "configs").splitlines()
    rows = {line.split()[0]: re.split(r"\s{2,}", line) for line in listed}
    assert rows["mine"][1:] == [
        *("segmentation", "6", "3", "1", "not official"),
        *("Vessels on the angiograms of our clinic.", "prepared"),
    ]
    assert {rows[name][-1] for name in made} == {"prepared"}


def test_the_page_trains_and_draws_the_board(tool: Callable, tmp_path: Path) -> None:
    """One epoch, one seed, and an encoder pre-trained for an epoch; then the matrix, planned."""
    few = ("size=96", "patients=4", "videos=1", "frames=5", "first_frame=3", "seed=7")
    pack = ("--out", "work_dirs/packs/xa170k", "--size", 96)
    tool("prepare_data", "synthetic", *pack, "--option", *few, "test_fraction=0")
    tool("train", ROOT / "configs/mae/pretrain.py", *TINY, *SHORT, "batch_size=4")
    for name, arguments in _commands("prepare_data", "finetune", "show", "check", "leaderboard"):
        if name == "finetune":
            seeds = arguments.index("--seed")
            arguments = [*arguments[:seeds], *TINY, "--configs", "configs", *SHORT]
        # The protocols of scale tiny have names of their own.
        tool(name, *("aaai-demo" if word == "aaai" else word for word in arguments))
    assert "| mine DSC ↑ | mine clDice ↑ | mine_segments DSC ↑ |" in _board(tool, "demo")
    assert "mine_stenoses mAP50 ↑" in _board(tool, "demo")
    assert "mine_dose PSNR" in _board(tool, "aaai-demo")
    assert (tmp_path / "mine_mae.png").is_file()

    ((_, arguments),) = _commands("run_benchmark")
    planned = tool("matrix", "run", *arguments, "--configs", "configs", "--work", "work_dirs")
    rows = [line for line in planned.splitlines() if re.match(r"\s*(mae|unet)\b", line)]
    assert rows
    assert "mine_segments" in planned
