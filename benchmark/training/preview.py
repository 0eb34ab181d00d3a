"""What a config says, read without importing the classes it names.

torch and the OpenMMLab packages take seconds to load; a misspelt key or a missing pack should be
reported at once. So a pure-Python config is executed here with stand-ins for everything that it
imports from elsewhere. Reading it for real is the job of `benchmark.training.config`, which also
explains what cannot be read here.
"""

from __future__ import annotations

import ast
import inspect
import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

from benchmark.data.prepared import require_pack
from benchmark.errors import InputError, did_you_mean
from benchmark.files import list_folder
from benchmark.method_cards import (
    CONFIGS,
    base_path,
    method_folders,
    own_configs,
    parse_config,
    pretraining_config,
)
from benchmark.training.config_keys import ConfigKeys, read_option, require_fitting

# Weights that are used as downloaded: name of the file → its address.
_DOWNLOADS = {
    "vgg16-397923af.pth": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "lpips_vgg.pth": "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/"
    "v0.1/vgg.pth",
}


class Imported:
    """Stands for what a config imports: a class, mostly. Calls and attributes give another one."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, *_: Any, **__: Any) -> Imported:
        return Imported(self.__name__)

    def __getattr__(self, name: str) -> Imported:
        if name.startswith("__"):
            raise AttributeError(name)
        return Imported(f"{self.__name__}.{name}")


class _Settings(dict):
    """A dictionary whose keys are also attributes, as those of mmengine's configs are."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__  # type: ignore[assignment]


def find_config(name: str, folder: Path = CONFIGS) -> Path:
    """The config file that a command line names, from any folder.

    Args:
        name: a path with or without ``.py``, a path in `folder` or beside ``configs``, a method,
            or ``analysis-NAME``. A folder stands for its `pretrain.py`.
        folder: of the configs that are known by their names.

    Raises:
        InputError: there is no such file, and the message suggests the one that may be meant; or
            several are meant.
    """
    path = Path(name)
    if path.is_file():
        return path
    known = (CONFIGS.parent / path, folder / path, pretraining_config(name, folder))
    homes = (CONFIGS, *filter(None, [own_configs(folder)]))
    places = (path, *(place for place in known if any(map(place.is_relative_to, homes))))
    files = [
        file
        for place in places
        for file in (place, Path(f"{place}.py"), place / "pretrain.py")
        if file.is_file()
    ]
    meant = {file.resolve(): file for file in reversed(files)}
    if len(meant) > 1:
        raise InputError(f"{name}: several configs; name one: {', '.join(map(str, meant))}")
    if not meant:
        _refuse_unknown(path, folder)
    (file,) = meant.values()
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file


def _refuse_unknown(path: Path, known: Path) -> NoReturn:
    folder = path.parent
    siblings = [str(file) for file in list_folder(folder, "*.py")] if folder.is_dir() else []
    entries = method_folders(known) if known == CONFIGS else []  # methods are not configs of sweeps
    methods = [entry.name for entry in entries if (entry / "pretrain.py").is_file()]
    paths = [f"configs/{name}/pretrain.py" for name in methods]
    others = [file.stem for file in list_folder(known, "[!_]*.py")]
    near = did_you_mean(str(path), [*siblings, *methods, *paths, *others])
    # All configs of methods would not fit on a line.
    near = near if "did you mean" in near or not entries else ""
    raise InputError(f"{path}: no such config{near}")


def read_values(path: Path) -> dict[str, Any] | None:
    """The top-level settings of a pure-Python config, with `Imported` in place of classes.

    Returns:
        None where the file does something that cannot be followed, or is a classic config.

    Raises:
        InputError: it is not Python.
    """
    names = _namespace(path)
    if names is None or "_base_" in names:
        return None
    return {name: value for name, value in names.items() if not isinstance(value, Imported)}


def _namespace(path: Path) -> dict[str, Any] | None:
    """All names a config leaves behind, those of its bases included; None as `read_values`."""
    names: dict[str, Any] = {}
    for node in parse_config(path).body:
        if isinstance(node, ast.With):
            for inner in node.body:
                base = base_path(path, inner)
                inherited = None if base is None else _namespace(base)
                if inherited is None:
                    return None
                names.update(inherited)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                names[name] = Imported(alias.name)
        else:
            try:
                exec(compile(ast.Module([node], []), str(path), "exec"), names)
            except Exception:
                # A config is arbitrary code, which may fail in any way. The loader, which
                # executes it for real, says how.
                return None
    return {
        name: _attributes(value)
        for name, value in names.items()
        if not name.startswith("__") and not inspect.isroutine(value)
    }


def _attributes(value: Any) -> Any:
    if isinstance(value, dict):
        return _Settings((key, _attributes(item)) for key, item in value.items())
    return [_attributes(item) for item in value] if isinstance(value, list) else value


def preview(
    path: Path, known: ConfigKeys, needed: Collection[str] = (), options: Collection[str] = ()
) -> dict[str, Any]:
    """Report what is wrong with a config before anything is imported.

    Args:
        path: of the config.
        known: keys it may have.
        needed: top-level keys it has to have.
        options: ``key.path=value``, which override it.

    Returns:
        Its settings with the options applied, as far as they can be read; empty if they cannot.

    Raises:
        InputError: a key is unknown or missing, or a value or option is not what its key takes.
    """
    overrides = [read_option(option, known) for option in options]
    values = read_values(path)
    if values is None:
        return {}
    for key, value in values.items():
        if key not in known:
            raise InputError(f"{path}: unknown key {key!r}{did_you_mean(key, sorted(known))}")
        require_fitting(f"{path}: {key}", value, known[key])
    for key in needed:
        if key.partition(".")[0] not in values:
            raise InputError(f"{path}: without {key!r}, which every run needs")
    for key, value, _ in overrides:
        *parents, last = key.split(".")
        node: Any = values
        for name in parents:
            node = node.get(name) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node[last] = value
    return values


def require_inputs(values: dict[str, Any], work: Path) -> None:
    """Report the first pack or file of weights that a pre-training needs and that is not there.

    Args:
        values: from `preview`. Without epochs no pack is needed.
        work: folder of all runs of the scale, ``{work}`` in paths.

    Raises:
        InputError: it is missing; the message names the command that makes it.
    """
    for folder in values.get("packs", ()) if values.get("epochs") != 0 else ():
        require_pack(Path(folder.replace("{work}", str(work))))
    for _, checkpoint in weight_files(values.get("method")):
        file = Path(checkpoint.replace("{work}", str(work)))
        if not file.exists():
            raise InputError(missing_weights(file))


def weight_files(node: Any, where: str = "") -> list[tuple[str, str]]:
    """The files of weights a config builds on, each after the path of its key."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    found = []
    for key, value in node.items() if isinstance(node, dict) else ():
        place = f"{where}.{key}".lstrip(".")
        if key == "checkpoint" and isinstance(value, str):
            found.append((place, value))
        found += weight_files(value, place)
    return found


def missing_weights(file: Path) -> str:
    """That a file of weights is missing, and how to get it if that is known, in one line.

    The last folders of its path tell: ``released/NAME/encoder.safetensors`` is converted,
    ``released/`` followed by a name of `_DOWNLOADS` is downloaded, and every other folder is that
    of the run of a config, as ``segmentor/unext_s``.
    """
    folder = file.parent
    config = CONFIGS / folder.parent.name / f"{folder.name}.py"
    remedy = ""
    if config.is_file():
        remedy = f"; make it with tools/train.py configs/{folder.parent.name}/{config.name}"
    elif folder.parent.name == "released" and file.name == "encoder.safetensors":
        command = f"tools/convert_checkpoint.py {folder.name} FILE --out {shlex.quote(str(folder))}"
        remedy = f"; make it with {command} (tools/convert_checkpoint.py --list names FILE)"
    elif folder.name == "released" and file.name in _DOWNLOADS:
        remedy = f"; download it from {_DOWNLOADS[file.name]}"
    return f"{file}: no such file{remedy}"
