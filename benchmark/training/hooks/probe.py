"""The average precision of a linear probe for vessel patches, while an encoder is pre-trained."""

from __future__ import annotations

import time
from math import ceil
from typing import Any, Literal

from mmengine.dist import get_rank
from mmengine.hooks import Hook

from benchmark.data.packs import PackCollection, PackSubset
from benchmark.encoders.encoder import architecture_of
from benchmark.errors import InputError
from benchmark.method import Method
from benchmark.nn.backbones.base import Encoder
from benchmark.registry import HOOKS
from benchmark.training.accumulation import unwrap
from benchmark.training.distributed import watchdog
from benchmark.training.hooks.evaluating import evaluating
from benchmark.training.probing import ProbeFrames, choose_frames, probe, read_frames
from benchmark.type_hints import Count, Natural, Positive

LEGEND = (
    "probe_ap: average precision (%) with which a linear probe on the frozen encoder finds vessel "
    "patches of other patients than it was fitted on; labels are the extracted anatomy"
)
"""What the value means, printed where it first appears."""


def exported_encoder(method: Method) -> Encoder | None:
    """What a method exports as its encoder, ready to be evaluated; None if it exports none."""
    encoder = method.exports().get("encoder")
    if encoder is None or architecture_of(encoder) is None:
        return None
    # An encoder that is built for the export is on the CPU, and in training mode.
    return encoder.to(next(method.parameters()).device).eval()


@HOOKS.register_module()
class ProbeHook(Hook):
    """Logs the average precision of a linear probe at the start, every `interval` epochs and at the
    end.

    What is exported is probed: the encoder, or its EMA teacher. A logistic regression on its patch
    features is fitted on frames of some patients and scored on frames of others, see
    `benchmark.training.probing`. The main process does it between two epochs, in evaluation mode;
    neither weights nor random numbers of the run change. ``probe_ap`` has a line of its own in the
    log. The first one, which training has to exceed, is of the initial weights and has
    ``probe_chance``.

    Args:
        interval: epochs between two probes; 0: none. ``"auto"``: as few as keep the probe below
            1 % of the time (docs/benchmarks), see `spacing`, and none where a run has fewer.
        frames: of the packs, half of them for the fit and half for the score.
        spacing: for ``"auto"``: training frames per frame of a probe. A number of frames, so that
            the log depends neither on the machine nor on the number of processes.
        c: inverse strength of the L2 penalty, as scikit-learn's ``C``.
        iterations: most iterations of L-BFGS, which bounds the time.
    """

    priority = "LOW"  # before the checkpoint

    def __init__(
        self,
        interval: Natural | Literal["auto"] = 0,
        frames: Count = 128,
        spacing: Count = 5000,
        c: Positive = 1.0,
        iterations: Count = 100,
    ) -> None:
        self.interval = interval
        self.frames = frames
        self.spacing = spacing
        self.c = c
        self.iterations = iterations
        self.every = 0
        self._explained = False
        self._halves: tuple[ProbeFrames, ProbeFrames] | None = None

    def before_train(self, runner: Any) -> None:
        self.every = self._epochs_between(runner)
        if not self.every or not isinstance(unwrap(runner.model), Method):
            self.every = 0
            return
        packs = runner.train_dataloader.dataset.packs
        if packs.without_anatomy is not None:
            self._turn_off(
                runner,
                f"{packs.without_anatomy} has no anatomy; make it with "
                f"tools/extract_anatomy.py {packs.without_anatomy}",
            )

    def _epochs_between(self, runner: Any) -> int:
        if self.interval != "auto":
            return self.interval
        per_epoch = len(runner.train_dataloader) * runner.run.config.batch_size
        chosen = ceil(self.spacing * self.frames / per_epoch)
        return chosen if chosen <= runner.max_epochs else 0

    def _turn_off(self, runner: Any, reason: str) -> None:
        self.every = 0
        runner.run.say(f"{runner.run.title}: no probe: {reason}")

    def before_train_epoch(self, runner: Any) -> None:
        if self.every and runner.iter == 0:
            self._probe(runner, epochs=0)

    def after_train_epoch(self, runner: Any) -> None:
        epochs = runner.epoch + 1
        if self.every and (epochs % self.every == 0 or epochs == runner.max_epochs):
            self._probe(runner, epochs)

    def _probe(self, runner: Any, epochs: int) -> None:
        """Log the average precision after `epochs` epochs."""
        if get_rank():
            return
        watchdog.note(2 * runner.iter + 1, "probing the encoder")
        start = time.perf_counter()
        model = unwrap(runner.model)
        with evaluating(model):
            encoder = exported_encoder(model)
            if encoder is None:
                self._turn_off(runner, "no encoder is exported")
                return
            halves = self._read(runner, encoder)
            if halves is None:
                return
            found = probe(encoder, *halves, self.c, self.iterations)
        values = {"probe_ap": found.average_precision}
        if epochs == 0:
            values["probe_chance"] = found.chance
        runner.log.add(runner, epochs, values)
        shown = "none" if found.average_precision is None else f"{found.average_precision:.2f}"
        if not self._explained:
            self._explained = True
            fit, score = halves
            runner.run.say(
                f"{runner.run.title}: {LEGEND}; fitted on {len(fit.images)} frames of "
                f"{fit.patients} patients, scored on {len(score.images)} of {score.patients}"
            )
        runner.run.say(
            f"{runner.run.title}  epoch {epochs}/{runner.max_epochs}  probe_ap {shown}  "
            f"chance {found.chance:.2f}"
        )
        runner.log.exclude(time.perf_counter() - start)

    def _read(self, runner: Any, encoder: Encoder) -> tuple[ProbeFrames, ProbeFrames] | None:
        """The frames to fit and score on, read once; None, and one line, if they cannot be used."""
        if self._halves is None:
            packs: PackCollection | PackSubset = runner.train_dataloader.dataset.packs
            try:
                rows = choose_frames(packs, self.frames)
            except InputError as error:
                self._turn_off(runner, str(error))
                return None
            size, stride = encoder.img_size, encoder.strides[-1]
            fit, score = (read_frames(packs, half, size, stride) for half in rows)
            for half in (fit, score):
                if half.vessel.all() or not half.vessel.any():
                    what = "vessel" if half.vessel.any() else "background"
                    self._turn_off(runner, f"all patches of {len(half.images)} frames are {what}")
                    return None
            self._halves = fit, score
        return self._halves
