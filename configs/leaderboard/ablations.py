"""The analyses of the journal version of VasoMIM: tables IV–X and figures 6–10, five seeds.

    tools/run_benchmark.sh configs/leaderboard/ablations.py --dry-run

Runs that are on the main board as well (`journal.py`) are the same runs in the same folder, and
both draw the same board; see docs/ablations.md.
"""

title = "Leaderboard, protocol journal"
seeds = (0, 1, 2, 3, 4)
reference = "mae"

# Which methods figure 6 shows beside the two that the text names is a declared choice.
_figure_6 = ("transunet", "mae", "vasomim_v1", "vasomim")
# Tables V and VI.
_objectives = (
    "analysis-components_guidance",
    *("analysis-objective_dino", "analysis-objective_clip", "analysis-objective_dinov3"),
    *("analysis-objective_ema", "analysis-objective_lpips", "analysis-objective_contextual"),
    "vasomim",
)

methods = (
    *_figure_6,
    # table IV
    *("analysis-components_none", "analysis-guidance_random"),
    *_objectives[:-1],
    # table VII
    *("analysis-guidance_frangi", "analysis-guidance_probability", "analysis-guidance_uniform"),
    # table VIII
    *("analysis-schedule_0_075", "analysis-schedule_0_1"),
    *("analysis-schedule_1_1", "analysis-schedule_05_0"),
    # table IX
    *("localmim", "deblurring_mim", "chexworld", "hpm"),
    *("mae_imagenet", "localmim_imagenet", "deblurring_us280k", "chexworld_cxr500k"),
    "hpm_imagenet",
    # table X
    *("frangi_50", "frangi_80", "frangi", "analysis-quality_alpha_50", "analysis-quality_alpha_80"),
    # figures 7, 8, 9 and 10
    *("analysis-corpus_010k", "analysis-corpus_020k"),
    *("analysis-corpus_040k", "analysis-corpus_080k"),
    *("analysis-vit_l", "analysis-vit_h"),
    "spt",
    *("analysis-masking_ratio_025", "analysis-masking_ratio_040", "analysis-masking_ratio_060"),
    *("analysis-masking_ratio_075", "analysis-masking_ratio_090"),
    # beside the paper's: what the released code does
    "analysis-segmentor_reinitialised",
)
_shares = tuple(f"arcade_v-{share}pct" for share in (10, 25, 50, 75))
datasets = ("arcade_v", "xcav", *_shares, "xcav-patches")
only = {**dict.fromkeys(_shares, _figure_6), "xcav-patches": _objectives}
without = {"transunet": ("xcav",), "vasomim_v1": ("xcav",)}

# As published: for the estimate of hours before the data are there.
frames = {"packs": 171_478, "arcade_v": 1000, "xcav": 175}
commands = {
    "{work}/packs/xa170k": "tools/prepare_data.py xa170k --raw DIR --out {work}/packs/xa170k",
    **{
        f"{{work}}/packs/xa170k_alpha_{alpha}": (
            f"cp -r {{work}}/packs/xa170k {{work}}/packs/xa170k_alpha_{alpha} && "
            f"tools/extract_anatomy.py {{work}}/packs/xa170k_alpha_{alpha} --alpha {alpha} "
            "--overwrite"
        )
        for alpha in (50, 80)
    },
}
