"""A program computed operation by operation gives what the function gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.diagnostics.program import trace
from cnnlab.diagnostics.running import run
from cnnlab.models import create_model
from cnnlab.ops import pooling
from cnnlab.ops.convolution import conv


def _as_is(operation, inputs):
    return None


def _loops(x):
    def step(carry, row):
        return carry + row, carry * row

    total, rows = jax.lax.scan(step, x[0], x, reverse=True)
    count = jax.lax.while_loop(lambda n: n < total.sum(), lambda n: 2 * n + 1, 1.0)
    larger = jax.lax.cond(total.sum() > 3, lambda y: y + count, lambda y: y - 1, rows)
    return total, larger


def _network(x):
    kernel = jnp.linspace(-1, 1, 3 * 3 * 2 * 3).reshape(3, 3, 2, 3)
    x = jax.nn.relu(conv(x, kernel, boundary="circular"))
    x = jax.checkpoint(lambda x: jnp.tanh(x) * 2)(x)
    return pooling.max_pool(x, (2, 2), strides=2).mean((1, 2))


_X = jax.random.normal(jax.random.key(0), (4, 8, 8, 2))


@pytest.mark.parametrize("inside", [None, _as_is])
@pytest.mark.parametrize("function", [_network, _loops])
def test_a_run_as_it_is_gives_what_the_function_gives(function, inside):
    program = trace(function, _X)
    expected = jax.tree.leaves(function(_X))
    for got, wanted in zip(run(program, [_X], _as_is, inside), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)


def test_a_model_runs_jitted():
    model = create_model("lenet5")
    x = jax.random.normal(jax.random.key(0), (2, 28, 28, 1))
    variables = jax.jit(model.init)(jax.random.key(1), x)
    program = trace(model.apply, variables, x)
    leaves = jax.tree.leaves((variables, x))
    (got,) = jax.jit(lambda leaves: run(program, leaves, _as_is))(leaves)
    np.testing.assert_allclose(got, model.apply(variables, x), rtol=1e-5, atol=1e-5)


def test_a_rule_changes_what_it_takes_on_inside_of_loops_too():
    def negated(operation, inputs):
        return [-inputs[0]] if operation.name == "sin" else None

    def function(x):
        return jax.lax.fori_loop(0, 3, lambda i, x: jnp.sin(x) + 1, jnp.sin(x))

    program = trace(function, 0.5)
    (got,) = run(program, [0.5], negated, negated)
    # -0.5, then three times 1 - x.
    assert float(got) == pytest.approx(1 - (1 - (1 + 0.5)))
    (outside,) = run(program, [0.5], negated)
    wanted = -0.5
    for _ in range(3):
        wanted = np.sin(wanted) + 1
    assert float(outside) == pytest.approx(wanted, rel=1e-6)
