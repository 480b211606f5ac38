"""What takes the strides of a network: its own layers, or one pool for all of them."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.layers import BasicBlock, BottleneckBlock
from cnnlab.layers.subsampling import (
    resolve_downsample,
    strided_conv,
    strided_pool,
    thin,
)
from cnnlab.ops import pools

DOWNSAMPLES = [
    "max_pool",
    "avg_pool",
    "blur_pool(window_shape=3)",
    "blur_pool(window_shape=4)",
    "blur_pool(window_shape=5)",
    "adaptive_polyphase(pool=None)",
    "spectral_pool",
]


def normal(shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return jnp.asarray(values, jnp.float32)


class Site(nn.Module):
    """One place where a map is thinned."""

    kind: str
    window: int
    strides: int
    padding: int | str
    downsample: str | None
    boundary: str = "zero"

    @nn.compact
    def __call__(self, x):
        options = {"downsample": self.downsample, "boundary": self.boundary}
        path = self.window, self.strides, self.padding
        if self.kind == "conv":
            return strided_conv(x, 2, *path, **options)
        if self.kind == "pool":
            return strided_pool(x, "max_pool", *path, **options)
        return thin(x, strides=self.strides, **options)


def out(site, x):
    """The (map, variables) of a site."""
    return site.init_with_output(jax.random.key(0), x)


@pytest.mark.parametrize("kind", ["conv", "pool", "slice"])
@pytest.mark.parametrize("downsample", DOWNSAMPLES)
def test_maps_have_the_size_that_strides_give(kind, downsample):
    torus = "polyphase" in downsample or "spectral" in downsample
    x = jnp.zeros((1, 11, 12, 1))
    for path in ((2, 2, "VALID"), (3, 2, 1), (3, 2, "SAME"), (1, 2, 0), (5, 4, 2)):
        for boundary in ("circular",) if torus else ("zero", "circular"):
            strided = Site(kind, *path, None, boundary)
            thinned = strided.clone(downsample=downsample)
            wanted, got = (
                jax.eval_shape(functools.partial(out, s), x) for s in (strided, thinned)
            )
            assert got == wanted, (path, boundary)


@pytest.mark.parametrize("kind", ["conv", "pool", "slice"])
def test_samples_of_the_dense_map_are_the_strided_one(kind):
    # A window of one entry keeps what the strides meet.
    x = normal((2, 9, 10, 3))
    for window, strides, padding in ((3, 2, 1), (2, 2, "VALID"), (3, 3, "SAME")):
        site = (kind, window, strides, padding)
        strided, _ = out(Site(*site, None), x)
        sampled, _ = out(Site(*site, "max_pool(window_shape=1)"), x)
        np.testing.assert_allclose(sampled, strided, atol=1e-6)


def test_the_dense_map_is_blurred_after_its_activation():
    x = normal((1, 8, 8, 3))
    site = Site("conv", 3, 2, 1, "blur_pool(window_shape=3)", "circular")
    thinned, variables = out(site, x)
    kernel = variables["params"]["Conv_0"]["kernel"]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="wrap")
    dense = jax.lax.conv_general_dilated(
        padded, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    rows = np.array([1, 2, 1]) / 4
    blurred = sum(
        rows[i + 1] * rows[j + 1] * jnp.roll(jax.nn.relu(dense), (-i, -j), (1, 2))
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
    )
    np.testing.assert_allclose(thinned, blurred[:, ::2, ::2], atol=1e-6)


@pytest.mark.parametrize("kind", ["conv", "pool", "slice"])
@pytest.mark.parametrize("padding", [0, 1])
def test_on_a_torus_an_exact_pool_keeps_the_same_entries_of_a_shifted_map(
    kind, padding
):
    # Small integers: sums are exact, and so equal to the bit.
    x = jnp.round(3 * normal((2, 8, 12, 3)))
    site = Site(kind, 2 + padding, 2, padding, "adaptive_polyphase", "circular")
    _, variables = out(site, x)
    variables = jax.tree.map(lambda leaf: jnp.round(8 * leaf), variables)
    apply = jax.jit(site.apply)
    kept = np.asarray(apply(variables, x))
    for shift in ((1, 0), (0, 1), (3, 5)):
        moved = np.asarray(apply(variables, jnp.roll(x, shift, (1, 2))))
        for before, after in zip(kept, moved, strict=True):
            assert any(
                (np.roll(before, (i, j), (0, 1)) == after).all()
                for i in range(before.shape[0])
                for j in range(before.shape[1])
            )


@pytest.mark.parametrize("block", [BasicBlock, BottleneckBlock])
@pytest.mark.parametrize("shortcut", ["pad", "projection"])
@pytest.mark.parametrize("argument", ["pool", "downsample"])
def test_a_block_keeps_the_same_places_on_branch_and_shortcut(
    block, shortcut, argument
):
    # Were the choices two, the sum would part when the image moves.
    x = jnp.round(3 * normal((4, 8, 8, 8)))
    options = {argument: "adaptive_polyphase(pool=None)", "boundary": "circular"}
    layer = block(8, 2, shortcut, **options)
    variables = layer.init(jax.random.key(0), x)
    variables["params"] = jax.tree.map(
        lambda leaf: jnp.round(8 * leaf), variables["params"]
    )
    # A norm that changes nothing, so that all sums stay exact.
    variables["batch_stats"] = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf * (1 - 1e-5) if "var" in str(path[-1]) else leaf,
        variables["batch_stats"],
    )

    @jax.jit
    def seen(x):
        return layer.apply(variables, x).sum((1, 2))

    for shift in ((1, 0), (0, 1), (3, 5)):
        moved = seen(jnp.roll(x, shift, (1, 2)))
        np.testing.assert_allclose(moved, seen(x), rtol=1e-5)


def test_a_pool_and_a_downsampling_in_a_block_follow_one_another():
    x = jnp.abs(normal((2, 8, 8, 4)))
    layer = BasicBlock(6, 2, "pad", pool="max_pool", downsample="avg_pool")
    variables = layer.init(jax.random.key(0), x)
    scale = variables["params"]["BatchNorm_1"]["scale"]
    variables["params"]["BatchNorm_1"]["scale"] = jnp.zeros_like(scale)
    got = layer.apply(variables, x)[..., 1:5]
    dense = pools["max_pool"](x, 2, 1, ((0, 1), (0, 1)))
    np.testing.assert_allclose(got, pools["avg_pool"](dense, 2, 2), rtol=1e-6)


def test_a_spec_may_name_its_window():
    pool, window = resolve_downsample("lp_pool(p=3.0, window_shape=4)")
    assert window == 4 and pool.keywords == {"p": 3.0}
    pool, window = resolve_downsample("max_pool")
    assert window is None and pool is pools["max_pool"]


@pytest.mark.parametrize(
    "spec, message",
    {
        "no_pool": "unknown pool 'no_pool'; choose from",
        "blur_pool(size=3)": "blur_pool has no option 'size'",
        "blur_pool(3)": "malformed spec",
    }.items(),
)
def test_wrong_specs_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        BasicBlock(4, downsample=spec).init(jax.random.key(0), jnp.zeros((1, 4, 4, 4)))


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_without_entries_is_refused(window):
    site = Site("slice", 2, 2, 0, f"blur_pool(window_shape={window})")
    with pytest.raises(ValueError, match=f"window_shape .{window}, {window}. must be"):
        jax.eval_shape(functools.partial(out, site), jnp.zeros((1, 8, 8, 1)))


@pytest.mark.parametrize(
    "downsample, kept",
    [("fractional_max_pool", r"\(5, 5\)"), (lambda x, *_: x, r"\(8, 8\)")],
)
@pytest.mark.parametrize("layer", ["conv", "pool", BasicBlock])
def test_a_pool_that_does_not_go_by_strides_is_refused(layer, downsample, kept):
    """Nothing is cut off its map, nor added, to make it fit."""
    x = jnp.zeros((1, 8, 8, 3))
    if layer is BasicBlock:
        site = BasicBlock(4, 2, downsample=downsample)
    else:
        site = Site(layer, 1, 2, 0, downsample)
    message = rf"makes a map of {kept} of one of \(8, 8\), where strides \(2, 2\) keep "
    with pytest.raises(ValueError, match=message) as error:
        jax.eval_shape(functools.partial(out, site), x)
    assert "\n" not in str(error.value)


def test_a_blocks_own_pool_need_not_go_by_strides():
    x = jnp.zeros((1, 8, 8, 3))
    block = BasicBlock(4, 2, pool="fractional_max_pool")
    y, _ = jax.eval_shape(functools.partial(out, block), x)
    assert y.shape == (1, 5, 5, 4)
