"""What a run's steps are made of, and what they sum up."""

import flax.linen as nn
import numpy as np
import pytest

from cnnlab import training
from cnnlab.data import Dataset, Split
from cnnlab.training.engines import Engine, Task
from cnnlab.training.state import Totals
from experiments.training.job import Job
from experiments.training.run_checkpoints import Position
from experiments.training.stepper import Stepper, mean_loss

SEEDS, CLASSES = (0, 1), 3


class SoftmaxRegression(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Dense(CLASSES)(x.reshape(x.shape[0], -1))


def job():
    """Three steps of six of the twenty images, at a rate that moves no weight."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 6, 6, 2), np.uint8)
    split = Split(images, rng.integers(0, CLASSES, 20).astype(np.int32))
    dataset = Dataset("noise", split, split, ("a", "b", "c"), "0" * 64)
    recipe = training.Recipe(epochs=2, batch_size=6, learning_rate=1e-30)
    task = Task(SoftmaxRegression(), training.optimizer_of(recipe, 6))
    return Job("linear", task, recipe, dataset, SEEDS)


@pytest.mark.parametrize("many_steps", [False, True], ids=["single", "looped"])
def test_steps_sum_up_what_each_seeds_order_says(many_steps):
    made = job()
    none = [Totals.none() for _ in SEEDS]
    start = Position(0, made.start(), none, True, [{}, {}], {})
    stepper = Stepper(made, Engine("loop", made.task, many_steps), start)
    predictors = [
        training.predictor(made.task.model, state.variables, made.scaling())
        for state in stepper.states()
    ]
    split, batches = made.dataset.train, set()
    for epoch in range(2):
        orders, before = made.orders(epoch), none
        # In calls of one step and of two.
        for first, count in ((0, 1), (1, 2)):
            stepper.advance(3 * epoch + first, count)
            now, scores = stepper.totals(), []
            for seed, predict in enumerate(predictors):
                index = np.asarray(orders[seed][first : first + count]).ravel()
                batches.add(tuple(index))
                score = training.score(
                    predict(split.images[index]), split.labels[index]
                )
                scores.append(score)
                seen = len(index)
                assert now[seed].examples - before[seed].examples == seen
                hits = now[seed].correct - before[seed].correct
                assert hits == round(score.accuracy * seen)
                loss = now[seed].loss - before[seed].loss
                np.testing.assert_allclose(loss / seen, score.loss, rtol=1e-5)
            told = mean_loss(now, before)
            np.testing.assert_allclose(told, np.mean([s.loss for s in scores]), 1e-5)
            before = now
        assert [state.step for state in stepper.states()] == [3 * (epoch + 1)] * 2
        assert stepper.epoch_seconds > 0
        stepper.clear()
        assert stepper.epoch_seconds == 0
        assert [total.examples for total in stepper.totals()] == [0, 0]
    # Both seeds and both epochs see batches of their own.
    assert len(batches) == 8
