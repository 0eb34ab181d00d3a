"""Vesselness of grayscale frames: Sato, Frangi and the plain Hessian measure, batched, in fp32.

All three use the Hessian of the frame smoothed at several scales σ. Derivatives are those of
scikit-image (two successive first-order Gaussian derivatives of σ/√2, mirrored borders), so that
`sato` and `frangi` agree with `skimage.filters.sato` and `skimage.filters.frangi`.

Along one axis, every derivative is a banded n×n matrix. It is computed once in float64, mirrored
borders included, and applied by a few dense matrix products per axis, one per block of rows, which
is fast on CPU and GPU alike.

Frames are B×H×W, uint8 or floating-point, intensities 0..255; any other shape or type is an
`InputError`. Vessels are dark ridges, across which the Hessian has one large positive eigenvalue.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from benchmark.errors import InputError

VESSELNESS_KINDS = ("sato", "frangi", "hessian")
SIGMAS = (1.0, 2.0, 3.0, 4.0)
"""Scales in pixels."""
_BETA = 0.5

# The combined kernels of one axis have standard deviation σ. Beyond 6σ their weights sum to less
# than 1e-7, below the resolution of fp32.
_BAND_FP32 = 6
# Beyond 8σ they are below the resolution of float64 as well.
_BAND_FP64 = 8
# Rows per matrix product: small blocks multiply fewer zeros outside the band and keep intermediate
# results in the cache; a GPU prefers few large products.
_BLOCK_CPU, _BLOCK_GPU = 64, 256
# Sato values this close to an integer are recomputed in float64 before truncation. The error of
# fp32 is below 2e-5 on angiograms and below 4e-5 on full-contrast patterns.
_TRUNCATION_MARGIN = 1e-4


class _Block(NamedTuple):
    """Rows `start:stop` of the derivative matrices of one axis, columns `low:high` of the band."""

    start: int
    stop: int
    low: int
    high: int
    smooth: Tensor
    first: Tensor
    second: Tensor


@lru_cache(maxsize=8)
def _axis_maps(length: int, sigma: float) -> tuple[Tensor, Tensor]:
    """Smoothing, first and second derivative along axes 0 and 1, as in scikit-image's Hessian.

    scikit-image filters twice with σ/√2; for the mixed derivative it differentiates axis 0 in the
    first pass and axis 1 in the second, which matters near mirrored borders. Its kernels are
    truncated at 100 standard deviations up to σ = 1, and at 8 above.

    Returns:
        For each axis float64 3×length×length, to be multiplied with a column of pixels. The
        matrices are large, so that only their blocks are cached for long.
    """
    identity = np.eye(length)
    half_sigma = sigma / math.sqrt(2)
    truncate = 8 if sigma > 1 else 100
    smooth, derive = (
        torch.from_numpy(
            gaussian_filter1d(identity, half_sigma, axis=0, order=order, truncate=truncate)
        )
        for order in (0, 1)
    )
    twice, second = smooth @ smooth, derive @ derive
    return (
        torch.stack([twice, smooth @ derive, second]),
        torch.stack([twice, derive @ smooth, second]),
    )


@lru_cache(maxsize=1024)
def _blocks(
    length: int, sigma: float, axis: int, scale: float, block: int, device: torch.device
) -> tuple[_Block, ...]:
    """The matrices of an axis in fp32, times `scale`, split into blocks of rows."""
    radius = math.ceil(_BAND_FP32 * sigma)
    maps = _axis_maps(length, sigma)[axis]
    blocks = []
    for start in range(0, length, block):
        stop = min(start + block, length)
        low, high = max(0, start - radius), min(length, stop + radius)
        cut = scale * maps[:, start:stop, low:high]
        # Denormals in the far tails would make the products 40 times slower.
        cut[cut.abs() < 1e-12] = 0
        if axis == 1:  # multiplied from the right
            cut = cut.transpose(1, 2)
        blocks.append(_Block(start, stop, low, high, *cut.float().contiguous().to(device)))
    return tuple(blocks)


@lru_cache(maxsize=1024)
def _bands(length: int, sigma: float, axis: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The matrices of an axis in float64, row by row, for pixels that are recomputed.

    Returns:
        Weights inside the band, 3×length×size, and the first column of each row, int64 `length`.
    """
    size = min(2 * math.ceil(_BAND_FP64 * sigma) + 1, length)
    starts = (torch.arange(length) - size // 2).clamp(0, length - size)
    columns = (starts[:, None] + torch.arange(size)).expand(3, -1, -1)
    weights = _axis_maps(length, sigma)[axis].gather(2, columns)
    return weights.to(device), starts.to(device)


@contextlib.contextmanager
def _full_fp32(device: torch.device) -> Iterator[None]:
    """Disable TF32, bf16 products and autocast: intensities need full fp32 precision."""
    previous = torch.get_float32_matmul_precision()
    try:
        if previous != "highest":
            torch.set_float32_matmul_precision("highest")
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        if previous != "highest":
            torch.set_float32_matmul_precision(previous)


def _check(frames: Tensor) -> None:
    if frames.ndim != 3 or 0 in frames.shape[1:]:
        raise InputError(f"frames of shape {tuple(frames.shape)}: expected B×H×W")
    if frames.dtype != torch.uint8 and not frames.is_floating_point():
        raise InputError(
            f"frames of type {frames.dtype}: expected uint8 or floating-point intensities"
        )


def _centred(frames: Tensor) -> Tensor:
    """Frames in fp32, centred at 0, which reduces rounding errors.

    Subtracting mid-range makes the vesselness of a constant frame exactly 0.
    """
    frames = frames.float().contiguous()
    return frames - (frames.amin((1, 2), keepdim=True) + frames.amax((1, 2), keepdim=True)) / 2


def _portions(frames: Tensor, result: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Centred frames, the matching slice of the result, and a workspace for `_eigenvalues`.

    One frame at a time on the CPU, where the cache is the limit; the complete batch elsewhere.
    """
    if not len(frames):
        return
    size = 1 if frames.device.type == "cpu" else len(frames)
    workspace = torch.empty(3, size, *frames.shape[1:], device=frames.device)
    for portion, out in zip(frames.split(size), result.split(size)):
        yield _centred(portion), out, workspace


def _eigenvalues(
    frames: Tensor, sigma: float, scale: float, workspace: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Eigenvalues of `scale` × the Hessian of centred frames at one σ, block by block of rows.

    The workspace, fp32 3×B×H×W, is reused: touching newly allocated memory takes as long as the
    products.

    Yields:
        rows, mean, radius: the eigenvalues of these rows are mean ± radius (radius ≥ 0),
        fp32 B×rows×W, which the caller may overwrite.
    """
    batch, height, width = frames.shape
    block = _BLOCK_CPU if frames.device.type == "cpu" else _BLOCK_GPU
    smooth, first, second = workspace
    flat = frames.view(batch * height, width)
    flat_results = workspace.view(3, batch * height, width)
    for part in _blocks(width, sigma, 1, 1.0, block, frames.device):
        window = flat[:, part.low : part.high]
        for result, weights in zip(flat_results, (part.smooth, part.first, part.second)):
            torch.mm(window, weights, out=result[:, part.start : part.stop])
    # Half the scale, so that Hrr + Hcc and Hrr - Hcc need no factor 1/2; Hrc gets its 2 below.
    for part in _blocks(height, sigma, 0, scale / 2, block, frames.device):
        rows = slice(part.low, part.high)
        h_rr = part.second @ smooth[:, rows]
        h_rc = part.first @ first[:, rows]
        h_cc = part.smooth @ second[:, rows]
        mean = h_rr + h_cc
        radius = h_rr.sub_(h_cc).square_().addcmul_(h_rc, h_rc, value=4).sqrt_()
        yield slice(part.start, part.stop), mean, radius


def _largest_over_scales(frames: Tensor, measure: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Maximum over scales of a measure of σ²-normalised eigenvalues, fp32 B×H×W, ≥ 0.

    `measure` takes mean and radius of the eigenvalue pair (mean ± radius) and may overwrite them.
    """
    _check(frames)
    result = torch.zeros(frames.shape, device=frames.device)
    with _full_fp32(frames.device):
        for centred, out, workspace in _portions(frames, result):
            for sigma in SIGMAS:
                for rows, mean, radius in _eigenvalues(centred, sigma, sigma**2, workspace):
                    torch.maximum(out[:, rows], measure(mean, radius), out=out[:, rows])
    return result


def sato(frames: Tensor) -> Tensor:
    """Sato's tubeness for dark vessels: the largest eigenvalue if positive, times σ², else 0.

    Within 4e-5 levels of ``skimage.filters.sato(frame, SIGMAS, black_ridges=True, mode="reflect")``
    for uint8 frames (Sato et al., Medical Image Analysis 1998, eqs. 9 and 22).

    Returns:
        fp32 B×H×W, ≥ 0, in intensity levels: maximum over the scales.
    """
    return _largest_over_scales(frames, lambda mean, radius: mean.add_(radius))


def frangi(frames: Tensor) -> Tensor:
    """Frangi's vesselness for dark vessels (Frangi et al., MICCAI 1998, eq. 15).

    With |λ1| ≤ |λ2|: exp(-(λ1/λ2)² / 2β²) · (1 - exp(-(λ1² + λ2²) / 2γ²)) where λ2 > 0, else 0;
    β = 0.5, and γ is half the largest Frobenius norm of the Hessian over the frame at the *first*
    scale. Equal to ``skimage.filters.frangi(frame, SIGMAS, black_ridges=True)``: the Hessian is not
    multiplied by σ², and α is absent because its factor is 1 in two dimensions.

    Returns:
        fp32 B×H×W in [0, 1]: maximum over the scales.
    """
    _check(frames)
    result = torch.zeros(frames.shape, device=frames.device)
    with _full_fp32(frames.device):
        for centred, out, workspace in _portions(frames, result):
            gamma_squared = _gamma_squared(centred, workspace)
            for sigma in SIGMAS:
                for rows, mean, radius in _eigenvalues(centred, sigma, 1.0, workspace):
                    norm = (mean.square() + radius.square()).mul_(2)
                    ratio = (mean - radius).div_((mean + radius).clamp_(min=1e-10))
                    value = ratio.square_().div_(-2 * _BETA**2).exp_()
                    value *= norm.div_(-2 * gamma_squared).expm1_().neg_()
                    # λ2, the larger in magnitude, is positive exactly where the mean is.
                    value *= mean > 0
                    torch.maximum(out[:, rows], value, out=out[:, rows])
    return result


def _gamma_squared(centred: Tensor, workspace: Tensor) -> Tensor:
    """γ² per frame, fp32 B×1×1; 1 where the Hessian vanishes and γ does not matter."""
    largest = torch.zeros(len(centred), 1, 1, device=centred.device)
    for _, mean, radius in _eigenvalues(centred, SIGMAS[0], 1.0, workspace):
        norm = mean.square_().add_(radius.square_()).mul_(2)
        torch.maximum(largest, norm.amax((1, 2), keepdim=True), out=largest)
    largest /= 4
    return torch.where(largest > 0, largest, torch.ones_like(largest))


def hessian(frames: Tensor) -> Tensor:
    """Vesselness of VasoMIM's AAAI paper, eq. 1: |λ1| where λ2 < 0, else 0, with |λ1| ≤ |λ2|.

    λ1 and λ2 belong to the *inverted* frame, where vessels are bright. The paper does not say how
    scales are compared; here the eigenvalues are σ²-normalised (Lindeberg, as in `sato`), since
    otherwise the finest scale would nearly always win.

    Returns:
        fp32 B×H×W, ≥ 0, in intensity levels: maximum over the scales.
    """
    # Inverting the frame flips the signs: λ2 < 0 there is mean > 0 here.
    return _largest_over_scales(
        frames, lambda mean, radius: radius.sub_(mean).abs_().mul_(mean > 0)
    )


def sato_levels(frames: Tensor) -> Tensor:
    """`sato` truncated to integer levels, uint8, as the authors' code (XA-SSL) stores it.

    Truncation turns a rounding error into a full level, which can shift the threshold or split a
    vessel. Values within 1e-4 of an integer (a few dozen pixels per frame) are therefore recomputed
    in float64, which makes the levels independent of device, batch and order of summation.
    """
    value = sato(frames)
    near_integer = value.round().sub_(value).abs_() < _TRUNCATION_MARGIN
    # Values near 0 are never negative, so that they truncate to 0 anyway.
    near_integer &= value > 0.5
    with _full_fp32(frames.device):
        for where in near_integer.nonzero().split(1024):
            value[where.unbind(1)] = _sato_at(frames, where).floor_().float()
    return value.clamp_(max=255).to(torch.uint8)


def _sato_at(frames: Tensor, where: Tensor) -> Tensor:
    """`sato` at single pixels in float64; `where` is int64 M×3 (frame, row, column)."""
    frame, row, column = where.unbind(1)
    best = torch.zeros(len(where), dtype=torch.float64, device=frames.device)
    for sigma in SIGMAS:
        weights_r, top = _bands(frames.shape[1], sigma, 0, frames.device)
        weights_c, left = _bands(frames.shape[2], sigma, 1, frames.device)
        windows = frames.unfold(1, weights_r.shape[2], 1).unfold(2, weights_c.shape[2], 1)
        window = windows[frame, top[row], left[column]].double()
        # (smooth, first, second) along the rows meet (second, first, smooth) along the columns.
        along_rows = torch.einsum("kmi,mij->kmj", weights_r[:, row], window)
        h_cc, h_rc, h_rr = (along_rows * weights_c[:, column].flip(0)).sum(-1) * sigma**2
        largest = (h_rr + h_cc) / 2 + torch.hypot((h_rr - h_cc) / 2, h_rc)
        best = torch.maximum(best, largest)
    return best


def vesselness(frames: Tensor, kind: str = "sato") -> Tensor:
    """Vesselness V, B×H×W, which is thresholded for the pseudo-labels (`docs/protocol.md`).

    uint8 levels for ``"sato"`` (`sato_levels`), fp32 for ``"frangi"`` and ``"hessian"``.

    Raises:
        InputError: unknown `kind`, or frames of a wrong shape or type.
    """
    if kind not in VESSELNESS_KINDS:
        raise InputError(f"vesselness {kind!r}: expected one of {', '.join(VESSELNESS_KINDS)}")
    return {"sato": sato_levels, "frangi": frangi, "hessian": hessian}[kind](frames)
