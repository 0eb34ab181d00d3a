"""The board of the conference version of VasoMIM (arXiv 2508.10794): segmentation and denoising.

    tools/run_benchmark.sh configs/leaderboard/aaai.py --dry-run

Its pre-training dataset, XA-20K, is composed of five public downloads (docs/datasets.md). All runs
live apart from those of the journal version, whose encoders are pre-trained on another dataset.
"""

title = "Leaderboard, protocol aaai"
protocol = "aaai"
work = "work_dirs/aaai"
datasets = ("arcade_v", "caxf", "xcav", "denoising")
seeds = (0, 1, 2)
reference = "mae"

methods = (
    *("frangi", "unet", "nlm", "dncnn"),
    *("moco_v3", "dino", "mae", "simmim", "amt", "hpm", "crossmae"),
    *("deblurring_mim", "chexworld", "vasomim_v1"),
)

packs = ("work_dirs/packs/xa20k",)
pretrain_options = ("batch_size=256",)
# The prepared tasks are those of the other board.
data = {
    "arcade_v": "work_dirs/downstream/arcade_v_aaai",
    "caxf": "work_dirs/downstream/caxf",
    "xcav": "work_dirs/downstream/xcav",
    "denoising": "work_dirs/downstream/denoising",
}
frames = {"packs": 20_650, "arcade_v": 200, "caxf": 337, "xcav": 175, "denoising": 1286}
commands = {
    "work_dirs/packs/xa20k": "tools/prepare_data.py xa20k --raw DIR --out work_dirs/packs/xa20k",
}
