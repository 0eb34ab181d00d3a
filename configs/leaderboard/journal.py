"""The board of the journal version of VasoMIM (arXiv 2602.11536): six datasets, five seeds.

    tools/run_benchmark.sh configs/leaderboard/journal.py --dry-run

Its rows, and the released encoders of its table on pre-training data; see docs/sweep.md.
"""

title = "Leaderboard, protocol journal"
datasets = ("arcade_v", "caxf", "xcav", "arcade_s", "arcade_vs", "stenosis")
seeds = (0, 1, 2, 3, 4)
reference = "mae"

methods = (
    # nothing is pre-trained
    *("frangi", "unet", "transunet", "vm_unet", "rwkv_unet", "faster_rcnn", "detr"),
    # pre-trained here
    *("moco_v3", "dino", "ibot", "mae", "simmim", "amt", "localmim", "ijepa", "hpm", "crossmae"),
    *("models_genesis", "deblurring_mim", "frepa", "chexworld", "spt", "vasomim_v1", "vasomim"),
    # released by others
    *("dinov3", "lvm_med", "rad_dino", "med_dinov3"),
    *("mae_imagenet", "localmim_imagenet", "hpm_imagenet"),
    *("deblurring_us280k", "chexworld_cxr500k"),
)

# One threshold finds vessels, neither stenoses nor which segment a vessel is.
without = {"frangi": ("arcade_s", "arcade_vs")}

# As published: for the estimate of hours before the data are there.
frames = {
    **{"packs": 171_478, "arcade_v": 1000, "arcade_s": 1000, "arcade_vs": 1000},
    **{"caxf": 337, "xcav": 175, "stenosis": 7492},
}
commands = {
    "{work}/packs/xa170k": "tools/prepare_data.py xa170k --raw DIR --out {work}/packs/xa170k",
}
