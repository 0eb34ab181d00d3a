"""The contract of every pre-training method, tested on its own config (`docs/add_a_method.md`).

A method is trusted on the board because it passes these checks, whoever wrote it: its loss is
finite and its gradient reaches the complete encoder, it overfits one batch, a resumed run equals an
uninterrupted one, its export is what was trained, and two processes take the same step as one.
"""

from __future__ import annotations

import copy
import io
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from benchmark.anatomy.pack import extract
from benchmark.anatomy.segmentor import frozen_segmentors
from benchmark.checks.two_processes import ProcessPair, step_gradients
from benchmark.data.packs import build_pack
from benchmark.data.sources import open_source
from benchmark.device import on_cpu
from benchmark.encoders.encoder import load_encoder, write_tensors
from benchmark.errors import InputError
from benchmark.files import read_json, write_json
from benchmark.files.strict_json import parse_json
from benchmark.method import Method, Progress
from benchmark.nn.backbones.base import Encoder
from benchmark.randomness import seed_torch
from benchmark.registry import build
from benchmark.training.accumulation import training_step
from benchmark.training.checkpoints.checkpoint import checkpoint_paths, read_checkpoint
from benchmark.training.config import from_plain, to_plain
from benchmark.training.distributed.signals import Stopped, StopSignals
from benchmark.training.hooks.nonfinite import NonFiniteGuard
from benchmark.training.train import TrainingParts, assemble, train

_OVERFIT_STEPS = 40
_FALL = 0.95
_TOLERANCE = 1e-5


class BrokenContract(Exception):
    """A method violates its contract; the message says where and by how much."""


@dataclass
class ContractTrial:
    """A config made small enough to be tested in seconds."""

    config: Config  # two short epochs on a few frames
    folder: Path  # empty folder for the output of the checks
    # Two processes that take a step together, started on first use.
    pair: ProcessPair = field(default_factory=ProcessPair)

    def parts(self) -> TrainingParts:
        return assemble(self.config)


def prepare(config: Config, work: Path) -> None:
    """Create the inputs of a config in `work`: frames with anatomy, an untrained segmentor.

    The config, whose paths are filled in, is changed in place: two epochs of a few steps on 14
    synthetic angiograms.
    """
    pack = work / "packs" / "contract"
    if not pack.exists():
        source = open_source("synthetic", patients="2", videos="1", frames="7", size="96")
        build_pack(source, pack, size=96, progress=False)
        extract(str(pack), border=4)
    config.packs = [str(pack)]
    config.update(epochs=2, batch_size=4, num_workers=0, num_threads=1, log_interval=1)
    config.update(checkpoint_interval=1, keep_checkpoints=2)
    config.micro_batch = 2 if config.get("micro_batch") is not None else None
    for number, part in enumerate(frozen_segmentors(config.method)):
        if part.get("checkpoint") is not None:
            seed_torch("contract segmentor")
            part["checkpoint"] = str(work / f"segmentor{number}.safetensors")
            write_tensors(Path(part["checkpoint"]), build(part["network"]))


def _loss(method: Method, batch: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
    """Named terms, and their sum as ``loss``."""
    method.progress = progress
    terms = method(**method.views(batch, training=True))
    total = sum(value for name, value in terms.items() if "loss" in name)
    if not isinstance(total, Tensor):
        raise BrokenContract(f"no term is named a loss, only {', '.join(terms) or 'none'}")
    return {**terms, "loss": total}


def _first(parts: TrainingParts) -> tuple[Method, dict[str, Tensor], Progress]:
    """The method, ready to train, and the first batch of its run."""
    parts.loader.batch_sampler.set_epoch(0)
    progress = Progress(parts.config.seed, 0, parts.config.epochs, 0, len(parts.loader))
    return parts.method.train(), next(iter(parts.loader)), progress


def loss_is_finite(trial: ContractTrial) -> str:
    terms = _loss(*_first(trial.parts()))
    broken = [name for name, value in terms.items() if not torch.isfinite(value).all()]
    if broken:
        raise BrokenContract(f"not finite: {', '.join(broken)}")
    return "  ".join(f"{name} {value.item():.4g}" for name, value in terms.items())


def gradient_reaches_everything(trial: ContractTrial) -> str:
    """Every trained parameter gets a gradient: distributed training fails otherwise."""
    method, batch, progress = _first(trial.parts())
    _loss(method, batch, progress)["loss"].backward()
    trained = {name: p for name, p in method.named_parameters() if p.requires_grad}
    without = [name for name, p in trained.items() if p.grad is None]
    if without:
        raise BrokenContract(f"no gradient in {_some(without)}")
    wild = [name for name, p in trained.items() if not torch.isfinite(p.grad).all()]
    if wild:
        raise BrokenContract(f"not finite in {_some(wild)}")
    prefix = f"{method.encoder_name}."
    encoder = [p for name, p in trained.items() if name.startswith(prefix)]
    if not encoder or not encoder[0].grad.any():
        raise BrokenContract(f"the first layers of {prefix} get a gradient of zeros, or none")
    return f"{len(trained)} parameters, {len(encoder)} of them the encoder's"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def loss_falls(trial: ContractTrial) -> str:
    """The method overfits one batch."""
    method, batch, progress = _first(trial.parts())
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for step in range(_OVERFIT_STEPS):
        seed_torch(progress.seed, "step", step)
        loss = _loss(method, batch, progress)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step(progress)
        losses.append(loss.item())
    start, end = sum(losses[:3]) / 3, sum(losses[-5:]) / 5
    if not end < _FALL * start:
        raise BrokenContract(f"from {start:.4g} to {end:.4g} in {_OVERFIT_STEPS} steps")
    return f"{start:.4g} → {end:.4g} in {_OVERFIT_STEPS} steps on one batch"


def resume_is_exact(trial: ContractTrial) -> str:
    """A run interrupted after its first epoch, and again within the second, ends the same.

    Weights and log are compared bit for bit.
    """
    reference, resumed = _uninterrupted_run(trial), trial.folder / "interrupted"
    shutil.rmtree(resumed, ignore_errors=True)
    shutil.copytree(reference, resumed)
    # The state of a run that was killed after its first epoch.
    description = read_json(resumed / "run.json")
    del description["finished"]
    write_json(resumed / "run.json", description)
    last = checkpoint_paths(resumed)[0]  # the newest comes first
    last.unlink()
    (resumed / "encoder.json").unlink()
    stop = StopSignals()
    stop.received = "the check"
    with suppress(Stopped):
        train(trial.config, resumed, "resumed", resume=True, overwrite=False, stop=stop)
    train(trial.config, resumed, "resumed", resume=True, overwrite=False)
    one, two = (read_checkpoint(folder / last.name) for folder in (reference, resumed))
    differing = [name for name in one.model if not torch.equal(one.model[name], two.model[name])]
    if differing:
        raise BrokenContract(f"different weights after a resume: {_some(differing)}")
    logs = [_log(folder) for folder in (reference, resumed)]
    if logs[0] != logs[1]:
        raise BrokenContract("different log after a resume")
    return f"{len(one.model)} tensors and {len(logs[0])} steps are equal, bit for bit"


def skipped_steps_leave_no_trace(trial: ContractTrial) -> str:
    """A step with a non-finite loss changes nothing that a checkpoint holds."""
    parts = trial.parts()
    method, batch, progress = _first(parts)
    parts.optimizer.initialize_count_status(method, 0, 1)

    def step() -> dict[str, Any]:
        method.progress = progress
        training_step(method, batch, parts.optimizer)
        method.after_step(progress)
        guard.settle(parts.optimizer.finite)
        moments = enumerate(parts.optimizer.optimizer.state.values())
        return {
            **method.state_dict(),
            **{f"{name} {i}": v for i, s in moments for name, v in s.items() if torch.is_tensor(v)},
        }

    guard = NonFiniteGuard(method)
    before = copy.deepcopy(step())
    usual = method.loss
    method.loss = lambda *given: {n: v * torch.nan for n, v in usual(*given).items()}
    after = step()
    changed = [name for name, value in before.items() if not torch.equal(value, after[name])]
    if changed:
        raise BrokenContract(f"a skipped step has changed {_some(changed)}")
    return f"{len(before)} tensors unchanged"


def _log(folder: Path) -> list[dict[str, Any]]:
    """The lines of the log without their timing."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [parse_json(line, "metrics.jsonl") for line in lines]
    return [{k: v for k, v in entry.items() if k != "images_per_s"} for entry in entries]


def _uninterrupted_run(trial: ContractTrial) -> Path:
    """The folder of the uninterrupted run, reused if an earlier check has trained it."""
    folder = trial.folder / "uninterrupted"
    if not (folder / "encoder.json").is_file():
        train(trial.config, folder, "uninterrupted", resume=False, overwrite=True)
    return folder


def collapse_is_visible(trial: ContractTrial) -> str:
    """Every log line of steps has the statistics that reveal representation collapse."""
    # The line of a probe has no losses.
    lines = [line for line in _log(_uninterrupted_run(trial)) if "lr" in line]
    if any("feature_std" not in line for line in lines):
        raise BrokenContract(
            "no feature_std in the log: loss() does not call the encoder as a module; show its "
            "features with self.observe(features), one row per sample"
        )
    last = lines[-1]
    rank, samples = last["effective_rank"], trial.config.batch_size
    if not last["feature_std"] > 0 or not rank > 1:
        raise BrokenContract(
            f"the features of {samples} samples are all equal: feature_std "
            f"{last['feature_std']:.2g}, effective_rank {rank:.2g}"
        )
    return f"feature_std {last['feature_std']:.3g}, effective_rank {rank:.3g} of {samples} samples"


def export_is_what_was_trained(trial: ContractTrial) -> str:
    """`encoder.safetensors` loads strictly and gives the features of the last checkpoint."""
    folder = _uninterrupted_run(trial)
    encoder, card = load_encoder(folder)
    trained = trial.parts().method
    trained.load_state_dict(read_checkpoint(checkpoint_paths(folder)[0]).model)
    original = trained.exports()["encoder"]
    if not isinstance(original, Encoder):
        raise BrokenContract("what is exported as `encoder` is not an encoder")
    image = torch.linspace(-1, 1, 3 * original.img_size**2).sin()
    image = image.view(1, 3, original.img_size, original.img_size)
    with torch.no_grad():
        pairs = zip(original.eval().feature_maps(image), encoder.eval().feature_maps(image))
    if not all(torch.equal(a, b) for a, b in pairs):
        raise BrokenContract("the exported encoder gives different features from the trained one")
    return f"{card.architecture}, fingerprint {card.fingerprint}"


def largest_difference(expected: dict[str, Tensor], found: dict[str, Tensor]) -> tuple[float, str]:
    """Largest difference of gradients, relative to the largest expected one, and its name.

    Infinite where a gradient is not finite: comparisons with NaN are false.
    """
    scale = max(float(gradient.abs().max()) for gradient in expected.values()) or 1.0
    apart = {n: float((g - found[n].to(g.device)).abs().max()) / scale for n, g in expected.items()}
    apart = {n: value if math.isfinite(value) else math.inf for n, value in apart.items()}
    where = max(apart, key=apart.__getitem__)
    return apart[where], where


def two_processes_are_one(trial: ContractTrial) -> str:
    """Loss and gradient of the first step: one batch equals its two halves on two processes.

    Losses across samples must gather from all processes for this. Drop path is disabled: its random
    numbers depend on the micro-batch a sample is in.
    """
    content = to_plain(trial.config)
    content["micro_batch"] = None
    without_drop_path(content)
    terms, gradients = step_gradients(assemble(Config(from_plain(content))))
    both = trial.pair.gradients(content)
    worst, where = max(largest_difference(gradients, shared) for _, shared in both)
    if worst > _TOLERANCE:
        raise BrokenContract(f"gradients differ by {worst:.1e} of the largest one, in {where}")
    means = {name: (both[0][0][name] + both[1][0][name]) / 2 for name in terms}
    apart = [
        name
        for name, value in terms.items()
        if "loss" in name
        and not abs(means[name] - value) <= _TOLERANCE * max(abs(value), 1e-3)  # or NaN
    ]
    if apart:
        raise BrokenContract(f"different {_some(apart)} on two processes")
    return f"largest difference {worst:.1e} of the largest gradient"


def without_drop_path(node: Any) -> None:
    """Disable drop path everywhere in the content of a config, in place."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "drop_path":
                node[key] = 0.0
            without_drop_path(value)
    elif isinstance(node, list):
        for value in node:
            without_drop_path(value)


CHECKS: dict[str, Callable[[ContractTrial], str]] = {
    "finite loss": loss_is_finite,
    "gradient reaches the encoder": gradient_reaches_everything,
    "loss falls on one batch": loss_falls,
    "exact resume": resume_is_exact,
    "skipped steps leave no trace": skipped_steps_leave_no_trace,
    "collapse is visible": collapse_is_visible,
    "export is the encoder": export_is_what_was_trained,
    "two processes equal one": two_processes_are_one,
}


@dataclass(frozen=True)
class Verdict:
    """Result of one check: its name, whether it passed, and one line of detail."""

    check: str
    passed: bool
    detail: str


def check_method(trial: ContractTrial) -> Iterator[Verdict]:
    """Run all checks; a failed one does not stop the others.

    All run on the CPU, where results are bit-reproducible and two processes fit.

    Raises:
        InputError: the config is inconsistent, so that nothing can be tested.
    """
    with on_cpu():
        trial.parts()
    with trial.pair:
        for name, check in CHECKS.items():
            yield _verdict(name, check, trial)


def _verdict(name: str, check: Callable[[ContractTrial], str], trial: ContractTrial) -> Verdict:
    try:
        # Two checks train, which logs to the screen.
        with on_cpu(), redirect_stdout(io.StringIO()):
            return Verdict(name, True, check(trial))
    except BrokenContract as error:
        return Verdict(name, False, str(error))
    except (InputError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        # A method under test may fail in any way: report it, and run the other checks.
        reason = str(error).splitlines()[0] if str(error) else "no message"
        return Verdict(name, False, f"{type(error).__name__}: {reason}")
