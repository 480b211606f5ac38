"""Circular shifts of each image by a distance of its own, fast in both directions.

As plain indexing the gradient would be a scatter, many times slower on a CPU than the
shift back that it is; so the shift is a primitive, whose transpose is itself.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Int, Num


def rotate(
    x: Num[Array, "*batch_and_space channels"], offset: Int[Array, "*batch rank"]
) -> Num[Array, "*batch_and_space channels"]:
    """The maps as seen from `offset`: entry i is entry (offset + i) mod size of `x`.

    The shift carries no gradient; that of the map is shifted back.
    """
    rank = offset.shape[-1]
    first = x.ndim - rank - 1
    count, spatial = math.prod(x.shape[:first]), x.shape[first:-1]
    images = x.reshape(count, *spatial, x.shape[-1])
    offset = (offset % np.array(spatial, offset.dtype)).reshape(count, rank)
    return _rotate.bind(images, offset.astype(jnp.int32)).reshape(x.shape)


def _by_index(images, offset):
    """One gather of whole pixels."""
    spatial = images.shape[1:-1]
    flat = jnp.zeros((len(images), *(1 for _ in spatial)), jnp.int32)
    for axis, size in enumerate(spatial):
        along = offset[:, axis, None] + jnp.arange(size)
        along = jnp.where(along < size, along, along - size)
        axes = [i + 1 for i in range(len(spatial)) if i != axis]
        flat = flat * size + jnp.expand_dims(along, axes)
    places = math.prod(spatial)
    pixels = images.reshape(len(images), places, images.shape[-1])
    index = flat.reshape(len(images), places, 1)
    turned = jnp.take_along_axis(pixels, index, 1, mode="promise_in_bounds")
    return turned.reshape(images.shape)


_rotate = Primitive("rotate")
_rotate.def_impl(jax.jit(_by_index))
_rotate.def_abstract_eval(lambda images, offset: images)
mlir.register_lowering(_rotate, mlir.lower_fun(_by_index, multiple_results=False))


def _jvp(primals, tangents):
    (images, offset), (moved, _) = primals, tangents
    out = _rotate.bind(images, offset)
    if isinstance(moved, ad.Zero):
        return out, ad.Zero.from_primal_value(out)
    return out, _rotate.bind(moved, offset)


def _transpose(cotangent, images, offset):
    if isinstance(cotangent, ad.Zero):
        return ad.Zero(images.aval), None
    sizes = np.array(cotangent.shape[1:-1], np.int32)
    return _rotate.bind(cotangent, (-offset) % sizes), None


def _batch(arguments, axes):
    size = next(
        a.shape[axis]
        for a, axis in zip(arguments, axes, strict=True)
        if axis is not None
    )
    images, offset = (
        jnp.broadcast_to(a[None], (size, *a.shape))
        if axis is None
        else jnp.moveaxis(a, axis, 0)
        for a, axis in zip(arguments, axes, strict=True)
    )
    merged = (a.reshape(size * a.shape[1], *a.shape[2:]) for a in (images, offset))
    return _rotate.bind(*merged).reshape(images.shape), 0


ad.primitive_jvps[_rotate] = _jvp
ad.primitive_transposes[_rotate] = _transpose
batching.primitive_batchers[_rotate] = _batch
