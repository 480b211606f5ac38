"""A comparison as a whole: from its flags to its work directory and its report."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.comparing.comparison_flags import ComparisonFlags
from experiments.harness import flags, numerics, once
from experiments.harness.preemption import termination
from experiments.harness.recipe_flags import chosen_recipe
from experiments.harness.storage import storing
from experiments.harness.workdir import WorkDirectory
from experiments.training import engine_choice

if TYPE_CHECKING:
    from experiments.comparing.measure import Measure
    from experiments.comparing.plan import PlannedArm


def run(
    config: ComparisonFlags,
    began: float | None = None,
    *,
    measures: Callable[[], Sequence["Measure"]] = tuple,
    compared: Sequence[str] = (),
    more: Callable[[Mapping], Mapping[str, Any]] = lambda results: {},
    drawings: Callable[[Mapping], Mapping[str, Any]] = lambda results: {},
) -> dict[str, Any]:
    """The content of results.json, from the work directory where it is finished.

    Args:
        began: from when the first step is timed, by `time.perf_counter`; None is now.
        measures: gives what is asked of every trained net, once it is needed.
        compared: numbers that the measures give of every net, by name, that arms are
            compared in as they are in test accuracy.
        more: what joins the results, from what they hold so far. Of it the report
            and the terminal show `answer`, a text in place of the general one, and
            `tables`, as `cnnlab.reporting.own_tables` takes them.
        drawings: figures of its own for the report, from the results, as
            `cnnlab.reporting.report.write` takes them.

    Raises:
        UserError: a flag that cannot be used, data that cannot be read, or a work
            directory that cannot be written.
        Terminated: SIGTERM came; everything is stored.
    """

    def make(config, began):
        return _run(config, began, measures, compared, more, drawings)

    return once.trained_once(config, began, make)


def _run(config: ComparisonFlags, began, measures, compared, more, drawings):
    from cnnlab import data
    from cnnlab.reporting import report
    from experiments.comparing.plan import plans
    from experiments.harness import compile_cache
    from experiments.harness.progress import Progress
    from experiments.training import determinism

    dataset = data.load(
        config.dataset,
        data_dir=config.data_dir,
        image_size=config.image_size,
        train_examples=config.train_examples,
    )
    arms = plans(config, dataset)
    for planned in arms:
        engine_choice.refuse_unfit(config, planned.plan.job)
    with (
        WorkDirectory.open(config) as directory,
        termination() as asked_to_stop,
        Progress(config.progress, sum(planned.steps for planned in arms)) as progress,
        compile_cache.kept_in(directory.path / "compile_cache"),
    ):
        progress.log(f"{dataset.summary()}; results go to {directory.path}")
        for line in (
            *engine_choice.refuse_other_rounding(config, directory),
            *numerics.advice(directory.description()["environment"]),
        ):
            progress.log(line)
        found = compare_arms(
            config,
            arms,
            directory,
            progress,
            asked_to_stop,
            began,
            measures=measures(),
            compared=compared,
        )
        with asked_to_stop.at_once():
            results = _described(config, arms, directory) | found
            results["notes"] += determinism.note(
                results["unordered_operations"], results["environment"]
            )
            results["notes"] += engine_choice.mixed(directory)
            results |= more(results)
            metrics, drawn = directory.metrics(), drawings(results)
            results["figures"] = report.figure_paths(results, metrics, drawn)
            with storing(directory.path):
                report.write(directory.path, results, metrics, drawn)
        directory.write_results(results)
    return results


def compare_arms(
    config: ComparisonFlags,
    arms: Sequence["PlannedArm"],
    directory: WorkDirectory,
    progress,
    asked_to_stop,
    began: float,
    *,
    measures: Sequence["Measure"] = (),
    compared: Sequence[str] = (),
) -> dict[str, Any]:
    """Trains every arm, then scores every net: what results.json says of the arms.

    These are `arms`, `comparisons`, `iso_compute`, `unordered_operations`, `notes`,
    `seconds`, and of this process `first_step_seconds` from `began`,
    `programs_compiled` for it, and `compile_seconds`.

    Raises:
        UserError: an arm diverges at every rate, or the directory cannot be written.
        Terminated: SIGTERM came; everything is stored.
    """
    from experiments.comparing import scoring, summary
    from experiments.comparing.comparison import Comparison
    from experiments.comparing.judging import judged
    from experiments.comparing.shared_start import digests
    from experiments.training import determinism

    scoring.drop_unfinished(directory)
    comparison = Comparison(config, arms, directory, progress, asked_to_stop, began)
    trained = [comparison.train(arm) for arm in arms]
    progress.finish_run()
    progress.log("every arm is trained; scoring them on the test set")
    # All is stored that it takes.
    with asked_to_stop.at_once():
        scored = [scoring.score(comparison, each, measures) for each in trained]
        shared = digests([arm.plan.job for arm in arms])
        rows = [
            summary.arm(
                each,
                [{**s, **d} for s, d in zip(seeds, common, strict=True)],
                measures,
            )
            for each, seeds, common in zip(trained, scored, shared, strict=True)
        ]
        unordered = determinism.unordered_operations(
            *(comparison.job(each.planned, each.learning_rate) for each in trained)
        )
        results = {
            "arms": rows,
            "unordered_operations": unordered,
            "notes": summary.rate_notes(trained),
            # A scored seed's time holds its training run's, which counts once.
            "seconds": sum(each.seconds for each in trained)
            + sum(
                seed["seconds"] - run["seconds"]
                for each, seeds in zip(trained, scored, strict=True)
                for run, seed in zip(each.runs, seeds, strict=True)
            ),
        }
        delta = config.delta or None
        results |= comparison.facts_of_start()
        return results | judged(
            results,
            directory,
            metrics=compared,
            delta=delta,
            families=config.families(),
        )


def _described(
    config: ComparisonFlags,
    arms: Sequence["PlannedArm"],
    directory: WorkDirectory,
) -> dict[str, Any]:
    """What results.json says of the run as a whole."""
    from experiments.harness.environment import environment
    from experiments.training import results as training_results

    recipe = dataclasses.asdict(chosen_recipe(config))
    # Arms choose their own.
    del recipe["learning_rate"]
    engine = directory.description()["seed_engine"]
    return {
        "schema": 1,
        "experiment": config.experiment,
        "question": config.question(),
        "command": flags.command_line(config),
        "config_hash": flags.configuration_hash(config),
        "status": "complete",
        "environment": environment() | {"seed_engine": engine},
        "config": flags.as_json(config, identity_only=True),
        "recipe": recipe,
        "dataset": training_results.dataset(arms[0].plan.job),
    }
