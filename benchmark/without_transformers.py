"""The OpenMMLab packages without Hugging Face's `transformers`, where it is installed.

mmengine, mmdetection and mmpretrain import it, if they can, for an optimiser and for models of
texts. None of these is used here, every start would take seconds longer, and of transformers 5
they ask for classes that it has no more: then mmpretrain, and with it mmdetection, cannot be
imported at all. Everybody else can import `transformers`, before and after.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

# Those that import it while they are imported themselves, and do without where it is not there.
_IMPORTERS = {
    "mmengine.optim.optimizer.builder",
    "mmdet.datasets.transforms.text_transformers",
    "mmdet.models.dense_heads.atss_vlfusion_head",
    "mmdet.models.language_models.bert",
    "mmdet.models.utils.vlfuse_helper",
}
# Decides by what is installed whether mmpretrain has its models of images and texts.
_DECISION = "mmpretrain.utils.dependency"


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """While it lasts, importing these packages raises an `ImportError`, loaded or not."""
    loaded = {name: sys.modules[name] for name in packages if name in sys.modules}
    sys.modules.update(dict.fromkeys(packages))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in packages:
            del sys.modules[name]
        sys.modules.update(loaded)


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        with hidden("transformers"):
            super().exec_module(module)
        if module.__name__ == _DECISION:
            module.WITH_MULTIMODAL = False  # type: ignore[attr-defined]


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _IMPORTERS and fullname != _DECISION:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def hide_transformers() -> None:
    """Hide `transformers` from the modules above, from now on; imports nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
