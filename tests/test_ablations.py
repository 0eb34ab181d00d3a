"""Ablations: every config builds, and changes exactly what docs/ablations.md says."""

from __future__ import annotations

import ast
import csv
import json
import re
from itertools import combinations
from pathlib import Path

import pytest
import torch

from benchmark.anatomy.unext import UNeXt
from benchmark.encoders.encoder import build_encoder, export_encoder, write_tensors
from benchmark.encoders.releases import RELEASES
from benchmark.method import Progress
from benchmark.registry import build
from benchmark.training.config import config_differences, fill_paths, load_config, to_plain
from leaderboard.analyses import ANALYSES, find_analysis
from methods.mae import MAE

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "configs" / "analysis").glob("*.py"))
PAGE = (ROOT / "docs" / "ablations.md").read_text(encoding="utf-8")
# A row: table and row of the paper, config, keys that change, numbers.
ROW = re.compile(r"^\| (.+?) \| `(configs/[\w/]+\.py)` \| (.+?) \| (.+?) \|$", re.MULTILINE)


def rows() -> dict[Path, set[str]]:
    """Keys that a config changes according to the page, which must not contradict itself."""
    found: dict[Path, set[str]] = {}
    for _, name, keys, _ in ROW.findall(PAGE):
        stated = set(re.findall(r"`([\w.]+)`", keys))
        assert found.setdefault(ROOT / name, stated) == stated, name
    return found


def parent_of(path: Path) -> Path:
    """The config of the parent method, from `read_base`."""
    (base,) = re.findall(r"from \.\.(\w+)\.pretrain import \*", path.read_text(encoding="utf-8"))
    return ROOT / "configs" / base / "pretrain.py"


def test_the_page_names_every_config() -> None:
    """Those that change nothing are the methods themselves."""
    named = rows()
    assert {path for path in named if path.parent.name == "analysis"} == set(CONFIGS)
    others = set(named) - set(CONFIGS)
    assert all(path.is_file() and named[path] == set() for path in others)
    assert len(CONFIGS) > 40


def published(paper: str) -> dict[tuple[str, str], dict[str, list[str]]]:
    """Table and method → its published DSC in the order of the datasets, as the page prints it."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    folder = ROOT / "leaderboard" / "published"
    for table in json.loads((folder / "tables.json").read_text(encoding="utf-8")):
        analysis = find_analysis(paper, table["analysis"])
        if table["protocol"] != paper or analysis is None:
            continue
        with (folder / f"{table['id']}.csv").open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if row["metric"] == "dsc":
                    value = found.setdefault((analysis.source, row["method"]), {})
                    value[row["dataset"]] = [row["mean"], row["std"]]
    return found


@pytest.mark.parametrize("paper", ["journal", "aaai"])
def test_published_numbers_are_as_on_the_board(paper: str) -> None:
    journal, _, conference = PAGE.partition("## Conference version")
    text = {"journal": journal, "aaai": conference}[paper]
    sources = {entry.source: entry for entry in ANALYSES if entry.protocol == paper}
    shown = {}
    for source, body in re.findall(r"^### .*?\((.+?)\)\n(.*?)(?=^##|\Z)", text, re.M | re.S):
        for _, name, _, numbers in ROW.findall(body):
            folder, stem = re.fullmatch(r"configs/(\w+)/(\w+)\.py", name).groups()
            method = f"analysis-{stem}" if folder == "analysis" else folder
            shown[source, method] = dict(zip(sources[source].datasets, numbers.split(" · ")))
    compared = 0
    for key, values in published(paper).items():
        for dataset, (mean, std) in values.items():
            number = shown[key][dataset]
            assert number.split(" (")[0] == f"{float(mean):.2f}", (key, dataset)
            if std and "(" in number:
                assert number == f"{float(mean):.2f} ({float(std):.2f})", (key, dataset)
            compared += 1
    assert compared > {"journal": 60, "aaai": 20}[paper]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_changes_are_as_stated(path: Path) -> None:
    """Only the title and the keys on the page differ from the parent."""
    lines = config_differences(to_plain(load_config(parent_of(path))), to_plain(load_config(path)))
    changed = {line.partition(": ")[0].removeprefix("method.") for line in lines}
    assert "card.title" in changed
    assert changed - {"card.title"} == rows()[path]
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    source = r"\((AAAI )?(table |tables |figure |further analyses\))"
    assert re.search(source, docstring.partition("\n")[0])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights at the tiny scale for all pre-trained parts of the configs."""
    work = tmp_path_factory.mktemp("ablations")
    torch.manual_seed(0)
    for name in ("unext_s", "unext_s_alpha_50", "unext_s_alpha_80"):
        write_tensors(work / "segmentor" / name / "segmentor.safetensors", UNeXt())
    small = dict(img_size=96, patch_size=16, embed_dim=16, depth=1, num_heads=2)
    for name in ("dino", "clip", "dinov3"):
        release = RELEASES[name]
        teacher = build_encoder(release.architecture, {**release.arguments, **small}, name)
        export_encoder(work / "released" / name, teacher, {}, release.mean, release.std)
    return work


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_builds_and_trains_at_tiny_scale(path: Path, work: Path) -> None:
    """One loss on two views, with a gradient for every trained parameter.

    The weights of VGG are a large download; here the network keeps its initial ones.
    """
    config = load_config(path, "tiny")
    fill_paths(config, work)
    for part in config.method.objective if isinstance(config.method.objective, list) else ():
        if "features" in part:
            part.features.checkpoint = None
            part.pop("checkpoint", None)
            if "LPIPS" in part.type.__name__:
                part.checkpoint = None
    torch.manual_seed(0)
    method = build(config.method).train()
    assert isinstance(method, MAE)
    views = {
        "image": torch.randn(2, 3, 96, 96),
        "anatomy": (torch.rand(2, 1, 96, 96) < 0.05).float(),
        "index": torch.tensor([3, 8]),
    }
    terms = method.loss(views, Progress(epoch=10, epochs=20))
    loss = sum(value for name, value in terms.items() if "loss" in name)
    assert loss.isfinite()
    loss.backward()
    trained = {name: p for name, p in method.named_parameters() if p.requires_grad}
    assert not [name for name, p in trained.items() if p.grad is None]
    method.after_step(Progress())


def test_sizes_differ_at_every_scale() -> None:
    """Ablations of a size or of the schedule differ at the small and tiny scales, too."""
    sized = [path for path in CONFIGS if re.match(r"vit|decoder|(mae_)?length", path.stem)]
    assert len(sized) > 8
    for scale in ("small", "tiny"):
        seen = [to_plain(load_config(path, scale)) for path in sized]
        for config in seen:
            del config["card"]
        for (path, config), (other, another) in combinations(zip(sized, seen), 2):
            assert config != another, (path, other, scale)


def test_the_example_is_one_config(work: Path) -> None:
    """Vessel-guided masking with HOG targets needs no new class, and trains."""
    path = ROOT / "configs" / "examples" / "vessel_hog.py"
    assert "class " not in re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL)
    method = build(load_config(path, "tiny").method)
    # Patches of 8×8 pixels hold one cell: three channels, nine orientations.
    assert method.decoder.decoder_pred.out_features == 27
    views = {
        "image": torch.randn(2, 3, 96, 96),
        "anatomy": (torch.rand(2, 1, 96, 96) < 0.05).float(),
        "index": torch.tensor([3, 8]),
    }
    terms = method.loss(views, Progress(epoch=10, epochs=20))
    terms["loss_reconstruction"].backward()
    assert method.encoder.patch_embed.proj.weight.grad.any()
