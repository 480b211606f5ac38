"""What a training run is made of, once everything has been checked that can be."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from cnnlab import training
from cnnlab.data import Dataset
from cnnlab.data.augmentation import resolve_augmentation
from cnnlab.diagnostics.cost import count
from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.ops.registry import parse_spec
from cnnlab.training.engines import Task, data_mesh
from cnnlab.training.resident import moments_of
from experiments.harness import networks
from experiments.harness.recipe_flags import RecipeFlags
from experiments.training.job import Job

_OF_COLORS = "random_grayscale", "random_hue", "random_saturation"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A net, and the steps that train it.

    Attributes:
        options: those of the model that flags set, to make it again.
        macs: multiply-accumulates of an image.
    """

    job: Job
    options: dict[str, Any]
    parameters: int
    macs: int | None


def plan(config: RecipeFlags, recipe: training.Recipe, dataset: Dataset) -> Plan:
    """The plan for a configuration.

    Raises:
        UserError: a net, a recipe and images that do not fit each other.
    """
    _refuse_classes(config.model, dataset)
    examples = len(dataset.train.labels)
    remaining = examples - round(examples * recipe.validation_fraction)
    if recipe.patience and remaining == examples:
        raise UserError(
            "validation_fraction",
            f"{recipe.validation_fraction} of {examples:,} images is none; there is "
            "nothing by which to stop",
        )
    if recipe.batch_size > remaining:
        raise UserError(
            "batch_size",
            f"{recipe.batch_size} is more than the {remaining:,} training images",
        )
    steps = recipe.total_steps(remaining // recipe.batch_size)
    options = net_options(config)
    model, table = _fitted(config, options, dataset)
    computed = {"dtype": "bfloat16"} if config.dtype == "bfloat16" else {}
    model = model.clone(dtype=computed.get("dtype"))
    task = Task(
        model=model,
        optimizer=training.optimizer_of(recipe, steps),
        method=training.Method(
            **{
                field.name: getattr(recipe, field.name)
                for field in dataclasses.fields(training.Method)
            }
        ),
        augment=_augmentation(config, recipe, dataset),
        data_mesh=_mesh(config, recipe.batch_size),
    )
    return Plan(
        job=Job(
            arm=arm_name(config.model, options),
            task=task,
            recipe=recipe,
            dataset=dataset,
            seeds=tuple(range(config.seeds)),
            dtype=config.dtype,
            pixels=config.pixels,
        ),
        options=options | computed,
        parameters=table.parameters,
        macs=table.macs,
    )


def _refuse_classes(model: str, dataset: Dataset) -> None:
    classes = networks.classes_in(model)
    if classes is not None:
        raise UserError(
            "model",
            f"{model} has num_classes {classes!r}, and {dataset.name} has "
            f"{dataset.num_classes} classes; leave it to the images",
        )


def net_options(config: RecipeFlags) -> dict[str, Any]:
    """The options of the model that flags set."""
    given = {"pool": config.pool, "downsample": config.downsample}
    if config.boundary != "zero":
        given["boundary"] = config.boundary
    return {name: value for name, value in given.items() if value is not None}


def arm_name(model: str, options: dict[str, Any]) -> str:
    """The model's spec with its options, as a name."""
    listed = ", ".join(f"{name}={value}" for name, value in options.items())
    return f"{model}[{listed}]" if listed else model


def _augmentation(
    config: RecipeFlags, recipe: training.Recipe, dataset: Dataset
) -> Callable | None:
    if not recipe.augment:
        return None
    if dataset.image_shape[-1] == 1:
        for spec in recipe.augment:
            if isinstance(spec, str) and parse_spec(spec)[0] in _OF_COLORS:
                raise UserError(
                    "augment", f"{spec} changes nothing in images of one channel"
                )
    # What is 0 to the net, as its own padding is.
    fill = (0.0,) * dataset.image_shape[-1]
    if config.pixels == "standard":
        mean, _ = moments_of(dataset.train)
        fill = tuple((mean.astype(np.float32) / 255).tolist())
    try:
        return resolve_augmentation(recipe.augment, dataset.image_shape, fill=fill)
    except (ValueError, TypeError) as error:
        raise UserError("augment", str(error)) from None


def _mesh(config: RecipeFlags, batch_size: int) -> Mesh | None:
    """The devices that share every batch; none where there is but one.

    Where seeds are to have devices of their own, it is those of seeds for which there
    are too few of them, and none where they cannot share a batch evenly.

    Raises:
        UserError: a batch that they cannot share evenly.
    """
    try:
        return data_mesh(batch_size)
    except ValueError:
        if getattr(config, "seed_engine", "auto") == "devices":
            return None
        count = jax.device_count()
        raise UserError(
            "batch_size",
            f"{batch_size} cannot be shared by {count} devices evenly; take a multiple "
            f"of {count}, or for several seeds --seed_engine=devices",
        ) from None


def _fitted(config: RecipeFlags, options: dict[str, Any], dataset: Dataset):
    """The model, and what it costs on these images.

    Raises:
        UserError: it cannot take them.
    """
    height, width, channels = dataset.image_shape
    size = f"{height}x{width}x{channels}"
    images = jax.ShapeDtypeStruct((1, *dataset.image_shape), jnp.float32)
    # In shapes alone, as nothing is to be compiled yet.
    key = jax.eval_shape(jax.random.key, 0)
    table, added = None, {}
    # First as the model comes, to tell whose fault it is.
    for flag, value in (("model", config.model), *options.items()):
        if flag != "model":
            added[flag] = value
        try:
            model = create_model(config.model, dataset.num_classes, **added)
            variables = jax.eval_shape(model.init, key, images)
            predict = functools.partial(model.apply, train=False)
            table = count(predict, variables, images)
        except (ValueError, TypeError, ArithmeticError) as error:
            where = f"cannot take {size} images"
            if flag != "model":
                where = f"in {config.model} on {size} images"
            text = str(error).splitlines()[0]
            raise UserError(flag, f"{value} {where}: {text}") from None
    strides = (stride for row in table.rows for stride in row.stride)
    stride = max((stride for stride in strides if stride is not None), default=1)
    if stride > min(height, width):
        raise UserError(
            "model",
            f"{config.model} has a stride of {float(stride):g} pixels, and the "
            f"images are {size}; take larger images or a net for small ones",
        )
    return model, table
