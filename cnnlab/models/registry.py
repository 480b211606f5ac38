"""Models by name."""

import inspect

import flax.linen as nn

from cnnlab.ops.registry import Registry

models = Registry("model")


def list_models() -> list[str]:
    """The names that `create_model` takes."""
    return sorted(models)


def create_model(name: str, num_classes: int = 10, **options) -> nn.Module:
    """The model of that name, to be used as `init(key, x)` and `apply(variables, x)`.

    Images are `[batch, height, width, channels]`, scores `[batch, num_classes]`.
    `apply(..., train=True)` updates "batch_stats" where there are any and needs the rng
    stream "pool" where the pool draws; evaluation needs no rngs.

    Args:
        options: those of the model's own function, such as `pool="lp_pool(p=3.0)"`.

    Raises:
        ValueError: an unknown model, pool or option.
    """
    build = models.resolve(name)
    choices = list(inspect.signature(build).parameters)[1:]
    for option in options:
        if option not in choices:
            raise ValueError(
                f"{name} has no option {option!r}; its options: {', '.join(choices)}"
            )
    return build(num_classes, **options)
