"""Does a trained backbone help on other images, and with how many of them?

Takes the net of a finished run or a file of weights, replaces its head by a new one
for the set's classes, and trains on with few images and with many; beside it the same
net from scratch, on the same images, with as many steps. The head is never frozen, so
that --freeze='*' trains it alone. Pattern "Conv_0" is all of that layer,
"BasicBlock_[0-4]" five blocks, "*/bias" the biases of layers within others. A
normalisation whose scale is frozen works in training as in evaluation.

  python -m experiments.transfer --checkpoint=runs/a --dataset=fashion_mnist \\
      --data_dir=~/tensorflow_datasets --sizes=100,1000,10000 --seeds=5
  python -m experiments.transfer --weights=resnet18.safetensors --model=resnet18 \\
      --dataset=cifar10 --sizes=1000,10000 --freeze='*' --recipe=quick
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar

from cnnlab.errors import UserError
from experiments.harness import (
    checkpoints,
    flags,
    numerics,
    once,
    terminal,
    trained_net,
)
from experiments.harness.first_step import process_began
from experiments.harness.preemption import termination
from experiments.harness.recipe_flags import chosen_recipe
from experiments.harness.refusals import refuse_below
from experiments.harness.run_flags import RunFlags, run_usage
from experiments.harness.storage import storing
from experiments.harness.trained_net import NORMALIZATION_HELP, NORMALIZATIONS
from experiments.harness.workdir import WorkDirectory
from experiments.training import engine_choice


@dataclasses.dataclass(frozen=True)
class Config(RunFlags):
    """What to transfer. From Python: `run(Config(checkpoint="runs/a", seeds=3))`."""

    experiment: ClassVar[str] = "transfer"
    # That of the backbone: see `normalization`.
    pixels: ClassVar[str] = "standard"

    checkpoint: str | None = flags.field(None, checkpoints.HELP)
    weights: str | None = flags.field(
        None, "safetensors file, in place of a checkpoint"
    )
    model: str | None = flags.field(
        None, "model that the weights are of; none where their file says it"
    )
    num_classes: int | None = flags.field(
        None, "classes of PyTorch's weights; none means the paper's"
    )
    normalization: str = flags.field(
        "auto", NORMALIZATION_HELP, choices=("auto", *NORMALIZATIONS)
    )
    sizes: tuple[int, ...] = flags.field(
        (100, 1000, 4000),
        "training images to have, validation included; every run is as many steps "
        "long as the recipe makes that of the largest size",
    )
    freeze: tuple[str, ...] | None = flags.field(
        None,
        "globs of parameters, or of the layers they are in, that stay as the backbone "
        "has them; none means that everything is trained",
    )
    scratch_learning_rate: float | None = flags.field(
        None, "peak rate of training from scratch; none means the other's"
    )

    def validate(self) -> None:
        """Refuses what needs neither the data nor a compiled program to be refused.

        Raises:
            UserError: naming the first field that cannot be used.
        """
        super().validate()
        refuse_below(self, num_classes=1)
        trained_net.validate(self)
        if not self.sizes:
            raise UserError("sizes", "is empty; give at least one")
        for name in ("sizes", "freeze"):
            values = getattr(self, name) or ()
            for value in values:
                if values.count(value) > 1:
                    raise UserError(name, f"{value} is given twice")
        for size in self.sizes:
            if size < 1:
                raise UserError("sizes", f"{size} is less than 1")
        rate = self.scratch_learning_rate
        if rate is not None and not 0 < rate < float("inf"):
            raise UserError("scratch_learning_rate", f"{rate} is not above 0")
        chosen_recipe(self)


def run(config: Config, began: float | None = None) -> dict[str, Any]:
    """The content of results.json, from the work directory where it is finished.

    Args:
        began: from when the first step is timed, by `time.perf_counter`; None is now.

    Raises:
        UserError: a field that cannot be used, a net or data that cannot be read or do
            not fit each other, or a work directory that cannot be written.
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
    from experiments.training.plan import net_options
    from experiments.transferring import plan as transfer_plan

    recipe = chosen_recipe(config)
    net = trained_net.load(config, net_options(config))
    dataset = data.load(
        config.dataset,
        data_dir=config.data_dir,
        image_size=config.image_size,
        train_examples=config.train_examples,
    )
    backbone, plans = transfer_plan.plans(config, recipe, net, dataset)
    for plan in plans:
        engine_choice.refuse_unfit(config, plan.job)
    steps = sum(plan.job.steps * config.seeds for plan in plans)
    with (
        WorkDirectory.open(config) as directory,
        termination() as asked_to_stop,
        Progress(config.progress, steps) as progress,
        compile_cache.kept_in(directory.path / "compile_cache"),
    ):
        progress.log(f"{dataset.summary()}; results go to {directory.path}")
        for line in (
            *engine_choice.refuse_other_rounding(config, directory),
            *numerics.advice(directory.description()["environment"]),
        ):
            progress.log(line)
        results = _transfer(
            config, backbone, plans, directory, progress, asked_to_stop, began
        )
        directory.write_results(results)
    return results


def _transfer(
    config: Config,
    backbone,
    plans: Sequence,
    directory: WorkDirectory,
    progress,
    asked_to_stop,
    began: float,
) -> dict[str, Any]:
    """Trains every run, then scores every net, and draws it together."""
    from experiments.transferring.runs import TransferRuns

    runs = TransferRuns(config, backbone, directory, progress, asked_to_stop, began)
    records = [runs.train(plan.job) for plan in plans]
    progress.finish_run()
    progress.log("every net is trained; scoring them on the test set")
    # All is stored that it takes.
    with asked_to_stop.at_once():
        scored = [
            runs.score(plan.job, each)
            for plan, each in zip(plans, records, strict=True)
        ]
        start = runs.facts_of_start()
        return _results(config, backbone, plans, directory, scored, start)


def _results(
    config: Config, backbone, plans: Sequence, directory: WorkDirectory, scored, start
) -> dict[str, Any]:
    from cnnlab.reporting import report
    from cnnlab.statistics import compare
    from experiments.harness.environment import environment
    from experiments.training import determinism
    from experiments.training import results as training_results
    from experiments.transferring import results as transfer_results

    job, recipe = plans[0].job, chosen_recipe(config)
    arms = [
        transfer_results.arm(plan, backbone, seeds)
        for plan, seeds in zip(plans, scored, strict=True)
    ]
    comparisons = compare({"arms": arms}, pairs=transfer_results.pairs(config.sizes))
    engine = directory.description()["seed_engine"]
    made_with = environment() | {"seed_engine": engine}
    unordered = determinism.unordered_operations(*(plan.job for plan in plans))
    results = {
        "schema": 1,
        "experiment": config.experiment,
        "question": f"Does a trained {backbone.net.spec} help on {job.dataset.name}?",
        "answer": transfer_results.answer(comparisons),
        "command": flags.command_line(config),
        "config_hash": flags.configuration_hash(config),
        "status": "complete",
        "environment": made_with,
        "config": flags.as_json(config, identity_only=True),
        "recipe": dataclasses.asdict(recipe),
        # How many are trained on is the arms' to say.
        "dataset": training_results.dataset(job) | {"train": None, "validation": None},
        "backbone": transfer_results.backbone(backbone),
        "arms": arms,
        "comparisons": comparisons,
        "unordered_operations": unordered,
        "notes": [
            *transfer_results.notes(backbone, plans, recipe.batch_size),
            *training_results.notes(job),
            *determinism.note(unordered, made_with),
            *engine_choice.mixed(directory),
        ],
        "seconds": sum(seed["seconds"] for seeds in scored for seed in seeds),
        **start,
    }
    metrics = directory.metrics()
    results["figures"] = report.figure_paths(results, metrics)
    with storing(directory.path):
        report.write(directory.path, results, metrics)
    return results


if __name__ == "__main__":
    flags.main(Config, main, usage=run_usage(__doc__))
