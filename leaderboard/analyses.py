"""The papers' analyses: which runs make up each table or curve beside the main boards.

Three kinds of records are not on the main boards, by their ids alone:

- dataset ``<id>-<share>pct``: trained with a share of the labels (label efficiency);
- dataset ``<id>-patches``: patch features of an encoder (representation analysis);
- method ``analysis-<config>``: a run of ``configs/analysis/<config>.py``.

Their tables also show the runs of the main boards that they are compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

#: Prefix of the ids of runs of ``configs/analysis``.
PREFIX = "analysis-"

#: Analyses that a dataset's id defines, and which show every method that has such a run.
BY_DATASET = ("labels", "clusters")

TITLES = {"mae": "MAE", "vasomim": "VasoMIM", "vasomim_v1": "VasoMIM-v1"}


@dataclass(frozen=True, slots=True)
class Member:
    """One row of an analysis.

    Attributes:
        method: id of a method, or ``analysis-<config>``.
        title: as printed; unique within the analysis.
        x: its place on the curve, or None.
        line: name of the line it is a point of; empty for that of the analysis's reference.
        own: whether the analysis is about this run; False where it is only compared with.
    """

    method: str
    title: str
    x: float | None = None
    line: str = ""
    own: bool = True


@dataclass(frozen=True, slots=True)
class Analysis:
    """One table or figure of a paper.

    Attributes:
        id: what it is about; unique within a protocol and, except for `BY_DATASET`, overall.
        title: the same in words.
        protocol: ``"journal"`` or ``"aaai"``, the protocol and the paper.
        source: the table or figure of that paper, for example ``"table IV"``.
        reference: method whose published setting the others vary.
        members: rows in the order of print.
        datasets: ids of the datasets it is evaluated on, in the order of print.
        x_label, log_x: axis of its curve; ``x_label`` is empty if there is no curve.
    """

    id: str
    title: str
    protocol: str
    source: str
    reference: str
    members: tuple[Member, ...]
    datasets: tuple[str, ...]
    x_label: str = ""
    log_x: bool = False

    def line_title(self, member: Member) -> str:
        """The line of the curve that a member is a point of, as printed."""
        return member.line or TITLES[self.reference]


def _member(name: str, title: str, x: float | None = None, line: str = "") -> Member:
    """A leading dot: a method for comparison only; a plus: a method that the analysis is about."""
    if name[0] in ".+":
        return Member(name[1:], title, x, line, own=name[0] == "+")
    return Member(PREFIX + name, title, x, line)


def _analysis(
    protocol: str, about: tuple[str, str, str], *rows: tuple[Any, ...], **more: Any
) -> Analysis:
    """From (id, title, source) and rows as for `_member`."""
    name, title, source = about
    paper = {
        "journal": {"reference": "vasomim", "datasets": ("arcade_v", "xcav")},
        "aaai": {"reference": "vasomim_v1", "datasets": ("arcade_v", "caxf")},
    }[protocol]
    members = tuple(_member(*row) for row in rows)
    return Analysis(name, title, protocol, source, members=members, **{**paper, **more})


_journal = partial(_analysis, "journal")
_aaai = partial(_analysis, "aaai")

#: Rows of tables V and VI.
_OBJECTIVES = (
    ("components_guidance", "None"),
    ("objective_dino", "Distillation from DINO"),
    ("objective_clip", "Distillation from CLIP"),
    ("objective_dinov3", "Distillation from DINOv3"),
    ("objective_ema", "Distillation from an EMA teacher"),
    ("objective_lpips", "LPIPS"),
    ("objective_contextual", "Contextual loss"),
    (".vasomim", "L_cons"),
)

ANALYSES = (
    _journal(
        ("components", "Components", "table IV"),
        ("components_none", "None"),
        ("guidance_random", "L_cons alone"),
        ("components_guidance", "Guidance alone"),
        (".vasomim", "Both"),
    ),
    _journal(("objectives", "Objectives added to guided masking", "table V"), *_OBJECTIVES),
    _journal(
        ("clusters", "Clusters of patch features", "table VI"),
        *_OBJECTIVES,
        datasets=("xcav-patches",),
    ),
    _journal(
        ("guidance", "Guidance", "table VII"),
        ("guidance_random", "Random"),
        ("guidance_frangi", "Extracted vessels"),
        ("guidance_probability", "Probability map"),
        (".vasomim", "Both"),
        ("guidance_uniform", "Both, uniform among vessel patches"),
    ),
    _journal(
        ("schedule", "Guidance schedule, β_0 → β_E", "table VIII"),
        ("guidance_random", "0 → 0"),
        (".vasomim", "0 → 0.5"),
        ("schedule_0_075", "0 → 0.75"),
        ("schedule_0_1", "0 → 1"),
        ("schedule_1_1", "1 → 1"),
        ("schedule_05_0", "0.5 → 0"),
    ),
    _journal(
        ("origin", "Pre-training dataset", "table IX"),
        ("+mae_imagenet", "MAE, ImageNet-1K"),
        (".mae", "MAE, XA-170K"),
        ("+localmim_imagenet", "LocalMIM, ImageNet-1K"),
        (".localmim", "LocalMIM, XA-170K"),
        ("+deblurring_us280k", "DeblurringMIM, US-Esaote-280K"),
        (".deblurring_mim", "DeblurringMIM, XA-170K"),
        ("+chexworld_cxr500k", "CheXWorld, X-rays-500K"),
        (".chexworld", "CheXWorld, XA-170K"),
        ("+hpm_imagenet", "HPM, ImageNet-1K"),
        (".hpm", "HPM, XA-170K"),
        reference="mae",
    ),
    _journal(
        ("quality", "Anatomy quality, percentile α", "table X"),
        (".frangi_50", "Frangi filter, α = 50", 50, "Frangi filter"),
        (".frangi_80", "Frangi filter, α = 80", 80, "Frangi filter"),
        (".frangi", "Frangi filter, α = 92", 92, "Frangi filter"),
        ("quality_alpha_50", "VasoMIM, α = 50", 50),
        ("quality_alpha_80", "VasoMIM, α = 80", 80),
        (".vasomim", "VasoMIM, α = 92", 92),
        x_label="Percentile α of the vesselness, vessels are above it",
    ),
    # Which methods the figure shows beside those named in the text is a declared choice.
    _journal(
        ("labels", "Label efficiency", "figure 6"),
        (".transunet", "TransUNet"),
        (".mae", "MAE"),
        (".vasomim_v1", "VasoMIM-v1"),
        (".vasomim", "VasoMIM"),
        datasets=(*(f"arcade_v-{share}pct" for share in (10, 25, 50, 75)), "arcade_v"),
    ),
    _journal(
        ("corpus", "Size of the pre-training dataset", "figure 7"),
        ("corpus_010k", "10K", 10_000),
        ("corpus_020k", "20K", 20_000),
        ("corpus_040k", "40K", 40_000),
        ("corpus_080k", "80K", 80_000),
        (".vasomim", "170K", 171_478),
        x_label="Pre-training frames",
        log_x=True,
    ),
    _journal(
        ("encoder", "Encoder size", "figure 8"),
        (".vasomim", "ViT-B/16", 86),
        ("vit_l", "ViT-L/16", 304),
        ("vit_h", "ViT-H/14", 632),
        x_label="Encoder parameters (millions)",
        log_x=True,
    ),
    _journal(
        ("supervised", "Segmentor-based pre-training", "figure 9"),
        ("+spt", "SPT"),
        (".vasomim", "VasoMIM"),
    ),
    _journal(
        ("masking_ratio", "Masking ratio γ", "figure 10"),
        ("masking_ratio_025", "γ = 0.25", 0.25),
        ("masking_ratio_040", "γ = 0.4", 0.4),
        (".vasomim", "γ = 0.5", 0.5),
        ("masking_ratio_060", "γ = 0.6", 0.6),
        ("masking_ratio_075", "γ = 0.75", 0.75),
        ("masking_ratio_090", "γ = 0.9", 0.9),
        x_label="Masking ratio γ",
    ),
    _aaai(
        ("components_v1", "Components", "table 2"),
        ("components_none", "None"),
        ("guidance_random", "L_cons alone"),
        ("v1_guidance", "Guidance alone"),
        (".vasomim_v1", "Both"),
    ),
    _aaai(
        ("clusters", "Clusters of patch features", "table 3"),
        ("v1_guidance", "Without L_cons"),
        (".vasomim_v1", "With L_cons"),
        datasets=("xcad-patches-test",),
    ),
    _aaai(
        ("schedule_v1", "Guidance schedule, β_0 → β_E", "table 4"),
        ("guidance_random", "0 → 0"),
        (".vasomim_v1", "0 → 0.5"),
        ("v1_schedule_0_1", "0 → 1"),
        ("v1_schedule_1_1", "1 → 1"),
    ),
    _aaai(
        ("direction_v1", "Direction of the guidance schedule", "table 5"),
        ("guidance_random", "Random, 0 → 0"),
        (".vasomim_v1", "Weak to strong, 0 → 0.5"),
        ("v1_schedule_05_0", "Strong to weak, 0.5 → 0"),
    ),
    _aaai(
        ("labels", "Label efficiency", "table 6"),
        (".unet", "UNet"),
        (".mae", "MAE"),
        (".vasomim_v1", "VasoMIM-v1"),
        datasets=("arcade_v-25pct", "arcade_v-50pct", "arcade_v"),
    ),
    _aaai(
        ("supervised_v1", "Segmentor-based pre-training", "figure 6"),
        ("+spt", "SPT"),
        (".vasomim_v1", "VasoMIM-v1"),
    ),
    _aaai(
        ("length", "Pre-training length", "figure 7"),
        ("length_200", "VasoMIM-v1, 200 epochs", 200),
        ("length_300", "VasoMIM-v1, 300 epochs", 300),
        ("length_400", "VasoMIM-v1, 400 epochs", 400),
        (".vasomim_v1", "VasoMIM-v1, 800 epochs", 800),
        ("mae_length_200", "MAE, 200 epochs", 200, "MAE"),
        ("mae_length_300", "MAE, 300 epochs", 300, "MAE"),
        ("mae_length_400", "MAE, 400 epochs", 400, "MAE"),
        (".mae", "MAE, 800 epochs", 800, "MAE"),
        x_label="Pre-training epochs",
    ),
    _aaai(
        ("segmentor", "Segmentor", "table S4"),
        ("v1_guidance", "Without L_cons"),
        ("segmentor_joint", "Trained jointly"),
        (".vasomim_v1", "Pre-trained"),
    ),
    _aaai(
        ("weighted", "Weighted reconstruction", "table S5"),
        ("v1_guidance", "None"),
        ("objective_weighted", "L_w-rec"),
        (".vasomim_v1", "L_cons"),
    ),
    _aaai(
        ("consistency", "Consistency metric", "table S6"),
        ("v1_guidance", "None"),
        ("consistency_l1", "L1"),
        ("consistency_dice", "Dice"),
        (".vasomim_v1", "Cross-entropy"),
    ),
    _aaai(
        ("decoder", "Decoder", "table S7"),
        ("decoder_d1", "Depth 1"),
        ("decoder_d2", "Depth 2"),
        ("decoder_d4", "Depth 4"),
        (".vasomim_v1", "Depth 8, width 512"),
        ("decoder_d12", "Depth 12"),
        ("decoder_w128", "Width 128"),
        ("decoder_w256", "Width 256"),
        ("decoder_w1024", "Width 1024"),
    ),
)

#: In neither paper, for any protocol.
OURS = (
    _analysis(
        "journal",
        ("pretraining_seeds", "Pre-training seeds", ""),
        (".mae", "MAE, seed 0", 0, "MAE"),
        ("mae_seed_1", "MAE, seed 1", 1, "MAE"),
        ("mae_seed_2", "MAE, seed 2", 2, "MAE"),
        (".vasomim", "VasoMIM, seed 0", 0, "VasoMIM"),
        ("vasomim_seed_1", "VasoMIM, seed 1", 1, "VasoMIM"),
        ("vasomim_seed_2", "VasoMIM, seed 2", 2, "VasoMIM"),
        reference="mae",
    ),
)


def is_analysis(method: str) -> bool:
    """Whether a method's id names a run of ``configs/analysis``."""
    return method.startswith(PREFIX)


def find_analysis(protocol: str, name: str | None) -> Analysis | None:
    """The analysis of this id in the paper of this protocol; None where there is none."""
    found = (entry for entry in ANALYSES if (entry.protocol, entry.id) == (protocol, name))
    return next(found, None)


def paper_of(protocol: str) -> str:
    """The paper whose protocol this one is a smaller scale of: ``aaai-demo`` → ``aaai``."""
    return "aaai" if protocol.split("-")[0] == "aaai" else "journal"
