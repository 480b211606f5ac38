"""Max, average or stochastic pooling: which one classifies best?

Trains one model per pool and seed, from the same initial parameters and on the
same batches, so that arms differ in the pool alone. Each arm takes the learning
rate that is best on held-out training images; the test set is read once, when
all are trained. Writes a folder with every prediction, and a report.

  python -m experiments.pooling_comparison
  python -m experiments.pooling_comparison --dataset=mnist \\
      --data_dir=~/tensorflow_datasets --model=zeiler_fergus --seeds=3 --epochs=2
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

from cnnlab.errors import UserError
from experiments.harness import flags, memory, workdir
from experiments.harness.storage import storing
from experiments.harness.workdir import WorkDirectory, stored_results


@dataclasses.dataclass(frozen=True)
class Config:
    """The question's terms. From Python: `run(Config(dataset="mnist", seeds=3))`."""

    experiment: ClassVar[str] = "pooling_comparison"

    pools: tuple[str, ...] = flags.field(
        ("max_pool", "avg_pool", "stochastic_pool"),
        'pools to compare, with options: max_pool,"lp_pool(p=3.0)"',
    )
    model: str = flags.field("lenet5", "model to put them in")
    dataset: str = flags.field(
        "glyphs", "glyphs (drawn, built in), or a prepared TFDS set such as mnist"
    )
    data_dir: str | None = flags.field(
        None,
        "folder of prepared sets; none means $TFDS_DATA_DIR, or else "
        "~/tensorflow_datasets",
        identity=False,
    )
    image_size: int = flags.field(28, "side of the glyphs, in pixels")
    train_examples: int | None = flags.field(
        None, "training images to use, validation included; none means all"
    )
    boundary: str = flags.field(
        "zero",
        "what convolutions and pools see beyond the image",
        choices=("zero", "circular", "reflect", "edge"),
    )
    downsample: str | None = flags.field(
        None,
        "pool that takes every stride of the model, such as "
        '"blur_pool(window_shape=3)"; none leaves them where its paper has them',
    )
    seeds: int = flags.field(5, "seeds per pool; seeds are 0 to this less one")
    epochs: int = flags.field(6, "passes over the training images")
    batch_size: int = flags.field(128, "images per step")
    learning_rates: tuple[float, ...] = flags.field(
        (0.1, 0.3, 0.6),
        "peak rates to choose from, by validation accuracy, for each pool",
    )
    rate_seeds: int = flags.field(1, "seeds on which each rate is tried")
    validation_fraction: float = flags.field(
        0.1, "share of the training images that choices are made on, split by seed"
    )
    max_shift: int = flags.field(
        8, "pixels that test images are moved to either side, zeros shifted in"
    )
    shift_examples: int = flags.field(1000, "test images that are moved, the first")
    workdir: str | None = flags.field(
        None,
        "folder of the run; none means runs/pooling_comparison/<hash of the flags>",
        identity=False,
    )
    overwrite: bool = flags.field(
        False, "replace the run that the folder holds", identity=False, repeated=False
    )
    progress: str = flags.field(
        "auto",
        "how to show progress; auto is a bar on a terminal and lines elsewhere",
        choices=("auto", "bar", "lines", "none"),
        identity=False,
        repeated=False,
    )

    def validate(self) -> None:
        """Refuses what needs neither the data nor a compiled program to be refused.

        Raises:
            UserError: naming the first field that cannot be used.
        """
        for name, least in (
            ("seeds", 1),
            ("epochs", 1),
            ("batch_size", 1),
            ("rate_seeds", 1),
            ("image_size", 1),
            ("max_shift", 0),
            ("shift_examples", 1),
        ):
            if getattr(self, name) < least:
                raise UserError(name, f"{getattr(self, name)} is less than {least}")
        if not 0 <= self.validation_fraction < 1:
            raise UserError(
                "validation_fraction",
                f"{self.validation_fraction} is not in 0 <= fraction < 1",
            )
        for rate in self.learning_rates:
            if not 0 < rate < float("inf"):
                raise UserError("learning_rates", f"{rate} is not above 0")
        for name in ("learning_rates", "pools"):
            values = getattr(self, name)
            if not values:
                raise UserError(name, "is empty; give at least one")
            for value in values:
                if values.count(value) > 1:
                    raise UserError(name, f"{value} is given twice")
        if len(self.learning_rates) > 1:
            if self.validation_fraction == 0:
                raise UserError(
                    "validation_fraction",
                    f"0 leaves nothing to choose among {len(self.learning_rates)} "
                    "learning rates on",
                )
            if self.rate_seeds > self.seeds:
                raise UserError(
                    "rate_seeds", f"{self.rate_seeds} is more than seeds, {self.seeds}"
                )
        self._validate_names()

    def _validate_names(self) -> None:
        from cnnlab.layers.subsampling import resolve_downsample
        from cnnlab.models import models
        from cnnlab.ops import pools
        from cnnlab.ops.registry import parse_spec

        for name, registry, specs in (
            ("model", models, (self.model,)),
            ("pools", pools, self.pools),
        ):
            for spec in specs:
                try:
                    registry.resolve(spec)
                except ValueError as error:
                    raise UserError(name, str(error)) from None
        if self.downsample is not None:
            try:
                resolve_downsample(self.downsample)
            except ValueError as error:
                raise UserError("downsample", str(error)) from None
        given = parse_spec(self.model)[1]
        flag_of = {"pool": "pools", "boundary": "boundary", "downsample": "downsample"}
        for option, flag in flag_of.items():
            if option in given:
                raise UserError("model", f"{self.model} sets {option}; use --{flag}")
        meanings = [parse_spec(pool) for pool in self.pools]
        for i, meaning in enumerate(meanings):
            if meaning in meanings[:i]:
                other = self.pools[meanings.index(meaning)]
                raise UserError("pools", f"{self.pools[i]} is {other} once more")


def run(config: Config) -> dict[str, Any]:
    """The content of results.json, from the work directory where it is finished.

    Raises:
        UserError: a field that cannot be used, data that cannot be read, or a work
            directory that cannot be written.
    """
    config = flags.checked(config)
    stored = stored_results(config)
    if stored is not None:
        return stored

    from cnnlab import data
    from cnnlab.reporting import report
    from experiments.comparing.plan import plan

    dataset = data.load(
        config.dataset,
        data_dir=config.data_dir,
        image_size=config.image_size,
        train_examples=config.train_examples,
    )
    schedule, arms = plan(config, dataset)
    with WorkDirectory.open(config) as directory:
        results = _compare(config, schedule, arms, dataset, directory)
        metrics = directory.metrics()
        results["figures"] = report.figure_paths(results, metrics)
        with storing(directory.path):
            report.write(directory.path, results, metrics)
        directory.write_results(results)
        return results


def main(config: Config) -> None:
    """Runs, and prints the table and where the report is."""
    from cnnlab.reporting import tables

    memory.keep_freed()
    finished_before = stored_results(config) is not None
    results = run(config)
    if finished_before:
        print(
            f"finished on {results['environment']['date']}, on images "
            f"{results['dataset']['fingerprint'][:8]}; --overwrite runs it again\n"
        )
    print(tables.plain(results))
    print(f"\nreport: {workdir.run_path(config) / 'report.html'}")


def _compare(
    config: Config, schedule, arms: Sequence, dataset, directory: WorkDirectory
) -> dict[str, Any]:
    """Trains every arm, then scores every net, and draws it together."""
    from cnnlab.statistics import compare
    from experiments.comparing import scoring, summary
    from experiments.comparing.arms import parameters
    from experiments.comparing.comparison import Comparison, drop_unfinished
    from experiments.harness.environment import environment
    from experiments.harness.progress import Progress

    _check_same_images(config, dataset, directory)
    drop_unfinished(directory)
    shifts = range(-config.max_shift, config.max_shift + 1)
    steps = schedule.total_steps(dataset) * schedule.runs_per_arm * len(arms)
    with Progress(config.progress, steps) as progress:
        progress.log(f"{dataset.summary()}; results go to {directory.path}")
        comparison = Comparison(dataset, schedule, directory, progress)
        trained = [comparison.train(arm) for arm in arms]
        progress.finish_run()
        progress.log("every arm is trained; scoring them on the test set")
        scored = [
            scoring.score(
                comparison, each, shifts=shifts, shift_examples=config.shift_examples
            )
            for each in trained
        ]
    remaining = schedule.training_examples(dataset)
    results = {
        "schema": 1,
        "experiment": config.experiment,
        "question": _question(config.pools),
        "command": flags.command_line(config),
        "config_hash": flags.configuration_hash(config),
        "status": "complete",
        "environment": environment(),
        "config": flags.as_json(config, identity_only=True),
        "dataset": {
            "name": dataset.name,
            "summary": dataset.summary(),
            "fingerprint": dataset.fingerprint,
            "train": remaining,
            "validation": len(dataset.train.labels) - remaining,
            "test": len(dataset.test.labels),
            "image_shape": dataset.image_shape,
            "class_names": dataset.class_names,
        },
        "arms": [
            summary.arm(
                each,
                seeds,
                model=config.model,
                parameters=parameters(each.arm, dataset.image_shape),
                shifts=shifts,
                shift_examples=min(config.shift_examples, len(dataset.test.labels)),
            )
            for each, seeds in zip(trained, scored, strict=True)
        ],
        "notes": summary.rate_notes(trained),
        # A scored seed's time holds its training run's, which counts once.
        "seconds": sum(each.seconds for each in trained)
        + sum(
            seed["seconds"] - run["seconds"]
            for each, seeds in zip(trained, scored, strict=True)
            for run, seed in zip(each.runs, seeds, strict=True)
        ),
    }
    comparisons = compare(results) if len(arms) > 1 else []
    return {**results, "comparisons": comparisons}


def _check_same_images(config: Config, dataset, directory: WorkDirectory) -> None:
    fingerprint = {"fingerprint": dataset.fingerprint}
    if directory.read_record("dataset") not in (None, fingerprint):
        raise UserError(
            "workdir",
            f"'{directory.path}' holds a run on other images of the name "
            f"{config.dataset}; --overwrite replaces it",
        )
    directory.write_record("dataset", fingerprint)


def _question(pools: Sequence[str]) -> str:
    """The comparison as a question, such as "Max, average or stochastic pooling?"."""
    words = {"avg": "average"}
    names = [pool.replace("_pool", "") for pool in pools]
    names = [words.get(name, name) for name in names]
    listed = " or ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
    return f"{listed[0].upper()}{listed[1:]} pooling?"


if __name__ == "__main__":
    flags.main(Config, main, usage=__doc__)
