"""A scan on copies, each trip computed by the rule."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from cnnlab.diagnostics.lattice.copies import Copies, copies
from cnnlab.diagnostics.loops import parts_of, scanned
from cnnlab.diagnostics.operation import Operation
from cnnlab.diagnostics.running import Rule, run


def scanned_copies(
    operation: Operation, inputs: Sequence[Any], rule: Rule
) -> list[Any]:
    """The outputs of a scan, of whose inputs some are copies."""
    (body,) = operation.bodies
    parts = parts_of(operation)
    count = next(len(value.arrays) for value in inputs if isinstance(value, Copies))
    constants, carry, entries = parts.of_inputs(inputs)
    entries = list(map(_apart, entries))

    def trip(values):
        return run(body, values, rule)

    def around(carry):
        first = jax.tree.map(lambda leaf: leaf[0], entries)
        out, _ = parts.of_outputs(
            jax.eval_shape(lambda *values: trip(values), *constants, *carry, *first)
        )
        return [_like(old, new, count) for old, new in zip(carry, out, strict=True)]

    # What becomes copies in a later trip has to be some from the first.
    for _ in carry:
        carry = around(carry)

    def alike(values):
        out, stacked = parts.of_outputs(trip(values))
        out = [_like(new, old, count) for new, old in zip(out, carry, strict=True)]
        return [*out, *stacked]

    results = scanned(operation.options, parts, [*constants, *carry, *entries], alike)
    carry, stacked = parts.of_outputs(results)
    return [*carry, *map(_together, stacked)]


def _like(value: Any, model: Any, count: int) -> Any:
    """`value`, as copies where `model` is."""
    if isinstance(value, Copies) or not isinstance(model, Copies):
        return value
    value = jnp.asarray(value)
    return copies(jnp.broadcast_to(value, (count, *value.shape)))


def _apart(value: Any) -> Any:
    """What is taken apart, with the axis of trips before that of copies."""
    if not isinstance(value, Copies):
        return jnp.asarray(value)
    arrays = jnp.moveaxis(value.arrays, 1, 0)
    flags = (jnp.broadcast_to(flag, len(arrays)) for flag in value[1:])
    return Copies(arrays, *flags)


def _together(value: Any) -> Any:
    """What is stacked, with the axis of copies first again."""
    if not isinstance(value, Copies):
        return value
    return Copies(jnp.moveaxis(value.arrays, 0, 1), *(f.all() for f in value[1:]))
