"""Local response normalisation, channel by channel."""

import numpy as np


def local_response_norm(x, size=5, k=2.0, alpha=1e-4, beta=0.75):
    """`x` divided channel by channel by what its neighbours hold."""
    x = np.asarray(x, np.float64)
    out = np.empty_like(x)
    for channel in range(x.shape[-1]):
        first = max(channel - size // 2, 0)
        last = channel - size // 2 + size
        total = (x[..., first:last] ** 2).sum(axis=-1)
        out[..., channel] = x[..., channel] / (k + alpha * total) ** beta
    return out
