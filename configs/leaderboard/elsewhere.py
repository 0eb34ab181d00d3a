"""Robustness of segmentors: other datasets (train × test), and corruptions of the test frames.

    tools/run_benchmark.sh configs/leaderboard/elsewhere.py --dry-run

Nothing is trained for it but the fine-tunings of the main board (`journal.py`), whose runs it
shares and whose models it keeps: the dry run says how much disk they take. A fine-tuning that kept
no model is repeated with --rerun-stale. Once all is scored, the models may be deleted.
"""

title = "Leaderboard, protocol journal"
seeds = (0, 1, 2, 3, 4)
reference = "mae"

methods = (
    *("frangi", "unet", "transunet", "vm_unet", "rwkv_unet"),
    *("moco_v3", "dino", "ibot", "mae", "simmim", "amt", "localmim", "ijepa", "hpm", "crossmae"),
    *("models_genesis", "deblurring_mim", "frepa", "chexworld", "spt", "vasomim_v1", "vasomim"),
    *("dinov3", "lvm_med", "rad_dino", "med_dinov3"),
    *("mae_imagenet", "localmim_imagenet", "hpm_imagenet"),
    *("deblurring_us280k", "chexworld_cxr500k"),
)

_sets = ("arcade_v", "caxf", "xcav", "dca1")
datasets = (
    *_sets,
    *(f"{trained}-to-{tested}" for trained in _sets for tested in _sets if tested != trained),
    *(f"{name}-corruptions" for name in _sets),
)

# As published (DCA1: split 3 : 1): for the estimate of hours before the data are there.
frames = {
    **{"packs": 171_478, "arcade_v": 1000, "caxf": 337, "xcav": 175, "dca1": 100},
    **{"arcade_v.test": 300, "caxf.test": 201, "xcav.test": 46, "dca1.test": 34},
}
commands = {
    "{work}/packs/xa170k": "tools/prepare_data.py xa170k --raw DIR --out {work}/packs/xa170k",
}
