"""The convolution of maps that lie side by side, for a CPU of several cores.

XLA before jax 0.11 splits a convolution among threads along the width of the map alone,
and only if there is much to do in a row: most batches are left to one thread. Side by
side, with columns of zeros between them, several maps are one wide map.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnnlab.ops.convolution_form import Form
from cnnlab.ops.image_chunks import in_chunks

# Output columns * channels * features up to which a map was left to one thread, and
# from which a wide one was not. With fewer channels the copies cost more than they
# gave.
_ONE_THREAD = 2**17
_SEVERAL = 2**19
_CHANNELS = 32


def keeps_one_thread(x: Array, kernel: Array, form: Form) -> bool:
    """Whether the compiler splits the maps only once they lie side by side."""
    if (
        jax.__version_info__ >= (0, 11)
        or len(form.spatial) != 2
        or x.dtype != jnp.float32
        or x.shape[-1] < _CHANNELS
        # A batch of a size to be known later, as jax.export takes.
        or not isinstance(x.shape[0], int)
    ):
        return False
    (top, bottom), (left, right) = form.padding
    work = _work(kernel, form)
    return (
        work <= _ONE_THREAD
        and x.shape[0] * work >= _SEVERAL
        and min(top, bottom, left, right) >= 0
    )


def convolve_side_by_side(x: Array, kernel: Array, form: Form) -> Array:
    """The convolution of `[N, H, W, C]` with `[kh, kw, C, F]`."""
    height, width = form.output
    entries = x[0].size + height * width * kernel.shape[-1]
    return in_chunks(
        lambda x: _convolve_as_one(x, kernel, form),
        x,
        entries=entries,
        at_least=-(-_SEVERAL // _work(kernel, form)),
    )


def _convolve_as_one(x, kernel, form):
    count, height, width, channels = x.shape
    stride, dilation = form.strides[1], form.dilation[1]
    rows, (left, right) = form.padding
    # The padding between two neighbours is that of both. Every map begins a stride, and
    # has room for all its windows.
    room = max(width + max(left, right), form.output[1] * stride)
    pitch = -(-room // stride) * stride
    apart = jnp.pad(x, ((0, 0), (0, 0), (0, pitch - width), (0, 0)))
    wide = jnp.swapaxes(apart, 0, 1).reshape(1, height, count * pitch, channels)
    beyond = (kernel.shape[1] - 1) * dilation + 1 - left - stride
    out = lax.conv_general_dilated(
        wide,
        kernel,
        form.strides,
        (rows, (left, max(0, beyond))),
        rhs_dilation=form.dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    columns = pitch // stride
    out = out[:, :, : count * columns].reshape(-1, count, columns, out.shape[-1])
    # The windows that begin in the columns between maps see two of them.
    return jnp.swapaxes(out[:, :, : form.output[1]], 0, 1)


def _work(kernel, form):
    channels, features = kernel.shape[-2:]
    return form.output[1] * channels * max(features, _CHANNELS)
