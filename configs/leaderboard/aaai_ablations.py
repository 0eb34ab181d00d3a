"""The analyses of the conference version of VasoMIM: tables 2–6, S4–S7 and figures 6, 7.

    tools/run_benchmark.sh configs/leaderboard/aaai_ablations.py --dry-run

Packs, folder, batch and seeds are those of its main board (`aaai.py`), with which it shares runs.
Random masking does not depend on how vessels guide, so its rows are those of the journal version.
"""

title = "Leaderboard, protocol aaai"
protocol = "aaai"
work = "work_dirs/aaai"
seeds = (0, 1, 2)
reference = "mae"

# Table 6.
_labels = ("unet", "mae", "vasomim_v1")

methods = (
    *_labels,
    # tables 2, 4 and 5
    *("analysis-components_none", "analysis-guidance_random", "analysis-v1_guidance"),
    *("analysis-v1_schedule_0_1", "analysis-v1_schedule_1_1", "analysis-v1_schedule_05_0"),
    # figures 6 and 7
    "spt",
    *("analysis-length_200", "analysis-length_300", "analysis-length_400"),
    *("analysis-mae_length_200", "analysis-mae_length_300", "analysis-mae_length_400"),
    # tables S4 to S7
    *("analysis-segmentor_joint", "analysis-objective_weighted"),
    *("analysis-consistency_l1", "analysis-consistency_dice"),
    *("analysis-decoder_d1", "analysis-decoder_d2", "analysis-decoder_d4", "analysis-decoder_d12"),
    *("analysis-decoder_w128", "analysis-decoder_w256", "analysis-decoder_w1024"),
)
datasets = ("arcade_v", "caxf", "arcade_v-25pct", "arcade_v-50pct", "xcad-patches-test")
only = {
    **dict.fromkeys(("arcade_v-25pct", "arcade_v-50pct"), _labels),
    "xcad-patches-test": ("analysis-v1_guidance", "vasomim_v1"),  # table 3
}
without = {"unet": ("caxf",)}

packs = ("work_dirs/packs/xa20k",)
pretrain_options = ("batch_size=256",)
# The prepared tasks are those of the other boards.
data = {
    "arcade_v": "work_dirs/downstream/arcade_v_aaai",
    "caxf": "work_dirs/downstream/caxf",
    "xcad": "work_dirs/downstream/xcad",
}
frames = {"packs": 20_650, "arcade_v": 200, "caxf": 337, "xcad": 126}
commands = {
    "work_dirs/packs/xa20k": "tools/prepare_data.py xa20k --raw DIR --out work_dirs/packs/xa20k",
}
