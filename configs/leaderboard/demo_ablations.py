"""The analyses in minutes on a CPU: synthetic angiograms, two seeds, scale tiny.

    tools/run_benchmark.sh configs/leaderboard/demo_ablations.py

Components, schedule of the guidance, shares of the labels and patch features, in the folder of the
demo: what `make demo` has done is not repeated.
"""

title = "Leaderboard of the demo"
scale = "tiny"
jobs = 2  # small networks gain little from threads
work = "work_dirs/demo"
seeds = (0, 1)
reference = "mae"

_shared = ("mae", "vasomim")
methods = (
    *("unet", *_shared),
    *("analysis-components_none", "analysis-guidance_random", "analysis-components_guidance"),
    *("analysis-schedule_0_1", "analysis-schedule_1_1"),
)
datasets = ("synthetic_v", "synthetic_v-25pct", "synthetic_v-50pct", "synthetic_v-patches")
only = {
    **dict.fromkeys(datasets[1:3], ("unet", *_shared)),
    datasets[3]: (*_shared, "analysis-components_guidance"),
}

packs = ("{work}/packs/synthetic",)
commands = {
    "{work}/packs/synthetic": (
        "tools/prepare_data.py synthetic --out {work}/packs/synthetic --size 256 --option "
        "size=256 patients=20 videos=2 frames=10 first_frame=2 seed=1 test_fraction=0"
    ),
    "{work}/downstream/synthetic_v": (
        "tools/prepare_data.py synthetic --as segmentation --out {work}/downstream/synthetic_v "
        "--option size=256 patients=18 videos=2 frames=6 first_frame=4 seed=2"
    ),
}
