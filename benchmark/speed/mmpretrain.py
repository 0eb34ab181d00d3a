"""Pre-training of MAE end to end, against mmpretrain's MAE on mmengine's own Runner."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import mmpretrain
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from benchmark.device import precision
from benchmark.speed.loops import EPOCHS, PreparedLoop, of_harness, of_library
from benchmark.speed.steps import StepTiming
from benchmark.speed.timing import TimingRow
from benchmark.training.train import assemble, make_run, make_runner

RECIPE = "mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py"
"""mmpretrain's recipe for MAE with a ViT-B/16, which the reference follows."""


def reference_config(ours: Config, images: Path, work: Path) -> Config:
    """mmpretrain's recipe with our sizes, our batch and our precision, on PNG files.

    Everything else stays as published: its transforms with PIL, its optimiser wrapper, hooks,
    schedule and log. It loads with as many processes as ours.
    """
    folder = Path(mmpretrain.__file__).parent / ".mim" / "configs"
    config = Config.fromfile(folder / RECIPE)
    encoder, decoder = ours.method.encoder, ours.method.decoder
    config.model.backbone.update(
        arch=dict(
            embed_dims=encoder.embed_dim,
            num_layers=encoder.depth,
            num_heads=encoder.num_heads,
            feedforward_channels=4 * encoder.embed_dim,
        ),
        img_size=encoder.img_size,
        patch_size=encoder.patch_size,
        mask_ratio=ours.method.masking.ratio,
    )
    config.model.neck.update(
        num_patches=(encoder.img_size // encoder.patch_size) ** 2,
        patch_size=encoder.patch_size,
        embed_dim=encoder.embed_dim,
        decoder_embed_dim=decoder.width,
        decoder_depth=decoder.depth,
        decoder_num_heads=decoder.num_heads,
    )
    config.model.head.patch_size = encoder.patch_size
    config.train_dataloader.update(
        batch_size=ours.batch_size,
        num_workers=ours.num_workers,
        persistent_workers=ours.num_workers > 0,
        drop_last=True,
    )
    config.train_dataloader.pop("dataset")
    config.train_dataloader.dataset = dict(
        type="CustomDataset",
        data_root=str(images),
        with_label=False,
        pipeline=[
            ConfigDict(step, scale=encoder.img_size)
            if step["type"] == "RandomResizedCrop"
            else step
            for step in config.train_pipeline
        ],
    )
    if precision(ours.precision) == "bf16":
        config.optim_wrapper.dtype = "bfloat16"
    else:
        config.optim_wrapper = dict(
            type="OptimWrapper",
            optimizer=config.optim_wrapper.optimizer,
            paramwise_cfg=config.optim_wrapper.paramwise_cfg,
        )
    config.train_cfg = dict(type=PreparedLoop, max_epochs=EPOCHS)
    config.resume = False
    config.work_dir = str(work)
    config.log_level = "ERROR"
    return config


def bench_against_mmpretrain(trial: StepTiming) -> list[TimingRow]:
    """Time both from reading a frame to the optimiser step, print and return the row.

    Both train on the same synthetic frames: ours from a pack, mmpretrain from the PNG files that
    its transforms decode. Its model, recipe and Runner are its own. The option ``num_workers`` of
    the trial applies to both.

    Raises:
        InputError: options that do not fit.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        images = trial.make_frames(work)
        config = trial.config("mae", work, images / "pack")
        config.anatomy = False  # the reference reads no masks either
        parts = assemble(config)
        runner = make_runner(parts, make_run(parts, work / "ours", "bench"))
        reference = reference_config(config, images / "frames", work / "theirs")
        theirs = of_library(partial(Runner.from_cfg, reference))
        row = trial.compare(
            "MAE end to end",
            f"mmpretrain {mmpretrain.__version__}, its MAE and recipe on mmengine's Runner, PNG",
            config,
            (of_harness(runner, work / "ours"), theirs),
        )
    trial.show([row], "mae-end-to-end")
    return [row]
