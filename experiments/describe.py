"""What a model costs and sees: every layer's output, parameters, multiply-accumulates
(MACs), receptive field, stride, and the share of its output that padding reaches.

Counted are the operations of the traced program; nothing is computed, so that the
largest model takes seconds. MACs are those of convolutions, products of matrices and
filters, as papers count them. Fields and strides are in pixels of the image; "all" is
what sees the whole image, however large. With --shifts: under which circular shifts of
the image every layer moves along, or stays, and which operation is the first to lose
some.

  python -m experiments.describe --model=resnet50 --input=224
  python -m experiments.describe --model=resnet20 --pool=blur_pool --json=cost.json
  python -m experiments.describe --model=resnet20 --boundary=circular --shifts
  python -m experiments.describe --all
"""

import contextlib
import dataclasses
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from cnnlab.errors import UserError
from experiments.harness import flags, networks
from experiments.harness.refusals import refuse_below, refuse_given


@dataclasses.dataclass(frozen=True)
class Config:
    """What to describe."""

    experiment: ClassVar[str] = "describe"

    model: str = flags.field(
        "resnet50",
        "name of a model, with its options: \"resnet20(shortcut='projection')\"",
    )
    input: str | None = flags.field(
        None,
        "size of the images in pixels: 224, 224x160 or, with channels, 32x32x1; none "
        "means the paper's",
    )
    num_classes: int | None = flags.field(
        None, "how many scores an image gets; none means the paper's number"
    )
    pool: str | None = flags.field(
        None, "spec of the pool where the model pools; none means the model's own"
    )
    downsample: str | None = flags.field(
        None, "spec of a pool that takes every stride; none means the model's strides"
    )
    boundary: str = flags.field(
        "zero",
        "what padding holds",
        choices=("zero", "circular", "reflect", "edge"),
    )
    batch_size: int = flags.field(1, "images in a batch; all of them are counted")
    dtype: str = flags.field(
        "float32",
        "what is computed in",
        choices=("float32", "bfloat16", "float64"),
    )
    shifts: bool = flags.field(
        False, "print which circular shifts every layer follows instead of its costs"
    )
    all: bool = flags.field(
        False, "print README's table instead: every model, as in its paper, in a row"
    )
    json: str | None = flags.field(None, "file to write the counts to as well")
    width: int | None = flags.field(
        None, "characters in a line, at least 80; none means the terminal's, up to 120"
    )

    def validate(self) -> None:
        """Raises UserError for what no model can be made of, or what is no file."""
        if self.all:
            unused = [
                item.name
                for item in dataclasses.fields(self)
                if item.name not in ("all", "json")
            ]
            refuse_given(
                self, unused, "is not for --all, which has every model as in its paper"
            )
        refuse_below(self, num_classes=1, batch_size=1, width=80)
        if self.json is not None:
            _refuse_no_file(Path(self.json).expanduser())
        networks.image_shape(self.input, (1, 1, 1))
        networks.create(self.model, self.network_flags)

    @property
    def network_flags(self) -> dict[str, Any]:
        """The flags of the network that say something, in the order of their blame."""
        return {
            "num_classes": self.num_classes,
            "dtype": None if self.dtype == "float32" else self.dtype,
            "boundary": None if self.boundary == "zero" else self.boundary,
            "downsample": self.downsample,
            "pool": self.pool,
        }


def run(config: Config) -> dict[str, Any]:
    """What a batch costs: a `diagnostics.cost.Table` as JSON values.

    With the model's spec, the shape of its input and the command.
    """
    return _described(config, _costs)


def _described(config: Config, by: Callable) -> dict[str, Any]:
    """The table that `by` makes of the network and its images, as JSON values."""
    config = flags.checked(config)
    network = networks.create(config.model, config.network_flags)
    shape = (
        config.batch_size,
        *networks.image_shape(config.input, network.image_shape),
    )
    with _precision(config.dtype):
        try:
            table = by(network, networks.like(shape, network))
        except networks.FAULTS:
            networks.refuse_fault(config.model, config.network_flags, shape)
            raise
    return {
        "model": config.model,
        "input": list(shape),
        "command": flags.command_line(config),
        **table.as_json(),
    }


def walk(config: Config) -> dict[str, Any]:
    """What follows shifts of the image: a `diagnostics.geometry.Walk` as JSON values.

    With the model's spec, the shape of its input and the command.
    """
    from cnnlab.diagnostics import geometry

    return _described(
        config,
        lambda network, images: geometry.walk(
            network.apply, networks.shapes(network, images), images
        ),
    )


def overview() -> Iterator[dict[str, Any]]:
    """The row of README's table for every registered model, in turn."""
    from cnnlab.models import create_model, list_models

    for name in list_models():
        network = create_model(name)
        table = _costs(network, networks.like((1, *network.image_shape), network))
        last = table.last_map
        yield {
            "model": name,
            "input": list(network.image_shape),
            "parameters": table.parameters,
            "macs": table.macs,
            "receptive_field": list(last.receptive_field) if last else None,
            "stride": [float(stride) for stride in last.stride] if last else None,
        }


def main(config: Config) -> None:
    """Prints the table, and writes the counts down where that is asked for."""
    from cnnlab.reporting import cost_table, shift_table

    config = flags.checked(config)
    if config.all:
        rows = []
        print("\n".join(cost_table.OVERVIEW_HEAD))
        for row in overview():
            rows.append(row)
            print(cost_table.overview_row(row), flush=True)
        _write(config.json, rows)
        return
    found = walk(config) if config.shifts else run(config)
    width = config.width or min(max(shutil.get_terminal_size((100, 24))[0], 80), 120)
    print(f"{config.model}, {networks.by(found['input'])}")
    print()
    table = shift_table if config.shifts else cost_table
    print(table.plain(found, width))
    _write(config.json, found)


def _costs(network, images):
    """The costs of evaluating `network`, and of its memory in training."""
    from cnnlab.diagnostics.cost import count

    return count(
        network.apply,
        networks.shapes(network, images),
        images,
        training=partial(networks.in_training, network),
    )


def _precision(dtype: str) -> contextlib.AbstractContextManager:
    """Where JAX leaves numbers as wide as they are."""
    import jax

    return jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()


def _refuse_no_file(path: Path) -> None:
    for fault, found in (
        (errno.EISDIR, os.path.isdir(path)),
        (errno.ENOENT, not os.path.isdir(path.parent)),
    ):
        if found:
            raise UserError("json", f"'{path}': {os.strerror(fault)}")


def _write(path: str | None, content: Any) -> None:
    from experiments.harness.storage import encode

    if path is None:
        return
    try:
        Path(path).expanduser().write_bytes(encode(content, indent=2) + b"\n")
    except OSError as error:
        raise UserError("json", f"'{path}': {error.strerror or error}") from error


if __name__ == "__main__":
    flags.main(Config, main, usage=__doc__)
