"""A training run so small that a test can make many, and what must come of it."""

import dataclasses
import functools
import json
import signal
from pathlib import Path

import flax.linen as nn
import pytest

from cnnlab import data
from cnnlab.errors import UserError
from cnnlab.models.network import Network
from cnnlab.models.registry import models
from cnnlab.reporting import report
from experiments import train
from experiments.harness import compile_cache
from experiments.training.stepper import Stepper

# Two epochs of four steps, and three steps of a third.
SMALL = train.Config(
    model="tiny",
    image_size=16,
    train_examples=80,
    validation_fraction=0.2,
    batch_size=16,
    steps=11,
    learning_rate=0.05,
    seeds=2,
    seed_engine="loop",
    progress="none",
)


class Tiny(Network, kw_only=True):
    """A net with all that a checkpoint has to hold, and with draws."""

    num_classes: int = 10

    @nn.compact
    def __call__(self, x, *, train=False):
        x = self.norm(train)()(self.subsample(x, 4, 4, train=train))
        x = nn.Dropout(0.1, deterministic=not train)(x.reshape(x.shape[0], -1))
        return nn.Dense(self.num_classes, dtype=self.dtype)(x)


@functools.cache
def glyphs():
    """The set of `SMALL`, with a few test images."""
    drawn = data.load("glyphs", image_size=16, train_examples=80)
    return dataclasses.replace(drawn, test=drawn.test.first(40))


def count_steps(patch, terminated_after=None):
    """The list of the steps that are made, which grows; one is made to a call.

    SIGTERM comes once there are `terminated_after`.
    """
    advance, made = Stepper.advance, []

    def advance_by_one(self, step, count):
        advance(self, step, 1)
        made.append(step)
        if len(made) == terminated_after:
            signal.raise_signal(signal.SIGTERM)
        # So slow that the next call is of one step, too.
        return 1.0

    patch.setattr(Stepper, "advance", advance_by_one)
    return made


def spare(patch, programs):
    """Spares runs what they have in common: images, figures, compiled programs."""
    drawn, kept_in = glyphs(), compile_cache.kept_in
    patch.setitem(models._functions, "tiny", Tiny)
    patch.setattr(data, "load", lambda *args, **more: drawn)
    patch.setattr(report, "figure_paths", lambda *args: [])
    patch.setattr(report, "write", lambda *args: None)
    patch.setattr(compile_cache, "kept_in", lambda folder: kept_in(programs))


def run(workdir, **changes):
    """The results of the small configuration in a directory."""
    return train.run(at(workdir, **changes))


def at(workdir, **changes):
    """The small configuration in a directory."""
    return dataclasses.replace(SMALL, workdir=str(workdir), **changes)


def lines(workdir):
    """What metrics.jsonl must have however often a run was stopped: all but times."""
    with open(Path(workdir) / "metrics.jsonl") as file:
        stored = [json.loads(line) for line in file]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in stored]


def stored(workdir, name):
    """The content of a JSON file of a run."""
    return json.loads((Path(workdir) / name).read_text())


def facts(results):
    """What a run must come to however often it was stopped."""
    return [
        {k: v for k, v in seed.items() if k not in ("seconds", "step_seconds")}
        for arm in results["arms"]
        for seed in arm["seeds"]
    ]


def assert_same(workdir, results, uninterrupted):
    """Holds a run that was stopped to the one that was not."""
    wanted_workdir, wanted = uninterrupted
    assert facts(results) == facts(wanted)
    assert lines(workdir) == lines(wanted_workdir)


def interrupt(*_, **__):
    """Ctrl-C, in the place of any function."""
    raise KeyboardInterrupt


def refused(workdir, message, **changes):
    """Holds the small configuration in a directory to a refusal in one line."""
    with pytest.raises(UserError, match=f"^{message}") as caught:
        run(workdir, **changes)
    assert "\n" not in str(caught.value)
