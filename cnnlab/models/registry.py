"""Models by name."""

from cnnlab.models.network import Network, options_of
from cnnlab.ops.registry import Registry

models = Registry("model", options_of=lambda build: options_of(type(build())))


def list_models() -> list[str]:
    """The names that `create_model` takes."""
    return sorted(models)


def create_model(name: str, num_classes: int | None = None, **options) -> Network:
    """The model of that name, to be used as `init(key, x)` and `apply(variables, x)`.

    Images are `[batch, height, width, channels]`, scores `[batch, num_classes]`.
    `apply(..., train=True)` updates "batch_stats" where there are any and needs the rng
    streams "pool" where the pool draws and "dropout" where there is dropout; evaluation
    needs no rngs.

    Args:
        name: a name, or a spec such as `"resnet20(shortcut='projection')"`.
        num_classes: None is the paper's.
        options: those of the model's class, such as `pool="lp_pool(p=3.0)"`.

    Raises:
        ValueError, TypeError: an unknown model or option, or a value that an option
            does not take.
    """
    if not isinstance(name, str):
        raise TypeError(f"name takes a model's name or spec, got {name!r}")
    model = models.resolve(name)()
    choices = options_of(type(model))
    for option in options:
        if option not in choices:
            raise ValueError(
                f"{name} has no option {option!r}; its options: {', '.join(choices)}"
            )
    if num_classes is not None:
        options["num_classes"] = num_classes
    return model.clone(**options) if options else model
