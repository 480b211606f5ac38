"""Which circular shifts of its image leave what a net says exactly as it is?

The net runs on small integers, on which sums are exact, for every roll of the image:
once with each pool and boundary. Strides alone keep a lattice of shifts, padding keeps
none, and shift-exact pools keep all. Beside it stands what can be read from the
program without computing: it never claims a shift that the computation refutes.
Nothing is trained.

The two-level net has two levels of a 3x3 convolution, a ReLU and a pool of stride 2, a
third convolution and ReLU, and a head: strides of 4 in all. On two cores the default
takes about a minute. A run may be stopped at any moment, and the same command goes
on. Exit codes: 0 finished, 2 something to mend, in one line, 130 Ctrl-C, 143 SIGTERM.

  python -m experiments.shift_lattice
  python -m experiments.shift_lattice --nothird --pools=max_pool,avg_pool --head=max
  python -m experiments.shift_lattice --model=resnet20 --option=downsample \\
      --pools="strides,blur_pool(window_shape=3),adaptive_polyphase(pool=None)"
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from experiments.harness import flags, once, terminal
from experiments.harness.refusals import refuse_given
from experiments.lattices import nets, running
from experiments.lattices.drawn_flags import DrawnFlags
from experiments.lattices.refusals import refuse_same


@dataclasses.dataclass(frozen=True)
class Config(DrawnFlags):
    """The question's terms. From Python: `run(Config(pools=("max_pool",)))`."""

    experiment: ClassVar[str] = "shift_lattice"

    model: str | None = flags.field(
        None, "name of a model, with its options; none means the two-level net"
    )
    image_size: int = flags.field(16, "of the images, pixels a side")
    pools: tuple[str, ...] = flags.field(
        (nets.ALL,),
        "specs of pools; strides is none, where convolutions have the strides; all is "
        "that and every registered pool",
    )
    option: str = flags.field(
        "pool",
        "which option of --model takes the pools: pool is where the model pools, "
        "downsample everywhere it has strides",
        choices=("pool", "downsample"),
    )
    head: str | None = flags.field(
        None,
        "what makes the last map scores; none means the model's own, and mean in the "
        "two-level net",
        choices=("mean", "max", "flatten"),
    )
    third: bool = flags.field(
        True, "a third convolution and ReLU follow the two-level net's second pool"
    )
    per_layer: bool = flags.field(
        False, "certify what every operation gives as well, and not the output alone"
    )
    trials: int | None = flags.field(
        None,
        "weights and images that have to agree; none means two, or more where the net "
        "gives few numbers, and 16 where it chooses by its data",
    )

    def validate(self) -> None:
        """Refuses what is known to have no certificate before anything is traced.

        Raises:
            UserError: naming the first flag that cannot be used.
        """
        super().validate()
        if self.model is None:
            refuse_given(self, ["option"], "is for --model")
        else:
            refuse_given(self, ["third"], "is for the two-level net, not for --model")
        nets.refuse_unknown(self)
        refuse_same("pools", nets.named(self.pools))


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
    from cnnlab.reporting import lattice_table

    terminal.tell(config, run, lattice_table.plain)


def _run(config: Config) -> dict[str, Any]:
    from experiments.lattices import certificates

    nets.refuse_unfit(config)
    return running.certified(
        config,
        nets.cases(config),
        certificates.record,
        lambda records: _shown(_results(config, records)),
    )


def _results(config: Config, records: list[dict[str, Any]]) -> dict[str, Any]:
    from cnnlab.reporting import lattice_table

    results = {
        **running.facts(config, records),
        "question": "Which shifts of its image leave what a net says exactly as it is?",
        "net": _net(config),
        "image": [config.image_size] * 2,
        "boundaries": list(config.boundaries),
        "pools": nets.named(config.pools),
    }
    return results | {"answer": lattice_table.answer(results)}


def _net(config: Config) -> str:
    if config.model is not None:
        head = "" if config.head is None else f", head: global {config.head}"
        return f"{config.model}, pools as its {config.option}{head}"
    third = "a third convolution and ReLU, " if config.third else ""
    return (
        "two levels of 3x3 convolution, ReLU and pool of stride 2 (windows of 2x2, "
        f"blurs of 3x3 where their spec says nothing), {third}head: "
        f"{config.head or 'mean'}"
    )


def _shown(results: dict[str, Any]) -> tuple[dict[str, Any], Mapping[str, bytes]]:
    """The results, which name the figures, and the files of these and the report."""
    from cnnlab.reporting import figures, lattice_maps, lattice_page

    figure = lattice_maps.figure(results)
    svg = figures.svg(figure)
    drawn = {
        "figures/shift_lattice.svg": svg.encode(),
        "figures/shift_lattice.png": figures.png(figure),
    }
    page = lattice_page.page_of(results, svg)
    return results | {"figures": list(drawn)}, drawn | {"report.html": page.encode()}


if __name__ == "__main__":
    flags.main(Config, main, usage=__doc__)
