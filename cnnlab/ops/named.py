"""One named equation per operator.

Every operator runs inside a `jax.jit` whose name is its call, geometry included, such
as `max_pool(window_shape=(2, 2), strides=(2, 2), ...)`. So `jax.make_jaxpr` of any
function shows which operators it is made of, and tools read window, stride, padding and
boundary there, whatever the lowering inside. Under an outer jit the inner one costs
nothing: XLA inlines it.
"""

import functools
from collections.abc import Callable, Hashable

import jax


def named(name: str, body: Callable, **static: Hashable) -> Callable:
    """`body` with the keywords `static` bound, jitted under `name`.

    Equal arguments give the same jitted function, and so share its compiled code.
    """
    return _named(name, body, tuple(static.items()))


@functools.lru_cache(maxsize=4096)
def _named(name, body, static):
    def call(*arrays, **more):
        return body(*arrays, **more, **dict(static))

    call.__name__ = call.__qualname__ = name
    return jax.jit(call)
