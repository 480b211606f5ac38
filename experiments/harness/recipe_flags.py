"""The flags of whatever trains by a recipe: the net, the images, the recipe."""

import dataclasses
import textwrap

from cnnlab.errors import UserError
from experiments.harness import flags

_RECIPES = "none means the recipe's"


@dataclasses.dataclass(frozen=True)
class NetFlags:
    """Which net, on which images."""

    model: str = flags.field(
        "lenet5", "model, with its options: \"resnet20(shortcut='projection')\""
    )
    pool: str | None = flags.field(
        None, "spec of the pool where the model pools; none means the model's own"
    )
    boundary: str = flags.field(
        "zero",
        "what convolutions and pools see beyond the image",
        choices=("zero", "circular", "reflect", "edge"),
    )
    downsample: str | None = flags.field(
        None, "spec of a pool that takes every stride; none means the model's strides"
    )
    dataset: str = flags.field(
        "glyphs", "glyphs (drawn, built in), or a prepared TFDS set such as mnist"
    )
    data_dir: str | None = flags.field(
        None,
        "folder of prepared sets; none means $TFDS_DATA_DIR, or else "
        "~/tensorflow_datasets",
        identity=False,
    )
    image_size: int = flags.field(28, "side of the glyphs, in pixels")
    train_examples: int | None = flags.field(
        None, "training images to use, validation included; none means all"
    )


@dataclasses.dataclass(frozen=True)
class RecipeFlags(NetFlags):
    """And how it is trained: a recipe, and what differs from it."""

    pixels: str = flags.field(
        "standard",
        "what the net is given: standard, each channel with mean 0 and deviation 1 "
        "over the training images; unit, 0 to 1, so that black is what zero padding is",
        choices=("standard", "unit"),
    )

    recipe: str = flags.field("quick", "how to train; --help lists the recipes")
    epochs: int | None = flags.field(
        None, f"passes over the training images; {_RECIPES}"
    )
    steps: int | None = flags.field(
        None, f"training steps, in place of epochs; {_RECIPES}"
    )
    batch_size: int | None = flags.field(None, f"images per step; {_RECIPES}")
    optimizer: str | None = flags.field(
        None,
        f"how the gradient is followed; {_RECIPES}",
        choices=("momentum", "nesterov", "adam", "adadelta"),
    )
    learning_rate: float | None = flags.field(None, f"peak rate; {_RECIPES}")
    schedule: str | None = flags.field(
        None,
        "the rate's shape: constant, linear(final=0.01), cosine(warmup=0.2), "
        f'"piecewise(at=(32, 48), of=64)"; {_RECIPES}',
    )
    momentum: float | None = flags.field(
        None, f"share of the last update that is kept; {_RECIPES}"
    )
    weight_decay: float | None = flags.field(
        None, f"L2 penalty of kernels, norms and biases spared; {_RECIPES}"
    )
    clip: float | None = flags.field(
        None, f"norm to which longer gradients are shortened; 0 is off; {_RECIPES}"
    )
    label_smoothing: float | None = flags.field(
        None, f"share of a label that goes to all classes; {_RECIPES}"
    )
    mixup: float | None = flags.field(
        None, f"parameter of mixup's Beta; 0 is off; {_RECIPES}"
    )
    loss: str | None = flags.field(
        None,
        f"what is made small; {_RECIPES}",
        choices=("cross_entropy", "mean_squared_error"),
    )
    ema_decay: float | None = flags.field(
        None, f"of the weights' moving average; 0 is off; {_RECIPES}"
    )
    accumulate: int | None = flags.field(
        None, f"pieces in which a step's batch is taken; {_RECIPES}"
    )
    augment: tuple[str, ...] | None = flags.field(
        ("recipe",),
        'what is done to training images: "pad_and_crop(padding=4)",random_flip; '
        "recipe means the recipe's, none nothing",
    )
    validation_fraction: float | None = flags.field(
        None, f"share of the training images held out, by seed; {_RECIPES}"
    )
    patience: int | None = flags.field(
        None,
        "epochs without better validation after which training stops and the best is "
        f"taken; 0 is off; {_RECIPES}",
    )
    dtype: str = flags.field(
        "float32",
        "what is computed in; with bfloat16, parameters and sums stay float32",
        choices=("float32", "bfloat16", "float64"),
    )


def chosen_recipe(config: RecipeFlags):
    """The recipe that the flags ask for.

    Raises:
        UserError: a recipe that is none, or a value that it does not take.
    """
    from cnnlab.training.recipes import Recipe, recipes

    try:
        recipe = recipes.resolve(config.recipe)()
    except (ValueError, TypeError) as error:
        raise UserError("recipe", str(error)) from None
    names = [field.name for field in dataclasses.fields(Recipe)]
    given = {name: getattr(config, name) for name in names}
    augment = given.pop("augment")
    given = {name: value for name, value in given.items() if value is not None}
    if augment != ("recipe",):
        given["augment"] = augment or ()
    for name, other in (("epochs", "steps"), ("steps", "epochs")):
        value = getattr(config, name)
        if value is None:
            continue
        if value < 1:
            raise UserError(
                name,
                f"{value} is not a whole number of at least 1; none takes the recipe's",
            )
        given.setdefault(other, 0)
    return dataclasses.replace(recipe, **given)


def recipe_lines() -> str:
    """The recipes, for `--help`."""
    from cnnlab.training.recipes import recipes

    lines = [
        textwrap.fill(
            f"  {name:17}{recipe.__doc__.splitlines()[0]}",
            width=79,
            subsequent_indent=" " * 19,
        )
        for name, recipe in recipes.items()
    ]
    return "\n".join(["Recipes:", *lines])


def identity_of(recipe) -> dict[str, object]:
    """What of a run its recipe settles, by names, as a recipe may change some day."""
    return {
        f"the recipe's {name}": list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(recipe).items()
    }
