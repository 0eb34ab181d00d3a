"""Masking ratios: the masks of training, counted per patch and compared with independent ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.data.packs import FramePack, add_anatomy, build_pack, open_packs
from benchmark.data.packs.loader import PackDataset
from benchmark.data.packs.reading import unpack_bits
from benchmark.data.sources import open_source
from benchmark.data.views.crop import Crop
from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.method_cards import CONFIGS
from benchmark.registry import build
from benchmark.training.config import load_config
from benchmark.training.train import train
from benchmark.visualization.contact_sheets import draw_sheet, load_run
from benchmark.visualization.masking_inputs import check_inputs
from benchmark.visualization.masking_ratio import _on_frame as on_frame
from benchmark.visualization.masking_ratio import (
    choose_frames,
    draw_masking_ratio,
    masking_ratio,
)
from benchmark.visualization.masking_recipes import Recipe, open_recipe

SIDE, PATCH = 64, 8
GRID = SIDE // PATCH
PATCHES = GRID**2
SMALL = (
    f"method.views.size={SIDE}",
    f"method.encoder.img_size={SIDE}",
    "method.encoder.embed_dim=32",
    "method.encoder.num_heads=2",
    "method.encoder.depth=1",
    "method.decoder.depth=1",
)


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> FramePack:
    """Eight frames of the size of the views, so that a complete frame is not resampled."""
    path = tmp_path_factory.mktemp("masking") / "pack"
    source = open_source("synthetic", patients=2, videos=1, frames=6, first_frame=2, size=SIDE)
    build_pack(source, path, size=SIDE, progress=False)
    return add_anatomy(path, lambda frames, valid: frames < 70, {"rule": "dark"}, progress=False)


@pytest.fixture(scope="module")
def batch(pack):
    return PackDataset(open_packs([pack.path]), anatomy=True).__getitems__([0, 3, 7])


def recipe_of(name: str, *options: str, work: Path = Path("work_dirs")) -> Recipe:
    return open_recipe(CONFIGS / name / "pretrain.py", work, "tiny", [*SMALL, *options])


def run_of(name: str, pack: FramePack, folder: Path, *options: str) -> Path:
    options = (*SMALL, "batch_size=4", "checkpoint_interval=1", *options)
    config = load_config(CONFIGS / name / "pretrain.py", "tiny", list(options))
    config.packs = [str(pack.path)]
    train(config, folder / "pretrain", name, resume=False, overwrite=False)
    return folder / "pretrain"


@pytest.fixture(scope="module")
def runs(pack, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    amt = ("epochs=4", "method.masking.warmup_epochs=1", "method.masking.interval=1")
    return {
        "amt": run_of("amt", pack, folder / "amt", *amt),
        "hpm": run_of("hpm", pack, folder / "hpm", "epochs=2"),
    }


def vessel_patches(pack: FramePack, row: int) -> np.ndarray:
    """Number of vessel pixels in each patch, from the bits of the pack."""
    vessel = unpack_bits(pack.anatomy[row])
    return vessel.reshape(GRID, PATCH, GRID, PATCH).sum(axis=(1, 3)).reshape(-1)


def test_random_masking_gives_gamma_everywhere(batch):
    epochs = 600
    recipe = recipe_of("mae", f"epochs={epochs}")
    counts = masking_ratio(recipe, batch, range(epochs))
    ratio = counts.ratio(recipe.grid)
    assert ratio.shape == (3, GRID, GRID)
    # MAE masks 75 %, exactly; each patch is a binomial variable.
    assert counts.masked.sum(axis=(1, 2)).tolist() == [48 * epochs] * 3
    assert counts.masked_patches.tolist() == [48 * epochs] * 3
    assert (counts.seen == epochs).all()
    deviation = (ratio - 0.75) / (0.75 * 0.25 / epochs) ** 0.5
    assert np.abs(deviation).max() < 4.5
    assert 0.8 < deviation.std() < 1.2


def simulated(weights: np.ndarray, masked: int, epochs: int, draws: int) -> np.ndarray:
    """Masking ratio of guided masking with β from 0 to 0.5, drawn by numpy as the paper says."""
    generator = np.random.default_rng(3)
    total = np.zeros(PATCHES)
    for epoch in range(epochs):
        guided = int(0.5 * (epoch + 1) / epochs * masked)
        guided = min(guided, int((weights > 0).sum()))
        for _ in range(draws):
            first = generator.choice(PATCHES, guided, replace=False, p=weights / weights.sum())
            rest = np.setdiff1d(np.arange(PATCHES), first)
            others = generator.choice(rest, masked - guided, replace=False)
            total[first] += 1
            total[others] += 1
    return total / (epochs * draws)


def compare_with_simulation(recipe: Recipe, batch: dict, weights: np.ndarray, number: int):
    """The map of a frame against `simulated`; returns it."""
    epochs, masked = recipe.epochs, PATCHES // 2
    counts = masking_ratio(recipe, batch, range(epochs))
    assert counts.masked.sum(axis=(1, 2)).tolist() == [masked * epochs] * 3
    ratio = counts.ratio(recipe.grid)[number].reshape(-1)
    expected = simulated(weights, masked, epochs, draws=12)
    error = np.sqrt(expected * (1 - expected) / epochs * (1 + 1 / 12)).clip(1e-3)
    assert np.abs((ratio - expected) / error).max() < 4.5
    return ratio


def test_guidance_by_extracted_vessels_follows_the_multinomial(pack, batch):
    recipe = recipe_of("vasomim_v1", "epochs=250")
    assert recipe.segmentor is None, "v1 needs no weights"
    pixels = vessel_patches(pack, 3)
    assert 4 < (pixels > 0).sum() < 40
    ratio = compare_with_simulation(recipe, batch, pixels / pixels.sum(), number=1)
    assert ratio[pixels > 0].mean() > 0.55 > 0.48 > ratio[pixels == 0].mean()
    counts = masking_ratio(recipe, batch, range(250))
    share = ratio[pixels > 0].sum() / ratio.sum()
    assert counts.vessel_share[1] == pytest.approx(share, abs=1e-12)
    assert counts.vessel_share[1] > (pixels > 0).mean() + 0.05


def test_co_guidance_uses_the_segmentor(pack, batch):
    recipe = recipe_of("vasomim", "epochs=250", "method.segmentor.checkpoint=None")
    with torch.no_grad():
        gray = torch.from_numpy(np.asarray(pack.frames[7]).astype(np.float32))
        network = recipe.segmentor.network
        probability = network(recipe.views.normalise(gray[None]))[0, 0].sigmoid().numpy()
    both = 0.5 * unpack_bits(pack.anatomy[7]) + 0.5 * probability
    density = both.reshape(GRID, PATCH, GRID, PATCH).sum(axis=(1, 3)).reshape(-1)
    compare_with_simulation(recipe, batch, density / density.sum(), number=2)


def test_crops_are_masked_as_in_training(pack, batch):
    """The method itself, with the progress of an epoch, draws the same masks."""
    options = ("epochs=3", "seed=11")
    config = load_config(CONFIGS / "vasomim_v1" / "pretrain.py", "tiny", [*SMALL, *options])
    config.method.segmentor.checkpoint = None
    method = build(config.method)
    drawn = recipe_of("vasomim_v1", *options).draw(batch, range(3), crops=True)
    for epoch, (views, crop, mask) in enumerate(drawn):
        method.progress = Progress(seed=11, epoch=epoch, epochs=3)
        trained = method.views(batch)["views"]
        assert torch.equal(views["anatomy"], trained["anatomy"])
        assert torch.equal(mask, method.masking(trained, method.progress).mask)
        assert isinstance(crop, Crop)


def test_vessel_share_of_crops_is_that_of_the_log(pack, tmp_path):
    """One step per epoch on all frames: the mean over them is what training has logged."""
    folder = run_of("mae", pack, tmp_path, "epochs=2", "batch_size=8", "log_interval=1")
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    logged = {entry["epoch"]: entry["vessel_share"] for entry in map(json.loads, lines)}
    everything = PackDataset(open_packs([pack.path]), anatomy=True).__getitems__(range(8))
    recipe = open_recipe(folder, Path("work_dirs"))
    for epoch in range(2):
        counts = masking_ratio(recipe, everything, [epoch], crops=True)
        assert counts.vessel_share.mean() == pytest.approx(logged[epoch], rel=1e-5)


def test_chance_is_the_share_of_vessel_patches_in_the_same_views(pack, batch):
    """Of the frames: from the bits of the pack. Of crops: what random masking gives on average."""
    recipe = recipe_of("mae", "epochs=300")
    of_frames = [(vessel_patches(pack, row) > 0).mean() for row in (0, 3, 7)]
    whole = masking_ratio(recipe, batch, range(2))
    assert whole.chance == pytest.approx(of_frames, abs=1e-12)
    counts = masking_ratio(recipe, batch, range(300), crops=True)
    assert counts.vessel_share == pytest.approx(counts.chance, abs=0.01)
    assert np.abs(counts.chance - of_frames).max() > 0.02, "crops have shares of their own"


def test_masks_of_crops_are_laid_back_onto_the_frame():
    """A 2×2 mask on the right half of an 8×8 frame, mirrored: worked by hand."""
    cells = torch.tensor([[[True, False], [False, False]]])
    crop = Crop(*(torch.tensor([value]) for value in (0, 4, 8, 4)), flip=torch.tensor([True]))
    inside, values = on_frame(cells, crop, torch.tensor([[8, 8]]), fine=4)
    assert inside.shape == (1, 8, 8)
    assert (inside[0] == (torch.arange(8) >= 4)).all()
    found = torch.zeros(8, 8, dtype=torch.bool)
    found[:4, 6:] = True  # the first column of the view is the last of the frame
    assert torch.equal(values[0] & inside[0], found)


def test_crops_cover_the_frame_and_keep_the_ratio(batch):
    recipe = recipe_of("mae", "epochs=300")
    counts = masking_ratio(recipe, batch, range(300), crops=True)
    ratio = counts.ratio(recipe.grid)
    assert counts.masked_patches.tolist() == [48 * 300] * 3
    assert np.abs(ratio - 0.75).max() < 0.15
    assert ratio.mean() == pytest.approx(0.75, abs=0.02)
    assert (counts.masked <= counts.seen).all()
    unseen = masking_ratio(recipe, batch, [0], crops=True).ratio(recipe.grid)
    assert np.isnan(unseen).any(), "one crop leaves patches out"


def test_weights_of_a_run_guide_amt(runs, batch):
    recipe = open_recipe(runs["amt"], Path("work_dirs"))
    assert (recipe.trained, recipe.epochs) == (4, 4)
    # Warm-up in the epochs 0 and 1 masks 75 %; then ⌊0.45·64⌋ = 28 are masked, others thrown away.
    assert [int(mask.sum()) for _, _, mask in recipe.draw(batch, range(4))] == [144, 144, 84, 84]
    method, *_ = load_run(runs["amt"])
    *_, (shown, crop, mask) = recipe.draw(batch, [3])
    with torch.no_grad():
        method.views.attention = method.attention_maps(method.views.full_frames(batch))
    rows = {**batch, "index": torch.arange(3)}
    attention = method.views.crop_views(rows, crop)["attention"]
    assert torch.equal(shown["attention"], attention)
    assert torch.equal(mask, method.masking(shown, Progress(seed=0, epoch=3, epochs=4)).mask)


def test_the_hardest_patches_of_hpm_are_masked_always(runs, batch):
    recipe = open_recipe(runs["hpm"], Path("work_dirs"))
    (shown, _, mask), *_ = recipe.draw(batch, [1])
    method, *_ = load_run(runs["hpm"])
    with torch.no_grad():
        predicted = method.predict_difficulty(shown["image"])
    hardest = predicted.argsort(dim=1, descending=True)[:, :24]  # ⌊0.5 · 48⌋ in the last epoch
    assert mask.gather(1, hardest).all()
    assert mask.sum(dim=1).tolist() == [48] * 3


def test_a_sheet_shows_a_run_with_a_table_of_all_frames(runs, tmp_path):
    line = draw_sheet(runs["amt"], tmp_path / "sheet.png", count=2)
    assert line == f"{tmp_path / 'sheet.png'}: 2 frames of the pre-training run {runs['amt']}"


@pytest.mark.parametrize(
    ("name", "options"), [("amt", ()), ("hpm", ()), ("vasomim", ("method.official_code=True",))]
)
def test_configs_whose_masks_need_weights_are_refused(name, options):
    """VasoMIM's official code re-initialises its segmentor: only a run has the weights."""
    with pytest.raises(InputError, match="depend on trained weights; train it with tools/train"):
        recipe_of(name, *options)


def test_other_recipes_are_refused(tmp_path):
    for name in ("ibot", "moco_v3", "ijepa"):
        with pytest.raises(InputError, match="does not mask patches of a single view"):
            open_recipe(CONFIGS / name / "pretrain.py", Path("work_dirs"), "tiny")
    with pytest.raises(InputError, match=r"segmentor\.safetensors"):
        recipe_of("vasomim", work=tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="does not mask patches"):
        open_recipe(tmp_path, tmp_path)


def test_gamma_is_that_of_the_masking():
    assert recipe_of("mae").gamma == 0.75
    assert recipe_of("mae", "method.masking.ratio=0.5").gamma == 0.5
    config = CONFIGS / "simmim" / "pretrain.py"
    assert open_recipe(config, Path("work_dirs"), "tiny").gamma == 0.6


@pytest.mark.parametrize("crops", [False, True])
def test_nothing_of_a_single_row_is_cut_off(pack, tmp_path, crops):
    """Text that leaves the figure would touch its edge."""
    config = CONFIGS / "mae" / "pretrain.py"
    out = tmp_path / "a.png"
    draw_masking_ratio(
        [config], out, [pack.path], count=1, epochs=2, crops=crops, scale="tiny", options=SMALL
    )
    pixels = np.array(Image.open(out).convert("L"))
    for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]):
        assert (edge == 255).all()


def test_other_packs_than_those_of_a_run_are_refused(pack, runs, tmp_path):
    other = tmp_path / "other"
    source = open_source("synthetic", patients=1, videos=1, frames=2, size=SIDE)
    build_pack(source, other, size=SIDE, progress=False)
    mae = str(CONFIGS / "mae" / "pretrain.py")
    mixed, packs = [mae, str(runs["hpm"])], [str(pack.path)]
    found = check_inputs(mixed, packs, "x.png", ["epochs=3"], tmp_path)
    assert found[1] == runs["hpm"]
    for wrong in ([str(other)], [*packs, str(other)]):
        with pytest.raises(InputError, match=f"trained on other packs.*--packs {pack.path}$"):
            check_inputs(mixed, wrong, "x.png", [], tmp_path)
    with pytest.raises(InputError, match="--cfg-options: overrides configs"):
        check_inputs(mixed[1:], packs, "x.png", ["epochs=3"], tmp_path)


def test_a_run_on_some_frames_of_its_packs_is_recognised(pack, tmp_path):
    folder = run_of("mae", pack, tmp_path, "epochs=1", "frames=4")
    check_inputs([str(folder)], [str(pack.path)], "x.png", [], tmp_path)
    with pytest.raises(InputError, match="trained on other packs"):
        check_inputs([str(folder)], [str(pack.path)] * 2, "x.png", [], tmp_path)


def test_frames_by_row_and_path(pack):
    packs = open_packs([pack.path])
    path = packs.index["path"][5]
    assert choose_frames(packs, ["2", path], 9) == [2, 5]
    assert choose_frames(packs, [], 3) == [0, 4, 7]
    for name in ("8", "absent"):
        with pytest.raises(InputError, match=f"--frames {name}: no such frame"):
            choose_frames(packs, [name], 1)


@pytest.mark.parametrize(
    "ending", ["png", *(pytest.param(e, marks=pytest.mark.slow) for e in ("svg", "pdf"))]
)
def test_figure_is_written_and_reproducible(pack, runs, tmp_path, ending):
    paths = [CONFIGS / "mae" / "pretrain.py", CONFIGS / "vasomim_v1" / "pretrain.py", runs["hpm"]]
    written = []
    for name in ("a", "b"):
        out = tmp_path / f"{name}.{ending}"
        line = draw_masking_ratio(
            paths, out, [pack.path], count=2, epochs=2, scale="tiny", options=SMALL
        )
        assert line == f"{out}: masking ratio, frames: 2, recipes: 3"
        written.append(out.read_bytes())
    assert written[0] == written[1]
    if ending == "svg":
        text = written[0].decode()
        for words in (
            "MAE, γ = 0.75",
            "VasoMIM-v1, γ = 0.5",
            "by chance",
            "2 of 10 epochs, seed 0",
            "weights of epoch 2",
            "vessel patches",
        ):
            assert words in text
        assert "probability M" not in text, "no segmentor was trained"
