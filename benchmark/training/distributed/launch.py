"""What a launcher (torchrun, `tools/slurm_train.sh`) says about this process in its environment."""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from benchmark.errors import InputError

_NUMBERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT")


class Launch(NamedTuple):
    """Number of this process among all and on its machine, and how many there are."""

    rank: int
    local_rank: int
    world_size: int


def launch() -> Launch | None:
    """Which of several processes this is; None for one that was started by itself.

    Only a complete set of variables counts. A part of them is left over from something else.

    Raises:
        InputError: a variable is not a number, or the numbers contradict each other.
    """
    if not all(os.environ.get(name) for name in (*_NUMBERS, "MASTER_ADDR")):
        return None
    values = {}
    for name in _NUMBERS:
        text = os.environ[name]
        if not text.isascii() or not text.isdigit():
            raise InputError(f"{name}={text}: must be a number; unset it, or start with torchrun")
        values[name] = int(text)
    rank, local_rank, world_size, _ = values.values()
    if max(rank, local_rank) >= world_size:
        raise InputError(
            f"RANK={rank} LOCAL_RANK={local_rank} WORLD_SIZE={world_size}: ranks count from 0 and "
            "lie below WORLD_SIZE; unset them, or start with torchrun"
        )
    return Launch(rank, local_rank, world_size)


def this_process() -> str:
    """Id and host of this process, for messages."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def is_main_process() -> bool:
    """Whether this is the main process: rank 0, or the only one."""
    try:
        here = launch()
    except InputError:  # every process reports that its variables are wrong
        return True
    return here is None or here.rank == 0
