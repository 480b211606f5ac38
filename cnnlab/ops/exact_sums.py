"""Sums of integers in 64 bits, exact in any order, without 64-bit arithmetic."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax.numpy as jnp
from jax import Array
from jaxtyping import UInt32

T = TypeVar("T")


class Wide(NamedTuple):
    """The integers high 2^32 + low."""

    high: UInt32[Array, "..."]
    low: UInt32[Array, "..."]


def add(a: Wide, b: Wide) -> Wide:
    """a + b, modulo 2^64."""
    low = a.low + b.low
    carry = (low < a.low).astype(jnp.uint32)
    return Wide(a.high + b.high + carry, low)


def strided_sums(
    values: T, count: int, stride: int, turned: Callable, plus: Callable
) -> T:
    """values(o) + values(o + stride) + ... + values(o + (count - 1) stride), each o.

    By doubling, in log2(count) steps.

    Args:
        turned: (values, distance) -> the values that lie `distance` further on.
        plus: the sum of two such values.
    """
    total, reached, block, length = None, 0, values, 1
    while True:
        if count & length:
            more = turned(block, reached * stride)
            total = more if total is None else plus(total, more)
            reached += length
        if reached == count:
            return total
        block = plus(block, turned(block, length * stride))
        length *= 2
