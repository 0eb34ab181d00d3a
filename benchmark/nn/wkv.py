"""Linear attention of Vision-RWKV (Duan et al., ICLR 2025): Bi-WKV and Q-shift."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.nn.precision import to_float32
from benchmark.nn.selective_scan import linear_recurrence


def bidirectional_wkv(w: Tensor, u: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Bi-WKV (Vision-RWKV, eq. 4): a weighted mean of all values, per channel.

    At position t, token i has weight exp(k_i − w·(|t − i| − 1)/T) and token t itself exp(u + k_t).

    Instead of T² weights, the means over past and future tokens are computed by one linear
    recurrence each: m_t = m_{t−1}·e^{s_{t−1} − s_t} + v_t·e^{l_t − s_t}, with l_i = k_i + w·i/T and
    s_t = log Σ_{i≤t} e^{l_i}. Its coefficients lie in [0, 1] for all keys. Past, future and present
    are then combined by a softmax, so no exponential of a key can overflow.

    Args:
        w: C, decay over the sequence length; negative values favour distant tokens.
        u: C, bonus of the current token.
        k: B×T×C keys, of any magnitude.
        v: B×T×C values.

    Returns:
        B×T×C in fp32, or fp64 for fp64 inputs.
    """
    with torch.autocast(k.device.type, enabled=False):
        w, u, k, v = (to_float32(tensor) for tensor in (w, u, k, v))
        length = k.shape[1]
        position = torch.arange(length, device=k.device, dtype=k.dtype)[:, None]
        decay = w / length

        # The future is the past of the reversed sequence, so both directions run as one batch.
        keys, values = torch.stack([k, k.flip(1)]), torch.stack([v, v.flip(1)])
        score = keys + decay * position
        total = torch.logcumsumexp(score, dim=2)
        before = F.pad(total[:, :, :-1], (0, 0, 1, 0), value=-math.inf)
        mean = linear_recurrence(
            torch.exp(before - total), torch.exp(score - total) * values, dim=2
        )
        mean = F.pad(mean[:, :, :-1], (0, 0, 1, 0))
        log_weight = before - decay * (position - 1)

        logits = torch.stack([log_weight[0], log_weight[1].flip(1), u + k])
        means = torch.stack([mean[0], mean[1].flip(1), v])
        return (logits.softmax(dim=0) * means).sum(dim=0)


def q_shift(maps: Tensor) -> Tensor:
    """Q-shift (Vision-RWKV, eq. 3): each quarter of the channels is shifted by one position.

    In this order they come from the left, right, upper and lower neighbour; channels beyond four
    equal quarters stay. Padded with zeros. `maps` are B×C×H×W.
    """
    quarter = maps.shape[1] // 4
    left, right, above, below, rest = maps.split(
        [quarter] * 4 + [maps.shape[1] - 4 * quarter], dim=1
    )
    shifted = [
        F.pad(left, (1, -1, 0, 0)),
        F.pad(right, (-1, 1, 0, 0)),
        F.pad(above, (0, 0, 1, -1)),
        F.pad(below, (0, 0, -1, 1)),
    ]
    return torch.cat([*shifted, rest], dim=1)
