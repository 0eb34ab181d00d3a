"""How few labels suffice: 1, 2, 5 and 10 labelled images, 10 % and all of them, five draws.

    tools/run_benchmark.sh configs/leaderboard/few_labels.py --dry-run

A seed draws its images, the same for every method. The papers compare pre-training with 10 % of the
labels to TransUNet from scratch with all of them. Runs that are on the main board as well
(`journal.py`) are the same runs in the same folder, and both draw the same board.
"""

title = "Leaderboard, protocol journal"
seeds = (0, 1, 2, 3, 4)
reference = "mae"

methods = ("transunet", "random", "mae", "vasomim_v1", "vasomim")
_sets = ("arcade_v", "caxf", "xcav", "dca1")
_labels = ("-1images", "-2images", "-5images", "-10images", "-10pct", "")
datasets = tuple(f"{name}{labels}" for name in _sets for labels in _labels)

# As published (DCA1: split 3 : 1): for the estimate of hours before the data are there.
frames = {"packs": 171_478, "arcade_v": 1000, "caxf": 337, "xcav": 175, "dca1": 100}
commands = {
    "{work}/packs/xa170k": "tools/prepare_data.py xa170k --raw DIR --out {work}/packs/xa170k",
}
