"""How good frozen encoders are, within hours: linear with five seeds, and k-NN, which needs one.

    tools/run_benchmark.sh configs/leaderboard/quick.py --dry-run

All encoders that are pre-trained here, those released by others, and random weights, on the
segmentations of the journal version and DCA1; see docs/evaluate_an_encoder.md.
"""

title = "Frozen encoders"
_sets = ("dca1", "xcav", "caxf", "arcade_v", "arcade_s", "arcade_vs")
datasets = tuple(f"{name}-{kind}" for kind in ("linear", "knn") for name in _sets)
seeds = (0, 1, 2, 3, 4)
reference = "mae"

methods = (
    # nothing is pre-trained
    "random",
    # pre-trained here
    *("moco_v3", "dino", "ibot", "mae", "simmim", "amt", "localmim", "ijepa", "hpm", "crossmae"),
    *("models_genesis", "deblurring_mim", "frepa", "chexworld", "spt", "vasomim_v1", "vasomim"),
    # released by others
    *("dinov3", "lvm_med", "rad_dino", "med_dinov3"),
    *("mae_imagenet", "localmim_imagenet", "hpm_imagenet"),
    *("deblurring_us280k", "chexworld_cxr500k"),
)

# As published: for the estimate of hours before the data are there.
frames = {
    **{"packs": 171_478, "arcade_v": 1000, "arcade_s": 1000, "arcade_vs": 1000},
    **{"caxf": 337, "xcav": 175, "dca1": 100},
}
commands = {
    "{work}/packs/xa170k": "tools/prepare_data.py xa170k --raw DIR --out {work}/packs/xa170k",
}
