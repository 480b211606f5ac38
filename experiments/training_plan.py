"""What a training run is made of, once everything has been checked that can be."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab import training
from cnnlab.data import Dataset
from cnnlab.data.augmentation import resolve_augmentation
from cnnlab.diagnostics.cost import count
from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.training.engines import Task, data_mesh
from experiments.recipe_flags import RecipeFlags
from experiments.training_run import Job


@dataclasses.dataclass(frozen=True)
class Plan:
    """A net, and the steps that train it.

    Attributes:
        options: those of the model that flags set.
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
    remaining = len(dataset.train.labels)
    remaining -= round(remaining * recipe.validation_fraction)
    if recipe.batch_size > remaining:
        raise UserError(
            "batch_size",
            f"{recipe.batch_size} is more than the {remaining:,} training images",
        )
    steps = recipe.total_steps(remaining // recipe.batch_size)
    options = net_options(config)
    model = create_model(config.model, dataset.num_classes, **options)
    table = _fitted(config, model, dataset)
    if config.dtype == "bfloat16":
        model = model.clone(dtype="bfloat16")
    try:
        mesh = data_mesh(recipe.batch_size)
    except ValueError as error:
        raise UserError("batch_size", str(error)) from None
    task = Task(
        model=model,
        optimizer=training.optimizer_of(recipe, steps),
        method=training.Method(
            **{
                field.name: getattr(recipe, field.name)
                for field in dataclasses.fields(training.Method)
            }
        ),
        augment=_augmentation(recipe, dataset),
        data_mesh=mesh,
    )
    return Plan(
        job=Job(
            arm=arm_name(config.model, options),
            task=task,
            recipe=recipe,
            dataset=dataset,
            seeds=tuple(range(config.seeds)),
            dtype=config.dtype,
        ),
        options=options,
        parameters=table.parameters,
        macs=table.macs,
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


def _augmentation(recipe: training.Recipe, dataset: Dataset) -> Callable | None:
    if not recipe.augment:
        return None
    mean = tuple(np.asarray(training.scaling_of(dataset.train).mean) / 255)
    try:
        return resolve_augmentation(recipe.augment, dataset.image_shape, fill=mean)
    except (ValueError, TypeError) as error:
        raise UserError("augment", str(error)) from None


def _fitted(config: RecipeFlags, model, dataset: Dataset):
    """What the model costs on these images.

    Raises:
        UserError: it cannot take them.
    """
    height, width, channels = dataset.image_shape
    size = f"{height}x{width}x{channels}"
    images = jax.ShapeDtypeStruct((1, *dataset.image_shape), jnp.float32)
    try:
        variables = jax.eval_shape(model.init, jax.random.key(0), images)
        table = count(functools.partial(model.apply, train=False), variables, images)
    except (ValueError, TypeError) as error:
        text = str(error).splitlines()[0]
        raise UserError(
            "model", f"{config.model} cannot take {size} images: {text}"
        ) from None
    last = table.last_map
    if last is not None and max(last.stride) > min(height, width):
        raise UserError(
            "model",
            f"{config.model} has a stride of {max(last.stride):g} pixels, and the "
            f"images are {size}; take larger images or a net for small ones",
        )
    return table
