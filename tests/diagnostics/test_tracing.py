"""Functions that JAX cannot trace, where there has to be a program."""

import jax
import numpy as np
import pytest

from cnnlab.diagnostics import geometry, lattice
from cnnlab.diagnostics.tracing import traced

IMAGES = np.zeros((1, 8, 8, 1), np.float32)


def of_numpy(images):
    return np.maximum(np.asarray(images), 0).mean((1, 2))


def by_value(images):
    return images if images.sum() > 0 else -images


@pytest.mark.parametrize("use", [geometry.walk, lattice.certify, traced])
@pytest.mark.parametrize("function", [of_numpy, by_value])
def test_is_one_line(use, function):
    said = f"^{function.__name__} cannot be traced by JAX: [^\n]+$"
    with pytest.raises(TypeError, match=said):
        use(function, IMAGES)


def test_a_program_comes_with_what_the_function_returns():
    program, shapes = traced(lambda x: {"sum": x.sum()}, IMAGES)
    assert program.jaxpr.eqns and shapes == {"sum": jax.ShapeDtypeStruct((), "float32")}
