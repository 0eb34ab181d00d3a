"""The selective scan of Mamba (S6; Gu and Dao, 2023) in plain PyTorch, as a parallel scan.

Both the scan and its gradient are first-order linear recurrences, h_t = a_t h_{t−1} + b_t. Steps
compose associatively, (a₂, b₂) ∘ (a₁, b₁) = (a₂a₁, a₂b₁ + b₂), so neighbours are combined in pairs,
the sequence of half the length is solved recursively, and the other half is filled in: O(L) work
in O(log L) steps (Blelloch 1990). Only products of decays occur, never quotients, so decays in
[0, 1] cause neither overflow nor division by zero at any sequence length.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from benchmark.errors import InputError
from benchmark.nn.precision import to_float32

CHUNK = 64
"""Time steps whose hidden states are held in memory at once."""


def _solve(decay: Tensor, drive: Tensor) -> Tensor:
    """h_t = decay_t · h_{t−1} + drive_t along the first dimension, from h_{−1} = 0."""
    length = len(drive)
    if length == 1:
        return drive
    pairs = length // 2
    first, second = decay[: 2 * pairs : 2], decay[1::2]
    combined = torch.addcmul(drive[1::2], second, drive[: 2 * pairs : 2])
    odd = _solve(first * second, combined)
    states = torch.empty_like(drive)
    states[0] = drive[0]
    states[1::2] = odd
    states[2::2] = torch.addcmul(drive[2::2], decay[2::2], odd[: (length - 1) // 2])
    return states


def _adjoint(decay: Tensor, grad: Tensor) -> Tensor:
    """λ_t = grad_t + decay_{t+1} · λ_{t+1}: gradient of the loss with respect to state h_t."""
    following = torch.cat([decay[1:], torch.zeros_like(decay[:1])])
    return _solve(following.flip(0), grad.flip(0)).flip(0)


class _Recurrence(Function):
    @staticmethod
    def forward(ctx: Any, decay: Tensor, drive: Tensor) -> Tensor:
        states = _solve(decay, drive)
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        decay, states = ctx.saved_tensors
        adjoint = _adjoint(decay, grad)
        previous = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
        return adjoint * previous, adjoint


def linear_recurrence(decay: Tensor, drive: Tensor, dim: int = 0) -> Tensor:
    """h_t = decay_t · h_{t−1} + drive_t along `dim`, with h_{−1} = 0, for all t.

    Decays in [0, 1] keep the recurrence stable at any length. All three have the same shape.
    Differentiable once; saves two tensors of that shape.
    """
    return _Recurrence.apply(decay.movedim(dim, 0), drive.movedim(dim, 0)).movedim(0, dim)


class _SelectiveScan(Function):
    """y_t = C_t · h_t, chunk by chunk; time first, then hidden state, channels last.

    The hidden states are N times larger than everything else, so they are materialised for one
    chunk at a time: the forward pass saves the state at the start of each chunk, and the backward
    pass recomputes the chunk's states from there. Shapes: x and Δ are L×1×B×G×D, A is N×1×G×D, B
    and C are L×N×B×G×1, states N×B×G×D.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, chunk: int
    ) -> Tensor:
        starts = [x.new_zeros(len(A), *x.shape[2:])]
        outputs = []
        for part in _chunks(len(x), chunk):
            _, states = _states(x[part], delta[part], A, B[part], starts[-1])
            outputs.append((states * C[part]).sum(1, keepdim=True))
            starts.append(states[-1].clone())  # a view would keep the chunk in memory
        ctx.save_for_backward(x, delta, A, B, C, torch.stack(starts[:-1]))
        ctx.chunk = chunk
        return torch.cat(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, delta, A, B, C, starts = ctx.saved_tensors
        grad_x, grad_delta, grad_B, grad_C = (torch.empty_like(t) for t in (x, delta, B, C))
        grad_A = torch.zeros_like(A)
        carry = torch.zeros_like(starts[0])
        parts = _chunks(len(x), ctx.chunk)
        for part, start in zip(reversed(parts), starts.flip(0)):
            decay, states = _states(x[part], delta[part], A, B[part], start)
            grad_states = grad[part] * C[part]
            grad_states[-1] += carry
            adjoint = _adjoint(decay, grad_states)
            carry = decay[0] * adjoint[0]
            # d/d(ΔA), because d exp(ΔA) = exp(ΔA) d(ΔA).
            exponent = torch.cat([start[None], states[:-1]]).mul_(adjoint).mul_(decay)
            grad_drive = (adjoint * B[part]).sum(1, keepdim=True)
            grad_x[part] = delta[part] * grad_drive
            grad_delta[part] = x[part] * grad_drive + (exponent * A).sum(1, keepdim=True)
            grad_A += (exponent * delta[part]).sum((0, 2))[:, None]
            grad_B[part] = (adjoint * (delta[part] * x[part])).sum(-1, keepdim=True)
            grad_C[part] = (states * grad[part]).sum(-1, keepdim=True)
        return grad_x, grad_delta, grad_A, grad_B, grad_C, None


def _chunks(length: int, chunk: int) -> list[slice]:
    return [slice(start, min(start + chunk, length)) for start in range(0, length, chunk)]


def _states(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Decays and hidden states of a chunk with initial state `start`, each T×N×B×G×D."""
    decay = torch.exp(delta * A)
    drive = (delta * x) * B
    drive[0] += decay[0] * start
    return decay, _solve(decay, drive)


def selective_scan(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, chunk: int = CHUNK
) -> Tensor:
    """Selective state-space model over independent groups of channels (Gu and Dao 2023, alg. 2).

    h_t = exp(Δ_t A) h_{t−1} + Δ_t B_t x_t and y_t = C_t · h_t + D x_t, from a zero state; each
    channel has a hidden state of size N, the channels of a group share B and C.

    Uses the fused kernel of `mamba_ssm` if that package is installed and the tensors are on a CUDA
    device in fp32 or lower precision; otherwise, and always in fp64, the implementation here.

    Args:
        x: B×G×D×L input.
        delta: B×G×D×L step sizes, positive (after the softplus).
        A: G×D×N, negative.
        B, C: B×G×N×L.
        D: G×D.
        chunk: time steps whose states are held at once, about 10·B·G·D·N·chunk values; affects
            memory and speed only.

    Returns:
        B×G×D×L in fp32, or fp64 for fp64 inputs: half precision is too coarse for long scans.

    Raises:
        InputError: `mamba_ssm` is installed but broken.
    """
    with torch.autocast(x.device.type, enabled=False):
        x, delta, A, B, C, D = (to_float32(tensor) for tensor in (x, delta, A, B, C, D))
        kernel = mamba_kernel() if x.is_cuda and x.dtype == torch.float32 else None
        if kernel is not None:
            return through_kernel(kernel, x, delta, A, B, C, D)
        y = _SelectiveScan.apply(
            x.permute(3, 0, 1, 2).contiguous()[:, None],
            delta.permute(3, 0, 1, 2).contiguous()[:, None],
            A.permute(2, 0, 1).contiguous()[:, None],
            B.permute(3, 2, 0, 1).contiguous()[..., None],
            C.permute(3, 2, 0, 1).contiguous()[..., None],
            chunk,
        )
        return y[:, 0].permute(1, 2, 3, 0) + D[..., None] * x


@cache
def mamba_kernel() -> Callable[..., Tensor] | None:
    """`selective_scan_fn` of the package `mamba_ssm`; None if it is not installed.

    Raises:
        InputError: it is installed but cannot be imported.
    """
    if importlib.util.find_spec("mamba_ssm") is None:
        return None
    try:
        module = importlib.import_module("mamba_ssm.ops.selective_scan_interface")
    except ImportError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"mamba_ssm is installed but does not load ({reason}); repair or uninstall it"
        ) from None
    return module.selective_scan_fn


def through_kernel(
    kernel: Callable[..., Tensor],
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
) -> Tensor:
    """`selective_scan` through a function with the calling convention of `mamba_ssm`.

    It infers the groups from B and C; the channels of all groups are concatenated.
    """
    y = kernel(
        x.flatten(1, 2).contiguous(),
        delta.flatten(1, 2).contiguous(),
        A.flatten(0, 1).contiguous(),
        B.contiguous(),
        C.contiguous(),
        D.flatten().contiguous(),
        delta_softplus=False,
    )
    return y.unflatten(1, x.shape[1:3])
