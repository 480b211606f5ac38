"""Scores a seed's net on the training images that were held out of its training."""

import time
from typing import NamedTuple

from cnnlab import training
from cnnlab.training.evaluation import Score
from cnnlab.training.state import TrainState
from experiments.training.job import Job


class Validation(NamedTuple):
    """A net's score on what was held out, and the seconds that it took."""

    score: Score
    seconds: float


def validated(
    job: Job, seed: int, state: TrainState, scaling: training.Scaling
) -> Validation | None:
    """The seed's validation in a state; None where nothing was held out.

    Args:
        scaling: where it lies on several devices, they share the images.
    """
    held_out = job.split(seed)[1]
    if not len(held_out):
        return None
    began = time.perf_counter()
    score, _ = training.evaluate(
        job.task.model,
        state.result,
        scaling,
        job.dataset.train.images[held_out],
        job.dataset.train.labels[held_out],
        loss=job.recipe.loss,
    )
    return Validation(score, time.perf_counter() - began)
