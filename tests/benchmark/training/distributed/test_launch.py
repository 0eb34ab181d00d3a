"""Variables of a launcher count only when all are there."""

from __future__ import annotations

import pytest

from benchmark.errors import InputError
from benchmark.training.distributed.launch import Launch, is_main_process, launch

WHOLE = {
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "MASTER_ADDR": "n1",
    "MASTER_PORT": "29500",
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WHOLE:
        monkeypatch.delenv(name, raising=False)


def test_a_whole_set(monkeypatch):
    for name, value in WHOLE.items():
        monkeypatch.setenv(name, value)
    assert launch() == Launch(3, 1, 4)
    assert not is_main_process()
    monkeypatch.setenv("RANK", "0")
    assert is_main_process()


@pytest.mark.parametrize("missing", WHOLE)
def test_a_part_is_left_over(monkeypatch, missing):
    for name, value in WHOLE.items():
        monkeypatch.setenv(name, "" if name == missing else value)
    assert launch() is None
    assert is_main_process()


@pytest.mark.parametrize(
    ("name", "value"), [("RANK", "one"), ("RANK", "4"), ("LOCAL_RANK", "-1"), ("WORLD_SIZE", "²")]
)
def test_nonsense_is_refused(monkeypatch, name, value):
    for key, whole in WHOLE.items():
        monkeypatch.setenv(key, value if key == name else whole)
    with pytest.raises(InputError, match=f"{name}={value}.*start with torchrun"):
        launch()
    assert is_main_process(), "each says so"
