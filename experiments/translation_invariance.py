"""What makes a net hold its answer when the image moves, and what breaks it?

Trains every combination of models, pools, boundaries and augmentations (training images
as they are, or moved by whole pixels, zeros shifted in), from the same initial
parameters and on the same batches. Then test images are moved, and each net is asked
how accuracy and class hold along a line and over a full grid of shifts, how far an
image has to move for its class to flip, how much of the change is aliasing, boundary
and head, after which layer equivariance is lost, and what each place that thins maps
folds and costs. Arms that differ in one thing alone are compared, paired by seed.
Writes a folder with every prediction, and a report.

A run is a function of its flags. It may be stopped at any moment, and the same command
goes on to the same end, bit for bit. Exit codes: 0 finished, 2 something to mend, in
one line, 130 Ctrl-C, 143 SIGTERM.

  python -m experiments.translation_invariance
  python -m experiments.translation_invariance --dataset=mnist \\
      --data_dir=~/tensorflow_datasets --models=lenet5,zeiler_fergus --seeds=5
"""

import dataclasses
import functools
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from cnnlab.errors import UserError
from experiments.comparing import experiment
from experiments.comparing.arm import Arm
from experiments.comparing.comparison_flags import ComparisonFlags
from experiments.harness import flags, terminal
from experiments.harness.first_step import process_began
from experiments.harness.refusals import refuse_below
from experiments.harness.run_flags import run_usage
from experiments.invariance import arms
from experiments.invariance.arms import AUGMENTS, Setting
from experiments.invariance.refusals import (
    refuse_model,
    refuse_repeated,
    refuse_unfit,
)

_MOVED = "circular_consistency", "zero_consistency"
_LISTS = "models", "pools", "boundaries", "augments", "transformations"


@dataclasses.dataclass(frozen=True)
class Config(ComparisonFlags):
    """The question's terms. From Python: `run(Config(dataset="mnist", seeds=5))`."""

    experiment: ClassVar[str] = "translation_invariance"
    model: ClassVar[str] = "lenet5"  # The arms' to say, as all of these.
    pool: ClassVar[None] = None
    boundary: ClassVar[str] = "zero"
    augment: ClassVar[None] = None

    models: tuple[str, ...] = flags.field(
        ("lenet5",), "models to compare, with their options"
    )
    pools: tuple[str, ...] = flags.field(
        ("max_pool", "max_blur_pool"),
        'pools to compare, with options: max_pool,"lp_pool(p=3.0)"',
    )
    boundaries: tuple[str, ...] = flags.field(
        ("zero", "circular"),
        "what convolutions and pools see beyond the image",
        choices=("zero", "circular", "reflect", "edge"),
    )
    augments: tuple[str, ...] = flags.field(
        AUGMENTS,
        "what is done to training images: nothing, or moved by up to --translation",
        choices=AUGMENTS,
    )
    translation: int = flags.field(
        4, "pixels by which training images are moved at most, along both axes"
    )
    seeds: int = flags.field(3, "seeds per arm; seeds are 0 to this less one")
    learning_rates: tuple[float, ...] = flags.field(
        (0.3,),
        "peak rates to choose from, by validation accuracy, for each arm",
    )
    max_shift: int = flags.field(
        8, "pixels to either side to which the curves of moved test images go"
    )
    reach: int = flags.field(
        5, "pixels each way to which the maps of moved test images go"
    )
    shift_examples: int = flags.field(128, "test images that are moved, the first")
    budget_examples: int = flags.field(
        32, "test images that are rolled for the error budget, the first; 0 for none"
    )
    tomography_examples: int = flags.field(
        32, "test images on which tomography is done, the first; 0 for none"
    )
    sampling_examples: int = flags.field(
        32,
        "test images on which it is told what each place that thins maps folds, and "
        "costs in consistency, the first; 0 for none",
    )
    transformations: tuple[str, ...] = flags.field(
        ("translation",),
        "motions under which tomography looks for equivariance",
        choices=("translation", "rotation", "scale"),
    )

    def settings(self) -> dict[str, Setting]:
        """What each arm is made of, by its name."""
        return arms.settings(self.models, self.pools, self.boundaries, self.augments)

    def question(self) -> str:
        return "What holds a net's answer when the image moves, and what breaks it?"

    def arms(self) -> list[Arm]:
        return [
            arms.arm(name, setting, self.translation)
            for name, setting in self.settings().items()
        ]

    def families(self) -> dict[str, list[tuple[str, str]]]:
        """Arms that differ in one thing alone."""
        from experiments.invariance.contrasts import families

        return families(self.settings())

    def validate(self) -> None:
        """Refuses what needs neither the data nor a compiled program to be refused.

        Raises:
            UserError: naming the first field that cannot be used.
        """
        refuse_below(
            self,
            translation=1,
            max_shift=1,
            reach=1,
            shift_examples=1,
            budget_examples=0,
            tomography_examples=0,
            sampling_examples=0,
        )
        for name in _LISTS:
            refuse_repeated(name, getattr(self, name))
        for model in self.models:
            refuse_model(self, model)
        super().validate()

    def validate_images(self, image_shape: tuple[int, int, int]) -> None:
        height, width, _ = image_shape
        for name in ("translation", "max_shift", "reach"):
            if getattr(self, name) >= min(height, width):
                raise UserError(
                    name,
                    f"{getattr(self, name)} is not less than the images' "
                    f"{height}x{width}",
                )
        for model in self.models:
            refuse_unfit(model, image_shape, with_budget=self.budget_examples > 0)


def run(config: Config, began: float | None = None) -> dict[str, Any]:
    """The content of results.json, from the work directory where it is finished.

    Args:
        began: from when the first step is timed, by `time.perf_counter`; None is now.

    Raises:
        UserError: a field that cannot be used, data that cannot be read, or a work
            directory that cannot be written.
        Terminated: SIGTERM came; everything is stored.
    """
    return experiment.run(
        config,
        began,
        measures=functools.partial(_measures, config),
        compared=_MOVED,
        more=functools.partial(_more, config),
        drawings=functools.partial(_drawings, config),
    )


def main(config: Config) -> None:
    """Runs, and prints the table and where the report is."""
    terminal.main(config, functools.partial(run, began=process_began()))


def _measures(config: Config) -> list:
    from experiments.invariance import causes, moving, thinning

    if config.progress != "none":
        # Here nothing is left that could refuse the run.
        number = len(config.settings())
        print(
            f"{number} arms x {config.seeds} seeds: {number * config.seeds} nets",
            file=sys.stderr,
        )
    measures = [
        moving.curves(config.max_shift, config.shift_examples),
        moving.grids(config.reach, config.shift_examples),
    ]
    if config.budget_examples:
        measures.append(causes.budget(config.budget_examples))
    if config.tomography_examples:
        measures.append(
            causes.tomography(config.transformations, config.tomography_examples)
        )
    if config.sampling_examples:
        measures.append(thinning.thinning(config.sampling_examples))
    return measures


def _contrasts(config: Config, results: Mapping[str, Any]) -> list[dict[str, Any]]:
    from experiments.invariance.contrasts import contrasts

    return contrasts(results["comparisons"], config.settings())


def _more(config: Config, results: Mapping[str, Any]) -> dict[str, Any]:
    from cnnlab.reporting import contrasts, sampling_bars

    rows = _contrasts(config, results)
    tables = [contrasts.table(rows)] if rows else []
    if sampled := sampling_bars.sampled(results["arms"]):
        tables.append(sampling_bars.table(sampled))
    found: dict[str, Any] = {"tables": tables} if tables else {}
    if rows:
        found |= {"answer": contrasts.answer(rows), "contrasts": rows}
    return found


def _drawings(config: Config, results: Mapping[str, Any]) -> dict[str, Any]:
    from experiments.invariance.drawings import drawings

    return drawings(results, _contrasts(config, results))


if __name__ == "__main__":
    flags.main(Config, main, usage=run_usage(__doc__))
