"""The convolution of small maps that lie side by side, for a CPU of several cores.

XLA before jax 0.11 splits a convolution among threads along the width of the map alone,
and only if its rows are long: a batch of small maps is left to one thread. Side by
side, with columns of zeros between them, the maps of a batch are one wide map.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnnlab.ops.convolution_form import Form

# Width * channels * features of a map that was split among threads as it is, and of a
# wide one that was; with fewer channels the copies cost more than they gave.
_SPLIT = 2**17
_SPLIT_WIDE = 2**19
_CHANNELS = 32


def keeps_one_thread(x: Array, kernel: Array, form: Form) -> bool:
    """Whether the compiler splits the maps only once they lie side by side."""
    channels, features = kernel.shape[-2:]
    if (
        jax.__version_info__ >= (0, 11)
        or form.strides != (1, 1)
        or x.dtype != jnp.float32
        or min(channels, features) < _CHANNELS
    ):
        return False
    (top, bottom), (left, right) = form.padding
    work = form.spatial[1] * channels * features
    return (
        work < _SPLIT
        and len(x) * work >= _SPLIT_WIDE
        and min(top, bottom, left, right) >= 0
        and left <= _reach(form)
    )


def convolve_side_by_side(x: Array, kernel: Array, form: Form) -> Array:
    """The convolution of `[N, H, W, C]` with `[kh, kw, C, F]`, at stride 1."""
    count, height, width, channels = x.shape
    rows, (left, right) = form.padding
    # The padding between two neighbours is that of both.
    pitch = width + max(left, right)
    apart = jnp.pad(x, ((0, 0), (0, 0), (0, pitch - width), (0, 0)))
    wide = jnp.swapaxes(apart, 0, 1).reshape(1, height, count * pitch, channels)
    out = lax.conv_general_dilated(
        wide,
        kernel,
        form.strides,
        (rows, (left, _reach(form) - left)),
        rhs_dilation=form.dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    # The windows that begin in the columns between maps see two of them.
    kept = out.reshape(-1, count, pitch, out.shape[-1])[:, :, : form.output[1]]
    return jnp.swapaxes(kept, 0, 1)


def _reach(form):
    return (form.window[1] - 1) * form.dilation[1]
