"""Which sums over windows are means, and where they are divided."""

import dataclasses
import itertools
import math
from collections.abc import Collection, Mapping
from typing import Any

import jax
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal

from cnnlab.diagnostics.surgery.cut import Cut
from cnnlab.diagnostics.surgery.reading import refused
from cnnlab.diagnostics.surgery.site import Site

# What may stand between a sum and its division: entries stay what they are.
_LAYOUT = (
    "broadcast_in_dim",
    "convert_element_type",
    "expand_dims",
    "reshape",
    "squeeze",
    "transpose",
)
_WINDOWS = ("window_dimensions", "window_strides", "padding", "base_dilation")


@dataclasses.dataclass(frozen=True)
class Level:
    """One program without those that it calls.

    Attributes:
        fixed: the variables that come from no input and no constant of the program.
        constants: the arrays of its constants, where they are known.
    """

    jaxpr: Jaxpr
    fixed: Collection[Any]
    constants: Mapping[Any, Any]

    def producer(self, variable) -> JaxprEqn | None:
        """The equation that gives `variable`."""
        return next((e for e in self.jaxpr.eqns if variable in e.outvars), None)

    def users(self, variable) -> list[int]:
        """The equations that take `variable`, and -1 if it is a result."""
        used = [i for i, e in enumerate(self.jaxpr.eqns) if variable in _variables(e)]
        return used + [-1] * (variable in _plain(self.jaxpr.outvars))


def read_mean(cut: Cut, level: Level, equation: JaxprEqn) -> Cut:
    """The cut of a sum over windows, together with its division."""
    if cut.site.obstacle:
        return cut
    (total,) = equation.outvars
    while len(users := level.users(total)) == 1 and users[0] >= 0:
        after = level.jaxpr.eqns[users[0]]
        if after.primitive.name in ("div", "mul"):
            return _divided(cut, level, equation, users[0], total)
        if after.primitive.name not in _LAYOUT:
            break
        (total,) = after.outvars
    return refused(cut, "it is a sum, and no mean")


def _divided(cut, level, total_of, position, total) -> Cut:
    equation = level.jaxpr.eqns[position]
    left, right = equation.invars
    divides = equation.primitive.name == "div"
    other = right if left is total else left
    if divides and other is left:
        return refused(cut, "it is a sum that divides, and no mean")
    entries = math.prod(cut.site.window_shape)
    number = _uniform(level, other)
    mean = None
    if total.aval.shape != equation.outvars[0].aval.shape:
        return refused(cut, "its division widens it")
    if number is not None:
        wanted = entries if divides else 1 / entries
        # A mean by a reciprocal is rounded in the map's dtype.
        if math.isclose(number, wanted, rel_tol=0 if divides else 1e-2):
            mean = "avg_pool"
    elif divides and _counts(level, other, total_of, cut.site):
        mean = "avg_pool(count_include_pad=False)"
    if mean is None:
        return refused(cut, "it is a sum, divided by something else than its entries")
    site = dataclasses.replace(cut.site, itself=mean)
    place = position, equation.invars.index(total)
    return dataclasses.replace(cut, site=site, division=place)


def _uniform(level: Level, variable) -> float | None:
    """The number that all entries of a variable are, if that can be read."""
    value = level.constants.get(variable) if not _is_literal(variable) else variable.val
    if value is not None:
        known = np.size(value) == 1 and not isinstance(value, jax.core.Tracer)
        return float(np.asarray(value).reshape(())) if known else None
    if variable not in level.fixed:
        return None
    producer = level.producer(variable)
    if producer is None or producer.primitive.name not in _LAYOUT:
        return None
    return _uniform(level, producer.invars[0])


def _counts(level: Level, variable, total_of: JaxprEqn, site: Site) -> bool:
    """Whether a variable holds the number of real entries of each window."""
    value = None if _is_literal(variable) else level.constants.get(variable)
    if value is not None:
        return not isinstance(value, jax.core.Tracer) and _equal_counts(value, site)
    producer = level.producer(variable)
    if producer is None:
        return False
    if producer.primitive.name in _LAYOUT:
        return _counts(level, producer.invars[0], total_of, site)
    if producer.primitive.name != "reduce_window_sum":
        return False
    ones = _uniform(level, producer.invars[0]) == 1
    one, other = (
        list(zip(*(e.params[name] for name in _WINDOWS), strict=True))
        for e in (producer, total_of)
    )
    # Axes without windows may be missing, or be there for the batch.
    bare = (1, 1, (0, 0), 1)
    same = [a for a in one if a != bare] == [a for a in other if a != bare]
    sides = [producer.invars[0].aval.shape[i] for i, a in enumerate(one) if a != bare]
    return ones and same and sides == [site.input_shape[axis] for axis in site.axes]


def _equal_counts(value, site: Site) -> bool:
    rows = []
    for axis, extent, stride, (low, _) in zip(
        site.axes, site.window_shape, site.strides, site.padding, strict=True
    ):
        first = np.arange(site.output_shape[axis]) * stride - low
        places = first[:, None] + np.arange(extent)
        rows.append(((places >= 0) & (places < site.input_shape[axis])).sum(1))
    expected = np.ones((), int)
    for row in rows:
        expected = np.multiply.outer(expected, row)
    found = np.asarray(value)
    squeezed = found.reshape([side for side in found.shape if side > 1])
    wanted = expected.reshape([side for side in expected.shape if side > 1])
    return squeezed.shape == wanted.shape and bool((squeezed == wanted).all())


def fixed_variables(jaxpr: Jaxpr, fixed_inputs: Collection[Any]) -> set[Any]:
    """The variables of `jaxpr` that depend on none of its other inputs."""
    fixed = set(fixed_inputs)
    for equation in jaxpr.eqns:
        if all(variable in fixed for variable in _variables(equation)):
            fixed.update(equation.outvars)
    return fixed


def _variables(equation: JaxprEqn) -> list:
    return _plain(itertools.chain(equation.invars))


def _plain(variables) -> list:
    return [variable for variable in variables if not _is_literal(variable)]


def _is_literal(variable) -> bool:
    return isinstance(variable, Literal)
