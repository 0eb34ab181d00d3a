"""The OpenMMLab packages without Hugging Face's `transformers`, where it is installed.

mmengine, mmdetection and mmpretrain import it, if they can, for an optimiser and for text models.
None of these is used here, every start would take seconds longer, and they need classes that
transformers 5 no longer has: with it mmpretrain, and therefore mmdetection, cannot be imported at
all. All other code can import `transformers`, before and after.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

# Modules that import it when they are imported, and work without it.
_IMPORTERS = {
    "mmengine.optim.optimizer.builder",
    "mmdet.datasets.transforms.text_transformers",
    "mmdet.models.dense_heads.atss_vlfusion_head",
    "mmdet.models.language_models.bert",
    "mmdet.models.utils.vlfuse_helper",
}
# Decides by what is installed whether mmpretrain has its multimodal models.
_DECISION = "mmpretrain.utils.dependency"


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Within the context, importing these packages raises an `ImportError`, loaded or not."""
    loaded = {name: sys.modules[name] for name in packages if name in sys.modules}
    sys.modules.update(dict.fromkeys(packages))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in packages:
            del sys.modules[name]
        sys.modules.update(loaded)


class _HidingLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        with hidden("transformers"):
            super().exec_module(module)
        if module.__name__ == _DECISION:
            module.WITH_MULTIMODAL = False  # type: ignore[attr-defined]


class _HidingFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _IMPORTERS and fullname != _DECISION:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _HidingLoader(spec.loader.name, spec.loader.path)
        return spec


def hide_transformers() -> None:
    """Hide `transformers` from the modules above, from now on; imports nothing."""
    if not any(isinstance(finder, _HidingFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _HidingFinder())
