"""Mutated records: named in one line or valid, and never the end of a command."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import io
import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from record_values import make_record, metric

from benchmark.results import Example, write_record
from benchmark.text import visible

TOOLS = Path(__file__).resolve().parents[2] / "tools"
PICTURE = np.arange(24, dtype=np.uint8).reshape(4, 6)
BOXES = np.array([[0, 0, 2, 3, 0, 0.9]], np.float32)

# Values that have stopped some reader of JSON somewhere.
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**53 + 2, 2**64, 10**99),
    *(0.5, -0.5, 1e308, 5e-324, 1e-300),
    *("", " ", "0", "é", "\x1b[2J", "\u202eltr", "a\nb", "=1+1", "../../x", "C:\\x", "\0"),
    *("|*_`<b>$", "V" * 5000, "2025-13-01", "NaN"),
    *([], {}, [[]], {"": None}, [1, "a"], {"a": {"b": []}}),
]
# And texts that are no JSON, or mean two things.
TEXTS = (
    *("NaN", "-Infinity", "1e999", "9" * 5000, "[" * 5000 + "]" * 5000, "[" * 100_000),
    *('"\\ud800"', '{"a": 1, "a": 2}', "", "'a'", '"\t"', "01", "1.", "+1", "nul", '{"a": 1,}'),
)
# What stops a board by design: numbers that must not be compared. It names both files.
DESIGNED = ("must not mix", "choose with --protocol", "no result files", "is of patient")


def write_results(folder: Path) -> None:
    """Six runs of two methods on two tasks, with scores and examples."""
    rng = np.random.default_rng(0)
    tasks = {"arcade_v": ("segmentation", "dsc"), "stenosis": ("detection", "map50")}
    for dataset, (task, metric_name) in tasks.items():
        for method, seed in (("mae", 0), ("mae", 1), ("mim", 0), ("mim", 1), ("mim", 2)):
            config = {"seed": seed, "model": {"widths": [8, 16], "type": "x"}}
            scores = pd.DataFrame(
                {"image": ["a", "b"], "patient": ["p", "q"], metric_name: rng.normal(70, 5, 2)}
            )
            truth, found = (BOXES[:, :5], BOXES) if task == "detection" else (PICTURE, PICTURE)
            value = float(scores[metric_name].mean())
            record = make_record(
                protocol="demo",
                method=method,
                dataset=dataset,
                task=task,
                seed=seed,
                split_hash=f"split of {dataset}",
                metrics={metric_name: metric(value, f"{metric_name}/per-image-mean/v1")},
                n_images=2,
                config=config,
                started="2025-01-02T03:04:04+00:00",
                finished="2025-01-02T03:04:05+00:00",
                encoder={"fingerprint": "f1", "weights_sha256": None, "provenance": {"run": "p"}},
                git={"commit": "abcdef0123", "dirty": False},
                leakage={"report_hash": "4ea1", "exact": 0, "similar": 3, "groups": 1},
            )
            write_record(folder, record, scores, [Example("a", PICTURE, truth, found)])


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of every value inside a JSON value."""
    yield path
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


def replaced(data: Any, path: tuple, value: Any) -> Any:
    if not path:
        return value
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return data


def change_value(path: Path, rng: random.Random) -> None:
    data = json.loads(path.read_text())
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.choice(list(places(data))[1:] or [()])
        data = replaced(data, place, copy.deepcopy(rng.choice(VALUES)))
    path.write_text(json.dumps(data))


def change_text(path: Path, rng: random.Random) -> None:
    data, mark = json.loads(path.read_text()), "@mark@"
    data = replaced(data, rng.choice(list(places(data))), mark)
    path.write_text(json.dumps(data).replace(f'"{mark}"', rng.choice(TEXTS)))


def change_keys(path: Path, rng: random.Random) -> None:
    data = json.loads(path.read_text())
    groups = [data]
    for place in places(data):
        inner = data
        for key in place:
            inner = inner[key]
        if isinstance(inner, dict) and inner:
            groups.append(inner)
    group = rng.choice(groups)
    key = rng.choice(sorted(group))
    kind = rng.randrange(3)
    value = group.pop(key) if kind < 2 else group[key]
    if kind == 1:
        group[rng.choice(("", "\x1b[2J", "\u202e", key.upper(), "V" * 300, "a/b"))] = value
    text = json.dumps(data)
    if kind == 2:  # the same key twice
        text = text.replace(f'"{key}": ', f'"{key}": null, "{key}": ', 1)
    path.write_text(text)


def change_bytes(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 2, 20))):
        place = rng.randrange(len(content) + 1)
        kind = rng.randrange(4)
        if kind == 0 and place < len(content):
            content[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del content[place : place + rng.choice((1, 10, len(content)))]
        elif kind == 2:
            content[place:place] = rng.randbytes(rng.choice((1, 4, 100)))
        else:
            content[place:place] = content[: rng.randrange(len(content) + 1)]
        if not content:
            break
    path.write_bytes(content)


def change_table(path: Path, rng: random.Random) -> None:
    rows = [line.split(",") for line in path.read_text().splitlines()]
    row = rng.choice(rows)
    cells = ("", "inf", "-inf", "nan", "1e400", "1e308", "=1", "\x1b[2J", '"', "a", "1_0", "٣")
    cells += ("image",)
    row[rng.randrange(len(row))] = rng.choice(cells)
    path.write_text("\n".join(map(",".join, rows)) + rng.choice(("\n", "", "\r\n", "\0\n")))


def change_kind(path: Path, rng: random.Random) -> None:
    """Something else of the same name, or the same of another name."""
    kind = rng.randrange(6)
    if kind == 0:
        path.unlink()
        os.mkfifo(path)
    elif kind == 1:
        path.unlink()
        path.mkdir()
    elif kind == 2:
        path.unlink()
        path.symlink_to(rng.choice(("gone", path.name, "/dev/zero", "..", "/")))
    elif kind == 3:
        path.rename(path.with_suffix(rng.choice((".JSON", ".Csv", ".json.bak", ""))))
    elif kind == 4:
        name = rng.choice((b"seed0\xff.json", b"seed0\n.json", b"\x1b[2J.json", b"._seed0.json"))
        path.rename(path.with_name(os.fsdecode(name)))
    else:
        path.write_bytes(b"")


def mutate(folder: Path, rng: random.Random) -> str:
    """Change one run of a folder of results; returns how."""
    record = rng.choice(sorted(folder.rglob("seed*.json")))
    suffixes = {
        change_value: (".json",),
        change_text: (".json",),
        change_keys: (".json",),
        change_bytes: (".json", ".csv", ".examples.npz"),
        change_table: (".csv",),
        change_kind: (".json", ".csv", ".examples.npz"),
    }
    change = rng.choice(list(suffixes))
    file = record.with_suffix(rng.choice(suffixes[change]))
    change(file, rng)
    if file.suffix != ".json" and file.is_file() and rng.random() < 0.7:
        # By somebody who knows how to compute a hash, so that it is opened.
        data = json.loads(record.read_text())
        key = "per_image" if file.suffix == ".csv" else "examples"
        data[key]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
        record.write_text(json.dumps(data))
    return change.__name__


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fuzzed_{name}", TOOLS / f"{name}.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.syspath_prepend(TOOLS)
    tools = {name: load(name) for name in ("leaderboard", "results")}
    run = sys.modules["_cli"].run

    def called(name: str, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            run(tools[name].main)
        return end.value.code, out.getvalue(), err.getvalue()

    return called


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="makes pipes and names that Windows does not have")
@pytest.mark.parametrize("seed", range(3))
def test_no_record_ends_a_command(tmp_path, call, seed):
    """Board, validate, merge and show: codes 0, 1 and 2, visible lines, all other records kept."""
    template, work = tmp_path / "template", tmp_path / "work"
    write_results(template)
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for number in range(120):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(template, work / "results")
        changed = mutate(work / "results", rng)
        about = f"seed {seed}, mutation {number} ({changed})"
        commands = {
            "validate": ("results", "validate", work / "results"),
            "merge": ("results", "merge", work / "results", "--into", work / "into"),
            "show": ("results", "show", work / "results"),
            "board": (
                *("leaderboard", "--results", work / "results", "--out", work / "out"),
                *(("--per-image",) if number % 3 == 0 else ()),
            ),
        }
        for name, command in commands.items():
            code, out, err = call(*command)
            outcomes[f"{name} {code}"] += 1
            assert code in (0, 1, 2), f"{about}: {name} {code}"
            for line in (out + err).split("\n"):
                assert visible(line) == line, f"{about}: {name} prints {line!a}"
            if code == 2:
                assert name == "board", f"{about}: {name} {err}"
                assert any(words in err for words in DESIGNED), f"{about}: {name} {err}"
                assert err.count("\n") == 1
            if name == "validate":
                complete = int(out.rpartition("complete records: ")[2].partition(",")[0])
                # A folder of a record's name, and a link up, may hold another one.
                assert complete >= 9, f"{about}: {out}"
                assert (code == 0) == out.endswith("problems: 0\n")
            if name == "board" and code != 2:
                assert len(list((work / "out").iterdir())) == 5
                for file in (work / "out").iterdir():
                    lines = file.read_text(encoding="utf-8").split("\n")
                    assert file.suffix == ".html" or all(visible(line) == line for line in lines)
            if name == "merge":
                copied = sum(1 for _ in (work / "into").rglob("seed*.json"))
                assert copied >= 9, f"{about}: {out}"
        for file in sorted((work / "results").rglob("seed*.json"))[:1]:
            code, out, err = call("results", "show", file)
            assert code in (0, 2), f"{about}: {err}"
    # Some mutations change nothing that matters, and some make numbers that must not mix.
    assert outcomes["validate 1"] > 70
    assert outcomes["board 0"] > 60
