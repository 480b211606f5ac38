"""The convolution and its two gradients as one primitive.

They are the three contractions of one trilinear form, so that each one's derivatives
and transposes are again among them:

    form(x, kernel, y) = sum over windows o and taps t of
        x[o * stride + t * dilation - low] * kernel[t] * y[o]

JAX's own convolution differentiates as well, but its gradients come in shapes that
XLA's CPU backend runs fast only at the top of a program: inside `lax.scan`, `lax.map`
and `while_loop` they were 3 to 115 times slower. Here every backend gets the shapes
that suit it, wherever the call stands (`contractions`).

Operands carry one leading axis of *copies*, convolved apart: it is how `vmap` over both
operands (many seeds at once) arrives here. A CPU takes the copies one after another,
because its grouped convolution is slow; elsewhere they become groups.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from cnnlab.ops.contractions import elsewhere, on_cpu
from cnnlab.ops.convolution_form import Form, result_shape


def convolve(x: Array, kernel: Array, form: Form) -> Array:
    """y[n, o] = sum over t of x[n, ...] kernel[t], of `[N, *spatial, C]` maps."""
    x, kernel = _varying_alike(x, kernel)
    return _bind("y", x[None], kernel[None], form)[0]


def _varying_alike(*arrays: Array) -> list[Array]:
    """The arrays, inside of `shard_map` all taken to vary over the same mesh axes."""
    varying = [jax.typeof(array).mat.varying for array in arrays]
    every = frozenset().union(*varying)
    return [
        lax.pcast(array, tuple(every - axes), to="varying") if every - axes else array
        for array, axes in zip(arrays, varying, strict=True)
    ]


def _bind(result: str, left: Array, right: Array, form: Form) -> Array:
    """The part of the form that is left when `result`'s place is empty.

    `left` and `right` are the other two, in the order x, kernel, y.
    """
    return convolution_p.bind(left, right, result=result, form=form)


convolution_p = Primitive("convolution")

# The operands of the contraction that gives each of the three.
_OPERANDS = {"y": ("x", "kernel"), "x": ("kernel", "y"), "kernel": ("x", "y")}


def _abstract(left, right, *, result, form):
    shape = result_shape(result, left.shape, right.shape, form)
    return left.update(shape=shape, weak_type=False)


def _transposed(cotangent, left, right, *, missing, result, form):
    """The cotangent of the operand `missing`: the form with its place left empty."""
    names = _OPERANDS[result]
    values = {result: cotangent, names[0]: left, names[1]: right}
    others = (values[name] for name in _OPERANDS[names[missing]])
    return _bind(names[missing], *others, form)


def _batched(operands, axes, *, result, form):
    """One more axis on an operand, or on both, is made part of an axis they have."""
    names = _OPERANDS[result]
    size = next(
        operand.shape[axis]
        for operand, axis in zip(operands, axes, strict=True)
        if axis is not None
    )
    merged = _axis_to_merge(names, axes, form)
    operands = [
        _merge(operand, axis, size, merged[name])
        for name, operand, axis in zip(names, operands, axes, strict=True)
    ]
    out = _bind(result, *operands, form)
    axis = merged[result] % out.ndim
    split = out.shape[:axis] + (size, out.shape[axis] // size) + out.shape[axis + 1 :]
    return out.reshape(split), axis


# Where the axes of batch N, channels C and features F stand in each array.
_AXES = {
    "N": {"x": 1, "y": 1},
    "C": {"x": -1, "kernel": -2},
    "F": {"kernel": -1, "y": -1},
}


def _axis_to_merge(names, axes, form):
    """For each array that gets longer by it, the axis that a new axis is merged into.

    An axis on one operand alone goes into the one that it shares with the result only:
    N, C or F. With both it makes more copies, and so it does where groups of channels
    are apart.
    """
    if None in axes and form.groups == 1:
        (with_axis,) = (
            n for n, axis in zip(names, axes, strict=True) if axis is not None
        )
        (without,) = (n for n, axis in zip(names, axes, strict=True) if axis is None)
        for places in _AXES.values():
            if with_axis in places and without not in places:
                return {without: None, **places}
    return {"x": 0, "kernel": 0, "y": 0}


def _merge(operand, axis, size, into):
    if into is None:
        return operand
    if axis is None:
        operand = jnp.broadcast_to(operand, (size, *operand.shape))
    else:
        operand = jnp.moveaxis(operand, axis, 0)
    into %= operand.ndim - 1
    operand = jnp.moveaxis(operand, 0, into)
    shape = operand.shape
    return operand.reshape(*shape[:into], -1, *shape[into + 2 :])


convolution_p.def_impl(elsewhere)
convolution_p.def_abstract_eval(_abstract)
ad.defbilinear(
    convolution_p,
    functools.partial(_transposed, missing=0),
    functools.partial(_transposed, missing=1),
)
batching.primitive_batchers[convolution_p] = _batched
mlir.register_lowering(convolution_p, mlir.lower_fun(elsewhere, False))
mlir.register_lowering(convolution_p, mlir.lower_fun(on_cpu, False), platform="cpu")
