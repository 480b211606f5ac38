"""Trains a net by a recipe, with several seeds, and tells how well it does.

A run is a function of its flags. It may be stopped at any moment, and the same command
goes on to the same end, bit for bit: SIGTERM, by which machines are taken back, stores
where it is first, once the step that is being made is done; Ctrl-C or a machine that
dies costs what came since the last epoch.

Exit codes: 0 finished, 2 something to mend, in one line (a flag's value, a full disk, a
loss that is not finite), 130 Ctrl-C, 143 SIGTERM.

  python -m experiments.train
  python -m experiments.train --dataset=mnist --data_dir=~/tensorflow_datasets \\
      --model=zeiler_fergus --epochs=10
  python -m experiments.train --dataset=fashion_mnist --model=resnet20 --seeds=5 \\
      --recipe=cifar_resnet --epochs=20
"""

import dataclasses
import functools
from typing import Any, ClassVar

from experiments.harness import flags, numerics, once, profiling, terminal
from experiments.harness.first_step import FirstStep, process_began
from experiments.harness.preemption import termination
from experiments.harness.recipe_flags import chosen_recipe, identity_of
from experiments.harness.run_flags import RunFlags, run_usage
from experiments.harness.storage import storing
from experiments.harness.workdir import WorkDirectory
from experiments.training import engine_choice
from experiments.training.model_refusal import refuse_other_model


@dataclasses.dataclass(frozen=True)
class Config(RunFlags):
    """What to train. From Python: `run(Config(model="resnet20", seeds=3))`."""

    experiment: ClassVar[str] = "train"

    tensorboard: bool = flags.field(
        False, "write TensorBoard's event files too", identity=False
    )
    profile: str | None = flags.field(
        None,
        "START:STOP, steps of which to write a profiler's trace",
        identity=False,
        repeated=False,
    )

    def validate(self) -> None:
        """Refuses what needs neither the data nor a compiled program to be refused.

        Raises:
            UserError: naming the first field that cannot be used.
        """
        super().validate()
        profiling.steps_of(self.profile)
        if self.tensorboard:
            from experiments.harness.event_files import require

            require()
        chosen_recipe(self)
        refuse_other_model(self)


def run(config: Config, began: float | None = None) -> dict[str, Any]:
    """The content of results.json, from the work directory where it is finished.

    Args:
        began: from when the first step is timed, by `time.perf_counter`; None is now.

    Raises:
        UserError: a field that cannot be used, data that cannot be read, or a work
            directory that cannot be written.
        Terminated: SIGTERM came; everything is stored.
    """
    return once.trained_once(config, began, _run)


def main(config: Config) -> None:
    """Runs, and prints the table and where the report is."""
    terminal.main(config, functools.partial(run, began=process_began()))


def _run(config: Config, began: float) -> dict[str, Any]:
    from cnnlab import data
    from experiments.harness import compile_cache
    from experiments.harness.progress import Progress
    from experiments.training.plan import plan

    recipe = chosen_recipe(config)
    dataset = data.load(
        config.dataset,
        data_dir=config.data_dir,
        image_size=config.image_size,
        train_examples=config.train_examples,
    )
    planned = plan(config, recipe, dataset)
    engine_choice.refuse_unfit(config, planned.job)
    profiling.refuse_beyond(config.profile, planned.job.steps)
    with (
        WorkDirectory.open(config) as directory,
        termination() as asked_to_stop,
        Progress(config.progress, planned.job.steps * config.seeds) as progress,
        compile_cache.kept_in(directory.path / "compile_cache"),
    ):
        progress.log(f"{dataset.summary()}; results go to {directory.path}")
        for line in (
            *engine_choice.refuse_other_rounding(config, directory),
            *numerics.advice(directory.description()["environment"]),
        ):
            progress.log(line)
        results = _train(
            config, planned, directory, progress, asked_to_stop, FirstStep(began)
        )
        directory.write_results(results)
    return results


def _train(
    config: Config,
    planned,
    directory: WorkDirectory,
    progress,
    asked_to_stop,
    first_step: FirstStep,
) -> dict[str, Any]:
    """Trains every seed, scores the nets, and draws it together."""
    from experiments.training.run import TrainingRun
    from experiments.training.run_checkpoints import RunCheckpoints

    job = planned.job
    identity = flags.as_json(config, identity_only=True)
    identity |= identity_of(job.recipe)
    identity["dataset_fingerprint"] = job.dataset.fingerprint
    steps = profiling.steps_of(config.profile)
    with RunCheckpoints(
        directory, job.arm, job.seeds, job.scaling(), identity, config.keep
    ) as checkpoints:
        with asked_to_stop.at_once():
            engine = engine_choice.choose(config, directory, job, progress)
        run = TrainingRun(
            job,
            checkpoints,
            directory=directory,
            progress=progress,
            asked_to_stop=asked_to_stop,
            profile=profiling.Profile(directory.path / "profile", steps),
            tensorboard=config.tensorboard,
            first_step=first_step,
        )
        progress.run(
            arm=job.arm,
            seed=job.seeds[0] if config.seeds == 1 else None,
            epochs=job.epochs,
            note=f"{config.seeds} seeds, engine {engine.name}",
        )
        records = run.train(engine)
        progress.finish_run()
        # All is stored that it takes.
        with asked_to_stop.at_once():
            start = first_step.facts() | {"compile_seconds": run.compile_seconds}
            return _results(
                config, planned, directory, run, checkpoints, records, start
            )


def _results(
    config: Config, planned, directory: WorkDirectory, run, checkpoints, records, start
) -> dict[str, Any]:
    from cnnlab.reporting import report
    from experiments.harness.environment import environment
    from experiments.training import determinism
    from experiments.training import results as training_results

    job = planned.job
    seeds = [
        training_results.score(record, run, checkpoints, directory)
        for record in records
    ]
    engine = directory.description()["seed_engine"]
    made_with = environment() | {"seed_engine": engine}
    unordered = determinism.unordered_operations(job)
    results = {
        "schema": 1,
        "experiment": config.experiment,
        "question": f"How well does {job.arm} do on {job.dataset.name}?",
        "command": flags.command_line(config),
        "config_hash": flags.configuration_hash(config),
        "status": "complete",
        "environment": made_with,
        "config": flags.as_json(config, identity_only=True),
        "recipe": dataclasses.asdict(job.recipe),
        "dataset": training_results.dataset(job),
        "arms": [training_results.arm(planned, config.model, seeds)],
        "comparisons": [],
        "unordered_operations": unordered,
        "notes": [
            *training_results.notes(job),
            *determinism.note(unordered, made_with),
            *engine_choice.mixed(directory),
        ],
        "seconds": sum(seed["seconds"] for seed in seeds),
        **start,
    }
    metrics = directory.metrics()
    results["figures"] = report.figure_paths(results, metrics)
    with storing(directory.path):
        report.write(directory.path, results, metrics)
    return results


if __name__ == "__main__":
    flags.main(Config, main, usage=run_usage(__doc__))
