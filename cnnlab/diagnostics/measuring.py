"""Any number of these diagnostics again, by its spec."""

import inspect
from collections.abc import Callable
from typing import Any

from cnnlab.diagnostics import shifts
from cnnlab.diagnostics.aliasing import meter
from cnnlab.diagnostics.error_budget import error_budget
from cnnlab.diagnostics.shifts.grid import NEAR
from cnnlab.diagnostics.surgery import sampling_effects
from cnnlab.diagnostics.tomography import equivariance_error, invariance_error
from cnnlab.ops.registry import parse_spec


def _grid(predict, images, *labels, spec: str = NEAR, probabilities: bool = False):
    return shifts.grid(predict, images, spec, *labels, probabilities=probabilities)


# By what their specs begin with; the protocols of `shifts` beside them.
MEASURES: dict[str, Callable] = {
    "aliasing": meter,
    "equivariance_error": equivariance_error,
    "error_budget": error_budget,
    "grid": _grid,
    "invariance_error": invariance_error,
    "sampling_effects": sampling_effects,
}


def measure(spec: str, function: Any, *args) -> Any:
    """What the measurement of that spec finds of `function(*args)`.

    `measure(found.spec, function, *args)` gives a result again, from what it was made
    of: a function and its arguments, `predict` or (features, head) and images, or, for
    a protocol of `shifts` or a grid of them, `predict`, images and labels.

    Raises:
        ValueError: a malformed spec, an unknown measure or option, or what the measure
            cannot take.
    """
    name = spec.partition("(")[0].strip()
    if name == "shift" or name in shifts.protocols:
        images, *labels = args
        return shifts.measure(function, images, spec, *labels)
    if name not in MEASURES:
        known = ", ".join(sorted([*MEASURES, *shifts.protocols, "shift"]))
        raise ValueError(f"unknown measure {name!r}; choose from {known}")
    _, options = parse_spec(spec)
    allowed = _options_of(MEASURES[name])
    for option in options:
        if option not in allowed:
            raise ValueError(
                f"{name} has no option {option!r}; its options: {', '.join(allowed)}"
            )
    return MEASURES[name](function, *args, **options)


def _options_of(function: Callable) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [each.name for each in parameters if each.default is not each.empty]
