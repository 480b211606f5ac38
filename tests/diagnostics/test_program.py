"""The walk: what a traced function is made of, and how often."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax import lax

from cnnlab.diagnostics.equations import read_call
from cnnlab.diagnostics.operation import Operation
from cnnlab.diagnostics.program import trace
from cnnlab.ops import conv, lp_pool, max_pool, pools
from cnnlab.ops.named import named

IMAGE = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
KERNEL = jax.ShapeDtypeStruct((3, 3, 3, 3), jnp.float32)


def steps(function, *args):
    return [(s.operation.name, s.times) for s in trace(function, *args).steps()]


def only_operation(function, *args) -> Operation:
    (operation,) = trace(function, *args).operations
    return operation


def test_an_operator_is_one_operation_with_its_call():
    operation = only_operation(lambda x: max_pool(x, 3, 2, "SAME"), IMAGE)
    assert (operation.name, operation.operator) == ("max_pool", True)
    assert operation.options == {
        "window_shape": (3, 3),
        "strides": (2, 2),
        "padding": ((0, 1), (0, 1)),
        "boundary": "zero",
    }
    assert [value.shape for value in operation.outputs] == [(1, 4, 4, 3)]
    assert operation.inputs[0].nbytes == 4 * 8 * 8 * 3


@pytest.mark.parametrize("lowering", ["auto", "lax", "im2col"])
def test_a_convolution_is_one_operation_by_every_lowering(lowering):
    operation = only_operation(
        functools.partial(conv, strides=2, lowering=lowering), IMAGE, KERNEL
    )
    assert operation.name == "conv"
    assert operation.options["strides"] == (2, 2)


def double(x):
    return 2 * x


@pytest.mark.parametrize(
    "option", [double, lambda x: x, functools.partial(double, x=3)]
)
def test_an_option_that_is_no_literal_does_not_hide_the_others(option):
    call = f"pool(window_shape=(2, 2), strides=(1, 1), pool={option!r}, p=2.5, b='a')"
    name, options = read_call(call)
    assert name == "pool"
    assert isinstance(options.pop("pool"), str)
    assert options == dict(window_shape=(2, 2), strides=(1, 1), p=2.5, b="a")


def test_every_pool_says_its_window():
    for name in pools:
        pool = functools.partial(pools[name], window_shape=2, strides=2)
        operation = only_operation(pool, IMAGE)
        assert operation.name == name
        assert operation.options["window_shape"] == (2, 2)


def test_calls_are_opened():
    def function(x):
        return nn.relu(jax.jit(jax.checkpoint(lambda y: jnp.sin(y) + 1))(x))

    program = trace(function, IMAGE)
    assert [op.name for op in program.operations] == ["sin", "add", "max"]
    assert program.operations[-1].group == "relu"
    chain = [program.inputs[0], *(op.outputs[0] for op in program.operations)]
    assert [op.inputs[0] for op in program.operations] == chain[:-1]
    assert program.outputs == (chain[-1],)


def test_custom_derivatives_are_opened():
    @jax.custom_vjp
    def function(x):
        return jnp.cos(x)

    function.defvjp(lambda x: (jnp.cos(x), x), lambda x, g: (g,))
    assert steps(function, IMAGE) == [("cos", 1)]


def test_what_no_result_needs_is_left_out():
    def function(x):
        max_pool(x, 2)
        return jax.jit(lambda y: (jnp.sin(y), jnp.cos(y)))(x)[1]

    assert steps(function, IMAGE) == [("cos", 1)]


def test_loops_count_their_trips():
    def function(x):
        inner = lambda y, _: (jnp.sin(y), None)  # noqa: E731
        outer = lambda y, _: (lax.scan(inner, y, length=3)[0] + 1, None)  # noqa: E731
        return lax.scan(outer, x, length=5)[0]

    assert steps(function, IMAGE) == [("sin", 15), ("add", 5)]


def test_a_loop_of_unknown_length_is_counted_once_and_marked():
    def function(x):
        return lax.while_loop(lambda y: y.sum() < 9, lambda y: jnp.sin(y * 2), x)

    found = list(trace(function, IMAGE).steps())
    assert [s.operation.name for s in found] == ["reduce_sum", "lt", "mul", "sin"]
    assert {(s.times, s.counted) for s in found} == {(1, False)}


def test_of_branches_the_heaviest_is_taken():
    def function(x):
        return lax.cond(x[0, 0, 0, 0] > 0, jnp.sin, lambda y: jnp.cos(y) + 1, x)

    names = [name for name, _ in steps(function, IMAGE)]
    assert names[-2:] == ["cos", "add"] and "sin" not in names


def test_a_transposed_call_is_not_taken_for_the_operator():
    def loss(x, kernel):
        return jnp.sum(max_pool(conv(x, kernel), 3, 1, ((0, 2), (0, 2))))

    program = trace(jax.grad(loss), IMAGE, KERNEL)
    operators = [op.name for op in program.operations if op.operator]
    assert operators == ["conv", "max_pool"]
    assert "convolution" in [op.name for op in program.operations]


def test_what_cannot_be_read_is_not_counted():
    def function(x):
        return lax.custom_linear_solve(
            lambda y: 2 * y, x, lambda matvec, y: y / 2, symmetric=True
        )

    assert [step.counted for step in trace(function, IMAGE).steps()] == [False]


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        return self.inner(x)

    def inner(self, x):
        return nn.Dense(3, name="last")(x)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.remat(Block)(name="block")(x)


def test_paths_are_modules_without_their_methods():
    variables = jax.eval_shape(Net().init, jax.random.key(0), IMAGE)
    operations = trace(Net().apply, variables, IMAGE).operations
    assert {op.path for op in operations} == {("Net", "block", "last")}


def test_shared_code_gives_values_of_their_own():
    function = named("twice()", double)
    program = trace(lambda x: lp_pool(function(function(x)), 2), IMAGE)
    first, second, _ = program.operations
    assert second.inputs == first.outputs
    assert first.outputs != second.outputs
