"""What the configs say about a matrix: asked in a separate process, and cached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.files import read_object, sha256_bytes, sha256_json, walk, write_json
from benchmark.method_cards import own_configs
from benchmark.results.provenance import installed_versions
from benchmark.sweep.cells import cells_of, with_fine_tunings
from benchmark.sweep.matrix import Matrix

ROOT = Path(__file__).resolve().parents[2]
_LIBRARIES = ("mmengine", "mmcv", "mmsegmentation", "mmdetection", "torch", "timm")

Answer = dict[str, Any]
Resolver = Callable[[dict[str, Any]], Answer]
"""A request (`request_for`) to its answer (`benchmark.sweep.config_facts.config_facts`)."""


def request_for(matrix: Matrix, configs: Path) -> dict[str, Any]:
    """What `config_facts` has to know about a matrix, as JSON-able values.

    Raises:
        InputError: as `cells_of`.
    """
    return {
        "configs": str(configs),
        "work": str(matrix.folder),
        "scale": matrix.scale,
        "protocol": matrix.protocol,
        "seeds": list(matrix.seeds),
        "cells": [list(cell) for cell in with_fine_tunings(cells_of(matrix, configs))],
        "packs": [matrix.at(path) for path in matrix.packs] if matrix.packs else None,
        "data": {name: matrix.at(path) for name, path in matrix.data.items()},
        "pretrain_options": list(matrix.pretrain_options),
        "segmentor_options": list(matrix.segmentor_options),
        "finetune_options": list(matrix.finetune_options),
    }


def environment_with_root() -> dict[str, str]:
    """The environment of a process that imports this project."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def ask(request: dict[str, Any]) -> Answer:
    """The answer of `benchmark.sweep.config_facts`, from a new process.

    Raises:
        InputError: it ended with an error; the message is its last line.
    """
    environment = {**environment_with_root(), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", "benchmark.sweep.config_facts"],
        input=json.dumps(request),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise InputError(f"{request['configs']}: cannot be resolved: {lines[-1]}")
    return json.loads(done.stdout)


def cached(cache: Path, write: bool, ask: Resolver = ask) -> Resolver:
    """`ask`, or its last answer if nothing that it depends on has changed.

    That is the request, every Python file of the configs, of `benchmark` and of `methods`, by
    content, and the versions of the libraries.

    Args:
        cache: file of the last answers.
        write: whether a new answer is written there.
        ask: where answers come from.
    """

    def resolver(request: dict[str, Any]) -> Answer:
        code = _fingerprint(Path(request["configs"]))
        key = sha256_json(request)
        before = _read(cache)
        answers = before["answers"] if before.get("code") == code else {}
        if key not in answers:
            answers = {**answers, key: ask(request)}
            if write:
                write_json(cache, {"code": code, "answers": answers})
        return answers[key]

    return resolver


def _read(cache: Path) -> dict[str, Any]:
    if not cache.exists():
        return {}
    try:
        content = read_object(cache)
    except InputError:
        content = {}
    # Written atomically, so a damaged file was edited; asking again fixes it.
    return content if isinstance(content.get("answers"), dict) else {}


def _fingerprint(configs: Path) -> str:
    folders = (configs, ROOT / "benchmark", ROOT / "methods", *filter(None, [own_configs(configs)]))
    files = sorted(path for folder in folders for path in walk(folder) if path.suffix == ".py")
    content = [[str(path), sha256_bytes(path.read_bytes())] for path in files]
    return sha256_json([content, sys.version, installed_versions(_LIBRARIES)])
