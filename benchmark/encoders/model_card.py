"""Model cards of exported encoders: description, provenance and scores.

A ``README.md`` in the format of model hubs (Mitchell et al., Model cards for model reporting, FAT*
2019): a YAML header for machines, then text and tables for humans.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from benchmark.encoders.card import EncoderCard
from benchmark.errors import InputError
from benchmark.files import read_object
from benchmark.method_cards import MethodCard, card_of_encoder
from benchmark.results import NOT_HASHED, RunRecord, config_hash, path_of, read_results
from benchmark.text import markdown_table

#: Names of the tasks on model hubs.
_TASKS = {
    "segmentation": "image-segmentation",
    "detection": "object-detection",
    "denoising": "image-to-image",
    "representation": "image-feature-extraction",
}
_TRAINING = ("epochs", "batch_size", "base_lr", "lr_batch", "optimizer", "schedule", "clip_grad")
_IMAGE_TERMS = "terms-of-the-training-images"

_LICENCE = """\
{choice} The benchmark's code is under Apache-2.0, which does not cover the images these weights
were trained on ({pretraining}): public angiography datasets come with terms of their own, some of
which exclude commercial use. Read them before you publish or use the weights."""

_FOREIGN = " They were converted from those of {source}, whose terms apply to them."

_USE = """\
Made for research on X-ray angiography: for fine-tuning and as a baseline. It is not a medical
device and was not tested as one. Scores hold for the datasets named here and say little about other
hospitals and imaging systems."""

_LOADING = """\
```python
import timm
model = timm.create_model("local-dir:{folder}", pretrained=True).eval()
features = model.forward_features(images)  # images {images} → {features}
```

`images` are grayscale frames in [0, 1], repeated to {channels} channels and normalised with mean
{mean} and standard deviation {std}. For RGB images this transform is
`timm.data.create_transform(**timm.data.resolve_model_data_config(model))`.
`num_classes=K` adds a new head."""


@dataclass(frozen=True)
class CardScore:
    """Mean over seeds of one metric of one dataset."""

    run: RunRecord  # the record of the first seed, from which the others differ in their seed only
    metric: str
    values: tuple[float, ...]  # one per seed

    @property
    def text(self) -> str:
        """Mean ± sample standard deviation, two decimals."""
        spread = f" ± {stdev(self.values):.2f}" if len(self.values) > 1 else ""
        return f"{fmean(self.values):.2f}{spread}"


def scores_of(card: EncoderCard, results: Path) -> tuple[list[CardScore], list[str]]:
    """Scores measured with an encoder, and one line per skipped result file.

    A record belongs to the encoder if it has the sha256 of its weights.

    Raises:
        InputError: no folder, no result of this encoder, or runs of one protocol, method and
            dataset that differ in more than their seed.
    """
    records, problems = read_results(results)
    cells: dict[tuple[str, str, str], list[RunRecord]] = defaultdict(list)
    for record in records:
        if record.encoder and record.encoder.weights_sha256 == card.weights_sha256:
            cells[record.protocol, record.method, record.dataset].append(record)
    if not cells:
        raise InputError(
            f"{results}: none of {len(records)} results is of this encoder (weights "
            f"{card.weights_sha256[:12]}); fine-tune it, or leave out --results"
        )
    scores = []
    for _, runs in sorted(cells.items()):
        runs.sort(key=lambda run: run.seed)
        _require_equal_but_seed(runs)
        for metric in runs[0].metrics:
            values = tuple(run.metrics[metric].value for run in runs)
            scores.append(CardScore(runs[0], metric, values))
    return scores, problems


def _require_equal_but_seed(runs: Sequence[RunRecord]) -> None:
    """Runs that are averaged may differ in their seed only."""

    def kind(run: RunRecord) -> tuple[Any, ...]:
        definitions = {name: metric.definition for name, metric in run.metrics.items()}
        config = config_hash(run.config, also_drop=("seed", "seeds"))
        return run.split_hash, definitions, config

    for run in runs[1:]:
        if kind(run) != kind(runs[0]):
            first, other = (path_of(one).as_posix() for one in (runs[0], run))
            raise InputError(
                f"{other}: differs from {first} in more than its seed (split, metrics or "
                "settings); keep one kind of run in --results"
            )


def _format(value: Any) -> str:
    """A human-readable setting: ``RandomMasking(ratio=0.75)`` for a dictionary."""
    if isinstance(value, dict):
        kept = {key: one for key, one in value.items() if key not in {"type", *NOT_HASHED}}
        inner = ", ".join(f"{key}={_format(one)}" for key, one in kept.items())
        return f"{str(value.get('type', '')).rpartition('.')[2]}({inner})"
    if isinstance(value, list):
        return f"[{', '.join(map(_format, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _recipe(config: dict[str, Any]) -> str:
    """Settings of the training, without paths and hardware."""
    method = config.get("method", {})
    rows = [[key, f"`{_format(config[key])}`"] for key in _TRAINING if config.get(key) is not None]
    rows += [[f"method.{key}", f"`{_format(value)}`"] for key, value in method.items()]
    return markdown_table([("setting", "value"), *rows])


def _provenance(card: EncoderCard, run: dict[str, Any]) -> str:
    rows = [[key, f"`{value}`"] for key, value in card.provenance.items()]
    rows += [["weights, sha256", f"`{card.weights_sha256}`"]]
    rows += [["fingerprint of the features", f"`{card.fingerprint}`"]]
    if run.get("git"):
        changed = ", with changes" if run["git"]["dirty"] else ""
        rows.append(["commit of the code", f"`{run['git']['commit']}`{changed}"])
    versions = run.get("versions", {})
    used = [f"{name} {versions[name]}" for name in ("python", "torch", "timm") if name in versions]
    rows += [["trained with", ", ".join(used)]] if used else []
    finished = run.get("finished", {})
    if finished:
        where = f"{finished['processes']} × {finished['device']}"
        rows.append(["trained on", f"{where}, {finished['seconds'] / 3600:.2f} h"])
        rows.append(["steps skipped", finished.get("skipped_steps", "not known")])
    return markdown_table([("what", "value"), *rows])


def _leakage(run: RunRecord) -> str:
    if run.leakage is None:
        return "not compared"
    found = run.leakage
    return f"{found.exact} identical, {found.similar} similar frames, {found.groups} patients"


def _scores(scores: Sequence[CardScore]) -> str:
    head = ("protocol", "fine-tuned as", "dataset", "metric", "mean ± std", "seeds", "leakage")
    rows = [
        [
            *(score.run.protocol, score.run.method, score.run.dataset),
            f"{score.metric} (`{score.run.metrics[score.metric].definition}`)",
            *(score.text, len(score.values), _leakage(score.run)),
        ]
        for score in scores
    ]
    note = (
        "Percent; PSNR in decibels; indices of patch features without unit. ± is the sample "
        "standard deviation over seeds of the fine-tuning or the analysis. Leakage counts what the "
        "training images share with the test images."
    )
    return f"{markdown_table([head, *rows])}\n\n{note}"


def _header(card: MethodCard, scores: Sequence[CardScore], licence: str | None) -> str:
    results = [
        EvalResult(
            task_type=_TASKS[score.run.task],
            dataset_type=score.run.dataset,
            dataset_name=f"{score.run.dataset} (protocol {score.run.protocol})",
            dataset_revision=score.run.split_hash,
            metric_type=score.metric,
            metric_name=f"{score.metric}, mean of {len(score.values)} seeds",
            metric_value=round(fmean(score.values), 4),
        )
        for score in scores
    ]
    terms = {"license": licence} if licence else {"license": "other", "license_name": _IMAGE_TERMS}
    data = ModelCardData(
        **terms,
        library_name="timm",
        pipeline_tag="image-feature-extraction",
        tags=["timm", "angiography", "x-ray", "medical-imaging", "self-supervised-learning"],
        model_name=card.title if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---"


def _shape(card: EncoderCard) -> str:
    grid = f"{card.widths[-1]}×(H/{card.strides[-1]})×(W/{card.strides[-1]})"
    if card.architecture in {"samvit", "resnet"}:
        return f"B×{grid}"
    side = card.arguments["img_size"] // card.strides[-1]
    return f"B×({card.num_prefix_tokens} + {side * side})×{card.widths[-1]}, patches last"


def model_card(
    source: Path,
    card: EncoderCard,
    folder: str,
    scores: Sequence[CardScore] = (),
    licence: str | None = None,
) -> str:
    """The content of ``README.md``.

    Args:
        source: folder of the exported encoder; the settings are read from its `run.json`, if any.
        folder: name of the folder in the loading example.
        licence: SPDX id of the licence of the weights; None: not decided.

    Raises:
        InputError: `run.json` is damaged.
    """
    method = card_of_encoder(source)
    run = read_object(source / "run.json") if (source / "run.json").is_file() else {}
    channels, side = card.arguments.get("in_channels", 3), card.arguments["img_size"]
    family = f"{method.family}, {method.paper}" if method.paper != "—" else method.family
    choice = f"These weights are released under {licence}." if licence else "Not decided yet."
    if "source" in card.provenance:
        choice += _FOREIGN.format(source=card.provenance["source"])
    numbers = {key: [round(value, 4) for value in getattr(card, key)] for key in ("mean", "std")}
    loading = _LOADING.format(
        folder=folder,
        images=f"B×{channels}×{side}×{side}",
        features=_shape(card),
        channels=channels,
        **numbers,
    )
    sections = [
        _header(method, scores, licence),
        f"# {method.title}",
        f"An encoder for X-ray angiography ({family}), trained on {method.pretraining}: "
        f"architecture `{card.architecture}`, {card.widths[-1]} channels at stride "
        f"{card.strides[-1]}, made for images of {side}².",
        "## Loading",
        loading,
        *(["## Scores", _scores(scores)] if scores else []),
        *(["## Recipe", _recipe(run["config"])] if "config" in run else []),
        "## Provenance",
        _provenance(card, run),
        "## Use",
        _USE,
        "## Licence",
        _LICENCE.format(choice=choice, pretraining=method.pretraining),
    ]
    return "\n\n".join(sections) + "\n"
