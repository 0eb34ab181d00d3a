"""The papers' analyses: which runs make up each table or curve beside the main boards.

Two kinds of records are not on the main boards, by their ids alone:

- dataset ``<id>-<share>pct``: trained with a share of the labels (label efficiency);
- method ``analysis-<config>``: a run of ``configs/analysis/<config>.py``.

Their tables also show the runs of the main boards that they are compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Prefix of the ids of runs of ``configs/analysis``.
PREFIX = "analysis-"


@dataclass(frozen=True, slots=True)
class Member:
    """One row of an analysis: its method, its title in print, its x on the curve or None."""

    method: str
    title: str
    x: float | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """One table of the papers.

    Attributes:
        id, title, source: what it is about, and where in the paper it is.
        reference: method whose published setting the others vary.
        members: rows in the order of print.
        x_label, log_x: axis of its curve; ``x_label`` is empty if there is no curve.
    """

    id: str
    title: str
    source: str
    reference: str
    members: tuple[Member, ...]
    x_label: str = ""
    log_x: bool = False

    @property
    def reference_title(self) -> str:
        """The method whose setting is varied, as printed."""
        return {"vasomim": "VasoMIM", "vasomim_v1": "VasoMIM-v1"}[self.reference]


def _analysis(
    about: tuple[str, str, str, str], *rows: tuple[str, str] | tuple[str, str, float], **axis: Any
) -> Analysis:
    """From (id, title, source, reference) and rows (config, title, x); a leading dot: a method."""
    members = (
        Member(name[1:] if name.startswith(".") else PREFIX + name, *rest) for name, *rest in rows
    )
    return Analysis(*about, tuple(members), **axis)


ANALYSES = (
    _analysis(
        ("components", "Components", "table IV", "vasomim"),
        ("components_none", "None"),
        ("guidance_random", "L_cons alone"),
        ("components_guidance", "Guidance alone"),
        (".vasomim", "Both"),
    ),
    _analysis(
        ("objectives", "Objectives added to guided masking", "table V", "vasomim"),
        ("components_guidance", "None"),
        ("objective_dino", "Distillation from DINO"),
        ("objective_clip", "Distillation from CLIP"),
        ("objective_dinov3", "Distillation from DINOv3"),
        ("objective_ema", "Distillation from an EMA teacher"),
        ("objective_lpips", "LPIPS"),
        ("objective_contextual", "Contextual loss"),
        (".vasomim", "L_cons"),
    ),
    _analysis(
        ("guidance", "Guidance", "table VII", "vasomim"),
        ("guidance_random", "Random"),
        ("guidance_frangi", "Extracted vessels"),
        ("guidance_probability", "Probability map"),
        (".vasomim", "Both"),
        ("guidance_uniform", "Both, uniform among vessel patches"),
    ),
    _analysis(
        ("schedule", "Guidance schedule, β_0 → β_E", "table VIII", "vasomim"),
        ("guidance_random", "0 → 0"),
        (".vasomim", "0 → 0.5"),
        ("schedule_0_075", "0 → 0.75"),
        ("schedule_0_1", "0 → 1"),
        ("schedule_1_1", "1 → 1"),
        ("schedule_05_0", "0.5 → 0"),
    ),
    _analysis(
        ("quality", "Anatomy quality, percentile α", "table X", "vasomim"),
        ("quality_alpha_50", "VasoMIM, α = 50", 50),
        ("quality_alpha_80", "VasoMIM, α = 80", 80),
        (".vasomim", "VasoMIM, α = 92", 92),
        x_label="Percentile α",
    ),
    _analysis(
        ("corpus", "Size of the pre-training dataset", "figure 7", "vasomim"),
        ("corpus_010k", "10K", 10_000),
        ("corpus_020k", "20K", 20_000),
        ("corpus_040k", "40K", 40_000),
        ("corpus_080k", "80K", 80_000),
        (".vasomim", "170K", 171_478),
        x_label="Pre-training frames",
        log_x=True,
    ),
    _analysis(
        ("encoder", "Encoder size", "figure 8", "vasomim"),
        (".vasomim", "ViT-B/16", 86),
        ("vit_l", "ViT-L/16", 304),
        ("vit_h", "ViT-H/14", 632),
        x_label="Encoder parameters (millions)",
        log_x=True,
    ),
    _analysis(
        ("masking_ratio", "Masking ratio γ", "figure 10", "vasomim"),
        ("masking_ratio_025", "γ = 0.25", 0.25),
        ("masking_ratio_040", "γ = 0.4", 0.4),
        (".vasomim", "γ = 0.5", 0.5),
        ("masking_ratio_060", "γ = 0.6", 0.6),
        ("masking_ratio_075", "γ = 0.75", 0.75),
        ("masking_ratio_090", "γ = 0.9", 0.9),
        x_label="Masking ratio γ",
    ),
    _analysis(
        ("segmentor", "Segmentor", "AAAI table S4", "vasomim_v1"),
        (".vasomim_v1", "Pre-trained"),
        ("segmentor_joint", "Trained jointly"),
    ),
    _analysis(
        ("weighted", "Weighted reconstruction", "AAAI table S5", "vasomim_v1"),
        (".vasomim_v1", "L_rec + L_cons"),
        ("objective_weighted", "L_w-rec"),
    ),
    _analysis(
        ("consistency", "Consistency metric", "AAAI table S6", "vasomim_v1"),
        ("consistency_l1", "L1"),
        ("consistency_dice", "Dice"),
        (".vasomim_v1", "Cross-entropy"),
    ),
    _analysis(
        ("decoder", "Decoder", "AAAI table S7", "vasomim_v1"),
        ("decoder_d1", "Depth 1"),
        ("decoder_d2", "Depth 2"),
        ("decoder_d4", "Depth 4"),
        (".vasomim_v1", "Depth 8, width 512"),
        ("decoder_d12", "Depth 12"),
        ("decoder_w128", "Width 128"),
        ("decoder_w256", "Width 256"),
        ("decoder_w1024", "Width 1024"),
    ),
    _analysis(
        ("length", "Pre-training length", "AAAI figure 7", "vasomim_v1"),
        ("length_200", "200 epochs", 200),
        ("length_400", "400 epochs", 400),
        (".vasomim_v1", "800 epochs", 800),
        x_label="Pre-training epochs",
    ),
)


def is_analysis(method: str) -> bool:
    """Whether a method's id names a run of ``configs/analysis``."""
    return method.startswith(PREFIX)
