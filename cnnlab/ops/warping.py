"""Affine warps of maps: where every pixel of the result comes from, and its value.

A point is (y, x) in pixels from the map's centre, ((height - 1) / 2, (width - 1) / 2)
in indices, so pixel centres lie on whole or half numbers; y grows downwards and x to
the right. A turn about the centre so has no translation, whatever the map's size.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int, Num

from cnnlab.ops.arguments import check_array
from cnnlab.ops.reductions import wide
from cnnlab.ops.windows import check_boundary


def affine_warp(
    x: Float[Array, "*batch height width channels"],
    matrix: Float[Array | np.ndarray, "*one_each 2 3"],
    *,
    boundary: str = "zero",
    order: int = 1,
    fill: float | tuple[float, ...] | Float[Array, "..."] = 0.0,
) -> Float[Array, "*batch height width channels"]:
    """The map whose pixel at the point p is that of `x` at `matrix @ (*p, 1)`.

    So the matrix leads from the result back to the map, as `affine_matrix` makes it;
    the identity gives a finite map to the bit. Between pixels the four nearest are
    interpolated linearly; there is no low-pass filter, so that a picture which shrinks
    below a half is aliased. Gradients reach the map and the matrix.

    Args:
        matrix: one for all images, or one for each.
        boundary: how the map goes on beyond its edge: "zero", "circular", "reflect"
            (about the outermost pixel's centre) or "edge". Under "zero" a point within
            a pixel of the edge is interpolated towards `fill`.
        order: 1 for linear interpolation, 0 for the nearest pixel, which gives the
            matrix no gradient.
        fill: what lies beyond the edge under "zero": a number, or one for each channel.

    Raises:
        ValueError: an unknown boundary or order, or shapes that do not fit.
        TypeError: not an array of a floating-point dtype.
    """
    for name, array in {"the map": x, "the matrix": matrix}.items():
        check_array(name, array)
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(f"{name} must be floating-point numbers, got {array.dtype}")
    check_boundary(boundary)
    if order not in (0, 1):
        raise ValueError(f"unknown order {order!r}; choose from 0, 1")
    batch, rows = matrix.shape[:-2], matrix.shape[-2:]
    if x.ndim < 3 or rows != (2, 3) or batch not in ((), x.shape[:-3]):
        raise ValueError(
            f"a warp of maps {x.shape} needs a matrix (2, 3) or "
            f"{(*x.shape[:-3], 2, 3)}, got {matrix.shape}"
        )

    def warp(x, matrix):
        return _warp(x, matrix, boundary, order, fill)

    for _ in batch:
        warp = jax.vmap(warp)
    return warp(x, jnp.asarray(matrix))


def affine_matrix(
    *,
    angle: float | Float[Array, ""] = 0.0,
    scale: float | Float[Array, ""] = 1.0,
    slope: float | Float[Array, ""] = 0.0,
    translation: tuple[float, float] | Float[Array, "2"] = (0.0, 0.0),
) -> Float[Array, "2 3"]:
    """The matrix under which `affine_warp` shears, scales, turns and then moves a map.

    What was at the point p = (y, x) of the map is in the result at

        scale [[cos, -sin], [sin, cos]] (y, x + slope y) + translation

    Args:
        angle: radians, counter-clockwise as seen, like `np.rot90`.
        scale: above 1 enlarges what is seen.
        slope: of the horizontal shear: by how much a row moves to the right for each
            row that it lies below the centre.
        translation: (down, to the right), in pixels.
    """
    down, right = translation
    cosine, sine = jnp.cos(angle) / scale, jnp.sin(angle) / scale
    top = cosine, sine
    bottom = -sine - slope * cosine, cosine - slope * sine
    rows = ((a, b, -a * down - b * right) for a, b in (top, bottom))
    return jnp.stack([jnp.stack(jnp.broadcast_arrays(*row)) for row in rows])


def continued(
    index: Int[Array, "*indices"], size: int, boundary: str
) -> tuple[Int[Array, "*indices"], Bool[Array, "*indices"]]:
    """Which of `size` entries stands at each index under `boundary`, and whether one.

    Under "zero" none does outside of the axis, and the index given there is the edge's.
    """
    if boundary == "circular":
        index = index % size
    elif boundary == "reflect" and size > 1:
        period = 2 * (size - 1)
        index = index % period
        index = jnp.minimum(index, period - index)
    inside = jnp.full(index.shape, True)
    if boundary == "zero":
        inside = (index >= 0) & (index < size)
    return jnp.clip(index, 0, size - 1), inside


def filling(
    fill: float | tuple[float, ...] | Num[Array, "..."],
    x: Num[Array, "*batch_and_space channels"],
) -> Num[Array, "..."]:
    """`fill`, a number or one for each channel, in the dtype of `x`.

    Raises:
        ValueError: it is neither.
    """
    value = jnp.asarray(fill, x.dtype)
    if value.shape not in ((), x.shape[-1:]):
        raise ValueError(
            f"fill takes a number, or one for each of {x.shape[-1]} channels, "
            f"got {fill!r}"
        )
    return value


def _warp(x, matrix, boundary, order, fill):
    height, width, _ = x.shape[-3:]
    wide_x = wide(x)
    # Pixels of a large map are not whole numbers in half precision.
    matrix = wide(matrix)
    centre = (height - 1) / 2, (width - 1) / 2
    p_y = jnp.arange(height, dtype=matrix.dtype)[:, None] - centre[0]
    p_x = jnp.arange(width, dtype=matrix.dtype) - centre[1]
    # Written out: an accelerator may multiply matrices in ten bits.
    sources = [
        row[0] * p_y + row[1] * p_x + row[2] + middle
        for row, middle in zip(matrix, centre, strict=True)
    ]

    def pixels(rows, columns):
        """Those at whole indices, wherever they lie."""
        (rows, in_rows), (columns, in_columns) = (
            continued(index, size, boundary)
            for index, size in ((rows, height), (columns, width))
        )
        found = wide_x.at[..., rows, columns, :].get(mode="promise_in_bounds")
        if boundary != "zero":
            return found
        inside = (in_rows & in_columns)[..., None]
        return jnp.where(inside, found, filling(fill, found))

    if order == 0:
        nearest = (_whole(jnp.floor(source + 0.5)) for source in sources)
        return pixels(*nearest).astype(x.dtype)
    first = [jnp.floor(source) for source in sources]
    below, right = (
        (source - start).astype(wide_x.dtype)[..., None]
        for source, start in zip(sources, first, strict=True)
    )
    row, column = map(_whole, first)
    upper, lower = (
        (1 - right) * pixels(r, column) + right * pixels(r, column + 1)
        for r in (row, row + 1)
    )
    return ((1 - below) * upper + below * lower).astype(x.dtype)


def _whole(index):
    return index.astype(jnp.int32)
