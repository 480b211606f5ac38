"""An epoch of training over its bare steps: what the loop around them costs."""

import itertools
from collections.abc import Iterator

from cnnlab.errors import UserError
from experiments.benchmarking.timing import Contender, Row


def rows(batch_size: int) -> Iterator[Row]:
    """LeNet-5 on glyphs: our epoch, its bare steps, all in one loop, and in a run."""
    import jax
    import jax.numpy as jnp

    from cnnlab import data, training
    from cnnlab.models import create_model
    from cnnlab.training.engines import Engine, Task
    from cnnlab.training.state import Totals
    from experiments.training.job import Job
    from experiments.training.run_checkpoints import Position
    from experiments.training.stepper import Stepper

    dataset = data.load("glyphs")
    scaling = training.scaling_of(dataset.train)
    resident = training.resident(dataset.train, scaling)
    index = jnp.arange(len(dataset.train.labels))
    steps = len(index) // batch_size
    if not steps:
        raise UserError(
            "batch_size", f"{batch_size} is more than the {len(index):,} images"
        )
    model, optimizer = create_model("lenet5"), training.momentum_sgd(1000)
    step = jax.jit(training.train_step, static_argnums=(0, 1), donate_argnums=2)
    batch = jax.jit(resident.batch)(index[:batch_size])

    def bare():
        held = [training.init(model, optimizer, 0, dataset.image_shape)]

        def run(epochs):
            for _ in range(epochs * steps):
                held[0], totals = step(model, optimizer, held[0], *batch)
            jax.block_until_ready((held[0], totals))

        return Contender(run)

    def epoch(many_steps=None):
        held = [training.init(model, optimizer, 0, dataset.image_shape)]

        def run(epochs):
            for _ in range(epochs):
                held[0], _ = training.train_epoch(
                    model,
                    optimizer,
                    held[0],
                    resident,
                    index,
                    seed=0,
                    epoch=0,
                    batch_size=batch_size,
                    many_steps=many_steps,
                )

        return Contender(run)

    def in_a_run():
        task = Task(model, optimizer)
        recipe = training.Recipe(epochs=1000, batch_size=batch_size)
        job = Job("lenet5", task, recipe, dataset, (0,))
        start = Position(0, job.start(), [Totals.none()], True, [{}], {})
        stepper = Stepper(job, Engine("loop", task, many_steps=False), start)
        # As often as a run looks up, at this pace.
        at_once, made = 16, itertools.count()

        def run(epochs):
            for _ in range(epochs):
                first = next(made) * steps
                for step in range(first, first + steps, at_once):
                    stepper.advance(step, min(at_once, first + steps - step))
                    stepper.totals()
                stepper.states()
                stepper.clear()

        return Contender(run)

    yield (
        f"an epoch of LeNet-5, {steps} steps of {batch_size}",
        {
            "ours": epoch,
            "bare steps": bare,
            "in one loop": lambda: epoch(True),
            "in a run": in_a_run,
        },
    )
