"""The learning-rate schedule of the joint-embedding predictive methods."""

from __future__ import annotations

from benchmark.engine.schedules import WarmupCosine


class StretchedWarmupCosine(WarmupCosine):
    """`WarmupCosine` that starts above 0 and may be longer than the run (I-JEPA, CheXWorld).

    Args:
        epochs: length of the run.
        warmup_epochs: length of the warm-up.
        min_factor: factor at the end of the schedule.
        start_factor: factor at its start.
        stretch: length of the schedule relative to the run; above 1 its end is never reached
            (`ipe_scale` of the official codes).
    """

    def __init__(
        self,
        epochs: int,
        warmup_epochs: float = 0,
        min_factor: float = 0.0,
        start_factor: float = 0.0,
        stretch: float = 1.0,
    ) -> None:
        super().__init__(epochs * stretch, warmup_epochs, min_factor)
        self.start_factor = start_factor

    def __call__(self, epoch: float) -> float:
        factor = super().__call__(epoch)
        if epoch < self.warmup_epochs:
            return self.start_factor + (1 - self.start_factor) * factor
        return factor
