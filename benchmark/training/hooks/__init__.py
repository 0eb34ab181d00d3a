"""What happens around the steps of a run, as hooks of mmengine."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook

from benchmark.errors import InputError
from benchmark.registry import build, find
from benchmark.training.hooks.checkpoint import CheckpointHook, StopTestHook
from benchmark.training.hooks.collapse import CollapseHook
from benchmark.training.hooks.log import LogHook
from benchmark.training.hooks.nonfinite import NonFiniteHook
from benchmark.training.hooks.probe import ProbeHook
from benchmark.training.hooks.reconstructions import ReconstructionHook
from benchmark.training.hooks.step import StepHook, WeightDecayHook
from benchmark.training.schedules import build_schedule

DEFAULT_HOOKS: dict[str, type[Hook]] = {
    "step": StepHook,
    "nonfinite": NonFiniteHook,
    "logger": LogHook,
    "checkpoint": CheckpointHook,
    "stop": StopTestHook,
    "collapse": CollapseHook,
    "reconstructions": ReconstructionHook,
    "probe": ProbeHook,
}
"""The hooks of a run by their names in `default_hooks`. Those of mmengine are not among them: they
read every scalar back at every step, and their checkpoints hold objects that ``weights_only=True``
refuses."""

# Without the others a run could be neither resumed exactly nor stopped.
_OPTIONAL = ("collapse", "reconstructions", "probe")


def build_hooks(config: Config, steps_per_epoch: int | None) -> list[Hook]:
    """The hooks of a run: `DEFAULT_HOOKS`, as `default_hooks` changes them, and `custom_hooks`.

    Without `steps_per_epoch`, nothing is trained.

    Raises:
        InputError: a hook is disabled, or replaced by one of another kind, on which an exact resume
            depends; or a hook does not take its arguments.
    """
    changes = config.get("default_hooks") or {}
    # What the default hooks get from the config, unless `default_hooks` says otherwise.
    defaults: dict[str, dict[str, Any]] = {"stop": {}}
    if steps_per_epoch:
        schedule = build_schedule(config.schedule, config.epochs, steps_per_epoch)
        defaults = {name: {} for name in DEFAULT_HOOKS} | {
            "step": {"schedule": schedule},
            "logger": {"interval": config.log_interval},
            "checkpoint": {"interval": config.checkpoint_interval},
            "collapse": {"interval": config.log_interval},
        }
    hooks = []
    for name in [*defaults, *(name for name in changes if name not in DEFAULT_HOOKS)]:
        kind, change = DEFAULT_HOOKS.get(name), changes.get(name, {})
        required = kind is not None and name not in _OPTIONAL
        if change is None:
            if not required:
                continue
            raise InputError(
                f"default_hooks.{name}=None: an exact resume depends on this hook; remove the key"
            )
        spec = {"type": kind, **change}
        chosen = find(spec["type"]) if isinstance(spec["type"], str) else spec["type"]
        if required and chosen is not None and not issubclass(chosen, kind):
            raise InputError(
                f"default_hooks.{name}: {chosen.__name__} is no {kind.__name__}, on which an exact "
                "resume depends; derive it from that or add it to custom_hooks"
            )
        hooks.append(_build_hook(spec, **defaults.get(name, {})))
    if steps_per_epoch and config.get("decay_schedule") is not None:
        schedule = build_schedule(config.decay_schedule, config.epochs, steps_per_epoch)
        hooks.append(WeightDecayHook(schedule))
    return [*hooks, *map(_build_hook, config.get("custom_hooks") or ())]


def _build_hook(spec: Hook | dict[str, Any], **settings: Any) -> Hook:
    """Build a hook; ``priority`` in its config replaces that of its class, as in mmengine."""
    if isinstance(spec, Hook):
        return spec
    arguments = dict(spec)
    priority = arguments.pop("priority", None)
    hook = build(arguments, **settings)
    if priority is not None:
        hook.priority = priority
    return hook
