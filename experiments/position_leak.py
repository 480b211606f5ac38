"""Does padding tell a net where things are?

Red left of green in the upper part of an image is one class, green left of red in the
lower part the other. Order and place both say the class; nets differ in their padding
alone. Then every test image is moved half an image down, so that order and place are at
odds: who relied on place is wrong now. By arithmetic a net on a torus and one with full
zero padding score the same in both places, as the move is a multiple of their stride.

A run is a function of its flags. It may be stopped at any moment, and the same command
goes on to the same end, bit for bit. Exit codes: 0 finished, 2 something to mend, in
one line, 130 Ctrl-C, 143 SIGTERM.

Source: Kayhan and van Gemert, 2020, "On translation invariance in CNNs: convolutional
layers can exploit absolute spatial location", https://arxiv.org/abs/2003.07064.

  python -m experiments.position_leak
  python -m experiments.position_leak --paddings=same,full --seeds=10
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cnnlab.errors import UserError
from experiments.comparing import experiment
from experiments.comparing.arm import Arm
from experiments.comparing.comparison_flags import ComparisonFlags
from experiments.harness import flags, terminal
from experiments.harness.first_step import process_began
from experiments.harness.run_flags import run_usage

# The net's options, and what convolutions see beyond the image.
_PADDINGS = {
    "valid": ("red_green(padding='VALID')", "zero"),
    "same": ("red_green(padding='SAME')", "zero"),
    "circular": ("red_green(padding='SAME')", "circular"),
    "full": ("red_green(padding='FULL')", "zero"),
}


@dataclasses.dataclass(frozen=True)
class Config(ComparisonFlags):
    """The question's terms. From Python: `run(Config(paddings=("same", "full")))`."""

    experiment: ClassVar[str] = "position_leak"
    model: ClassVar[str] = "red_green"
    pool: ClassVar[None] = None
    boundary: ClassVar[str] = "zero"
    dataset: ClassVar[str] = "red_green"
    data_dir: ClassVar[None] = None
    image_size: ClassVar[int] = 28
    # Black must be what padding is.
    pixels: ClassVar[str] = "unit"

    paddings: tuple[str, ...] = flags.field(
        tuple(_PADDINGS), "what convolutions are given beyond the image, to compare"
    )
    recipe: str = flags.field("red_green", "how to train; --help lists the recipes")
    learning_rates: tuple[float, ...] = flags.field(
        (1.0,), "peak rates to choose from, by validation accuracy, for each arm"
    )

    def question(self) -> str:
        return "Does padding tell a net where things are?"

    def arms(self) -> list[Arm]:
        return [
            Arm(
                padding,
                {"model": _PADDINGS[padding][0], "boundary": _PADDINGS[padding][1]},
                flag="paddings",
            )
            for padding in self.paddings
        ]

    def validate(self) -> None:
        """Refuses what needs neither the data nor a compiled program to be refused.

        Raises:
            UserError: naming the first flag that cannot be used.
        """
        if not self.paddings:
            raise UserError("paddings", "is empty; give at least one")
        for padding in self.paddings:
            if padding not in _PADDINGS:
                raise UserError(
                    "paddings",
                    f"{padding!r} is none; allowed are {', '.join(_PADDINGS)}",
                )
        super().validate()


def run(config: Config, began: float | None = None) -> dict[str, Any]:
    """The content of results.json, from the work directory where it is finished.

    Args:
        began: from when the first step is timed, by `time.perf_counter`; None is now.

    Raises:
        UserError: a flag that cannot be used, or a work directory that cannot be
            written.
        Terminated: SIGTERM came; everything is stored.
    """
    return experiment.run(
        config,
        began,
        measures=lambda: [_elsewhere()],
        compared=("elsewhere_accuracy",),
        more=_more,
        drawings=_drawings,
    )


def main(config: Config) -> None:
    """Runs, and prints the tables and where the report is."""
    terminal.main(config, functools.partial(run, began=process_began()))


def _elsewhere():
    from cnnlab.data import red_green
    from cnnlab.diagnostics import shifts
    from experiments.comparing.measure import Measure, intervals

    def of_net(predict, dataset) -> dict[str, Any]:
        found = shifts.accuracy_under_shifts(
            predict,
            dataset.test.images,
            dataset.test.labels,
            [(0, 0), red_green.ELSEWHERE],
            motion="circular",
        )
        here, there = map(float, found.accuracy)
        return {
            "elsewhere_accuracy": there,
            "leak": here - there,
            "elsewhere_spec": found.spec,
        }

    def of_arm(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return intervals(seeds) | {"elsewhere_spec": seeds[0]["elsewhere_spec"]}

    return Measure("elsewhere", of_net, of_arm)


def _more(results: Mapping) -> dict[str, Any]:
    from cnnlab.reporting import position_leak

    return {
        "answer": position_leak.answer(results),
        "tables": [position_leak.table(results)],
    }


def _drawings(results: Mapping) -> dict[str, Any]:
    from cnnlab.reporting import position_leak
    from cnnlab.reporting.report import Drawing

    caption = (
        "Accuracy where squares are in the place of their class, and half an image "
        "further down."
    )
    if results["arms"][0]["test_accuracy"]["n"] > 1:
        caption += " Bars: 95 % Student intervals over seeds."
    return {"position_leak": Drawing(position_leak.bars(results), caption)}


if __name__ == "__main__":
    flags.main(Config, main, usage=run_usage(__doc__))
