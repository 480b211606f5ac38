"""Max, average or stochastic pooling: which one classifies best, and holds its answer?

Trains one model per pool and seed, from the same initial parameters and on the same
batches, so that arms differ in the pool alone. Each arm takes the learning rate that is
best on held-out training images; the test set is read once, when all are trained. Then
test images are moved, and what each net says of them is compared. Writes a folder with
every prediction, and a report.

A run is a function of its flags. It may be stopped at any moment, and the same command
goes on to the same end, bit for bit. Exit codes: 0 finished, 2 something to mend, in
one line, 130 Ctrl-C, 143 SIGTERM.

  python -m experiments.pooling_comparison
  python -m experiments.pooling_comparison --dataset=mnist \\
      --data_dir=~/tensorflow_datasets --model=zeiler_fergus --seeds=3 --epochs=2
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar

from cnnlab.errors import UserError
from experiments.comparing import experiment
from experiments.comparing.arm import Arm
from experiments.comparing.comparison_flags import ComparisonFlags
from experiments.harness import flags, terminal
from experiments.harness.first_step import process_began
from experiments.harness.refusals import refuse_below
from experiments.harness.run_flags import run_usage

_COMPARED = "circular_consistency", "zero_consistency"


@dataclasses.dataclass(frozen=True)
class Config(ComparisonFlags):
    """The question's terms. From Python: `run(Config(dataset="mnist", seeds=3))`."""

    experiment: ClassVar[str] = "pooling_comparison"
    pool: ClassVar[None] = None

    pools: tuple[str, ...] = flags.field(
        ("max_pool", "avg_pool", "stochastic_pool"),
        'pools to compare, with options: max_pool,"lp_pool(p=3.0)"',
    )
    max_shift: int = flags.field(
        8, "pixels that test images are moved to either side, zeros shifted in"
    )
    reach: int = flags.field(
        3, "pixels each way to which the maps of moved test images go; 0 for no maps"
    )
    shift_examples: int = flags.field(128, "test images that are moved, the first")

    def arms(self) -> list[Arm]:
        return [Arm(pool, {"pool": pool}, flag="pools") for pool in self.pools]

    def question(self) -> str:
        """Such as "Max, average or stochastic pooling?"."""
        words = {"avg": "average"}
        names = [pool.replace("_pool", "") for pool in self.pools]
        names = [words.get(name, name) for name in names]
        listed = " or ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
        return f"{listed[0].upper()}{listed[1:]} pooling?"

    def validate(self) -> None:
        """Refuses what needs neither the data nor a compiled program to be refused.

        Raises:
            UserError: naming the first field that cannot be used.
        """
        refuse_below(self, max_shift=0, reach=0, shift_examples=1)
        if not self.pools:
            raise UserError("pools", "is empty; give at least one")
        super().validate()
        _refuse_equal(self.pools)

    def validate_images(self, image_shape: tuple[int, int, int]) -> None:
        height, width, _ = image_shape
        if self.max_shift > width:
            raise UserError(
                "max_shift",
                f"{self.max_shift} is more than the images' width, {width}",
            )
        if self.reach >= min(height, width):
            raise UserError(
                "reach", f"{self.reach} is not less than the images' {height}x{width}"
            )


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
        measures=lambda: _measures(config),
        compared=_COMPARED if config.reach else (),
    )


def main(config: Config) -> None:
    """Runs, and prints the table and where the report is."""
    terminal.main(config, functools.partial(run, began=process_began()))


def _measures(config: Config) -> list:
    from experiments.comparing import shift_measures

    line = range(-config.max_shift, config.max_shift + 1)
    measures = [shift_measures.accuracy_along(line, config.shift_examples)]
    if config.reach:
        measures.append(shift_measures.consistency(config.reach, config.shift_examples))
    return measures


def _refuse_equal(pools: Sequence[str]) -> None:
    from cnnlab.ops.registry import parse_spec

    meanings = [parse_spec(pool) for pool in pools]
    for i, meaning in enumerate(meanings):
        if meaning in meanings[:i]:
            other = pools[meanings.index(meaning)]
            raise UserError("pools", f"{pools[i]} is {other} once more")


if __name__ == "__main__":
    flags.main(Config, main, usage=run_usage(__doc__))
