"""Trains the arms of a comparison: rates chosen on validation, then every seed.

Every training run leaves a record in the work directory when it is finished, and every
net at its arm's best rate a checkpoint, so that the same command goes on where it was
stopped. The test set is not touched here; `scoring` reads it once all arms are trained.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from cnnlab import training
from cnnlab.data import Dataset
from cnnlab.errors import UserError
from cnnlab.training import checkpoint
from experiments.comparing.arms import Arm, Rate, Schedule, Trained
from experiments.harness.progress import Progress
from experiments.harness.storage import storing
from experiments.harness.workdir import WorkDirectory


class Comparison:
    """Trains arms on one data set, keeping everything in a work directory."""

    def __init__(
        self,
        dataset: Dataset,
        schedule: Schedule,
        directory: WorkDirectory,
        progress: Progress,
    ):
        self.dataset = dataset
        self.schedule = schedule
        self.directory = directory
        self.scaling = training.scaling_of(dataset.train)
        self._progress = progress
        self._data = training.resident(dataset.train, self.scaling)
        self._steps = schedule.total_steps(dataset)
        self._optimizer = training.momentum_sgd(self._steps)

    def train(self, arm: Arm) -> Trained:
        """The arm at the rate that validation chooses, trained with every seed.

        Raises:
            UserError: at every rate, or for one seed at the best, the loss is not
                finite.
        """
        nets: dict[tuple[float, int], Any] = {}
        records: dict[tuple[float, int], dict[str, Any]] = {}
        schedule = self.schedule
        if schedule.tries_rates:
            for rate in schedule.learning_rates:
                for seed in range(schedule.rate_seeds):
                    run = self._try(arm, rate, seed)
                    records[rate, seed], nets[rate, seed] = run
        rates = tuple(
            Rate(
                rate,
                tuple(
                    record["validation_accuracy"]
                    for (tried, _), record in records.items()
                    if tried == rate
                ),
            )
            for rate in schedule.learning_rates
        )
        chosen = self._choose(arm, rates)
        runs = []
        for seed in range(schedule.seeds):
            run = self._finish(arm, chosen, seed, nets.pop((chosen, seed), None))
            records[chosen, seed] = run
            runs.append(run)
        seconds = sum(record["seconds"] for record in records.values())
        return Trained(arm, chosen, rates, tuple(runs), seconds)

    def net(self, arm: Arm, seed: int, steps: int) -> Any:
        """The variables of a net that has been trained."""
        stored = checkpoint.restore(self._checkpoint(arm, seed, steps))
        del stored["scaling"]
        return stored

    def split(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The training images that `seed` trains on, and those it validates on."""
        examples = len(self.dataset.train.labels)
        return training.validation_split(
            examples, self.schedule.validation_fraction, seed
        )

    def line(self, arm: Arm, rate: float, seed: int, **measured: Any) -> None:
        """Adds a line to metrics.jsonl."""
        self.directory.append_metrics(
            {"arm": arm.spec, "seed": seed, "learning_rate": rate, **measured}
        )

    def _choose(self, arm: Arm, rates: tuple[Rate, ...]) -> float:
        if not self.schedule.tries_rates:
            return rates[0].learning_rate
        finite = [rate for rate in rates if rate.mean is not None]
        if not finite:
            raise UserError(
                "learning_rates",
                f"the loss of {arm.spec} is not finite at any of "
                f"{', '.join(map(str, self.schedule.learning_rates))}; "
                "give smaller ones",
            )
        return max(finite, key=lambda rate: rate.mean).learning_rate

    def _try(self, arm: Arm, rate: float, seed: int) -> tuple[dict, Any]:
        """A run's record, and its net unless the run is from an earlier process."""
        stored = self.directory.read_record(_run_name(arm.spec, rate, seed))
        if stored is not None:
            self._progress.skip(self._steps)
            return stored, None
        return self._fit(arm, rate, seed)

    def _finish(self, arm: Arm, rate: float, seed: int, net: Any) -> dict:
        """The record of a run at the chosen rate, its net in a checkpoint."""
        name = f"{arm.spec}-seed{seed}"
        stored = self.directory.read_record(name)
        if stored is not None and stored["learning_rate"] == rate:
            if not self.schedule.tries_rates or seed >= self.schedule.rate_seeds:
                self._progress.skip(self._steps)
            return stored
        record = self.directory.read_record(_run_name(arm.spec, rate, seed))
        if net is None:
            # Its net was lost with the process that trained it: made again, with
            # its lines, to the same end.
            self.directory.keep_metrics(
                lambda line: _line_name(line) != _run_name(arm.spec, rate, seed)
            )
            record, net = self._fit(arm, rate, seed)
        if net is None:
            raise UserError(
                "learning_rates",
                f"the loss of {arm.spec}, seed {seed}, is not finite by step "
                f"{record['steps']} at {rate}; give a smaller one",
            )
        path = self._checkpoint(arm, seed, record["steps"])
        with storing(path):
            checkpoint.save(path, {**net, "scaling": self.scaling._asdict()})
        digest = checkpoint.params_hash(net["params"])
        finished = {"seed": seed, "learning_rate": rate, **record}
        finished["params_hash"] = digest
        self.directory.write_record(name, finished)
        return finished

    def _fit(self, arm: Arm, rate: float, seed: int) -> tuple[dict, Any]:
        """The record of a run made now, and its net; None for one that diverged."""
        schedule = self.schedule
        self._progress.run(
            arm=arm.spec,
            seed=seed,
            epochs=schedule.epochs,
            note=f"rate {rate:g}" if schedule.tries_rates else "",
        )
        began = time.perf_counter()
        state = training.init(
            arm.model, self._optimizer, seed, self.dataset.image_shape
        )
        state = training.with_learning_rate(state, rate)
        index = jnp.asarray(self.split(seed)[0])
        paces, accuracy, diverged_at = [], None, None
        for epoch in range(schedule.epochs):
            try:
                state, passed = training.train_epoch(
                    arm.model,
                    self._optimizer,
                    state,
                    self._data,
                    index,
                    seed=seed,
                    epoch=epoch,
                    batch_size=schedule.batch_size,
                    on_progress=self._reporter(epoch),
                )
            except training.Diverged as error:
                diverged_at = error.step
                break
            # The first call of a run may compile.
            paces += passed.step_seconds[1:] if epoch == 0 else passed.step_seconds
            place = {"epoch": epoch + 1, "step": int(state.step)}
            measured = {"loss": passed.loss, "accuracy": passed.accuracy}
            self.line(
                arm,
                rate,
                seed,
                **place,
                split="train",
                **measured,
                seconds=passed.seconds,
            )
            loss, accuracy = self._validate(arm, rate, seed, state, place)
            if not np.isfinite(loss):
                diverged_at = place["step"]
                break
        if diverged_at is not None:
            self._progress.log(
                f"{arm.spec} seed {seed} at rate {rate:g}: the loss is not finite by "
                f"step {diverged_at}; given up"
            )
        record = {
            "steps": int(state.step) if diverged_at is None else diverged_at,
            "validation_accuracy": accuracy if diverged_at is None else None,
            "seconds": time.perf_counter() - began,
            "step_seconds": float(np.median(paces)) if paces else None,
        }
        self.directory.write_record(_run_name(arm.spec, rate, seed), record)
        return record, state.variables if diverged_at is None else None

    def _validate(self, arm: Arm, rate: float, seed: int, state, place):
        """The loss and accuracy on the held-out images; (0, None) without any."""
        held_out = self.split(seed)[1]
        if not len(held_out):
            return 0.0, None
        began = time.perf_counter()
        score, _ = training.evaluate(
            arm.model,
            state.variables,
            self.scaling,
            self.dataset.train.images[held_out],
            self.dataset.train.labels[held_out],
        )
        self._progress.update(0, accuracy=score.accuracy)
        self.line(
            arm,
            rate,
            seed,
            **place,
            split="validation",
            **score._asdict(),
            seconds=time.perf_counter() - began,
        )
        return score

    def _checkpoint(self, arm: Arm, seed: int, steps: int) -> Path:
        return self.directory.checkpoints(arm.spec, seed) / str(steps)

    def _reporter(self, epoch: int) -> Callable[[int, float], None]:
        def report(steps: int, loss: float) -> None:
            self._progress.update(steps, epoch=epoch + 1, loss=loss)

        return report


def drop_unfinished(directory: WorkDirectory) -> None:
    """Removes the metric lines of runs that were stopped, which will be made again."""

    def finished(line: dict[str, Any]) -> bool:
        name = _line_name(line)
        if line["split"] == "test":
            name = scores_name(line["arm"], line["seed"])
        return directory.read_record(name) is not None

    directory.keep_metrics(finished)


def scores_name(spec: str, seed: int) -> str:
    """The name of the record of a net's scores."""
    return f"{spec}-seed{seed}-scores"


def _run_name(spec: str, rate: float, seed: int) -> str:
    return f"{spec}-rate{float(rate)!r}-seed{seed}"


def _line_name(line: dict[str, Any]) -> str:
    return _run_name(line["arm"], line["learning_rate"], line["seed"])
