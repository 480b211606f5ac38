"""Whole training steps: batch normalisation, loss, gradient and momentum included."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from experiments.benchmarking.timing import Contender, Row, looping, stepping


def rows(batch_size: int, peers: Sequence[str], dtype: str) -> Iterator[Row]:
    """Each network's step: ours, ours in a compiled loop, and the peers'."""
    from experiments.benchmarking import networks

    for name, image in networks.IMAGES.items():
        terms = (batch_size, *image), dtype
        contenders = {
            "ours": functools.partial(_step_of, stepping, networks.ours(name), *terms),
            "ours in a loop": functools.partial(
                _step_of, looping, networks.ours(name), *terms
            ),
        }
        if "flax" in peers:
            contenders["flax"] = functools.partial(
                _step_of, stepping, networks.stock(name), *terms
            )
        if "torch" in peers:
            from experiments.benchmarking import torch_peers

            contenders["torch"] = functools.partial(
                torch_peers.training, name, batch_size, dtype
            )
        yield f"a step of {name}", contenders


def _step_of(how: Callable, model: Any, shape: tuple, dtype: str) -> Contender:
    import jax
    import jax.numpy as jnp
    import optax

    images = jax.random.normal(jax.random.key(0), shape)
    labels = jnp.arange(shape[0]) % 10
    optimizer = optax.sgd(1e-3, momentum=0.9)
    variables = jax.jit(model.init)(jax.random.key(1), images)
    params = variables.pop("params")
    state = images, params, variables, jax.jit(optimizer.init)(params)
    step = functools.partial(_step, model, optimizer, jnp.dtype(dtype))
    return how(step, state, labels)


def _step(model, optimizer, dtype, state, labels):
    import jax
    import jax.numpy as jnp
    import optax

    images, params, variables, moments = state

    def loss(params):
        # Computed in `dtype`, with parameters and statistics kept in float32.
        cast = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
        scores, updated = model.apply(
            {"params": cast, **variables},
            images.astype(dtype),
            train=True,
            mutable=list(variables),
        )
        losses = optax.softmax_cross_entropy_with_integer_labels(
            scores.astype("float32"), labels
        )
        return losses.mean(), updated

    gradient, variables = jax.grad(loss, has_aux=True)(params)
    updates, moments = optimizer.update(gradient, moments)
    params = optax.apply_updates(params, updates)
    # Other images at every step, or a loop would prepare the same ones once for all.
    return jnp.roll(images, 1, axis=0), params, variables, moments
