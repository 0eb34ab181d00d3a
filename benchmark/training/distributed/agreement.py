"""What the processes of a run decide together: one reason to stop, one run, one checkpoint.

Each of them may see other files: another folder, a listing that is out of date, packs of its own
node. What the main process reads counts, and all have to read the same; otherwise all of them stop
with the same line.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size

from benchmark.errors import InputError, explain_os_error
from benchmark.training.checkpoints.checkpoint import Checkpoint, read_checkpoint
from benchmark.training.distributed.launch import this_process
from benchmark.training.distributed.setup import cpu_group

T = TypeVar("T")
_BLOCK = 1 << 28  # bytes of a message


def first_reason(make: Callable[[], T]) -> T:
    """What `make` returns, called by all processes; the `InputError` of one is raised by all.

    Otherwise the others would wait for a process that has left, and its reason would be lost.
    """
    if get_world_size() == 1:
        return make()
    result, problem = None, None
    try:
        result = make()
    except (InputError, OSError) as error:
        problem = error
    for rank, (line, where) in enumerate(_gather(problem and _line(problem))):
        if line is not None:
            raise InputError(line if rank == 0 else f"{line} (rank {rank}, {where})")
    return result  # type: ignore[return-value]


def broadcast_from_main(make: Callable[[], T]) -> T:
    """What `make` returns on the main process, which alone calls it; its error is raised by all."""
    if get_world_size() == 1:
        return make()
    answer: list[Any] = [None, None]
    if get_rank() == 0:
        try:
            answer[0] = make()
        except (InputError, OSError) as error:
            answer[1] = _line(error)
    dist.broadcast_object_list(answer, src=0)
    if answer[1] is not None:
        raise InputError(answer[1])
    return answer[0]


def _gather(value: T) -> list[tuple[T, str]]:
    """The values of all processes, each with the process it comes from."""
    found: list[Any] = [None] * get_world_size()
    dist.all_gather_object(found, (value, this_process()))
    return found


def _line(error: InputError | OSError) -> str:
    return explain_os_error(error) if isinstance(error, OSError) else str(error)


def require_same(value: T, compare: Callable[[T, T], list[str]], what: str) -> None:
    """Stop all processes where one has another value than the main process.

    Args:
        value: of this process, picklable.
        compare: lists how another value differs from that of the main process.
        what: what that means, as ``"would train another run"``.

    Raises:
        InputError: naming the rank, its host and what differs.
    """
    if get_world_size() == 1:
        return
    found = _gather(value)
    main, where_main = found[0]
    for rank, (other, where) in enumerate(found):
        if changed := compare(main, other):
            raise InputError(
                f"rank {rank} ({where}) {what} than rank 0 ({where_main}): {'; '.join(changed)}"
            )


def share_checkpoint(path: Path, own: Checkpoint | None) -> Checkpoint:
    """The checkpoint of the main process, on all: they get the bytes of its file.

    So they need neither see its folder nor read it from a shared disk at the same time, and each
    verifies what it has received. The main process passes its `own`, which it has read already.

    Raises:
        InputError: the file has changed meanwhile.
    """
    if get_world_size() == 1:
        assert own is not None
        return own
    data = _broadcast_file(path)
    return first_reason(lambda: own or read_checkpoint(path, data))


def _broadcast_file(path: Path) -> mmap.mmap:
    """Broadcast the content of a file of the main process to all, over gloo."""
    group = cpu_group()
    size = broadcast_from_main(lambda: path.stat().st_size)
    # Memory that torch can write to, and that can be read like a file.
    data = mmap.mmap(-1, size)
    content = torch.frombuffer(data, dtype=torch.uint8)
    if get_rank() == 0:
        content.copy_(torch.from_file(str(path), size=size, dtype=torch.uint8))
    for block in content.split(_BLOCK):
        dist.broadcast(block, src=0, group=group)
    dist.destroy_process_group(group)
    return data
