"""The reference run on a few dozen real angiograms: the same scale, MAE and VasoMIM, DCA1.

    tools/run_benchmark.sh configs/leaderboard/reference_real.py --dry-run

Pre-trained on frames of CADICA and the training half of DCA1, scored on its test half. For all of
CADICA, some 6,600 frames, ten epochs suffice: the options below are for a hundred frames. See
docs/reference_run.md.
"""

title = "Reference run, real angiograms"
scale = "mini"
jobs = 2
seeds = (0, 1, 2, 3, 4)
reference = "mae"
work = "work_dirs/reference_real"

methods = ("frangi", "unet", "random", "mae", "vasomim")
datasets = ("dca1", "dca1-linear")

packs = ("{work}/packs/cadica", "{work}/packs/dca1")
pretrain_options = ("epochs=400", "batch_size=28", "micro_batch=28", "checkpoint_interval=100")
segmentor_options = pretrain_options
frames = {"packs": 56, "dca1": 30, "dca1.test": 10}
commands = {
    "{work}/packs/cadica": (
        "tools/prepare_data.py cadica --raw downloads/CADICA --out {work}/packs/cadica --size 256"
    ),
    "{work}/packs/dca1": (
        "tools/prepare_data.py dca1 --raw downloads/DCA1 --as pack --out {work}/packs/dca1 "
        "--size 256"
    ),
    "{work}/downstream/dca1": (
        "tools/prepare_data.py dca1 --raw downloads/DCA1 --out {work}/downstream/dca1"
    ),
}
