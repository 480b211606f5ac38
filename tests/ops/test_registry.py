"""Names, specs and options."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

import cnnlab.ops
from cnnlab.ops import lp_pool, max_pool, pools, windowed
from cnnlab.ops.registry import Registry, parse_spec, takes, unwrapped


@pytest.mark.parametrize(
    ("spec", "parsed"),
    [
        ("max_pool", ("max_pool", {})),
        (" max_pool() ", ("max_pool", {})),
        ("lp_pool(p=3.0)", ("lp_pool", {"p": 3.0})),
        ("lp_pool(p=-1, normalize=False)", ("lp_pool", {"p": -1, "normalize": False})),
        (
            "f(a='x, (y', b=(1, 2), c=None)",
            ("f", {"a": "x, (y", "b": (1, 2), "c": None}),
        ),
    ],
)
def test_spec_is_a_name_and_literals(spec, parsed):
    assert parse_spec(spec) == parsed


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "  ",
        "3",
        "max pool",
        "ops.max_pool",
        "lp_pool(3)",
        "lp_pool(p=3",
        "lp_pool(p=q)",
        "lp_pool(p=2 * 3)",
        "lp_pool(p={[]: 1})",
        "lp_pool(p=1, p=2)",
        "lp_pool(**{'p': 3})",
        "lp_pool(p=__import__('os').getcwd())",
        "lp_pool(p=3)(p=4)",
        "max_pool; max_pool",
        "max_pool\0",
    ],
)
def test_anything_else_is_malformed(spec):
    with pytest.raises(
        ValueError, match="^malformed spec .*write a name, or"
    ) as raised:
        parse_spec(spec)
    assert repr(spec) in str(raised.value)


def test_resolve_binds_options():
    x = jnp.arange(8.0).reshape(4, 2, 1)
    got = pools.resolve("lp_pool(p=3.0)")(x, 2)
    np.testing.assert_array_equal(got, lp_pool(x, 2, p=3.0))
    assert pools.resolve("max_pool") is max_pool


def test_resolve_takes_any_callable_as_it_is():
    def anything(x, window_shape, strides=1, padding="VALID"):
        return x

    assert pools.resolve(anything) is anything


def test_registry_is_a_mapping_by_function_name():
    assert set(pools) == {function.__name__ for function in pools.values()}
    assert len(pools) == len(list(pools)) and "max_pool" in pools
    for name in pools:
        assert getattr(cnnlab.ops, name) is pools[name]
    with pytest.raises(KeyError):
        pools["maxpool"]


def test_name_is_given_once():
    registry = Registry("pool")
    registry.register(max_pool)
    with pytest.raises(ValueError, match="pool 'max_pool' is registered already"):
        registry.register(max_pool)
    assert list(registry) == ["max_pool"]


def test_a_new_pool_is_a_reduction_of_its_taps():
    registry = Registry("pool")

    @registry.register
    @windowed(fill=0)
    def span_pool(taps, *, factor: float = 1.0):
        """The last entry less the first."""
        return factor * (taps.values[-1] - taps.values[0])

    x = jnp.arange(6.0)[:, None]
    got = registry.resolve("span_pool(factor=2.0)")(x, (3,), 2, "SAME")
    assert got.ravel().tolist() == [4, 4, -8]
    assert registry["span_pool"].__doc__ == "The last entry less the first."
    assert takes(span_pool, "factor") and takes(span_pool, "boundary")
    assert not takes(span_pool, "key")
    with pytest.raises(ValueError, match="its options: boundary, factor"):
        registry.resolve("span_pool(p=1)")


def test_takes_tells_which_pools_draw():
    drawing = {name for name in pools if takes(pools[name], "key")}
    assert "stochastic_pool" in drawing and "max_pool" not in drawing


def test_a_function_is_found_in_its_partials():
    inner = functools.partial(lp_pool, p=1, normalize=False)
    assert unwrapped(functools.partial(inner, p=3)) == (
        lp_pool,
        {"p": 3, "normalize": False},
    )
    assert unwrapped(lp_pool) == (lp_pool, {})
