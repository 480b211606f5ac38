"""Convolution as matrix multiplication, and its gradients as convolutions, to read.

For each entry of the result, `im2col` writes the entries of the map under the kernel
into one row. The kernel, with an axis of (tap, channel) and one of features, is a
matrix, and the convolution is their product:

    rows = im2col(x)          [positions, taps * channels]
    matrix = kernel           [taps * channels, features]
    out = rows @ matrix       [positions, features]

So the gradients, for g = d loss / d out, are those of a matrix product:

    d loss / d matrix = rows^T @ g
    d loss / d rows   = g @ matrix^T,  each entry then added to where im2col read it

Written in taps and positions instead, both are convolutions again: `kernel_gradient` of
the map with g, `input_gradient` of g with the flipped kernel. In both the stride of the
convolution has become the distance between the entries of g. `conv` computes the same
faster; the tests hold its derivatives to these.

Source: Chellapilla, Puri and Simard, 2006, "High performance convolutional neural
networks for document processing", https://inria.hal.science/inria-00112631, whose rows
have the channels before the taps; Dumoulin and Visin, 2016, chapter 4, "A guide to
convolution arithmetic for deep learning", https://arxiv.org/abs/1603.07285.
"""

import functools
from collections.abc import Sized

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Num

from cnnlab.ops import windows
from cnnlab.ops.convolution import conv
from cnnlab.ops.named import named


def im2col(
    x: Num[Array, "*batch_and_space channels"],
    window_shape: windows.Sizes,
    strides: windows.Sizes = 1,
    padding: windows.Padding = "SAME",
    *,
    dilation: windows.Sizes = 1,
    boundary: str = "zero",
) -> Num[Array, "*batch_and_space_out taps_times_channels"]:
    """The entries of `x` under the window at each position, as one row.

    rows[..., i, t * channels + c] = x[..., strides * i + dilation * t - low, c], for
    the taps t in row-major order. A linear copy: the gradient of an entry is the sum of
    those of its copies. It takes `taps` times the map's memory.

    Args:
        window_shape: an int is a square 2-D window; a tuple gives 1 to 3 spatial axes.
        padding, boundary: as in `conv`; boundary "zero" pads with zeros.

    Raises:
        ValueError: shapes or options that do not fit.
        TypeError: a map that is not of numbers, or a size that is not an integer.
    """
    window = _geometry(x, window_shape, strides, padding, boundary, dilation)
    return named(f"im2col({window})", _im2col, window=window)(x)


def _im2col(x, *, window):
    return jnp.concatenate(windows.taps(x, window, 0).values, -1)


def conv_im2col(
    x: Float[Array, "*batch_and_space channels_in"],
    kernel: Float[Array, "*window channels_in_per_group channels_out"],
    strides: windows.Sizes = 1,
    padding: windows.Padding = "SAME",
    *,
    dilation: windows.Sizes = 1,
    groups: int = 1,
    boundary: str = "zero",
) -> Float[Array, "*batch_and_space_out channels_out"]:
    """`conv`, as the product of rows and a matrix for each group of channels.

    Products of half precision are summed in float32.

    Raises:
        ValueError, TypeError: as `conv` does.
    """
    path = dict(strides=strides, padding=padding, dilation=dilation, boundary=boundary)
    _result(x, kernel, groups=groups, **path)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    features = []
    for part, part_kernel in _by_group(groups, x, kernel):
        rows = im2col(part, kernel.shape[:-2], **path)
        matrix = part_kernel.reshape(-1, part_kernel.shape[-1])
        features.append(jnp.matmul(rows, matrix, preferred_element_type=wide))
    return jnp.concatenate(features, -1).astype(x.dtype)


def input_gradient(
    g: Float[Array, "*batch_and_space_out channels_out"],
    kernel: Float[Array, "*window channels_in_per_group channels_out"],
    spatial_shape: windows.Sizes,
    strides: windows.Sizes = 1,
    padding: windows.Padding = "SAME",
    *,
    dilation: windows.Sizes = 1,
    groups: int = 1,
    boundary: str = "zero",
) -> Float[Array, "*batch_and_space channels_in"]:
    """The gradient in x of sum(g * conv(x, kernel, ...)), for x of `spatial_shape`.

    With p the padded map, entry j of p meets tap t at the position i for which
    strides * i + dilation * t = j, so

    dp[j, c] = sum over t and o of kernel[t, c, o] * g[(j - dilation * t) / strides, o]

    where the division is exact. Write s for g with strides - 1 zeros between its
    entries, and flip the kernel, u = window - 1 - t; then it is a convolution of stride
    1 and padding "FULL":

    dp[j, c] = sum over u and o of
    s[j + dilation * u - (extent - 1), o] * flipped[u, o, c]

    Last, what arrived on the padding is dropped ("zero") or goes back to the entry that
    was copied there. It equals `conv_transpose` with the same arguments.

    Raises:
        ValueError, TypeError: as `conv` does; or `g` is not of the shape that `conv`
            makes of `spatial_shape`.
    """
    rank = kernel.ndim - 2
    spatial_shape = windows.sizes(spatial_shape, rank, "spatial_shape")
    batch = g.shape[: max(g.ndim - rank - 1, 0)]
    x = jax.ShapeDtypeStruct(
        (*batch, *spatial_shape, groups * kernel.shape[-2]), g.dtype
    )
    path = dict(strides=strides, padding=padding, dilation=dilation, boundary=boundary)
    _check_gradient(g, _result(x, kernel, groups=groups, **path))
    window = windows.geometry(spatial_shape, kernel.shape[:-2], **path)
    # [taps, in, groups, out] to [taps, out, groups, in].
    flipped = jnp.flip(kernel, range(rank))
    flipped = flipped.reshape(*kernel.shape[:-1], groups, -1).swapaxes(-3, -1)
    flipped = flipped.reshape(*kernel.shape[:-2], -1, x.shape[-1])

    def pad(x):
        return windows.pad(x, window.padding, boundary, 0)

    padded = jax.eval_shape(pad, x).shape[len(batch) : -1]
    wide = jnp.promote_types(g.dtype, jnp.float32)
    # Entries of the map behind the last window see none of g: zeros again.
    extents = (
        (w - 1) * d + 1
        for w, d in zip(window.window_shape, window.dilation, strict=True)
    )
    path = zip(padded, window.output_shape, window.strides, extents, strict=True)
    between = [(0, p - ((n - 1) * s + e), s - 1) for p, n, s, e in path]
    apart = [(0, 0, 0)] * len(batch) + between + [(0, 0, 0)]
    spread = lax.pad(g.astype(wide), jnp.zeros((), wide), apart)
    gradient = conv(
        spread, flipped.astype(wide), 1, "FULL", dilation=dilation, groups=groups
    )
    (unpadded,) = jax.linear_transpose(pad, x.update(dtype=wide))(gradient)
    return unpadded.astype(g.dtype)


def kernel_gradient(
    x: Float[Array, "*batch_and_space channels_in"],
    g: Float[Array, "*batch_and_space_out channels_out"],
    window_shape: windows.Sizes,
    strides: windows.Sizes = 1,
    padding: windows.Padding = "SAME",
    *,
    dilation: windows.Sizes = 1,
    groups: int = 1,
    boundary: str = "zero",
) -> Float[Array, "*window channels_in_per_group channels_out"]:
    """The gradient in the kernel of sum(g * conv(x, kernel, ...)).

    With p the padded map, and n counting the images of the batch,

    dkernel[t, c, o] = sum over n and i of
    p[n, strides * i + dilation * t, c] * g[n, i, o]

    which is a convolution of p with g as its kernel: its positions are the taps t, its
    taps the positions i. Stride and dilation have changed places, as have the batch
    and the channels.

    Raises:
        ValueError, TypeError: as `conv` does; or `g` is not of the shape that `conv`
            makes of `x`.
    """
    window = _geometry(x, window_shape, strides, padding, boundary, dilation)
    rank = len(window.strides)
    if groups < 1 or x.shape[-1] % groups or g.shape[-1] % groups:
        raise ValueError(
            f"{groups} groups do not divide {x.shape[-1]} and {g.shape[-1]} channels"
        )
    kernel = jax.ShapeDtypeStruct(
        (*window.window_shape, x.shape[-1] // groups, g.shape[-1]), g.dtype
    )
    path = dict(strides=strides, padding=padding, dilation=dilation, boundary=boundary)
    _check_gradient(g, _result(x, kernel, groups=groups, **path))
    padded = windows.pad(x, window.padding, boundary, 0)
    images = padded.reshape(-1, *padded.shape[x.ndim - rank - 1 :])
    gradients = g.reshape(-1, *g.shape[g.ndim - rank - 1 :])
    kernels = []
    for part, part_gradients in _by_group(groups, images, gradients):
        taps = conv(
            jnp.moveaxis(part, (-1, 0), (0, -1)),
            jnp.moveaxis(part_gradients, 0, -2),
            window.dilation,
            "VALID",
            dilation=window.strides,
        )
        kernels.append(jnp.moveaxis(taps, 0, -2))
    # Where the strides leave a rest of the map, there is room for more taps than are.
    inside = tuple(map(slice, window.window_shape))
    return jnp.concatenate(kernels, -1)[inside]


def _geometry(x, window_shape, strides, padding, boundary, dilation):
    if not jnp.issubdtype(x.dtype, jnp.number):
        raise TypeError(f"im2col needs a map of numbers, got {x.dtype}")
    rank = len(window_shape) if isinstance(window_shape, Sized) else 2
    if not 1 <= rank <= 3:
        raise ValueError(f"window_shape {window_shape} must have 1 to 3 entries")
    if x.ndim < rank + 1:
        raise ValueError(
            f"a window with {rank} axes needs a map [*batch, {rank} spatial axes, "
            f"channels], got shape {x.shape}"
        )
    spatial = x.shape[x.ndim - rank - 1 : -1]
    return windows.geometry(
        spatial, window_shape, strides, padding, boundary, dilation=dilation
    )


def _result(x, kernel, **options):
    """The shape and dtype of what `conv` gives, which refuses what does not fit."""
    return jax.eval_shape(functools.partial(conv, **options), x, kernel)


def _check_gradient(g, wanted):
    if g.shape != wanted.shape:
        raise ValueError(
            f"g of shape {g.shape} must have that of the convolution, {wanted.shape}"
        )


def _by_group(groups, *arrays):
    """The parts of the arrays, group by group of their last axis."""
    return zip(*(jnp.split(array, groups, -1) for array in arrays), strict=True)
