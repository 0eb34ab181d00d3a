"""Detection of representation collapse."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn

from benchmark.method import Method
from benchmark.nn.feature_statistics import feature_statistics, pool_features
from benchmark.registry import HOOKS
from benchmark.training.accumulation import unwrap

LEGEND = (
    "feature_std: spread of the features over a batch, 0 when all are equal (collapse), about 1 "
    "when spread evenly; effective_rank: number of directions they vary in"
)
"""What the statistics mean, printed where they first appear."""


@HOOKS.register_module()
class CollapseHook(Hook):
    """Logs statistics of the features, and warns of representation collapse.

    The features that a method passes to `Method.observe` are examined at the steps that are logged,
    and only there: singular values need a synchronisation, as does logging. For a method that
    passes none, it is the mean token of the encoder's output. The statistics are means over the
    parts of the batch.

    Args:
        interval: steps between two lines of the log.
        threshold: a warning is printed when `feature_std` is below this in two successive lines,
            and again only after it has been above.
    """

    priority = "NORMAL"  # before the log

    def __init__(self, interval: int, threshold: float = 0.01) -> None:
        self.interval = interval
        self.threshold = threshold
        self.low = 0
        self._explained = False
        self._seen: list[Tensor] = []
        self._handle: Any = None

    def _is_logged(self, runner: Any) -> bool:
        step = runner.iter + 1
        return step % self.interval == 0 or step == runner.max_iters

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        model = unwrap(runner.model)
        if isinstance(model, Method) and self._is_logged(runner):
            # A segmentor in training has no encoder.
            encoder = dict(model.named_modules()).get(model.encoder_name)
            if encoder is not None:
                self._handle = encoder.register_forward_hook(self._listen)

    @torch.no_grad()
    def _listen(self, encoder: nn.Module, inputs: Any, output: Any) -> None:
        features = pool_features(output)
        if features is not None:
            self._seen.append(features)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        step = runner.iter + 1
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        seen, self._seen = self._seen, []
        observed = getattr(unwrap(runner.model), "observed", []) or seen
        if not observed or not self._is_logged(runner):
            return
        parts = [feature_statistics(features) for features in observed]
        for name in parts[0]:
            outputs[name] = torch.stack([part[name] for part in parts]).mean()
        if not self._explained:
            self._explained = True
            runner.run.say(f"{runner.run.title}: {LEGEND}")
        self.low = self.low + 1 if outputs["feature_std"] < self.threshold else 0
        if self.low == 2:
            runner.run.say(
                f"{runner.run.title}: warning: collapse? step {step}: feature_std "
                f"{outputs['feature_std'].item():.1e} is below {self.threshold:g}, effective_rank "
                f"{outputs['effective_rank'].item():.1f}"
            )
