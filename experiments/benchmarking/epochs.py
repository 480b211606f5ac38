"""An epoch of training over its bare steps: what the loop around them costs."""

from collections.abc import Iterator

from cnnlab.errors import UserError
from experiments.benchmarking.timing import Contender, Row


def rows(batch_size: int) -> Iterator[Row]:
    """LeNet-5 on glyphs: our epoch, its bare steps, and all of them in one loop."""
    import jax
    import jax.numpy as jnp

    from cnnlab import data, training
    from cnnlab.models import create_model

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

    yield (
        f"an epoch of LeNet-5, {steps} steps of {batch_size}",
        {"ours": epoch, "bare steps": bare, "in one loop": lambda: epoch(True)},
    )
