"""Can a stride take the place of pooling?

Trains the nets of "Striving for simplicity" (Springenberg et al., 2014, tables 1 to 3):
base, strided, conv_pool and all_cnn of the variants A, B and C, which differ in the
sizes of their convolutions. All see the same batches, and each takes the learning rate
that is best for it on held-out training images. They are compared, within a variant, in
test accuracy and in how answers hold when images move, at what they cost. base and
strided have equal parameters, and differ in the pool alone; so do conv_pool and
all_cnn. The report has the errors that the paper printed, on CIFAR-10, beside those
found here.

A run is a function of its flags. It may be stopped at any moment, and the same command
goes on to the same end, bit for bit. Exit codes: 0 finished, 2 something to mend, in
one line, 130 Ctrl-C, 143 SIGTERM.

The short form, nets an eighth as wide as the paper's and without its dropout, on drawn
images, takes about ten minutes on two CPU cores:

  python -m experiments.stride_vs_pooling

The paper's nets, trained as long and at the rates that it chose from, but on images
that are neither whitened nor normalised in contrast, are work for a GPU: 2 x 10^18
floating-point operations, which two CPU cores would take some 3,000 hours for, by the
time of a step of all_cnn_c (1.3 seconds).

  python -m experiments.stride_vs_pooling --variants=a,b,c --width=1 --dropout=1 \\
      --dataset=cifar10 --train_examples=none --validation_fraction=0.1 \\
      --recipe=all_cnn --optimizer=none --schedule=none --batch_size=none \\
      --pixels=standard --learning_rates=0.25,0.1,0.05,0.01 --seeds=5 --rate_seeds=1
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
from experiments.harness.refusals import refuse_below
from experiments.harness.run_flags import run_usage

NETS = "base", "strided", "conv_pool", "all_cnn"
VARIANTS = "a", "b", "c"
_COMPARED = "circular_consistency", "zero_consistency"
_SIDE = 32


@dataclasses.dataclass(frozen=True)
class Config(ComparisonFlags):
    """The question's terms. From Python: `run(Config(variants=("a", "b")))`."""

    experiment: ClassVar[str] = "stride_vs_pooling"
    # Not the user's to say, or the nets would not be the paper's.
    model: ClassVar[str] = "all_cnn_c"
    pool: ClassVar[None] = None
    downsample: ClassVar[None] = None
    image_size: ClassVar[int]

    variants: tuple[str, ...] = flags.field(
        ("c",),
        "sizes of a stage's convolutions: 5x5 (a), 5x5 and 1x1 (b), two of 3x3 (c)",
        choices=VARIANTS,
    )
    nets: tuple[str, ...] = flags.field(
        NETS,
        "nets of each variant: a pool after each stage (base), its stride in the "
        "convolution before it (strided), a convolution more before the pool "
        "(conv_pool), one with the stride in place of the pool (all_cnn)",
        choices=NETS,
    )
    width: float = flags.field(
        0.125, "share of the paper's 96 and 192 maps; 1 is the paper's nets"
    )
    dropout: float = flags.field(
        0.0,
        "share of the paper's dropout, of 0.2 of the image and 0.5 of what each stage "
        "gives; under all of it narrow nets learn slowly",
    )
    train_examples: int | None = flags.field(
        6_000, "training images to use, validation included; none means all"
    )
    # By momentum a net without norms takes long to begin.
    optimizer: str | None = flags.field(
        "adam",
        "how the gradient is followed; none means the recipe's",
        choices=("momentum", "nesterov", "adam", "adadelta"),
    )
    # Under a high rate at first some nets put out a class for good: a score that is
    # negative in every place has no gradient through its ReLU.
    schedule: str | None = flags.field(
        "cosine(warmup=0.4)",
        "the rate's shape: constant, linear(final=0.01), cosine(warmup=0.2), "
        '"piecewise(at=(32, 48), of=64)"; none means the recipe\'s',
    )
    batch_size: int | None = flags.field(32, "images per step; none means the recipe's")
    learning_rates: tuple[float, ...] = flags.field(
        (0.002, 0.003),
        "peak rates to choose from, by validation accuracy, for each arm",
    )
    rate_seeds: int = flags.field(2, "seeds on which each rate is tried")
    pixels: str = flags.field(
        "unit",
        "what the net is given: standard, each channel with mean 0 and deviation 1 "
        "over the training images; unit, 0 to 1, so that black is what zero padding is",
        choices=("standard", "unit"),
    )
    reach: int = flags.field(
        3, "pixels each way that test images are moved, at all shifts"
    )
    shift_examples: int = flags.field(128, "test images that are moved, the first")

    @property
    def image_size(self) -> int:
        """The side of the paper's images; of others than glyphs the loader's own."""
        return _SIDE if self.dataset == "glyphs" else ComparisonFlags.image_size

    def question(self) -> str:
        """What the experiment asks."""
        return "Can a stride take the place of pooling?"

    def arms(self) -> list[Arm]:
        """The nets of every variant."""
        shares = f"width={self.width}, dropout={self.dropout}"
        return [
            Arm(name, {"model": f"{name}({shares})"}, flag="width")
            for variant in self.variants
            for name in names_of(variant, self.nets)
        ]

    def families(self) -> dict[str, list[tuple[str, str]]]:
        """Two nets of one variant."""
        from experiments.striving import orders

        pairs = orders.pairs(arm.name for arm in self.arms())
        return {orders.FAMILY: pairs} if pairs else {}

    def validate(self) -> None:
        """Refuses what needs neither the data nor a compiled program to be refused.

        Raises:
            UserError: naming the first field that cannot be used.
        """
        refuse_below(self, reach=1, shift_examples=1)
        for name in ("variants", "nets"):
            listed = getattr(self, name)
            if not listed:
                raise UserError(name, "is empty; give at least one")
            for each in listed:
                if listed.count(each) > 1:
                    raise UserError(name, f"{each} is given twice")
        if not 0 <= self.dropout <= 1:
            raise UserError("dropout", f"{self.dropout} is not from 0 to 1")
        if self.reach >= _SIDE:
            raise UserError(
                "reach", f"{self.reach} is not less than the images' {_SIDE} pixels"
            )
        super().validate()

    def validate_images(self, image_shape: tuple[int, int, int]) -> None:
        """Refuses images of another size than the paper's.

        Raises:
            UserError: naming the data set.
        """
        height, width, _ = image_shape
        if (height, width) != (_SIDE, _SIDE):
            raise UserError(
                "dataset",
                f"{self.dataset} has {height}x{width} images; the nets are those of "
                f"{_SIDE}x{_SIDE} ones, whose last map is 6x6",
            )


def names_of(variant: str, nets: Sequence[str] = NETS) -> list[str]:
    """The models of a variant, such as "base_c"."""
    return [f"{net}_{variant}" for net in nets]


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
        compared=_COMPARED,
        more=_more,
        drawings=_drawings,
    )


def main(config: Config) -> None:
    """Runs, and prints the table, what is resolved, and where the report is."""
    terminal.main(config, functools.partial(run, began=process_began()))


def _measures(config: Config) -> list:
    from experiments.comparing import shift_measures

    return [shift_measures.consistency(config.reach, config.shift_examples)]


def _more(results: Mapping) -> dict[str, Any]:
    from experiments.striving import orders, tables

    rows = orders.compared(results)
    told = orders.replaced(rows, results) + orders.told(rows, results)
    found = {"tables": tables.all_of(results, rows)}
    return found | ({"answer": " ".join(told)} if told else {})


def _drawings(results: Mapping) -> Mapping[str, Any]:
    from cnnlab.reporting.cost_scatter import caption, cost_scatter
    from cnnlab.reporting.report import Drawing

    places = {arm["name"]: tuple(arm["name"].rsplit("_", 1)) for arm in results["arms"]}
    metrics = ["test_accuracy", *_COMPARED]
    figure = cost_scatter(results, places, metrics)
    return {"cost_scatter": Drawing(figure, caption(results))}


if __name__ == "__main__":
    flags.main(Config, main, usage=run_usage(__doc__))
