"""The two gradients of convolution, written out as convolutions.

For g = d loss / d out, in taps and positions: `kernel_gradient` is the convolution of
the map with g, `input_gradient` that of g with the flipped kernel. In both the stride
of the convolution has become the distance between the entries of g. `im2col` shows the
same as products of matrices.

Source: Dumoulin and Visin, 2016, chapter 4, "A guide to convolution arithmetic for deep
learning", https://arxiv.org/abs/1603.07285.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from cnnlab.ops import windows
from cnnlab.ops.arguments import check_array, check_integer
from cnnlab.ops.convolution import conv
from cnnlab.ops.convolution_operands import check_operands
from cnnlab.ops.named import named


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

    Source: Dumoulin and Visin, 2016, chapter 4 (see above).
    """
    check_operands(g, kernel, groups, transposed=True)
    rank = kernel.ndim - 2
    spatial_shape = windows.sizes(spatial_shape, rank, "spatial_shape")
    batch = g.shape[: g.ndim - rank - 1]
    x = jax.ShapeDtypeStruct(
        (*batch, *spatial_shape, groups * kernel.shape[-2]), g.dtype
    )
    path = dict(strides=strides, padding=padding, dilation=dilation, boundary=boundary)
    _check_gradient(g, x, kernel, dict(path, groups=groups))
    window = windows.geometry(spatial_shape, kernel.shape[:-2], **path)
    call = f"input_gradient({window}, spatial_shape={spatial_shape}, groups={groups})"
    static = dict(window=window, spatial_shape=spatial_shape, groups=groups)
    return named(call, _input_gradient, **static)(g, kernel)


def _input_gradient(g, kernel, *, window, spatial_shape, groups):
    rank = len(spatial_shape)
    batch = g.shape[: g.ndim - rank - 1]
    channels = groups * kernel.shape[-2]
    # [taps, in, groups, out] to [taps, out, groups, in].
    flipped = jnp.flip(kernel, range(rank))
    flipped = flipped.reshape(*kernel.shape[:-1], groups, kernel.shape[-1] // groups)
    flipped = flipped.swapaxes(-3, -1).reshape(
        *kernel.shape[:-2], kernel.shape[-1] // groups, channels
    )

    def pad(x):
        return windows.pad(x, window.padding, window.boundary, 0)

    x = jax.ShapeDtypeStruct((*batch, *spatial_shape, channels), g.dtype)
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
        spread,
        flipped.astype(wide),
        1,
        "FULL",
        dilation=window.dilation,
        groups=groups,
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

    Source: as `input_gradient`.
    """
    check_array("g", g)
    spatial = windows.spatial_shape(x, windows.rank_of(window_shape))
    path = dict(strides=strides, padding=padding, dilation=dilation, boundary=boundary)
    window = windows.geometry(spatial, window_shape, **path)
    check_integer("groups", groups)
    if g.ndim < 1:
        raise ValueError("g of shape () must have that of the convolution")
    if groups < 1 or x.shape[-1] % groups or g.shape[-1] % groups:
        raise ValueError(
            f"{groups} groups do not divide {x.shape[-1]} and {g.shape[-1]} channels"
        )
    kernel = jax.ShapeDtypeStruct(
        (*window.window_shape, x.shape[-1] // groups, g.shape[-1]), g.dtype
    )
    _check_gradient(g, x, kernel, dict(path, groups=groups))
    call = f"kernel_gradient({window}, groups={groups})"
    return named(call, _kernel_gradient, window=window, groups=groups)(x, g)


def _kernel_gradient(x, g, *, window, groups):
    first = x.ndim - len(window.strides) - 1
    count = math.prod(x.shape[:first])
    padded = windows.pad(x, window.padding, window.boundary, 0)
    images = padded.reshape(count, *padded.shape[first:])
    gradients = g.reshape(count, *g.shape[first:])
    kernels = []
    parts = (jnp.split(array, groups, -1) for array in (images, gradients))
    for part, part_gradients in zip(*parts, strict=True):
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


def _check_gradient(g, x, kernel, path):
    """Refuses all that `conv` does, and a `g` that is not of its result's shape."""
    wanted = jax.eval_shape(functools.partial(conv, **path), x, kernel).shape
    if g.shape != wanted:
        raise ValueError(
            f"g of shape {g.shape} must have that of the convolution, {wanted}"
        )
