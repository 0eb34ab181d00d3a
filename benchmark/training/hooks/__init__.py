"""What happens around the steps of a run, as hooks of mmengine."""

from benchmark.training.hooks.checkpoint import CheckpointHook, StopTestHook
from benchmark.training.hooks.collapse import CollapseHook
from benchmark.training.hooks.log import LogHook
from benchmark.training.hooks.nonfinite import NonFiniteHook
from benchmark.training.hooks.step import StepHook
from benchmark.training.hooks.weight_decay import WeightDecayHook

__all__ = [
    "CheckpointHook",
    "CollapseHook",
    "LogHook",
    "NonFiniteHook",
    "StepHook",
    "StopTestHook",
    "WeightDecayHook",
]
