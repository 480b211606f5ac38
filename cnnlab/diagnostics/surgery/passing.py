"""What works on a map entry by entry, so that it may as well come before the thinning.

Such are activations, biases and a normalisation by given statistics: all that treats
each place alike. Moves of whole axes leave entries what they are, and pass too.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

from jax.extend.core import Jaxpr, JaxprEqn, Literal

from cnnlab.diagnostics.elementwise import ELEMENTWISE
from cnnlab.diagnostics.equations import CALLS
from cnnlab.diagnostics.surgery.cut import Layout


def entrywise_after(jaxpr: Jaxpr, start: Any, layout: Layout) -> dict[Any, Layout]:
    """The layouts of the maps made of `start` entry by entry, itself the first.

    The last of them is the one that all that follows is made of: nothing after it needs
    those before.
    """
    layouts, made_at, taken_at = {start: layout}, {start: -1}, {}
    constant = {e.outvars[0]: axes for e in jaxpr.eqns if (axes := _constant_axes(e))}
    for position, equation in enumerate(jaxpr.eqns):
        used = _maps(equation, layouts)
        if not used:
            continue
        after = layout_after(equation, layouts, constant)
        if after is not None:
            layouts[equation.outvars[0]] = after
            made_at[equation.outvars[0]] = position
        for variable in used:
            last = math.inf if after is None else position
            taken_at[variable] = max(last, taken_at.get(variable, -1))
    results = set(_plain(jaxpr.outvars))
    taken_at |= {variable: math.inf for variable in layouts if variable in results}
    # When those before each of them are used for the last time.
    uses = [taken_at.get(variable, -1) for variable in layouts]
    before = itertools.accumulate(uses[:-1], max, initial=-1)
    alone = [
        number
        for number, (variable, last) in enumerate(zip(layouts, before, strict=True))
        if last <= made_at[variable]
    ]
    return dict(itertools.islice(layouts.items(), alone[-1] + 1))


def _constant_axes(equation: JaxprEqn) -> frozenset[int]:
    """The axes along which what an equation gives repeats itself."""
    if equation.primitive.name != "broadcast_in_dim":
        return frozenset()
    operand = equation.invars[0].aval.shape
    kept = {
        int(axis): side
        for axis, side in zip(
            equation.params["broadcast_dimensions"], operand, strict=True
        )
    }
    rank = len(equation.outvars[0].aval.shape)
    return frozenset(axis for axis in range(rank) if kept.get(axis, 1) == 1)


def layout_after(
    equation: JaxprEqn,
    layouts: Mapping[Any, Layout],
    constant: Mapping[Any, frozenset[int]],
) -> Layout | None:
    """The layout of an equation's only output, if every entry is treated alone.

    Args:
        layouts: of the variables that are maps to be thinned.
        constant: of other variables, the axes along which they repeat themselves.
    """
    if len(equation.outvars) != 1:
        return None
    name = equation.primitive.name
    if name in CALLS:
        return _of_call(equation, layouts, constant)
    (first, *_) = (layouts[v] for v in _maps(equation, layouts))
    if name in _MOVES:
        axes = _MOVES[name](equation)
        return axes and _moved(first, axes)
    if name not in ELEMENTWISE:
        return None
    shape = equation.outvars[0].aval.shape
    for variable in equation.invars:
        if not isinstance(variable, Literal) and variable in layouts:
            same = layouts[variable] == first and variable.aval.shape == shape
        else:
            same = _is_alike(variable, first.axes, shape, constant)
        if not same:
            return None
    return first


def _maps(equation, layouts):
    return [variable for variable in _plain(equation.invars) if variable in layouts]


def _plain(variables):
    return [variable for variable in variables if not isinstance(variable, Literal)]


def _is_alike(variable, axes, shape, constant) -> bool:
    """Whether a variable of another kind has the same entry at every place."""
    own = variable.aval.shape
    if not own:
        return True
    if len(own) != len(shape):
        return False
    repeats = frozenset() if isinstance(variable, Literal) else constant.get(variable)
    return all(own[axis] == 1 or axis in (repeats or ()) for axis in axes)


def _of_call(equation, layouts, constant):
    called = equation.params[CALLS[equation.primitive.name]]
    inner = getattr(called, "jaxpr", called)
    inside, known = {}, {}
    for outer, var in zip(equation.invars, inner.invars, strict=True):
        if not isinstance(outer, Literal) and outer in layouts:
            inside[var] = layouts[outer]
        elif not isinstance(outer, Literal) and outer in constant:
            known[var] = constant[outer]
    for one in inner.eqns:
        if _maps(one, inside):
            layout = layout_after(one, inside, known)
            if layout is None:
                return None
            inside[one.outvars[0]] = layout
        elif axes := _constant_axes(one):
            known[one.outvars[0]] = axes
    (output,) = inner.outvars
    return None if isinstance(output, Literal) else inside.get(output)


def _moved(layout: Layout, axes: Mapping[int, int]) -> Layout | None:
    if any(axis not in axes for axis in layout.axes):
        return None
    channels = layout.channels
    if channels is not None and channels not in axes:
        return None
    return Layout(
        tuple(axes[axis] for axis in layout.axes),
        None if channels is None else axes[channels],
    )


def _transposed(equation):
    order = equation.params["permutation"]
    return {int(axis): place for place, axis in enumerate(order)}


def _reshaped(equation):
    """Where axes go, if those that come or go have one entry."""
    before = equation.invars[0].aval.shape
    after = equation.outvars[0].aval.shape
    old = [axis for axis, side in enumerate(before) if side > 1]
    new = [axis for axis, side in enumerate(after) if side > 1]
    if [before[axis] for axis in old] != [after[axis] for axis in new]:
        return None
    return dict(zip(old, new, strict=True))


def _spread(equation):
    before = equation.invars[0].aval.shape
    axes = equation.params["broadcast_dimensions"]
    if equation.outvars[0].aval.size != equation.invars[0].aval.size:
        return None
    return {old: int(new) for old, new in zip(range(len(before)), axes, strict=True)}


_MOVES = {
    "transpose": _transposed,
    "reshape": _reshaped,
    "squeeze": _reshaped,
    "expand_dims": _reshaped,
    "broadcast_in_dim": _spread,
}
