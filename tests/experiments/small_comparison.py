"""A comparison so small that a test can make many, and what must come of it."""

import dataclasses

import small_training

from experiments import pooling_comparison

# Two epochs of four steps, at two rates.
SMALL = pooling_comparison.Config(
    pools=("max_pool", "lp_pool(p=3.0)"),
    model="tiny",
    image_size=16,
    train_examples=80,
    validation_fraction=0.2,
    batch_size=16,
    epochs=2,
    seeds=3,
    learning_rates=(0.02, 0.05),
    max_shift=1,
    reach=1,
    shift_examples=20,
    progress="none",
)

lines = small_training.lines
facts = small_training.facts


def at(workdir, **changes):
    """The small configuration in a directory."""
    return dataclasses.replace(SMALL, workdir=str(workdir), **changes)


def run(workdir, **changes):
    """The results of the small configuration in a directory."""
    return pooling_comparison.run(at(workdir, **changes))


def sorted_lines(workdir):
    """The metric lines in an order that stops and starts do not change."""
    names = "arm", "peak_rate", "seed", "step", "split"
    return sorted(lines(workdir), key=lambda line: [line[name] for name in names])
