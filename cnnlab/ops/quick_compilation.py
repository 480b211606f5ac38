"""Programs that run for seconds, compiled in seconds."""

import functools
from collections.abc import Callable

import jax


def quickly_compiled(function: Callable, *, excess_precision: bool = True) -> Callable:
    """`function` under `jax.jit`, without the optimizations that take longest.

    Convolutions and products are calls of a library, and as fast.

    Args:
        excess_precision: whether XLA may leave out roundings that the program has.
    """
    options = dict(_options(jax.default_backend()))
    if not excess_precision:
        options["xla_allow_excess_precision"] = False
    return jax.jit(function, compiler_options=options)


@functools.cache
def _options(backend: str) -> dict[str, bool | int]:
    if backend != "cpu":
        return {}
    options = {
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    }
    quicker = options | {"xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(lambda: 0, compiler_options=quicker).lower().compile()
    except jax.errors.JaxRuntimeError:
        # Later versions of XLA have one pipeline of fusions, and no such option.
        return options
    return quicker
