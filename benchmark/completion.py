"""Shell completion of command lines: methods, datasets, encoders, configs.

argcomplete runs a tool for each Tab, so nothing slow is imported here, and the search for folders
is limited. Tools need no code for it: the name of an argument decides what completes it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmark.errors import InputError
from benchmark.files import list_folder
from benchmark.method_cards import ANALYSIS, CONFIGS, method_folders, own_datasets

ASKED = "_ARGCOMPLETE"
"""The variable by which a shell asks for completions; its value is the number of the first word of
the command line that is the program."""

Completer = Callable[..., Iterable[str]]

# Limits for one Tab: listed folders, and their depth below the typed one.
_MOST_FOLDERS, _DEEPEST = 1000, 6


def complete(main: Callable[[], object]) -> None:
    """Print the completions of the command line of a tool for the shell, and exit.

    Args:
        main: the tool, which builds its parser and calls `parse_args`.
    """
    # Tools build their parsers when they parse.
    argparse.ArgumentParser.parse_args = _answer  # type: ignore[method-assign]
    main()


def typed_words() -> list[str]:
    """The complete words of the command line before the cursor, from the program on."""
    from argcomplete.lexers import split_line

    line = os.environ["COMP_LINE"]
    point = len(os.fsencode(line)[: int(os.environ["COMP_POINT"])].decode(errors="ignore"))
    return split_line(line, point)[3][int(os.environ[ASKED]) - 1 :]


def complete_command(commands: Iterable[str]) -> None:
    """Print the names of subcommands for the shell, and exit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=[*commands])
    _answer(parser)


def _answer(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
    import argcomplete

    tool = Path(getattr(sys.modules["__main__"], "__file__", "")).stem
    _add_completers(parser, tool)
    # Options only after a dash: they would hide the names.
    argcomplete.autocomplete(parser, always_complete_options=False)


def _add_completers(parser: argparse.ArgumentParser, tool: str) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                _add_completers(subparser, tool)
        elif completer := _OF_TOOLS.get((tool, action.dest)) or _COMPLETERS.get(action.dest):
            action.completer = _forgiving(completer)  # type: ignore[attr-defined]


def _forgiving(completer: Completer) -> Completer:
    """A folder that cannot be listed has nothing to offer; the command itself will report it."""

    def words(**asked: object) -> list[str]:
        try:
            return [*completer(**asked)]
        except (InputError, OSError):
            return []

    return words


def _configs(args: argparse.Namespace) -> Path:
    return Path(getattr(args, "configs", None) or CONFIGS)


def methods(prefix: str, parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
    """Ids of methods and analyses, or the path of a config."""
    if "/" in prefix:
        return _paths(prefix)
    configs = _configs(parsed_args)
    names = [folder.name for folder in method_folders(configs)]
    analyses = configs / "analysis"
    return names + [ANALYSIS + file.stem for file in _config_files(analyses)]


def recipes(prefix: str, parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
    """What tools/train.py takes: names of pre-trainings, or the path of a config."""
    if "/" in prefix:
        return _paths(prefix)
    folders = method_folders(CONFIGS)
    names = [folder.name for folder in folders if (folder / "pretrain.py").is_file()]
    names += [ANALYSIS + file.stem for file in _config_files(CONFIGS / "analysis")]
    return [*names, "configs/", *(_paths(prefix) if prefix else ())]


def matrices(prefix: str, **_: object) -> Iterable[str]:
    """What tools/matrix.py takes: names of ``configs/leaderboard``, or the path of a config."""
    if "/" in prefix:
        return _paths(prefix)
    names = [file.stem for file in _config_files(CONFIGS / "leaderboard")]
    return [*names, "configs/", *(_paths(prefix) if prefix else ())]


def datasets(parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
    """Datasets of ``configs/downstream``, or of its folder for the protocol that was named."""
    folder = _configs(parsed_args) / "downstream"
    protocol = getattr(parsed_args, "protocol", None) or ""
    own = own_datasets(_configs(parsed_args))
    folders = [folder / protocol, *([own / protocol] if own else ())]
    return [file.stem for place in folders for file in _config_files(place)]


def protocols(parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
    """Folders of ``configs/downstream``."""
    folders = list_folder(_configs(parsed_args) / "downstream", "[!_.]*")
    return [folder.name for folder in folders if folder.is_dir() and _config_files(folder)]


def recorded_protocols(parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
    """Protocols that a folder of results holds."""
    folders = list_folder(parsed_args.results, "[!_.]*")
    return [folder.name for folder in folders if folder.is_dir()]


def sources(**_: object) -> Iterable[str]:
    """What tools/prepare_data.py can read."""
    from benchmark.data.sources import SOURCES

    return SOURCES


class FoldersWith:
    """Folders that hold a certain file, anywhere below the typed one; else its subfolders."""

    def __init__(self, *files: str) -> None:
        self.files = files

    def __call__(self, prefix: str, **_: object) -> Iterable[str]:
        typed, _, _ = prefix.rpartition("/")
        top = f"{typed}/" if "/" in prefix else ""
        found = self._below(top)
        return found if found else [path for path in _paths(prefix) if path.endswith("/")]

    def _below(self, top: str) -> list[str]:
        """The paths of such folders, level by level; none if there are too many folders to list."""
        found: list[str] = []
        level, looked_at = [top], 0
        for _ in range(_DEEPEST):
            below: list[str] = []
            for folder in level:
                looked_at += 1
                if looked_at > _MOST_FOLDERS:
                    return []
                names, folders = _entries(folder)
                if folder != top and not names.isdisjoint(self.files):
                    found.append(folder.removesuffix("/"))
                else:
                    below += [f"{folder}{name}/" for name in folders]
            level = below
        return found


def _entries(folder: str) -> tuple[set[str], list[str]]:
    """The names in a folder, and those of its subfolders; nothing where it cannot be listed."""
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
            names = {entry.name for entry in shown}
            return names, sorted(entry.name for entry in shown if entry.is_dir())
    except OSError:
        return set(), []


def _config_files(folder: Path) -> Sequence[Path]:
    return list_folder(folder, "[!_]*.py") if folder.is_dir() else []


def _paths(prefix: str) -> list[str]:
    """Folders and Python files by the beginning of their path; ``configs/…`` from any folder."""
    typed, slash, _ = prefix.rpartition("/")
    places = [typed + slash]
    if typed.partition("/")[0] == "configs":
        places.append(f"{CONFIGS.parent / typed}/")
    for place in places:
        names, folders = _entries(place)
        files = sorted(name for name in names if name.endswith(".py") and name[0] != "_")
        shown = [f"{name}/" for name in folders if name != "__pycache__"] + files
        if found := [path for name in shown if (path := typed + slash + name).startswith(prefix)]:
            return found
    return []


_ENCODERS = FoldersWith("encoder.json")
_PACKS = FoldersWith("frames.u8")
_MODELS = FoldersWith("model.json")
# Completer by the name of the argument.
_COMPLETERS: dict[str, Completer] = {
    "config": recipes,
    "dataset": datasets,
    "datasets": datasets,
    "encoder": _ENCODERS,
    "method": methods,
    "methods": methods,
    "model": _MODELS,
    "packs": _PACKS,
    "pretrain": _PACKS,
    "protocol": protocols,
}
# Exceptions, by the names of the tool and the argument.
_OF_TOOLS: dict[tuple[str, str], Completer] = {
    ("export_encoder", "source"): _ENCODERS,
    ("export_onnx", "source"): FoldersWith("encoder.json", "model.json"),
    ("leaderboard", "protocol"): recorded_protocols,
    ("list", "count"): methods,
    ("matrix", "config"): matrices,
    ("prepare_data", "source"): sources,
}
