"""How an operation is computed on the copies, so that no rounding is left to tell.

A rule for `running.run`. What depends on the image is `Copies`; what does not is a
weight, made whole where it meets the image, entry by entry, so that entries that were
equal stay so: a kernel keeps its signs, a factor becomes a power of two, a term a
multiple of 1/8. A weight that differs from place to place and is no such number stays
as it is, and what comes of it is not exact until it is folded.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from cnnlab.diagnostics.elementwise import ELEMENTWISE
from cnnlab.diagnostics.lattice.copies import (
    Copies,
    copies,
    few_bits,
    is_float,
    power_of_two,
)
from cnnlab.diagnostics.lattice.scanning import scanned_copies
from cnnlab.diagnostics.lattice.staircase import folded, whole
from cnnlab.diagnostics.operation import Operation
from cnnlab.diagnostics.running import run

# Operators of which the parts are computed by the rule: all are means.
_OPENED = frozenset(
    """
    adaptive_avg_pool avg_pool batch_norm batch_statistics global_avg_pool
    global_concat_pool
    """.split()
)
_CONVOLUTIONS = frozenset(
    """
    conv conv_blur conv_general_dilated conv_im2col conv_transpose depthwise_conv
    """.split()
)
# They jump where their operands cross a value: a rounding error must not decide.
_JUMPING = frozenset(
    """
    adaptive_polyphase argmax argmin ceil eq floor ge gt le learned_polyphase lt ne
    polyphase_choice round sign sort top_k
    """.split()
)
# Of what they keep in order or take as it is, nothing has to be folded.
_LINEAR = frozenset(
    """
    add add_any convert_element_type copy copy_p max min mul neg real reduce_precision
    select_n stop_gradient sub
    """.split()
)
_OF_POSITIVE = frozenset(["log", "pow", "rsqrt", "sqrt"])
# Beyond these an exponential leaves what a float holds.
_EXPONENTIAL = 30.0
_EXPONENTIALS = frozenset(["exp", "exp2", "expm1", "sinh", "cosh"])


def compute(operation: Operation, inputs: Sequence[Any]) -> Sequence[Any] | None:
    """The outputs of `operation` on copies; None: as it is, as none depends on them."""
    if not any(isinstance(value, Copies) for value in inputs):
        return _of_weights(operation, inputs)
    if operation.operator and operation.name in _OPENED:
        return run(operation.bodies[0], inputs, compute)
    if operation.name == "scan":
        return scanned_copies(operation, inputs, compute)
    inputs = _prepared(operation, inputs)
    outputs = _of_copies(operation, inputs)
    if _bends(operation, inputs):
        outputs = [
            folded(output) if is_float(output.arrays.dtype) else output
            for output in outputs
        ]
    return outputs


def _of_weights(operation, inputs):
    if operation.name in _OF_POSITIVE:
        # A variance is drawn like any other weight.
        first, *others = inputs
        return operation.evaluate(_positive(first), *others)
    return None


def _positive(x):
    return jnp.maximum(jnp.abs(x), 0.25)


def _of_copies(operation, inputs) -> list[Copies]:
    axes = [0 if isinstance(value, Copies) else None for value in inputs]
    arrays = [v.arrays if isinstance(v, Copies) else v for v in inputs]
    outputs = jax.vmap(operation.evaluate, axes)(*arrays)
    sources = [value for value in inputs if isinstance(value, Copies)]
    return [copies(output, sources) for output in outputs]


def _bends(operation, inputs) -> bool:
    """Whether it is a pointwise function that is not linear."""
    name = operation.name
    if operation.operator or name not in ELEMENTWISE:
        return name == "dot_general" and _all_copies(inputs)
    if name in ("max", "min"):
        # With a number it is a ReLU, with another map a part of a pool.
        return not _all_copies(inputs)
    if name == "mul":
        return _all_copies(inputs)
    if name == "div":
        return isinstance(inputs[1], Copies)
    return name not in _LINEAR


def _all_copies(inputs) -> bool:
    return all(isinstance(value, Copies) for value in inputs)


def _prepared(operation, inputs) -> list[Any]:
    prepare = _weight_rule(operation, inputs)
    prepared = []
    for value, described in zip(inputs, operation.inputs, strict=True):
        if not isinstance(value, Copies):
            floats = is_float(described.dtype)
            prepared.append(
                prepare(jnp.asarray(value, described.dtype)) if floats else value
            )
        elif is_float(value.arrays.dtype):
            prepared.append(_ready(operation.name, value, value is inputs[-1]))
        else:
            prepared.append(value)
    return prepared


def _ready(name: str, value: Copies, last: bool) -> Copies:
    """An operand that depends on the image, kept where the operation is defined."""
    if name in _JUMPING:
        return whole(value)
    if name in _OF_POSITIVE:
        return value._replace(arrays=_positive(value.arrays))
    if name in _EXPONENTIALS:
        inside = jnp.clip(value.arrays, -_EXPONENTIAL, _EXPONENTIAL)
        return value._replace(arrays=inside)
    if name == "div" and last:
        arrays = jnp.where(value.arrays == 0, 1, value.arrays)
        return value._replace(arrays=arrays)
    return value


def _weight_rule(operation, inputs) -> Callable:
    name = operation.name
    if name in _CONVOLUTIONS or _mixes_channels(operation, inputs):
        return _signs
    if not operation.operator and name == "mul":
        return lambda factor: jnp.where(few_bits(factor), factor, _factor(factor))
    if not operation.operator and name == "div":
        return _factor
    if not operation.operator and name in ("add", "sub"):
        return _term
    return lambda weight: weight


def _mixes_channels(operation, inputs) -> bool:
    """Whether it is a product with a matrix along the last axis of a map.

    Along any other it mixes the map's places, and may be a resize.
    """
    if operation.name != "dot_general":
        return False
    contracted, _ = operation.options["dimension_numbers"]
    return any(
        isinstance(value, Copies) and tuple(axes) == (len(described.shape) - 1,)
        for value, described, axes in zip(
            inputs, operation.inputs, contracted, strict=True
        )
    )


def _signs(kernel):
    """The largest weights as -1 or 1, the others 0."""
    largest = jnp.max(jnp.abs(kernel), initial=0)
    ratio = kernel / jnp.where(largest == 0, 1, largest)
    return jnp.where(few_bits(kernel), kernel, jnp.round(0.99 * ratio))


def _factor(factor):
    """Powers of two, if factors are the same everywhere (but for channels)."""
    if not jnp.ndim(factor):
        same = True
    else:
        entries = jnp.reshape(factor, (-1, factor.shape[-1]))
        same = jnp.all(entries == entries[:1])
    return jnp.where(same, power_of_two(factor), factor)


def _term(term):
    """Multiples of 1/8; a single small number is there to keep a root from 0."""
    if math.prod(jnp.shape(term)) == 1:
        rounded = jnp.where(jnp.abs(term) < 0.125, term, jnp.round(term * 8) / 8)
    else:
        rounded = jnp.round(term * 8) / 8
    return jnp.where(few_bits(term) | ~jnp.isfinite(term), term, rounded)
