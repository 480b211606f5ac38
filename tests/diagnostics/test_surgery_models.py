"""A model under the knife is the model that was built with that operator."""

import functools

import jax
import numpy as np
import pytest

from cnnlab.diagnostics import surgery
from cnnlab.models import create_model
from cnnlab.models.cifar_resnet import CifarResNet


def _assert_swapped_is_built(create, spec, side, swapped_spec=None, **options):
    """`options` are those by which the model is built with `spec` at its sites."""
    kept = {k: v for k, v in options.items() if v != spec}
    plain, built = create(**kept), create(**options)
    x = jax.random.uniform(jax.random.key(0), (2, side, side, plain.image_shape[-1]))
    shapes = jax.eval_shape(plain.init, jax.random.key(1), x)
    generator = np.random.default_rng(2)

    def drawn(leaf):
        # Biases, scales and statistics as after training: neither 0 nor 1.
        if len(leaf.shape) < 2:
            return generator.uniform(0.5, 1.5, leaf.shape).astype(leaf.dtype)
        deviation = np.prod(leaf.shape[:-1]) ** -0.5
        return generator.normal(0, deviation, leaf.shape).astype(leaf.dtype)

    variables = jax.tree.map(drawn, shapes)
    swapped = surgery.swap_downsampling(plain.apply, swapped_spec or spec)
    got, wanted, before = (
        jax.jit(function)(variables, x)
        for function in (swapped, built.apply, plain.apply)
    )
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * scale)
    assert np.abs(got - before).max() > 1e-2 * scale


def _of(name):
    return functools.partial(create_model, name)


@pytest.mark.parametrize(
    "spec", ["max_blur_pool", pytest.param("lp_pool(p=3.0)", marks=pytest.mark.slow)]
)
def test_swapped_pools_are_those_of_the_option(spec):
    _assert_swapped_is_built(_of("lenet5"), spec, 28, pool=spec)


def test_swapped_strides_are_those_of_the_option():
    spec = "blur_pool(window_shape=3)"
    create = functools.partial(CifarResNet, blocks_per_stage=1)
    _assert_swapped_is_built(create, spec, 16, downsample=spec)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, spec, side",
    [
        ("resnet20", "blur_pool(window_shape=3)", 16),
        ("resnet20", "avg_pool", 15),
        ("strided_c", "blur_pool(window_shape=3)", 32),
        ("all_cnn_c", "lp_pool(p=3.0)", 32),
    ],
)
def test_so_they_are_on_other_nets_and_sizes(name, spec, side):
    _assert_swapped_is_built(_of(name), spec, side, downsample=spec)


@pytest.mark.slow
def test_on_a_torus_the_sites_that_show_no_boundary_are_told_it():
    spec = "blur_pool(window_shape=4)"
    told = "blur_pool(window_shape=4, boundary='circular')"
    torus = {"boundary": "circular", "downsample": spec}
    create = functools.partial(CifarResNet, blocks_per_stage=1)
    _assert_swapped_is_built(create, spec, 16, told, **torus)
