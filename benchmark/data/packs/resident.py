"""Frames held in memory: a batch is an index gather on the device of the model.

171,478 grayscale frames of 512² with vessel masks take 51 GB, of 256² 13 GB. Whether they fit on a
GPU depends on the memory of a training step; MoCo v3 at its published 512 samples per GPU fills
80 GB alone. ``"auto"`` therefore reads the files in the first epoch, and moves the frames to the
GPU once the peak memory of the steps is known. Frames that do not fit can be held by the page
cache, one copy for all processes of a machine.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import torch
from torch import Tensor

from benchmark.data.packs import PackCollection, PackSubset
from benchmark.data.packs.loader import PackDataset
from benchmark.data.progress import progress_bar
from benchmark.errors import InputError

GPU_SHARE = 0.4
"""Largest fraction of free GPU memory that `resident=True` takes before the first step."""

RESERVE = 0.1
"""Fraction of GPU memory that stays free beside frames and training steps."""

_STAGED_BYTES = 1 << 28
Packs = PackCollection | PackSubset


class ResidentDataset(PackDataset):
    """`PackDataset` whose frames are tensors on one device; batches are bit-identical.

    Frames are loaded with the first batch, if not before.
    """

    in_memory = True

    def __init__(self, packs: Packs, anatomy: bool, device: torch.device | str) -> None:
        super().__init__(packs, anatomy)
        self.device = torch.device(device)
        self._rows: dict[str, Tensor] = {}

    def load(self) -> None:
        """Load all frames onto the device, once."""
        if self._rows:
            return
        count, size = len(self.packs), self.packs.size
        # Rows of int64 instead of uint8, so that a gather moves eight pixels at a time. The side
        # is a multiple of 8, so that bit-packed masks fill words too.
        widths = {"frame": size**2 // 8, "valid": 2}
        if self.anatomy:
            widths["anatomy"] = size**2 // 64
        rows = {
            name: torch.empty(count, width, dtype=torch.int64, device=self.device)
            for name, width in widths.items()
        }
        chunk = max(1, _STAGED_BYTES // size**2)
        with progress_bar(f"frames to {self.device}", count) as advance:
            for first in range(0, count, chunk):
                part = range(first, min(first + chunk, count))
                frames, bits, valid = self.packs.gather(part, anatomy=self.anatomy)
                for name, values in (("frame", frames), ("valid", valid), ("anatomy", bits)):
                    if name in rows:
                        words = torch.from_numpy(values).flatten(1).view(torch.int64)
                        rows[name][part.start : part.stop].copy_(words)
                advance(len(part))
        rows["index"] = torch.from_numpy(self.packs.keys(range(count))).to(self.device)
        self._rows = rows

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        self.load()
        index = torch.as_tensor(indices, dtype=torch.int64)
        if self.device.type == "cuda":
            # Only copies from pinned memory are asynchronous.
            index = index.pin_memory().to(self.device, non_blocking=True)
        batch = {name: rows.index_select(0, index) for name, rows in self._rows.items()}
        for name in batch.keys() & {"frame", "anatomy"}:
            batch[name] = batch[name].view(torch.uint8).view(len(index), self.packs.size, -1)
        return batch


class CachedDataset(PackDataset):
    """`PackDataset` whose files are read sequentially before the first batch.

    They stay in the page cache, one copy for all processes; evicted pages are read again.
    """

    in_memory = True

    _cached = False

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        if not self._cached:
            self._read_all()
            self._cached = True
        return super().__getitems__(indices)

    def _read_all(self) -> None:
        collection = self.packs.packs if isinstance(self.packs, PackSubset) else self.packs
        files = [pack.frames for pack in collection.packs]
        if self.anatomy:
            files += [pack.anatomy for pack in collection.packs]
        total = sum(file.size for file in files) >> 20
        with progress_bar("megabytes into memory", total) as advance:
            for file in files:
                flat = file.reshape(-1)
                for first in range(0, flat.size, _STAGED_BYTES):
                    part = flat[first : first + _STAGED_BYTES]
                    part[:: mmap.PAGESIZE].max()  # touches every page
                    advance(part.size >> 20)


class MovingDataset(PackDataset):
    """`PackDataset` whose frames move to the GPU `target` if they fit beside training."""

    def __init__(self, packs: Packs, anatomy: bool, target: torch.device) -> None:
        super().__init__(packs, anatomy)
        self.target = target

    def move(self) -> ResidentDataset | None:
        """The frames on the GPU, or None if they do not fit. Call it after the first steps.

        torch's caching allocator keeps the peak memory of the steps, so that the free memory
        reported by the driver was needed by no step.
        """
        free, total = torch.cuda.mem_get_info(self.target)
        if memory_needed(self.packs, self.anatomy) > free - RESERVE * total:
            return None
        dataset = ResidentDataset(self.packs, self.anatomy, self.target)
        try:
            dataset.load()
        except torch.OutOfMemoryError:  # another process was faster
            return None
        return dataset


def memory_needed(packs: Packs, anatomy: bool) -> int:
    """Bytes of a `ResidentDataset` on its device."""
    pixels = packs.size**2
    return len(packs) * (pixels + (pixels // 8 if anatomy else 0) + 24)


def open_dataset(
    packs: Packs, anatomy: bool, resident: bool | str, device: torch.device | str
) -> PackDataset:
    """Dataset over packs, held as the config key `resident` says.

    False reads each batch from the files. True holds the frames on the device from the first batch
    or, if that is a CPU or they take more than `GPU_SHARE` of its free memory, in the page cache.
    ``"auto"`` reads the first epoch from the files, and moves the frames to the GPU before the
    second if they fit (`RESERVE`).

    Raises:
        InputError: `resident` is invalid, or a pack lacks the requested anatomy.
    """
    if resident not in (True, False, "auto"):
        raise InputError(f"resident={resident!r}: expected True, False or 'auto'")
    device = torch.device(device)
    if resident == "auto" and device.type == "cuda":
        return MovingDataset(packs, anatomy, device)
    if resident is True and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if memory_needed(packs, anatomy) <= GPU_SHARE * free:
            return ResidentDataset(packs, anatomy, device)
    return (CachedDataset if resident is True else PackDataset)(packs, anatomy)
