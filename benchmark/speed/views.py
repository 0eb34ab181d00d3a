"""Speed of reading frames and making views of them, against PIL and torchvision on PNG files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as transforms

from benchmark.data.packs.loader import PackDataset, pack_loader
from benchmark.data.views.crop import Crop
from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.data.views.single import SingleView
from benchmark.speed.frames import pack_of_pairs, write_png_pairs
from benchmark.speed.timing import TimingRow, compare, cpu_threads, show_rows

_SCALE, _RATIO = (0.2, 1.0), (3 / 4, 4 / 3)


class PngPairs(Dataset):
    """The usual way: both files of a pair are decoded, cropped alike, resized and flipped with PIL.

    Args:
        folder: of `write_png_pairs`.
        size: side of the views; None gives the complete images as tensors.
    """

    def __init__(self, folder: Path, size: int | None) -> None:
        self.frames = sorted((folder / "frames").iterdir())
        self.masks = sorted((folder / "masks").iterdir())
        self.size = size

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, number: int) -> tuple[Image.Image, Image.Image]:
        frame, mask = Image.open(self.frames[number]), Image.open(self.masks[number])
        return frame.convert("RGB"), mask.convert("L")

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        frame, mask = self.read(number)
        if self.size is None:
            return transforms.pil_to_tensor(frame), transforms.pil_to_tensor(mask)
        return random_view(frame, mask, self.size)


def random_view(frame: Image.Image, mask: Image.Image, size: int) -> tuple[Tensor, Tensor]:
    """MAE's recipe with torchvision: normalised image, 3×size×size, and mask, 1×size×size."""
    box = RandomResizedCrop.get_params(frame, list(_SCALE), list(_RATIO))
    return cut_pair(frame, mask, box, bool(torch.rand(()) < 0.5), size)


def cut_pair(
    frame: Image.Image, mask: Image.Image, box: tuple[int, int, int, int], flip: bool, size: int
) -> tuple[Tensor, Tensor]:
    """Both images cropped to a box (top, left, height, width), flipped if `flip`."""
    bicubic, nearest = InterpolationMode.BICUBIC, InterpolationMode.NEAREST
    frame = transforms.resized_crop(frame, *box, [size, size], bicubic)
    mask = transforms.resized_crop(mask, *box, [size, size], nearest)
    if flip:
        frame, mask = transforms.hflip(frame), transforms.hflip(mask)
    image = transforms.normalize(transforms.to_tensor(frame), IMAGENET_MEAN, IMAGENET_STD)
    return image, transforms.to_tensor(mask)


def agreement(maker: SingleView, batch: dict[str, Tensor], pairs: PngPairs) -> np.ndarray:
    """Share of equal pixels of each view and its mask, where the reference gets our boxes.

    Intensities count as equal within one level: PIL and torch round differently.
    """
    crop: Crop = maker.draw(batch)
    views = maker.crop_views(batch, crop)
    level = 1.01 / 255 / maker.std.view(3, 1, 1) * 255
    shares = []
    boxes = torch.stack(crop[:4], dim=1).tolist()
    for place, (number, box) in enumerate(zip(batch["index"].tolist(), boxes)):
        flip = bool(crop.flip[place])
        image, mask = cut_pair(*pairs.read(number), tuple(box), flip, maker.size)
        close = (views["image"][place] - image).abs() <= level
        same = views["anatomy"][place] == mask
        shares.append(float(torch.cat([close, same]).float().mean()))
    return np.array(shares)


def bench_views(
    part: str,
    count: int = 64,
    size: int = 512,
    view: int = 224,
    batch: int = 32,
    repeats: int = 5,
    out: str | os.PathLike[str] | None = None,
) -> list[TimingRow]:
    """Time one core: our loader and views against PIL and torchvision, print and return the rows.

    Each side goes through the same frames with their masks.

    Args:
        part: ``"loader"`` for reading alone, and reading with views; ``"views"`` for views of
            frames that have been read.
        count, size, view, batch, repeats, out: as the options of ``tools/bench.py``.

    Raises:
        InputError: the batch is larger than `count`.
    """
    with tempfile.TemporaryDirectory() as name, cpu_threads(1):
        folder = Path(name)
        write_png_pairs(folder, count, size)
        packs = pack_of_pairs(folder, size)
        maker = SingleView(view, _SCALE, _RATIO)
        loader = pack_loader(PackDataset(packs, anatomy=True), batch, seed=0)
        pictures, views = (
            DataLoader(PngPairs(folder, side), batch, drop_last=True) for side in (None, view)
        )
        batches = list(loader)
        pairs = [pictures.dataset.read(number) for number in range(len(batches) * batch)]
        same = np.concatenate([agreement(maker, one, pictures.dataset) for one in batches])

        def make_references() -> list[Tensor]:
            return [torch.stack(side) for side in zip(*(random_view(*p, view) for p in pairs))]

        sides = {
            "views": (lambda: [maker(one) for one in batches], make_references),
            "loader": (lambda: list(loader), lambda: list(pictures)),
            "loader + views": (lambda: [maker(one) for one in loader], lambda: list(views)),
        }
        shape = f"{len(pairs)} frames {size}x{size} with masks to {view}x{view}"
        rows = [
            compare(
                f"{what}, {shape}, batch {batch}, 1 core, processor time",
                f"Pillow {PIL.__version__}, torchvision {torchvision.__version__}, PNG files",
                both,
                len(pairs),
                repeats,
                lambda *_: same,
                processor_time=True,
            )
            for what, both in sides.items()
            if what.startswith(part)
        ]
    show_rows(rows, out, part)
    return rows
