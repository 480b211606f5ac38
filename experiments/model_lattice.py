"""Is what can be read of a model's shifts, without computing it, what it computes?

The walk reads from a program which circular shifts of the image leave its output as it
is. Here every registered model runs on small integers, on which sums are exact, for
shifts by each divisor of the image's side: down, to the right and both ways at once.
The sums of those that are exact are exact too. What the walk claims and the computation
refutes would be wrong; where it claims fewer, the table says why. Where it claims none,
none can be refuted, and none is computed but with --unclaimed. Nothing is trained.

Images are the smallest in which a model's largest stride goes twice, and dense layers
between the maps and the scores have 32 features. On two cores the default takes about
half an hour. A run may be stopped at any moment, and the same command goes on. Exit
codes: 0 finished, 2 something to mend, in one line, 130 Ctrl-C, 143 SIGTERM.

  python -m experiments.model_lattice
  python -m experiments.model_lattice --models=resnet50,vgg16 --pools=strides,blur_pool
  python -m experiments.model_lattice --models="resnet20(scan=True)" --image_size=32
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from experiments.harness import flags, once, terminal
from experiments.lattices import model_cases, running
from experiments.lattices.drawn_flags import DrawnFlags
from experiments.lattices.nets import ALL, STRIDES
from experiments.lattices.refusals import refuse_same


@dataclasses.dataclass(frozen=True)
class Config(DrawnFlags):
    """The question's terms. From Python: `run(Config(models=("lenet5",)))`."""

    experiment: ClassVar[str] = "model_lattice"

    models: tuple[str, ...] = flags.field(
        (ALL,), "names of models, with their options; all is every registered one"
    )
    pools: tuple[str, ...] = flags.field(
        (STRIDES, "adaptive_polyphase(pool=None)"),
        "specs of pools that take every stride of a model; strides is none",
    )
    image_size: int | None = flags.field(
        None,
        "of the images, pixels a side; none means the smallest in which a model's "
        "largest stride goes twice",
    )
    unclaimed: bool = flags.field(
        False, "compute as well where the walk claims no shift, to see if there is one"
    )
    trials: int = flags.field(1, "weights and images that have to agree")

    def validate(self) -> None:
        """Refuses what is known to have no certificate before anything is traced.

        Raises:
            UserError: naming the first flag that cannot be used.
        """
        super().validate()
        model_cases.refuse_unknown(self)
        refuse_same("models", model_cases.named(self.models))
        refuse_same("pools", self.pools)


def run(config: Config) -> dict[str, Any]:
    """The content of results.json, from the work directory where it is finished.

    Raises:
        UserError: a flag that cannot be used, or a work directory that cannot be
            written.
        Terminated: SIGTERM came; every certificate so far is stored.
    """
    return once.made_once(config, _run)


def main(config: Config) -> None:
    """Runs, and prints the table and where the report is."""
    from cnnlab.reporting import model_lattice

    terminal.tell(config, run, model_lattice.plain)


def _run(config: Config) -> dict[str, Any]:
    model_cases.refuse_unfit(config)
    return running.certified(
        config,
        model_cases.cases(config),
        model_cases.record,
        lambda records: _shown(config, records),
    )


def _shown(
    config: Config, records: list[dict[str, Any]]
) -> tuple[dict[str, Any], Mapping[str, bytes]]:
    from cnnlab.reporting import model_lattice

    results = {
        **running.facts(config, records),
        "question": "Is what can be read of a model's shifts what it computes?",
        "models": model_cases.named(config.models),
        "pools": list(config.pools),
        "boundaries": list(config.boundaries),
        "figures": [],
    }
    results["answer"] = model_lattice.answer(results)
    return results, {"report.html": model_lattice.page_of(results).encode()}


if __name__ == "__main__":
    flags.main(Config, main, usage=__doc__)
