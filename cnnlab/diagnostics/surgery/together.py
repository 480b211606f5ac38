"""Sites whose maps meet again, and so must keep the same samples."""

import dataclasses
from collections.abc import Mapping, Sequence

from cnnlab.diagnostics.surgery.cut import Cut
from cnnlab.diagnostics.surgery.operators import Resolved
from cnnlab.ops import polyphase_choice, polyphase_downsample, windows
from cnnlab.ops.polyphase import adaptive_polyphase
from cnnlab.ops.registry import unwrapped

Groups = Sequence[Sequence[int]]


def share_choices(
    chosen: Mapping[int, Resolved], cuts: Sequence[Cut], together: Groups
) -> dict[int, Resolved]:
    """`chosen`, where the operators of a group keep what the first to run chose.

    Operators that keep the same samples of every map stay as they are.

    Raises:
        ValueError: an unknown site, a group with several operators or one that is part
            swapped, in several programs or in a loop, or an operator that chooses and
            cannot share its choice.
    """
    shared = dict(chosen)
    for group in together:
        unknown = [index for index in group if index not in range(len(cuts))]
        if unknown:
            raise ValueError(f"together: unknown site {unknown[0]!r} in {group!r}")
        operators = [chosen[index] for index in group if index in chosen]
        if not any(map(_chooses, operators)):
            continue
        if len(operators) < len(group) or len(set(map(_called, operators))) > 1:
            raise ValueError(
                f"together: sites {group!r} need one operator, all of them"
            )
        levels = {(cuts[i].location[:-1], cuts[i].site.in_loop) for i in group}
        if len(levels) > 1 or any(in_loop for _, in_loop in levels):
            raise ValueError(
                f"together: sites {group!r} are in different calls or loops"
            )
        function = _Shared(_norm(operators[0]))
        one = dataclasses.replace(operators[0], function=function)
        shared |= dict.fromkeys(group, one)
    return shared


def _chooses(operator: Resolved) -> bool:
    traits = getattr(unwrapped(operator.function)[0], "traits", None)
    return traits is not None and traits.shift_exact


def _called(operator: Resolved):
    function, options = unwrapped(operator.function)
    return function, frozenset(options.items()), operator.window_shape


def _norm(operator: Resolved) -> int:
    function, options = unwrapped(operator.function)
    if (
        function is not adaptive_polyphase
        or options.get("pool", "max_pool") is not None
    ):
        raise ValueError(
            f"together: {operator.name} cannot share its choice; "
            "adaptive_polyphase(pool=None) can"
        )
    return options.get("p", 2)


class _Shared:
    """`adaptive_polyphase(pool=None)`, whose first call chooses for all of them."""

    def __init__(self, p: int):
        self._p, self._choice = p, None

    def __call__(self, x, window_shape, strides, padding):
        spatial = windows.spatial_shape(x, len(strides))
        path = windows.geometry(spatial, window_shape, strides, padding)
        if self._choice is None:
            self._choice = polyphase_choice(x, strides, path.output_shape, p=self._p)
        return polyphase_downsample(x, self._choice, strides, path.output_shape)
