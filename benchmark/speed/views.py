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
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as transforms

from benchmark.data.packs import FramePack, PackCollection, add_anatomy, build_pack
from benchmark.data.packs.loader import PackDataset, pack_loader
from benchmark.data.sources.folder import Folder
from benchmark.data.views.crop import Crop
from benchmark.data.views.single import IMAGENET_MEAN, IMAGENET_STD, SingleView
from benchmark.speed.timing import (
    TimingRow,
    comparison_row,
    require_positive,
    show_rows,
    time_in_turn,
)

_DIFFERENT = 16
_VIDEO = 16
_SCALE, _RATIO = (0.2, 1.0), (3 / 4, 4 / 3)


def write_png_pairs(folder: Path, count: int, size: int) -> None:
    """Synthetic angiograms as grey PNG files in ``frames/``, their vessels in ``masks/``.

    Args:
        folder: where both folders are made.
        count: number of frames, of which at most 16 differ.
        size: height and width in pixels.
    """
    from benchmark.data.synthetic import angiogram

    drawn = [
        angiogram(0, number // _VIDEO, 0, number % _VIDEO, size=size, frames=_VIDEO)
        for number in range(min(count, _DIFFERENT))
    ]
    for kind in ("frames", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        name, like = f"{number:06d}.png", f"{number % len(drawn):06d}.png"
        if number < len(drawn):
            frame = drawn[number]
            Image.fromarray(frame.image).save(folder / "frames" / name)
            Image.fromarray(frame.vessel.astype(np.uint8) * 255).save(folder / "masks" / name)
            continue
        for kind in ("frames", "masks"):
            os.link(folder / kind / like, folder / kind / name)


def pack_of_pairs(folder: Path, size: int) -> PackCollection:
    """The frames and masks of `write_png_pairs` as a pack, in the same order."""
    source = Folder(folder / "frames")
    pack = build_pack(source, folder / "pack", size=size, progress=False)
    names = iter(sorted((folder / "masks").iterdir()))

    def masks(frames: np.ndarray, valid: np.ndarray) -> np.ndarray:
        return np.stack([np.asarray(Image.open(next(names))) > 0 for _ in frames])

    add_anatomy(pack.path, masks, {"from": "masks"}, progress=False)
    return PackCollection([FramePack.open(pack.path)])


class PngPairs(Dataset):
    """The usual way: both files of a pair are decoded, cut alike, resized and mirrored with PIL.

    Args:
        folder: of `write_png_pairs`.
        size: side of the views; None gives the whole pictures as tensors.
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
    """Both pictures inside a box (top, left, height, width), mirrored if `flip`."""
    bicubic, nearest = InterpolationMode.BICUBIC, InterpolationMode.NEAREST
    frame = transforms.resized_crop(frame, *box, [size, size], bicubic)
    mask = transforms.resized_crop(mask, *box, [size, size], nearest)
    if flip:
        frame, mask = transforms.hflip(frame), transforms.hflip(mask)
    image = transforms.normalize(transforms.to_tensor(frame), IMAGENET_MEAN, IMAGENET_STD)
    return image, transforms.to_tensor(mask)


def agreement(maker: SingleView, batch: dict[str, Tensor], pairs: PngPairs) -> np.ndarray:
    """Share of equal pixels of each view and its mask, where the reference gets our boxes.

    Grey values count as equal within one level: PIL and torch round differently.
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

    Each side goes through the same frames with their masks, once before unmeasured, then in turn.

    Args:
        part: ``"loader"`` for reading alone, and reading with views; ``"views"`` for views of what
            has been read already.
        count: frames.
        size: height and width of the frames in pixels.
        view: side of the views in pixels.
        batch: frames per batch.
        repeats: timings per side, of which the medians are reported.
        out: CSV file or folder, see `benchmark.speed.timing.csv_file`; None: none is written.

    Raises:
        InputError: a number is below 1, or the batch is larger than `count`.
    """
    require_positive(frames=count, size=size, view=view, batch=batch, repeats=repeats)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as name, threadpool_limits(1):
            folder = Path(name)
            write_png_pairs(folder, count, size)
            rows = _rows(part, folder, pack_of_pairs(folder, size), view, batch, repeats)
    finally:
        torch.set_num_threads(threads)
    show_rows(rows, out, part)
    return rows


def _rows(
    part: str, folder: Path, packs: PackCollection, size: int, batch: int, repeats: int
) -> list[TimingRow]:
    maker = SingleView(size, _SCALE, _RATIO)
    loader = pack_loader(PackDataset(packs, anatomy=True), batch, seed=0)
    pictures, views = (
        DataLoader(PngPairs(folder, side), batch, drop_last=True) for side in (None, size)
    )
    batches = list(loader)
    pairs = [pictures.dataset.read(number) for number in range(len(packs))]
    same = np.concatenate([agreement(maker, one, pictures.dataset) for one in batches])

    def make_references() -> list[Tensor]:
        made = [random_view(*pair, size) for pair in pairs[: len(loader) * batch]]
        return [torch.stack(side) for side in zip(*made)]

    both = {
        "views": [
            ("views", lambda: [maker(one) for one in batches], make_references),
        ],
        "loader": [
            ("loader", lambda: list(loader), lambda: list(pictures)),
            ("loader + views", lambda: [maker(one) for one in loader], lambda: list(views)),
        ],
    }
    shape = f"{len(batches) * batch} frames {packs.size}x{packs.size} with masks to {size}x{size}"
    rows = []
    for what, ours, reference in both[part]:
        ours()
        reference()
        seconds = time_in_turn(ours, reference, repeats, processor_time=True)[:2]
        rows.append(
            comparison_row(
                f"{what}, {shape}, batch {batch}, 1 core, processor time",
                f"Pillow {PIL.__version__}, torchvision {torchvision.__version__}, PNG files",
                len(batches) * batch,
                seconds,
                same,
                "fp32",
            )
        )
    return rows
