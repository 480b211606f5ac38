"""What the experiment refuses of its lists and models, before anything is trained."""

from cnnlab.errors import UserError
from experiments.comparing.arm import Arm
from experiments.comparing.comparison_flags import blamed
from experiments.harness.run_flags import RunFlags


def refuse_repeated(name: str, items: tuple[str, ...]) -> None:
    """Lets a list of specs pass that names one or more, and none twice.

    Raises:
        UserError: naming the flag.
    """
    from cnnlab.ops.registry import parse_spec

    if not items:
        raise UserError(name, "is empty; give at least one")
    try:
        meanings = [parse_spec(item) for item in items]
    except ValueError as error:
        raise UserError(name, str(error)) from None
    for i, meaning in enumerate(meanings):
        if meaning in meanings[:i]:
            other = items[meanings.index(meaning)]
            raise UserError(name, f"{items[i]} is {other} once more")


def refuse_model(config: RunFlags, model: str) -> None:
    """Lets a model pass that there is, and that sets nothing which flags set.

    Raises:
        UserError: about `models`.
    """
    from experiments.training.model_refusal import refuse_other_model

    arm = Arm(model, {"model": model}, flag="models")
    try:
        refuse_other_model(arm.configured(config))
    except UserError as error:
        told = blamed(error, arm)
        message = told.message.replace("use --pool", "use --pools")
        message = message.replace("use --boundary", "use --boundaries")
        raise UserError(told.argument, message) from error


def refuse_unfit(
    model: str, image_shape: tuple[int, int, int], *, with_budget: bool
) -> None:
    """Lets a model pass that takes the images, and whose budget they are enough for.

    Raises:
        UserError: about `models` or `budget_examples`.
    """
    import jax
    import jax.numpy as jnp

    from cnnlab.models import create_model
    from experiments.invariance import causes

    height, width, channels = image_shape
    size = f"{height}x{width}x{channels}"
    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    try:
        net = create_model(model)
        variables = jax.eval_shape(net.init, jax.random.key(0), images)
        jax.eval_shape(net.apply, variables, images)
    except (ValueError, TypeError, ArithmeticError) as error:
        text = str(error).splitlines()[0]
        raise UserError(
            "models", f"{model} cannot take {size} images: {text}"
        ) from None
    if not with_budget:
        return
    leave_out = "--budget_examples=0 leaves its error budget out"
    try:
        strides = causes.stride_of(net.apply, variables, images)
        causes.multiples_of((height, width), strides)
    except ValueError as error:
        raise UserError(
            "budget_examples", f"{model} {error}, and images are {size}; {leave_out}"
        ) from None
