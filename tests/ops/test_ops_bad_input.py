"""Calls that cannot be meant, and the one line that each is answered with."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.ops import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    batch_norm,
    conv,
    depth_to_space,
    global_pools,
    local_response_norm,
    lp_pool,
    max_pool,
    max_pool_with_switches,
    max_unpool,
    pools,
    space_to_depth,
)
from cnnlab.ops import stochastic_pool as stochastic
from cnnlab.ops.registry import takes

X = jnp.ones((2, 5, 4, 3))
KERNEL = jnp.ones((3, 3, 3, 6))
INTEGERS = jnp.ones((2, 5, 4, 3), jnp.int32)

# A checked signature would answer most of these calls before the operator can.
pytestmark = pytest.mark.usefixtures("unchecked")

# What any pool says about its window, as (arguments after the map, error, message).
WINDOWS = [
    ((6,), ValueError, r"window_shape (6, 6) exceeds the padded map (5, 4)"),
    (((3, 5), 1, 0), ValueError, r"window_shape (3, 5) exceeds the padded map (5, 4)"),
    ((0,), ValueError, "window_shape (0, 0) must be at least 1 everywhere"),
    (((2, -1),), ValueError, "window_shape (2, -1) must be at least 1 everywhere"),
    (((),), ValueError, "window_shape () must have 1 to 3 entries"),
    (((1,) * 4,), ValueError, "window_shape (1, 1, 1, 1) must have 1 to 3 entries"),
    (((2.0, 2),), TypeError, "window_shape takes integers, got 2.0"),
    ((2.0,), TypeError, "window_shape takes integers, got 2.0"),
    ((None,), TypeError, "window_shape takes integers, got None"),
    (("2x",), TypeError, "window_shape takes integers, got '2'"),
    ((True,), TypeError, "window_shape takes integers, got True"),
    (((2, True),), TypeError, "window_shape takes integers, got True"),
    ((2, True), TypeError, "strides takes integers, got True"),
    ((2, 1, True), TypeError, "padding takes integers, got True"),
    ((2, 1, ((0, False), 0)), TypeError, "padding takes integers, got False"),
    ((2, 0), ValueError, "strides (0, 0) must be at least 1 everywhere"),
    ((2, -2), ValueError, "strides (-2, -2) must be at least 1 everywhere"),
    ((2, (1, 1, 1)), ValueError, "strides (1, 1, 1) has 3 entries for 2 spatial axes"),
    ((2, 1.5), TypeError, "strides takes integers, got 1.5"),
    ((2, None), TypeError, "strides takes integers, got None"),
    ((2, 1, "same"), ValueError, "unknown padding 'same'; choose from VALID, SAME"),
    ((2, 1, -1), ValueError, "padding ((-1, -1), (-1, -1)) must not be negative"),
    ((2, 1, (1,)), ValueError, "padding (1,) has 1 entries for 2 spatial axes"),
    (
        (2, 1, ((1, 2, 3), 0)),
        ValueError,
        "padding ((1, 2, 3), (0, 0)) must be one (low, high) pair per axis",
    ),
    ((2, 1, ((0.5, 0), 0)), TypeError, "padding takes integers, got 0.5"),
    ((2, 1, (0.5, 0)), TypeError, "padding takes integers, got 0.5"),
    ((2, 1, None), TypeError, "padding takes integers, got None"),
]

CALLS = [
    (
        lambda: max_pool(X[0, 0], (2, 2)),
        ValueError,
        "2 spatial axes need a map [*batch, 2 spatial axes, channels], "
        "got shape (4, 3)",
    ),
    (
        lambda: max_pool(X, 2, boundary="wrap"),
        ValueError,
        "unknown boundary 'wrap'; choose from zero, circular, reflect, edge",
    ),
    (
        lambda: max_pool(X, 2, boundary=[]),
        ValueError,
        "unknown boundary []; choose from zero, circular, reflect, edge",
    ),
    (lambda: max_pool(X > 0, 2), TypeError, "the map must hold numbers, got bool"),
    (
        lambda: max_pool(X, 2, p=2),
        TypeError,
        "max_pool() got an unexpected keyword argument 'p'",
    ),
    (
        lambda: avg_pool(INTEGERS, 2),
        TypeError,
        "a mean needs a floating-point map, got int32",
    ),
    (
        lambda: lp_pool(INTEGERS, 2),
        TypeError,
        "a mean needs a floating-point map, got int32",
    ),
    (
        lambda: stochastic(INTEGERS, 2),
        TypeError,
        "a mean needs a floating-point map, got int32",
    ),
    (
        lambda: stochastic(X, 2, key=jax.random.split(jax.random.key(0))),
        ValueError,
        "given a key array of shape (2,)",
    ),
    (
        lambda: lp_pool(X, 2, p=0.5),
        ValueError,
        "p 0.5 must be a finite number of at least 1",
    ),
    (
        lambda: lp_pool(X, 2, p=float("inf")),
        ValueError,
        "p inf must be a finite number of at least 1",
    ),
    (
        lambda: lp_pool(X, 2, p=float("nan")),
        ValueError,
        "p nan must be a finite number of at least 1",
    ),
    (lambda: lp_pool(X, 2, p="2"), TypeError, "p takes a number, got '2'"),
    (
        lambda: conv(X, KERNEL[0, 0]),
        ValueError,
        "kernel of shape (3, 6) must have 1 to 3 spatial axes and two of channels",
    ),
    (
        lambda: conv(X, KERNEL[None, None]),
        ValueError,
        "kernel of shape (1, 1, 3, 3, 3, 6) must have 1 to 3 spatial axes",
    ),
    (
        lambda: conv(X[0, 0], KERNEL),
        ValueError,
        "a kernel of shape (3, 3, 3, 6) needs a map [*batch, 2 spatial axes, "
        "channels], got shape (4, 3)",
    ),
    (
        lambda: conv(X[..., :2], KERNEL),
        ValueError,
        "kernel of shape (3, 3, 3, 6) in 1 groups does not fit a map of 2 channels",
    ),
    (
        lambda: conv(X, KERNEL, groups=0),
        ValueError,
        "kernel of shape (3, 3, 3, 6) in 0 groups does not fit a map of 3 channels",
    ),
    (
        lambda: conv(X, KERNEL[:, :, :1, :4], groups=3),
        ValueError,
        "kernel of shape (3, 3, 1, 4) in 3 groups does not fit a map of 3 channels",
    ),
    (
        lambda: conv(X, KERNEL, dilation=3, padding="VALID"),
        ValueError,
        "kernel (7, 7) exceeds the padded map (5, 4)",
    ),
    (
        lambda: conv(X, KERNEL, dilation=0),
        ValueError,
        "dilation (0, 0) must be at least 1 everywhere",
    ),
    (
        lambda: conv(X, KERNEL, lowering="fft"),
        ValueError,
        "unknown lowering 'fft'; choose from auto, lax, im2col",
    ),
    (
        lambda: conv(X.astype(jnp.bfloat16), KERNEL, lowering="im2col"),
        TypeError,
        "must have one floating-point dtype, got bfloat16 and float32",
    ),
    (
        lambda: conv(INTEGERS, KERNEL.astype(jnp.int32)),
        TypeError,
        "must have one floating-point dtype, got int32 and int32",
    ),
    (lambda: local_response_norm(X, size=0), ValueError, "size 0 must be at least 1"),
    (
        lambda: local_response_norm(INTEGERS),
        TypeError,
        "a normalisation needs a floating-point map, got int32",
    ),
    (lambda: pools.resolve(3), TypeError, "a pool is a spec or a function, got 3"),
    (
        lambda: pools["mixed_pool"](jnp.ones((4, 4, 1)), 2, alpha="x"),
        TypeError,
        "alpha takes numbers, got 'x'",
    ),
    (
        lambda: pools["gated_pool"](jnp.ones((4, 4, 1)), 2, gating_mask=jnp.ones(3)),
        ValueError,
        "gating_mask of shape (3,) must have shape (2, 2), or be one number",
    ),
    (
        lambda: pools["learned_polyphase"](jnp.ones((4, 4, 1)), 2, temperature="a"),
        TypeError,
        "temperature takes a number, got 'a'",
    ),
    (
        lambda: pools["adaptive_polyphase"](
            jnp.ones((4, 4, 1)), 2, pool="max_blur_pool"
        ),
        ValueError,
        "pool 'max_blur_pool' cannot be the dense one",
    ),
    (
        lambda: pools["spectral_pool"](jnp.ones((4, 4, 1)), 2, boundary="edge"),
        ValueError,
        "spectral_pool has no boundary 'edge'; choose from circular",
    ),
    (
        lambda: batch_norm(jnp.ones((4, 2)), *[jnp.ones(3)] * 4),
        ValueError,
        "mean of shape (3,) must be (2,)",
    ),
    (
        lambda: pools.resolve("maxpool"),
        ValueError,
        "unknown pool 'maxpool'; choose from adaptive_blur_pool, adaptive_polyphase, ",
    ),
    (
        lambda: pools.resolve("lp_pool(q=2)"),
        ValueError,
        "lp_pool has no option 'q'; its options: boundary, p, normalize",
    ),
    (
        lambda: pools.resolve("stochastic_pool(key=1)"),
        ValueError,
        "stochastic_pool has no option 'key'",
    ),
]


def _refuses(call, error, message):
    with pytest.raises(error, match=re.escape(message)) as raised:
        call()
    assert raised.type is error
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("call", "error", "message"), CALLS)
def test_call_is_refused_in_one_line(call, error, message):
    _refuses(call, error, message)


# What takes one map, by name.
OF_A_MAP = {
    **{name: functools.partial(pool, window_shape=1) for name, pool in pools.items()},
    **global_pools,
    "adaptive_avg_pool": lambda x: adaptive_avg_pool(x, 1),
    "adaptive_max_pool": lambda x: adaptive_max_pool(x, 1),
    "max_pool_with_switches": lambda x: max_pool_with_switches(x, 1),
    "max_unpool": lambda x: max_unpool(x, INTEGERS, (5, 4), 1),
    "space_to_depth": space_to_depth,
    "depth_to_space": depth_to_space,
}


@pytest.mark.parametrize("name", OF_A_MAP)
def test_a_map_must_be_an_array(name):
    for x in [[[1.0]]], 1.0, None, "x":
        message = f"a map must be an array, got {type(x).__name__}"
        _refuses(functools.partial(OF_A_MAP[name], x), TypeError, message)


@pytest.mark.parametrize("name", [name for name in pools if takes(pools[name], "key")])
def test_a_key_must_be_one_of_jax(name):
    wanted = "key takes a JAX key such as jax.random.key(0), got "
    for key, got in [
        (0, "int"),
        (True, "bool"),
        ([0, 1], "list"),
        (jnp.ones(2), "an array of float32"),
        (np.ones(2, np.int64), "an array of int64"),
    ]:
        call = functools.partial(pools[name], X, 2, key=key)
        _refuses(call, TypeError, wanted + got)
    key = jax.random.key(3)
    old_style = pools[name](X, 2, key=jax.random.key_data(key))
    np.testing.assert_array_equal(old_style, pools[name](X, 2, key=key))


@pytest.mark.parametrize("name", pools)
def test_every_pool_refuses_a_bad_window_in_one_line(name):
    for arguments, error, message in WINDOWS:
        _refuses(functools.partial(pools[name], X, *arguments), error, message)


def test_refusal_comes_at_trace_time():
    with pytest.raises(ValueError, match="exceeds the padded map"):
        jax.eval_shape(lambda x: max_pool(x, 9), X)
    with pytest.raises(ValueError, match="p 0 must be"):
        jax.eval_shape(lambda x: lp_pool(x, 2, p=0), X)
