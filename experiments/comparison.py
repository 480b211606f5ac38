"""Trains the arms of a comparison: rates chosen on validation, then every seed.

A finished training run, and a finished seed with its test scores, each leave a record
in the work directory, so that the same command goes on where it was stopped. Nothing
is chosen on the test set.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnlab import training
from cnnlab.data import Dataset
from cnnlab.diagnostics.shifts import accuracy_under_shifts
from cnnlab.errors import UserError
from cnnlab.training import checkpoint
from experiments.progress import Progress
from experiments.workdir import WorkDirectory


@dataclasses.dataclass(frozen=True)
class Arm:
    """One side of a comparison: a model, and the spec that tells it from the others."""

    spec: str
    model: nn.Module


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How each arm is trained."""

    seeds: int
    rate_seeds: int
    epochs: int
    batch_size: int
    learning_rates: tuple[float, ...]
    validation_fraction: float

    def training_examples(self, dataset: Dataset) -> int:
        """How many examples remain once those for validation are held out."""
        examples = len(dataset.train.labels)
        return examples - round(examples * self.validation_fraction)

    def total_steps(self, dataset: Dataset) -> int:
        """The steps of one training run."""
        return self.epochs * (self.training_examples(dataset) // self.batch_size)

    @property
    def runs_per_arm(self) -> int:
        """How many training runs an arm takes; its best rate's runs count once."""
        if len(self.learning_rates) == 1:
            return self.seeds
        return len(self.learning_rates) * self.rate_seeds + self.seeds - self.rate_seeds


@dataclasses.dataclass(frozen=True)
class Outcome:
    """An arm's chosen rate, what validation said of each rate, and its seeds."""

    arm: Arm
    parameters: int
    learning_rate: float
    rates: list[dict[str, Any]]
    seeds: list[dict[str, Any]]


class Comparison:
    """Trains arms on one data set, keeping everything in a work directory."""

    def __init__(
        self,
        dataset: Dataset,
        schedule: Schedule,
        directory: WorkDirectory,
        progress: Progress,
        shifts: Sequence[int],
        shift_examples: int,
    ):
        self._dataset = dataset
        self._schedule = schedule
        self._directory = directory
        self._progress = progress
        self._shifts = [(0, shift) for shift in shifts]
        self._shift_examples = shift_examples
        self._scaling = training.scaling_of(dataset.train)
        self._data = training.resident(dataset.train, self._scaling)
        self._steps = schedule.total_steps(dataset)
        self._optimizer = training.momentum_sgd(self._steps)

    def train(self, arm: Arm) -> Outcome:
        """The arm at the rate that validation chooses, trained with every seed.

        Raises:
            UserError: at every rate, or for one seed at the best, the loss is not
                finite.
        """
        trained: dict[tuple[float, int], Any] = {}
        rates = self._try_rates(arm, trained)
        chosen = [rate for rate in rates if rate["chosen"]]
        if not chosen:
            raise UserError(
                "learning_rates",
                f"the loss of {arm.spec} is not finite at any of "
                f"{', '.join(map(str, self._schedule.learning_rates))}; "
                "give smaller ones",
            )
        rate = chosen[0]["learning_rate"]
        seeds = [
            self._seed(arm, rate, seed, trained.pop((rate, seed), None))
            for seed in range(self._schedule.seeds)
        ]
        shapes = jax.eval_shape(
            arm.model.init,
            jax.random.key(0),
            jnp.zeros((1, *self._dataset.image_shape)),
        )
        parameters = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
        return Outcome(arm, parameters, rate, rates, seeds)

    def _try_rates(self, arm: Arm, trained: dict) -> list[dict[str, Any]]:
        """A row per rate; `trained` gets the nets that need not be trained again."""
        rates = self._schedule.learning_rates
        if len(rates) == 1:
            return [{"learning_rate": rates[0], "accuracies": [], "chosen": True}]
        rows = []
        for rate in rates:
            accuracies = []
            for seed in range(self._schedule.rate_seeds):
                record, variables = self._run(arm, rate, seed)
                accuracies.append(record["validation_accuracy"])
                trained[rate, seed] = variables
            rows.append(
                {"learning_rate": rate, "accuracies": accuracies, "chosen": False}
            )
        finite = [row for row in rows if None not in row["accuracies"]]
        if finite:
            best = max(finite, key=lambda row: np.mean(row["accuracies"]))
            best["chosen"] = True
            for rate, seed in list(trained):
                if rate != best["learning_rate"]:
                    del trained[rate, seed]
        return rows

    def _seed(self, arm: Arm, rate: float, seed: int, variables: Any) -> dict:
        """The scores of one seed at the chosen rate."""
        name = f"{arm.spec}-seed{seed}"
        stored = self._directory.read_record(name)
        if stored is not None and stored["learning_rate"] == rate:
            if len(self._schedule.learning_rates) == 1 or (
                seed >= self._schedule.rate_seeds
            ):
                self._progress.skip(self._steps)
            return stored
        run, variables = self._run(arm, rate, seed, variables, needed=True)
        if variables is None:
            raise UserError(
                "learning_rates",
                f"the loss of {arm.spec}, seed {seed}, is not finite by step "
                f"{run['steps']} at {rate}; give a smaller one",
            )
        began = time.perf_counter()
        scores = self._scores(arm, rate, seed, variables)
        checkpoint.save(
            self._directory.checkpoints(arm.spec, seed) / str(run["steps"]),
            {**variables, "scaling": self._scaling._asdict()},
        )
        record = {
            "seed": seed,
            "learning_rate": rate,
            **scores,
            "validation_accuracy": run["validation_accuracy"],
            "steps": run["steps"],
            "step_seconds": run["step_seconds"],
            "seconds": run["seconds"] + time.perf_counter() - began,
            "params_hash": checkpoint.params_hash(variables["params"]),
        }
        self._directory.write_record(name, record)
        return record

    def _scores(self, arm: Arm, rate: float, seed: int, variables: Any) -> dict:
        """What the finished net scores; the test set is read here and nowhere else."""
        began = time.perf_counter()
        test, train = self._dataset.test, self._dataset.train
        predict = training.predictor(arm.model, variables, self._scaling)
        logits = predict(test.images)
        score = training.score(logits, test.labels)
        # As many training as test images, so that both accuracies are as exact.
        seen = self._split(seed)[0][: len(test.labels)]
        train_score = training.score(predict(train.images[seen]), train.labels[seen])
        few = slice(self._shift_examples)
        moved = accuracy_under_shifts(
            predict, test.images[few], test.labels[few], self._shifts
        )
        self._directory.save_predictions(
            arm.spec,
            seed,
            logits=logits,
            labels=test.labels,
            index=np.arange(len(test.labels)),
            dataset_fingerprint=self._dataset.fingerprint,
        )
        self._line(
            arm,
            rate,
            seed,
            epoch=self._schedule.epochs,
            step=self._steps,
            split="test",
            loss=score.loss,
            accuracy=score.accuracy,
            seconds=time.perf_counter() - began,
        )
        return {
            "test_accuracy": score.accuracy,
            "test_loss": score.loss,
            "train_accuracy": train_score.accuracy,
            "shift_accuracy": moved.tolist(),
        }

    def _run(
        self,
        arm: Arm,
        rate: float,
        seed: int,
        variables: Any = None,
        *,
        needed: bool = False,
    ) -> tuple[dict, Any]:
        """The record of a training run, and its variables where they are at hand.

        A stored run is not repeated, unless its variables are `needed` and lost.
        """
        name = _run_name(arm, rate, seed)
        record = self._directory.read_record(name)
        if record is not None and (variables is not None or not needed):
            if variables is None:
                self._progress.skip(self._steps)
            return record, variables
        if record is not None:
            self._directory.keep_metrics(
                lambda line: _line_name(line) != name or line["split"] == "test"
            )
        self._progress.run(
            arm=arm.spec,
            seed=seed,
            epochs=self._schedule.epochs,
            note=f"rate {rate:g}" if len(self._schedule.learning_rates) > 1 else "",
        )
        record, variables = self._fit(arm, rate, seed)
        self._directory.write_record(name, record)
        return record, variables

    def _fit(self, arm: Arm, rate: float, seed: int) -> tuple[dict, Any]:
        began = time.perf_counter()
        index, held_out = self._split(seed)
        state = training.init(
            arm.model, self._optimizer, seed, self._dataset.image_shape
        )
        state = training.with_learning_rate(state, rate)
        index = jnp.asarray(index)
        paces, accuracy = [], None
        for epoch in range(self._schedule.epochs):
            try:
                state, passed = training.train_epoch(
                    arm.model,
                    self._optimizer,
                    state,
                    self._data,
                    index,
                    seed=seed,
                    epoch=epoch,
                    batch_size=self._schedule.batch_size,
                    on_progress=self._reporter(epoch),
                )
            except training.Diverged as error:
                self._progress.log(
                    f"{arm.spec} seed {seed} at rate {rate:g}: {error}; given up"
                )
                lost = {"steps": error.step, "validation_accuracy": None}
                seconds = time.perf_counter() - began
                return {**lost, "seconds": seconds, "step_seconds": None}, None
            # The first call of a run may compile.
            paces += passed.step_seconds[1:] if epoch == 0 else passed.step_seconds
            line = {"epoch": epoch + 1, "step": int(state.step)}
            self._line(
                arm,
                rate,
                seed,
                **line,
                split="train",
                loss=passed.loss,
                accuracy=passed.accuracy,
                seconds=passed.seconds,
            )
            if len(held_out):
                started = time.perf_counter()
                score, _ = training.evaluate(
                    arm.model,
                    state.variables,
                    self._scaling,
                    self._dataset.train.images[held_out],
                    self._dataset.train.labels[held_out],
                )
                accuracy = score.accuracy
                self._progress.update(0, accuracy=accuracy)
                self._line(
                    arm,
                    rate,
                    seed,
                    **line,
                    split="validation",
                    loss=score.loss,
                    accuracy=accuracy,
                    seconds=time.perf_counter() - started,
                )
        record = {
            "steps": int(state.step),
            "validation_accuracy": accuracy,
            "seconds": time.perf_counter() - began,
            "step_seconds": float(np.median(paces)) if paces else None,
        }
        return record, state.variables

    def _split(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        examples = len(self._dataset.train.labels)
        return training.validation_split(
            examples, self._schedule.validation_fraction, seed
        )

    def _reporter(self, epoch: int) -> Callable[[int, float], None]:
        def report(steps: int, loss: float) -> None:
            self._progress.update(steps, epoch=epoch + 1, loss=loss)

        return report

    def _line(self, arm: Arm, rate: float, seed: int, **measured) -> None:
        self._directory.append_metrics(
            {"arm": arm.spec, "seed": seed, "learning_rate": rate, **measured}
        )


def drop_unfinished(directory: WorkDirectory) -> None:
    """Removes the metric lines of runs that were stopped, which will be made again."""

    def finished(line: dict[str, Any]) -> bool:
        name = _line_name(line)
        if line["split"] == "test":
            name = f"{line['arm']}-seed{line['seed']}"
        return directory.read_record(name) is not None

    directory.keep_metrics(finished)


def _run_name(arm: Arm, rate: float, seed: int) -> str:
    return f"{arm.spec}-rate{rate!r}-seed{seed}"


def _line_name(line: dict[str, Any]) -> str:
    return f"{line['arm']}-rate{line['learning_rate']!r}-seed{line['seed']}"
