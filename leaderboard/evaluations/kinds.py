"""Which evaluations have tables of their own."""

from __future__ import annotations

from typing import NamedTuple

from benchmark.results import DatasetId, read_dataset_id
from benchmark.results.dataset_ids import Kind


class Evaluation(NamedTuple):
    """One kind of table: its title, and what its numbers are."""

    title: str
    note: str


#: Id → evaluation, in the order of print; the ids are those of `Board.analysis`.
EVALUATIONS = {
    "linear": Evaluation(
        "Frozen features, linear",
        "The encoder is frozen: batch norm and one linear layer on its patch features are trained "
        "with all labels. Patch AP is the average precision of the logits of the patches, Pixel AP "
        "that of the pixels after up-sampling: neither needs a threshold.",
    ),
    "knn": Evaluation(
        "Frozen features, k-NN",
        "The encoder is frozen and nothing is trained: a patch gets the weighted vote of the most "
        "similar training patches. Patch AP is the average precision over the patches, Patch DSC "
        "the DSC of the map of patches, which is coarser than a mask and does not compare with a "
        "DSC of pixels.",
    ),
    "lora": Evaluation(
        "LoRA",
        "Low-rank adapters and the head are trained, the weights of the encoder are frozen.",
    ),
    "few-labels": Evaluation(
        "Few labels",
        "Trained with the labels of few training images. Every seed draws its own images, the same "
        "for all methods: n counts draws, and ± and p include their spread.",
    ),
    "transfer": Evaluation(
        "Transfer",
        "Fine-tuned models scored on another dataset than their training set (trained → tested); "
        "nothing is retrained.",
    ),
    "corruptions": Evaluation(
        "Corruptions",
        "Fine-tuned models scored on their own test images under corruptions; nothing is "
        "retrained. DSC, ECE and Brier are means over corruptions and severities; ECE is the "
        "expected calibration error and Brier the Brier score of the probabilities of the pixels, "
        "lower is better. Relative DSC is the mean of the DSC in percent of that on the "
        "uncorrupted images: each model is its own reference, so a bad one may be robust, and one "
        "whose DSC on them is below 10 % has none.",
    ),
}


class Table(NamedTuple):
    """The table that a record of an evaluation belongs to.

    Attributes:
        evaluation: a key of `EVALUATIONS`.
        dataset: of few labels, the only dataset; else empty.
        kind: of few labels, how the encoder is evaluated.
    """

    evaluation: str
    dataset: str = ""
    kind: Kind = "fine-tuning"


def table_of(dataset: str) -> Table | None:
    """The table of a record with this dataset id; None where it is on another board.

    Few labels of frozen features and of LoRA include shares of the labels, which fine-tuning has in
    its table of label efficiency.
    """
    known = read_dataset_id(dataset)
    if known.kind in ("transfer", "corruptions"):
        return Table(known.kind)
    few = known.label_count is not None if known.kind == "fine-tuning" else not known.all_labels
    if few and known.kind != "patches":
        return Table("few-labels", known.dataset, known.kind)
    return Table(known.kind) if known.kind in ("linear", "knn", "lora") else None


def all_labels_of(known: DatasetId) -> str:
    """The id of the same evaluation with all labels: ``dca1-5images-linear`` → ``dca1-linear``."""
    return known._replace(label_count=None, label_fraction=1.0).text
