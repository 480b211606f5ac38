"""What a transfer found, for results.json and for people."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from cnnlab.reporting import wording
from cnnlab.training.checkpoint import params_hash
from experiments.training import results as training_results
from experiments.training.plan import Plan
from experiments.transferring.plan import STARTS, Backbone
from experiments.transferring.sized_job import images_to_train_on


def arm(
    plan: Plan, backbone: Backbone, seeds: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The row of results.json for a start at a size, from its scored seeds."""
    job = plan.job
    scaling = {
        name: np.asarray(part, float).tolist()
        for name, part in job.scaling()._asdict().items()
    }
    return training_results.arm(plan, backbone.net.spec, seeds) | {
        "start": job.arm.split("_")[0],
        "images": job.images,
        "batch_size": job.recipe.batch_size,
        "scaling": scaling,
    }


def backbone(given: Backbone) -> dict[str, Any]:
    """What results.json says of the trained net."""
    return {
        "name": given.net.name,
        "model": given.net.spec,
        "params_hash": params_hash(given.net.variables["params"]),
        "head": sorted(given.head),
        "frozen": sorted(given.frozen),
    }


def pairs(sizes: Sequence[int]) -> list[tuple[str, str]]:
    """The arms that are compared: at each size the two starts."""
    first, second = STARTS
    return [(f"{first}_{size}", f"{second}_{size}") for size in sorted(sizes)]


def answer(comparisons: Sequence[Mapping[str, Any]]) -> str:
    """What the starts' differences at the sizes come to, in a sentence."""
    clauses = []
    for pair in comparisons:
        size = int(pair["a"].split("_")[1])
        lead = pair["difference"]
        points = f"{wording.percent(abs(lead))} points"
        verdict = "ahead by" if lead > 0 else "behind by"
        resolved = "" if pair["p"] is None else f" ({pair['verdict']})"
        clauses.append(
            f"with {wording.count(size)} images it is {verdict} {points}{resolved}"
            if lead
            else f"with {wording.count(size)} images it is level"
        )
    sentence = (
        "Test accuracy of the transferred backbone against training from scratch: "
        f"{wording.listed(clauses)}."
    )
    if all(pair["p"] is None for pair in comparisons):
        sentence += " With one seed no difference can be told from chance."
    return sentence


def notes(backbone: Backbone, plans: Sequence[Plan], batch_size: int) -> list[str]:
    """Sentences on what the numbers depend on."""
    job = plans[-1].job
    net, recipe = backbone.net, job.recipe
    sentences = [
        f"The backbone is {net.name}; its images are scaled as when it was trained: "
        f"less {_grey(net.mean)} and divided by {_grey(net.deviation)} grey levels. "
        "From scratch they are scaled by the mean and deviation of the training set.",
        _kept(backbone, job),
        f"Every run has {wording.count(job.steps)} steps. Each seed draws its images "
        "from the training set, the same for both starts, and those of a smaller size "
        "are among those of a larger one"
        + (
            f"; {100 * recipe.validation_fraction:g} % of them are held out."
            if recipe.validation_fraction
            else "."
        ),
    ]
    fewer = sorted(
        {
            (plan.job.images, plan.job.recipe.batch_size)
            for plan in plans
            if plan.job.recipe.batch_size < batch_size
        }
    )
    for images, batch in fewer:
        trained_on = images_to_train_on(recipe, images)
        sentences.append(
            f"Of {wording.count(images)} images {wording.count(trained_on)} are "
            f"trained on, so that a step has {batch} of them and not {batch_size}."
        )
    return sentences


def _kept(backbone: Backbone, job: Any) -> str:
    head = f"The head is new: {wording.listed(sorted(backbone.head))}."
    if not backbone.frozen:
        return f"{head} Nothing is frozen."
    params = jax.eval_shape(job.start)[0].params
    count = len(jax.tree.leaves(params))
    return (
        f"{head} {len(backbone.frozen)} of {count} parameter arrays are frozen; "
        "normalisations whose scale is frozen work in training as in evaluation, by "
        "running statistics that stay as they are."
    )


def _grey(levels: Sequence[float]) -> str:
    return ", ".join(f"{level:.4g}" for level in levels)
