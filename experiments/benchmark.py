"""How fast the operators and the training loop are, beside stock Flax.

Every contender runs in turn, round after round, so that a busy machine slows all of
them alike. Times are medians over the rounds; read the ratios. An operator's time is
that of one compiled gradient step on its input, with donated buffers.

  python -m experiments.benchmark --suite=ops
  python -m experiments.benchmark --suite=conv
  python -m experiments.benchmark --suite=epoch
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from cnnlab.errors import UserError
from experiments import flags

# As in training, where the step before has left the operator's own data at hand.
_STEPS = 10


@dataclasses.dataclass(frozen=True)
class Config:
    """What to time."""

    experiment: ClassVar[str] = "benchmark"

    suite: str = flags.field(
        "ops",
        "ops: pools beside Flax's; conv: the lowerings of the models' convolutions, "
        "alone and inside a compiled loop; epoch: an epoch of LeNet-5 over its bare "
        "steps, with steps in single calls and in one loop",
        choices=("ops", "conv", "epoch"),
    )
    rounds: int = flags.field(20, "how often each contender runs")
    batch_size: int = flags.field(128, "images per step")

    def validate(self) -> None:
        """Raises UserError for a number below 1."""
        for name in ("rounds", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(name, f"{getattr(self, name)} is less than 1")


def run(config: Config) -> list[dict[str, Any]]:
    """One row per thing timed: its name, and the milliseconds of each contender."""
    config.validate()
    suites = {"ops": _ops, "conv": _conv, "epoch": _epoch}
    return suites[config.suite](config)


def main(config: Config) -> None:
    """Prints the rows, with each contender's time over ours."""
    for row in run(config):
        ours = row["milliseconds"]["ours"]
        others = ", ".join(
            f"{name} {value:.2f} ms ({value / ours:.2f})"
            for name, value in row["milliseconds"].items()
            if name != "ours"
        )
        print(f"{row['name']}: ours {ours:.2f} ms; {others}", flush=True)


def _ops(config: Config) -> list[dict[str, Any]]:
    import flax.linen as nn

    from cnnlab import ops

    pairs = {"max_pool": nn.max_pool, "avg_pool": nn.avg_pool}
    rows = []
    for size, channels, window, padding in (
        (28, 32, 2, "VALID"),
        (32, 64, 2, "VALID"),
        (32, 64, 3, "VALID"),
        (28, 64, 3, "SAME"),
    ):
        shape = (config.batch_size, size, size, channels)
        for name, stock in pairs.items():
            geometry = ((window, window), (2, 2), padding)
            timed = {
                "ours": _gradient_step(ops.pools[name], geometry, shape),
                "flax": _gradient_step(stock, geometry, shape),
            }
            title = f"{name} {window}x{window}/2 {padding} on {shape}"
            times = interleaved(timed, config)
            times = {contender: time / _STEPS for contender, time in times.items()}
            rows.append({"name": title, "milliseconds": times})
    return rows


def _gradient_step(pool: Callable, geometry: tuple, shape: tuple) -> Callable[[], None]:
    """A call that moves an input down its pool's gradient, `_STEPS` times."""
    import jax

    x = jax.random.normal(jax.random.key(0), shape)
    pooled = jax.eval_shape(lambda x: pool(x, *geometry), x)
    # An argument, because the compiler would fold a constant's gradient away.
    weights = jax.random.normal(jax.random.key(1), pooled.shape)

    def loss(x, weights):
        return (pool(x, *geometry) * weights).sum()

    step = jax.jit(
        lambda x, weights: x - 1e-3 * jax.grad(loss)(x, weights), donate_argnums=0
    )
    held = [x]

    def call():
        for _ in range(_STEPS):
            held[0] = jax.block_until_ready(step(held[0], weights))

    return call


def _conv(config: Config) -> list[dict[str, Any]]:
    rows = []
    for size, channels, window, features in (
        (28, 1, 5, 64),
        (14, 64, 5, 64),
        (28, 1, 5, 6),
        (32, 16, 3, 16),
        (8, 64, 3, 64),
    ):
        x_shape = (config.batch_size, size, size, channels)
        kernel_shape = (window, window, channels, features)
        timed = {
            name: _conv_step(x_shape, kernel_shape, lowering, looped)
            for name, lowering, looped in (
                ("ours", "auto", False),
                ("im2col", "im2col", False),
                ("ours in a loop", "auto", True),
                ("im2col in a loop", "im2col", True),
            )
        }
        title = f"conv {window}x{window}, {channels} to {features}, on {x_shape}"
        rows.append({"name": title, "milliseconds": interleaved(timed, config)})
    return rows


def _conv_step(
    x_shape: tuple, kernel_shape: tuple, lowering: str, looped: bool
) -> Callable[[], None]:
    """A call that moves a map and a kernel down the gradient of their convolution."""
    import jax
    from jax import lax

    from cnnlab.ops import conv

    held = [
        (
            jax.random.normal(jax.random.key(0), x_shape),
            jax.random.normal(jax.random.key(1), kernel_shape),
        )
    ]
    weights = jax.random.normal(jax.random.key(2), (*x_shape[:-1], kernel_shape[-1]))

    def move(pair, weights):
        def loss(x, kernel):
            return (conv(x, kernel, lowering=lowering) * weights).sum()

        gradients = jax.grad(loss, argnums=(0, 1))(*pair)
        return jax.tree.map(lambda value, g: value - 1e-6 * g, pair, gradients)

    def step(pair, weights, count):
        if looped:
            return lax.fori_loop(0, count, lambda _, held: move(held, weights), pair)
        return move(pair, weights)

    compiled = jax.jit(step, donate_argnums=0)

    def call():
        held[0] = jax.block_until_ready(compiled(held[0], weights, 1))

    return call


def _epoch(config: Config) -> list[dict[str, Any]]:
    import jax
    import jax.numpy as jnp

    from cnnlab import data, training
    from cnnlab.models import create_model

    dataset = data.load("glyphs")
    scaling = training.scaling_of(dataset.train)
    resident = training.resident(dataset.train, scaling)
    index = jnp.arange(len(dataset.train.labels))
    steps = len(index) // config.batch_size
    if not steps:
        raise UserError(
            "batch_size", f"{config.batch_size} is more than the {len(index):,} images"
        )
    model, optimizer = create_model("lenet5"), training.momentum_sgd(1000)
    step = jax.jit(training.train_step, static_argnums=(0, 1), donate_argnums=2)
    batch = jax.jit(resident.batch)(index[: config.batch_size])
    held = {}

    def start(name):
        held[name] = training.init(model, optimizer, 0, dataset.image_shape)

    def bare():
        for _ in range(steps):
            held["bare"], totals = step(model, optimizer, held["bare"], *batch)
        jax.block_until_ready((held["bare"], totals))

    def epoch(name, many_steps):
        def call():
            held[name], _ = training.train_epoch(
                model,
                optimizer,
                held[name],
                resident,
                index,
                seed=0,
                epoch=0,
                batch_size=config.batch_size,
                many_steps=many_steps,
            )

        return call

    timed = {
        "ours": epoch("ours", None),
        "bare steps": bare,
        "in one loop": epoch("in one loop", True),
    }
    for name in ("ours", "bare", "in one loop"):
        start(name)
    title = f"an epoch of LeNet-5, {steps} steps of {config.batch_size}"
    return [{"name": title, "milliseconds": interleaved(timed, config)}]


def interleaved(
    calls: Mapping[str, Callable[[], None]], config: Config
) -> dict[str, float]:
    """The median milliseconds of each call, all taking turns after a first one each."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(config.rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - began)
    return {name: 1e3 * float(np.median(values)) for name, values in times.items()}


if __name__ == "__main__":
    flags.main(Config, main, usage=__doc__)
