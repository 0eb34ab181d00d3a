"""The reference run: what anyone can repeat on two CPU cores, from scratch, overnight.

    tools/run_benchmark.sh configs/leaderboard/reference.py --dry-run

6,000 synthetic angiograms of 300 patients to pre-train on; three seeds of the pre-training for MAE
and VasoMIM; test sets of vessels at a quarter of the usual dose, half of their length hardly wider
than a pixel, and of stenoses in close-ups; five seeds of the fine-tuning. Where DCA1 is prepared in
its folder, it is scored as well. The second corpus, of real angiograms, has a board of its own,
`reference_real.py`. docs/reference_run.md says what they show.
"""

title = "Reference run"
scale = "mini"
jobs = 2  # small networks gain little from threads
seeds = (0, 1, 2, 3, 4)
reference = "mae"

work = "work_dirs/reference"
packs = ("{work}/packs/synthetic",)

_repeated = tuple(f"analysis-{name}_seed_{seed}" for name in ("mae", "vasomim") for seed in (1, 2))
methods = (
    *("frangi", "unet", "random", "mae", "analysis-mae_masking_ratio_050", "simmim", "hpm", "amt"),
    *("dino", "vasomim_v1", "vasomim", *_repeated),
)

_shares = ("synthetic_v-10pct", "synthetic_v-25pct")
_frozen = ("synthetic_v-linear", "synthetic_v-patches")
_given = ("dca1", "dca1-linear")
optional = dict.fromkeys(_given, "{work}/downstream/dca1")
datasets = ("synthetic_v", *_frozen, *_shares, "synthetic_vs", "synthetic_d", *_given)
_few = ("random", "mae", "vasomim_v1", "vasomim")
only = {
    **dict.fromkeys(_shares, ("unet", "random", "mae", "vasomim")),
    "synthetic_v-patches": _few,
    "synthetic_vs": ("unet", "random", "mae", "vasomim"),
    "synthetic_d": ("random", "mae", "vasomim"),
    **{dataset: ("frangi", "unet", *_few) for dataset in _given},
}

frames = {
    **{"packs": 6000, "synthetic_v": 80, "synthetic_vs": 80, "synthetic_d": 1200},
    **{"synthetic_v.test": 80, "synthetic_vs.test": 80, "synthetic_d.test": 300},
}
_population = "--option size=256 videos=2 dose=0.25 test_fraction=0.5"
commands = {
    "{work}/packs/synthetic": (
        "tools/prepare_data.py synthetic --out {work}/packs/synthetic --size 256 --option "
        "size=256 patients=300 videos=2 frames=12 first_frame=2 seed=1 test_fraction=0"
    ),
    "{work}/downstream/synthetic_v": (
        "tools/prepare_data.py synthetic --as segmentation --out {work}/downstream/synthetic_v "
        f"{_population} patients=40 frames=6 first_frame=4 seed=2"
    ),
    "{work}/downstream/synthetic_vs": (
        "tools/prepare_data.py synthetic --as segmentation --out {work}/downstream/synthetic_vs "
        f"{_population} task=synthetic_vs patients=40 frames=6 first_frame=4 seed=2"
    ),
    # Of many patients, who have one or two stenoses each; close-ups, since in the whole view a
    # stenosis is smaller than a patch.
    "{work}/downstream/synthetic_d": (
        "tools/prepare_data.py synthetic --as detection --out {work}/downstream/synthetic_d "
        "--option size=96 field=0.25 patients=750 videos=2 frames=7 first_frame=6 seed=2 "
        "test_fraction=0.2"
    ),
}
