"""What configs name by ``type``: registries of mmengine, and building objects from configs.

A pure-Python config names classes and a classic one registered names (``type="VasoMIM"``); both
build the same. The modules of a registry are imported when a name is looked up that none of the
modules loaded so far has registered.
"""

from __future__ import annotations

import importlib.util
import pkgutil
from pathlib import Path
from typing import Any

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry

from benchmark.errors import InputError, did_you_mean
from benchmark.openmmlab.mmcv_ops import install_mmcv_ops
from benchmark.openmmlab.quiet import quiet_libraries

SCOPE = "angio"
# Here, because configs may name classes of mmpretrain, which imports parts of mmdetection.
install_mmcv_ops()


def _modules(package: str) -> list[str]:
    """The modules of a package, none where it is not installed; nothing is imported."""
    top, *rest = package.split(".")
    spec = importlib.util.find_spec(top)  # of a package within it, the parent would be imported
    folders = spec.submodule_search_locations if spec else None
    paths = [str(Path(folder, *rest)) for folder in folders or []]
    return [f"{package}.{module.name}" for module in pkgutil.iter_modules(paths)]


def _registry(name: str, *locations: str, parent: Registry | None = None) -> Registry:
    return Registry(name, scope=SCOPE, parent=parent, locations=list(locations))


VIEWS = _registry("view", *_modules("benchmark.data.views"))
BACKBONES = _registry("backbone", "benchmark.nn.vit", *_modules("benchmark.nn.backbones"))
DECODERS = _registry("decoder", *_modules("benchmark.nn.decoders"))
MASKINGS = _registry("masking", *_modules("benchmark.nn.masking"))
OBJECTIVES = _registry("objective", *_modules("benchmark.nn.objectives"))
CORRUPTIONS = _registry("corruption", *_modules("benchmark.nn.corruptions"))
SCHEDULES = _registry(
    "schedule",
    "benchmark.training.schedules",
    "benchmark.nn.ema",
    "benchmark.downstream.detection.schedule",
)
METHODS = _registry("method", "benchmark.anatomy.segmentor", *_modules("methods"))
HOOKS = _registry(
    "hook", "benchmark.training.hooks", "mmengine.hooks", parent=mmengine_registry.HOOKS
)
OPTIMIZERS = _registry(
    "optimizer",
    "benchmark.training.clipping",
    "mmengine.optim",
    parent=mmengine_registry.OPTIMIZERS,
)
MODELS = _registry(
    "model",
    "benchmark.anatomy.unext",
    "benchmark.encoders.frozen_encoder",
    "benchmark.nn.projection",
    "benchmark.downstream.lora",
    *_modules("benchmark.downstream.segmentation"),
    *_modules("benchmark.downstream.segmentation.scratch"),
    *_modules("benchmark.downstream.detection"),
    *_modules("benchmark.downstream.denoising"),
    *_modules("benchmark.downstream.representation"),
    parent=mmengine_registry.MODELS,
)
TRANSFORMS = _registry(
    "transform",
    "benchmark.downstream.segmentation.dataset",
    "benchmark.downstream.denoising.dataset",
    parent=mmengine_registry.TRANSFORMS,
)
# Those whose modules take long to load come last.
REGISTRIES = (
    *(VIEWS, BACKBONES, DECODERS, MASKINGS, OBJECTIVES, CORRUPTIONS, SCHEDULES),
    *(OPTIMIZERS, HOOKS, METHODS, MODELS, TRANSFORMS),
)


def find(name: str) -> Any | None:
    """The class or function registered under a name, in this project or in mmengine, or None."""
    for loaded in (None, *REGISTRIES):
        if loaded is not None:
            with quiet_libraries():
                loaded.import_from_location()
        for registry in REGISTRIES:
            if name in registry.module_dict:
                return registry.module_dict[name]
        # A name of this project comes before the same name of mmengine.
        if loaded is not None and loaded.parent is not None and name in loaded.parent.module_dict:
            return loaded.parent.module_dict[name]
    return None


def build(spec: Any, **defaults: Any) -> Any:
    """Build ``dict(type=Class, **arguments)``; anything that is not such a dict is returned as is.

    `defaults` are arguments known to the caller only (for instance the width of the encoder a
    decoder belongs to); the config takes precedence.

    Raises:
        InputError: the dict has no `type`, no such name is registered, or the class does not take
            these arguments, or is an optimiser of torch and does not take their values.
    """
    if not isinstance(spec, dict):
        return spec
    arguments = {**defaults, **{key: value for key, value in spec.items() if key != "type"}}
    cls = spec.get("type")
    if isinstance(cls, str):
        cls = find(name := cls)
        if cls is None:
            known = sorted(known for registry in REGISTRIES for known in registry.module_dict)
            raise InputError(f"config: unknown type {name!r}{did_you_mean(name, known)}")
    if not callable(cls):
        raise InputError(f"config: a part without a class as its type: {dict(spec)}")
    try:
        return cls(**arguments)
    except TypeError as error:
        # Only a wrong signature is the user's mistake; a TypeError from inside is a defect.
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise InputError(f"config: {cls.__name__}: {error}") from None
        raise
    except ValueError as error:
        # The optimisers of torch check the ranges of their arguments.
        if cls.__module__.startswith("torch.optim."):
            raise InputError(f"config: {cls.__name__}: {error}") from None
        raise
