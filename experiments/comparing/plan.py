"""What a comparison is made of, once everything has been checked that can be."""

from typing import Any

import jax
import jax.numpy as jnp

from cnnlab.data import Dataset
from cnnlab.errors import UserError
from cnnlab.models import create_model
from experiments.comparing.arms import Arm, Schedule


def plan(config: Any, dataset: Dataset) -> tuple[Schedule, list[Arm]]:
    """The schedule and the arms, once everything has been checked that can be.

    Raises:
        UserError: an arm that cannot take these images, or too few of them.
    """
    schedule = Schedule(
        seeds=config.seeds,
        rate_seeds=config.rate_seeds,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rates=config.learning_rates,
        validation_fraction=config.validation_fraction,
    )
    examples = len(dataset.train.labels)
    remaining = schedule.training_examples(dataset)
    if len(config.learning_rates) > 1 and remaining == examples:
        raise UserError(
            "validation_fraction",
            f"{config.validation_fraction} of {examples:,} images is none; nothing is "
            "left to choose the learning rate on",
        )
    if config.batch_size > remaining:
        raise UserError(
            "batch_size",
            f"{config.batch_size} is more than the {remaining:,} training images",
        )
    height, width, channels = dataset.image_shape
    if config.max_shift > width:
        raise UserError(
            "max_shift", f"{config.max_shift} is more than the images' width, {width}"
        )
    images = jax.ShapeDtypeStruct((1, *dataset.image_shape), jnp.float32)
    size = f"{height}x{width}x{channels}"
    arms = []
    plain = {"boundary": config.boundary}
    thinned = plain | {"downsample": config.downsample}
    # First as the model comes, to tell whose fault it is.
    for field, spec, options in (
        ("model", config.model, plain),
        ("downsample", config.downsample, thinned),
        *(("pools", pool, thinned | {"pool": pool}) for pool in config.pools),
    ):
        try:
            model = create_model(config.model, dataset.num_classes, **options)
            jax.eval_shape(model.init, jax.random.key(0), images)
        except (ValueError, TypeError) as error:
            where = f"cannot take {size} images"
            if field != "model":
                where = f"in {config.model} on {size} images"
            raise UserError(field, f"{spec} {where}: {error}") from None
        if field == "pools":
            arms.append(Arm(spec, model))
    return schedule, arms
