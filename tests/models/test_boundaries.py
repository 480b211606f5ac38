"""Every model with other boundaries than zeros, by its shapes. Nothing is computed."""

import itertools

import jax
import pytest
from expected_models import (
    EXPECTED,
    SLOW_TO_COMPILE,
    all_but_the_deepest,
    smallest_of_each_family,
)

from cnnlab.diagnostics.program import trace
from cnnlab.models import create_model
from cnnlab.ops import pools, windows

QUICK = set(smallest_of_each_family()) - SLOW_TO_COMPILE
EVERY_MODEL = pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in all_but_the_deepest()
    ],
)
OTHERS = [boundary for boundary in windows.BOUNDARIES if boundary != "zero"]


def images_of(name, side=None):
    height, width, channels = create_model(name).image_shape
    return jax.ShapeDtypeStruct((2, side or height, side or width, channels), "float32")


def shapes(name, side=None, **options):
    """The shapes of the (scores, variables), traced in evaluation."""
    model = create_model(name, **options)
    images = images_of(name, side)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), images)


@EVERY_MODEL
def test_every_boundary_has_the_variables_and_scores_of_any_other(name):
    side = EXPECTED[name].tiny_side
    wanted = shapes(name, side)
    for boundary in OTHERS:
        assert shapes(name, side, boundary=boundary) == wanted, boundary


@EVERY_MODEL
def test_whatever_is_padded_is_padded_by_the_boundary(name):
    model, images = create_model(name, boundary="reflect"), images_of(name)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    program = trace(model.apply, variables, images)
    layers = [step.operation for step in program.steps() if reaches_out(step.operation)]
    assert {layer.options["boundary"] for layer in layers} <= {"reflect"}
    assert layers or name == "lenet5_1998"


def reaches_out(operation):
    """Whether an operator sees beyond its map."""
    padding = operation.options.get("padding", ()) if operation.operator else ()
    return any(itertools.chain(*padding))


@pytest.mark.parametrize("pool", pools)
def test_a_pool_without_a_meaning_for_a_boundary_says_so_in_one_line(pool):
    for boundary in OTHERS:
        if boundary in pools[pool].boundaries:
            shapes("base_a", 12, pool=pool, boundary=boundary)
            continue
        with pytest.raises(ValueError) as error:
            shapes("base_a", 12, pool=pool, boundary=boundary)
        choices = ", ".join(pools[pool].boundaries)
        wanted = f"{pool} has no boundary {boundary!r}; choose from {choices}"
        assert str(error.value) == wanted


def test_an_unknown_boundary_is_refused_with_the_choices():
    with pytest.raises(ValueError) as error:
        create_model("lenet5", boundary="mirror")
    choices = ", ".join(windows.BOUNDARIES)
    assert str(error.value) == f"unknown boundary 'mirror'; choose from {choices}"
