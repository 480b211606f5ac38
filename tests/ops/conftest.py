"""What the operators' tests share."""

import jax
import pytest


@pytest.fixture(scope="module")
def quickly_compiled():
    """For modules of many small programs, whose compilation takes all their time."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
