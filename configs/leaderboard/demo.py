"""A board in minutes on a CPU: four methods on synthetic angiograms, three seeds, scale tiny.

    tools/run_benchmark.sh configs/leaderboard/demo.py --dry-run

The same runs as `make demo`, in the same folder: neither repeats what the other has done.
"""

title = "Leaderboard of the demo"
scale = "tiny"
jobs = 2  # small networks gain little from threads
work = "work_dirs/demo"
methods = ("frangi", "unet", "mae", "vasomim")
datasets = ("synthetic_v",)
seeds = (0, 1, 2)
reference = "mae"

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
