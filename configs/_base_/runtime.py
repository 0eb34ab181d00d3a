"""How every run is executed: hooks, logging, checkpoints, processes.

`default_hooks` changes the hooks of a run by their names, `custom_hooks` adds those of mmengine or
your own, and `visualizer` takes the logged scalars (and panels of reconstructions, where
`default_hooks.reconstructions` has an interval), for example to TensorBoard:
``vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]``.
"""

from benchmark.training.hooks import (
    CheckpointHook,
    CollapseHook,
    LogHook,
    NonFiniteHook,
    ProbeHook,
    ReconstructionHook,
    StepHook,
    StopTestHook,
)

default_hooks = dict(
    step=dict(type=StepHook),
    nonfinite=dict(type=NonFiniteHook),
    logger=dict(type=LogHook),
    checkpoint=dict(type=CheckpointHook),
    stop=dict(type=StopTestHook),
    collapse=dict(type=CollapseHook),
    reconstructions=dict(type=ReconstructionHook, interval=0),  # epochs; 0: none
    probe=dict(type=ProbeHook, interval="auto"),  # epochs; auto: below 1 % of a pre-training
)
custom_hooks = []
visualizer = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend")])

num_workers = 4
num_threads = 0
precision = "bf16"
log_interval = 20
checkpoint_interval = 10
keep_checkpoints = 2
