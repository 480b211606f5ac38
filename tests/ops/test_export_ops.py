"""Convolution lowers for platforms that need not be at hand."""

import jax
import jax.numpy as jnp
import pytest
from jax import export

from cnnlab.ops import conv

PLATFORMS = ("cpu", "cuda", "tpu")
DTYPES = pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])


@DTYPES
@pytest.mark.parametrize("boundary", ["zero", "circular"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_conv_and_its_gradients_export_as_convolutions(platform, boundary, dtype):
    def value_and_gradients(x, kernel):
        out, pull = jax.vjp(lambda x, k: conv(x, k, 2, boundary=boundary), x, kernel)
        return out, pull(out)

    shapes = (2, 6, 5, 3), (3, 3, 3, 4)
    exported = _export(value_and_gradients, [platform], *shapes, dtype=dtype)
    if platform != "cpu":
        # The value, and a gradient each for the map and the kernel.
        assert exported.mlir_module().count("stablehlo.convolution") == 3


def _export(function, platforms, *shapes, dtype):
    arguments = (jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)
    return export.export(jax.jit(function), platforms=platforms)(*arguments)
