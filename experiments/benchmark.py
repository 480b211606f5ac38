"""How fast the operators and the training loop are, beside stock Flax and PyTorch.

Every contender runs in turn, round after round, so that a busy machine slows all of
them alike. Times are medians over the rounds; read the ratios. An operator's time is
that of one compiled gradient step on all its inputs, with donated buffers. Whole steps
run as training does, in a process that keeps the memory it frees, PyTorch's too; epochs
and checkpoints are those of training runs. ResNet-50's operations are counted as six
for each multiply-accumulate. Writes results.json and a bar chart.

  python -m experiments.benchmark --suite=ops --peers=flax,torch
  python -m experiments.benchmark --suite=steps --peers=flax,torch
  python -m experiments.benchmark --suite=pools
  python -m experiments.benchmark --suite=epoch --rounds=5
  python -m experiments.benchmark --suite=checkpoint --rounds=5
  python -m experiments.benchmark --suite=seeds
  python -m experiments.benchmark --suite=imagenet --peers=torch --batch_size=256
"""

import dataclasses
import datetime
import io
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from cnnlab.errors import UserError
from experiments.harness import flags, memory


@dataclasses.dataclass(frozen=True)
class Config:
    """What to time."""

    experiment: ClassVar[str] = "benchmark"

    suite: str = flags.field(
        "ops",
        "ops: pools and convolutions; pools: every registered pool; steps: whole "
        "training steps; epoch: an epoch of a run over its bare steps; checkpoint: the "
        "same run with a checkpoint every epoch, and without; seeds: five seeds by "
        "each engine, over one; imagenet: training steps of ResNet-50",
        choices=("ops", "pools", "steps", "epoch", "checkpoint", "seeds", "imagenet"),
    )
    peers: tuple[str, ...] = flags.field(
        ("flax",),
        "whom to time beside ours (for ops and steps; torch, pip install "
        "'cnnlab[bench]', for imagenet too)",
        choices=("flax", "torch"),
    )
    rounds: int = flags.field(10, "how often each contender has its turn")
    batch_size: int = flags.field(128, "images per step")
    dtype: str | None = flags.field(
        None,
        "what is computed in; none means float32, for imagenet bfloat16",
        choices=("float32", "bfloat16"),
    )
    image_size: int = flags.field(224, "side of imagenet's images, in pixels")
    peak_tflops: float = flags.field(
        0.0,
        "TFLOP/s of the device at its best, of which imagenet gives shares; 0: as "
        "published, where it is known",
    )
    only: str = flags.field("", "time only rows whose name holds this")
    workdir: str | None = flags.field(
        None,
        "folder to write to; none means runs/benchmark/<suite>-<date and time>",
        identity=False,
    )

    def validate(self) -> None:
        """Raises UserError for a number too small, or for a peer that is missing."""
        # ResNet-50 has a stride of 32 pixels.
        least = {"rounds": 1, "batch_size": 1, "image_size": 32, "peak_tflops": 0}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise UserError(name, f"{getattr(self, name)} is less than {bound}")
        if "torch" in self.peers:
            from experiments.benchmarking import torch_peers

            torch_peers.check_installed()


def run(config: Config) -> Iterator[dict[str, Any]]:
    """The rows, each as soon as it is timed.

    A row has a name; for each contender the milliseconds of a step; where they are
    known the seconds it took to compile and the mebibytes a step needs beside its
    inputs and outputs; and for imagenet what `imagenet.rates` gives.
    """
    from experiments.benchmarking import imagenet
    from experiments.benchmarking.timing import interleaved

    config = flags.checked(config)
    of_imagenet = config.suite == "imagenet"
    # Of long steps several to a turn, so that a GPU waits for the host but once.
    turn_seconds = 1.0 if of_imagenet else 0.1
    for name, contenders in _rows(config):
        if config.only not in name:
            continue
        contenders = {key: make() for key, make in contenders.items()}
        times = interleaved(contenders, config.rounds, turn_seconds)
        row = {"name": name, "milliseconds": times}
        row["compile_seconds"] = {
            key: each.compile_seconds
            for key, each in contenders.items()
            if each.compile_seconds is not None
        }
        row["temporary_mebibytes"] = {
            key: each.temporary_bytes / 2**20
            for key, each in contenders.items()
            if each.temporary_bytes is not None
        }
        if of_imagenet:
            terms = config.batch_size, _dtype(config), config.image_size
            row |= imagenet.rates(times, *terms, config.peak_tflops)
        yield row


def main(config: Config) -> None:
    """Prints the rows and their mean ratios, and writes them down."""
    from experiments.harness.environment import environment

    if config.suite not in ("ops", "pools"):
        # As in the experiments that train; operators are timed as in a user's program.
        memory.keep_freed()
    if "torch" in config.peers:
        _leave_memory()
    rows = []
    for row in run(config):
        rows.append(row)
        print(_line(row), *_rates(row), sep="\n  ", flush=True)
    if not rows:
        raise UserError("only", f"no row of {config.suite} holds {config.only!r}")
    means = _mean_ratios(rows)
    for name, mean in means.items():
        print(f"geometric mean of ours / {name}: {mean:.2f}")
    folder = _folder(config)
    results = {
        "schema": 1,
        "experiment": config.experiment,
        "command": flags.command_line(config),
        "environment": environment(),
        "rows": rows,
        "mean_ratios": means,
    }
    _write(folder, results)
    print(f"\nresults: {folder / 'results.json'}, chart: {folder / 'ratios.png'}")


def _leave_memory() -> None:
    """Has JAX, which takes three quarters of a GPU's memory at once, take half."""
    names = "XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"
    if not any(name in os.environ for name in names):
        os.environ[names[0]] = "0.5"


def _rows(config: Config) -> Iterator:
    from experiments.benchmarking import (
        checkpoints,
        epochs,
        imagenet,
        operators,
        seeds,
        steps,
    )

    of_training = {"epoch": epochs, "checkpoint": checkpoints, "seeds": seeds}
    if config.suite in of_training:
        return of_training[config.suite].rows(config.batch_size)
    terms = config.batch_size, config.peers, _dtype(config)
    if config.suite == "imagenet":
        return imagenet.rows(*terms, config.image_size)
    if config.suite == "pools":
        return operators.all_pools(*terms)
    return {"ops": operators.rows, "steps": steps.rows}[config.suite](*terms)


def _dtype(config: Config) -> str:
    return config.dtype or ("bfloat16" if config.suite == "imagenet" else "float32")


def _line(row: Mapping) -> str:
    """A row in words, with each contender's time over ours."""
    ours = row["milliseconds"]["ours"]
    others = ", ".join(
        f"{name} {value:.2f} ms ({value / ours:.2f})"
        for name, value in row["milliseconds"].items()
        if name != "ours"
    )
    line = f"{row['name']}: ours {ours:.2f} ms" + (f"; {others}" if others else "")
    for quantity, unit in (("compile_seconds", "s"), ("temporary_mebibytes", "MiB")):
        if "flax" in row[quantity]:
            line += (
                f"; {quantity.partition('_')[0]} {row[quantity]['ours']:.1f} {unit}, "
                f"flax {row[quantity]['flax']:.1f} {unit}"
            )
    return line


def _rates(row: Mapping) -> Iterator[str]:
    """Each contender's images and operations a second, where the row has them."""
    for name, images in row.get("images_per_second", {}).items():
        line = f"{name}: {images:,.1f} images/s, {row['gflops'][name]:,.1f} GFLOP/s"
        if "share_of_peak" in row:
            line += f", {row['share_of_peak'][name]:.1%} of the device's peak"
        yield line


def _mean_ratios(rows: list[Mapping]) -> dict[str, float]:
    """The geometric mean, over the rows that have it, of our time over each other's."""
    logs: dict[str, list[float]] = {}
    for row in rows:
        times = row["milliseconds"]
        for name in times:
            logs.setdefault(name, []).append(np.log(times["ours"] / times[name]))
    return {
        name: float(np.exp(np.mean(values)))
        for name, values in logs.items()
        if name != "ours"
    }


def _folder(config: Config) -> pathlib.Path:
    if config.workdir is not None:
        return pathlib.Path(config.workdir).expanduser()
    moment = datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    return pathlib.Path("runs", "benchmark", f"{config.suite}-{moment}")


def _write(folder: pathlib.Path, results: Mapping) -> None:
    from cnnlab.reporting import style
    from experiments.benchmarking import chart
    from experiments.harness.storage import encode, write_whole

    picture = io.BytesIO()
    with style.house():
        chart.ratios(results["rows"]).savefig(picture, dpi=150)
    write_whole(folder / "ratios.png", picture.getvalue())
    write_whole(folder / "results.json", encode(results, indent=2))


if __name__ == "__main__":
    flags.main(Config, main, usage=__doc__)
