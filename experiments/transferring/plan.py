"""The training runs of a transfer: a trained backbone and a random start, by size."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cnnlab import training
from cnnlab.data import Dataset
from cnnlab.errors import UserError
from cnnlab.training import transfer
from experiments.harness.networks import by
from experiments.harness.trained_net import Net
from experiments.training import plan as training_plan
from experiments.training.plan import Plan
from experiments.transferring.sized_job import (
    SizedJob,
    images_to_train_on,
    steps_per_pass,
)

STARTS = "transfer", "scratch"

# Each ends with a checkpoint.
_MOST_EPOCHS = 100


class Backbone(NamedTuple):
    """What is kept of the trained net.

    Attributes:
        head: paths of the parameters that are new.
        frozen: paths of those that stay as they are.
    """

    net: Net
    head: frozenset[str]
    frozen: frozenset[str]


def plans(
    config: Any, recipe: training.Recipe, net: Net, dataset: Dataset
) -> tuple[Backbone, list[Plan]]:
    """The backbone, and a plan for each size, rising, and start, of equal steps.

    All runs have as many as the recipe gives the largest size.

    Raises:
        UserError: a net, images, sizes and patterns that do not fit each other.
    """
    _refuse_channels(net, dataset)
    recipes = dict(_recipes(config, recipe, dataset))
    blamed = "weights" if config.checkpoint is None else "checkpoint"
    # The net's own options are in its spec.
    own = {"pool": None, "downsample": None, "boundary": "zero"}
    try:
        model = net.model.clone(num_classes=dataset.num_classes)
        head = transfer.head_of(net.model, net.image_shape)
        planned = training_plan.plan(
            dataclasses.replace(config, model=net.spec, **own),
            recipes[max(recipes)],
            dataset,
        )
    except UserError as error:
        named = blamed if error.argument == "model" else error.argument
        raise UserError(named, error.message) from error
    except ValueError as error:
        raise UserError(blamed, f"{net.name} cannot be transferred: {error}") from error
    images = jax.ShapeDtypeStruct((1, *dataset.image_shape), jnp.float32)
    fresh = jax.eval_shape(model.init, jax.random.key(0), images)
    backbone = Backbone(net, head, _frozen(config, net, head, fresh, dataset))
    tasks = _tasks(config, planned, backbone)
    return backbone, [
        _sized(config, planned, backbone, start, size, recipe, tasks[start])
        for size, recipe in recipes.items()
        for start in STARTS
    ]


def _refuse_channels(net: Net, dataset: Dataset) -> None:
    wanted, given = net.image_shape[-1], dataset.image_shape[-1]
    if wanted != given:
        raise UserError(
            "dataset",
            f"{dataset.name} has images of {_channels(given)}, and {net.name} takes "
            f"{_channels(wanted)}",
        )


def _channels(number: int) -> str:
    return "1 channel" if number == 1 else f"{number} channels"


def _recipes(
    config: Any, recipe: training.Recipe, dataset: Dataset
) -> Iterator[tuple[int, training.Recipe]]:
    """Each size with its recipe, whose batch is all of it where it has no more."""
    sizes, batches = sorted(config.sizes), {}
    examples = len(dataset.train.labels)
    if sizes[-1] > examples:
        raise UserError(
            "sizes",
            f"{sizes[-1]} is more than the {examples:,} training images of "
            f"{dataset.name}",
        )
    for size in sizes:
        remaining = images_to_train_on(recipe, size)
        if recipe.patience and remaining == size:
            raise UserError(
                "sizes",
                f"{size} holds out none of its images; there is nothing by which to "
                "stop",
            )
        batches[size] = recipe.batch_size
        if remaining < recipe.batch_size:
            together = math.lcm(recipe.accumulate, jax.device_count())
            batches[size] = remaining // together * together
        if not batches[size]:
            raise UserError(
                "sizes", f"{size} leaves {remaining} images to train on, too few"
            )
    largest = dataclasses.replace(recipe, batch_size=batches[sizes[-1]])
    steps = recipe.total_steps(steps_per_pass(largest, sizes[-1]))
    for size in sizes:
        yield (
            size,
            dataclasses.replace(
                recipe, batch_size=batches[size], steps=steps, epochs=0
            ),
        )


def _frozen(
    config: Any, net: Net, head: frozenset[str], fresh: Any, dataset: Dataset
) -> frozenset[str]:
    try:
        transfer.check_backbone(net.variables, fresh, head)
    except ValueError as error:
        raise UserError(
            "dataset",
            f"{net.name}, a net for {by(net.image_shape)} images, does not fit "
            f"{by(dataset.image_shape)} images: {error}",
        ) from error
    try:
        return transfer.matching(fresh["params"], config.freeze or (), spared=head)
    except ValueError as error:
        raise UserError("freeze", str(error)) from error


def _tasks(config: Any, planned: Plan, backbone: Backbone) -> dict[str, Any]:
    """What the steps of each start are; where nothing sets them apart, one object."""
    task, recipe = planned.job.task, planned.job.recipe
    scratch = dataclasses.replace(
        task,
        optimizer=training.optimizer_of(_from_scratch(config, recipe), recipe.steps),
    )
    model = task.model
    if backbone.frozen:
        model = transfer.FrozenNorms(model, backbone.frozen)
    fine_tuned = dataclasses.replace(
        task, model=model, optimizer=transfer.frozen(task.optimizer, backbone.frozen)
    )
    return {"transfer": fine_tuned, "scratch": scratch}


def _from_scratch(config: Any, recipe: training.Recipe) -> training.Recipe:
    rate = config.scratch_learning_rate or recipe.learning_rate
    return dataclasses.replace(recipe, learning_rate=rate)


def _sized(
    config: Any,
    planned: Plan,
    backbone: Backbone,
    start: str,
    size: int,
    recipe: training.Recipe,
    task: Any,
) -> Plan:
    """The plan of one run's seeds."""
    shared = planned.job
    epoch = max(
        steps_per_pass(shared.recipe, max(config.sizes)),
        -(-recipe.steps // _MOST_EPOCHS),
    )
    own = {"recipe": _from_scratch(config, recipe)}
    if start == "transfer":
        scaling = backbone.net.mean, backbone.net.deviation
        own = {
            "recipe": recipe,
            "backbone": backbone.net.variables,
            "head": backbone.head,
            "scale": training.Scaling(
                *(jnp.asarray(part, shared.wide) for part in scaling)
            ),
        }
    job = SizedJob(
        arm=f"{start}_{size}",
        task=task,
        dataset=shared.dataset,
        seeds=shared.seeds,
        dtype=shared.dtype,
        images=size,
        passes=max(1, epoch // steps_per_pass(recipe, size)),
        **own,
    )
    return dataclasses.replace(planned, job=job, options={})
