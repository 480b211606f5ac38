"""Several seeds of LeNet-5 by each engine, over a single seed."""

from collections.abc import Iterator

from experiments.benchmarking.timing import Contender, Row


def rows(batch_size: int, seeds: int = 5) -> Iterator[Row]:
    """A step of all seeds on images of MNIST's shape; "ours" is a step of one."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cnnlab import data, training
    from cnnlab.models import create_model
    from cnnlab.training.engines import Engine, Task, candidates
    from cnnlab.training.state import Totals

    dataset = data.load("glyphs")
    resident = training.resident(dataset.train, training.scaling_of(dataset.train))
    recipe = training.Recipe(steps=1000, batch_size=batch_size, learning_rate=1e-3)
    task = Task(create_model("lenet5"), training.optimizer_of(recipe, recipe.steps))
    index = jnp.arange(len(dataset.train.labels))

    def contender(engine: Engine, count: int) -> Contender:
        states = [
            training.init(task.model, task.optimizer, seed, dataset.image_shape)
            for seed in range(count)
        ]
        orders = [
            training.epoch_order(index, seed, 0, batch_size=batch_size)
            for seed in range(count)
        ]
        steps = len(orders[0])
        held = [engine.pack(states), engine.pack([Totals.none() for _ in states])]
        orders, images = engine.pack(orders), engine.place(resident, count)
        program = engine.compile(*held, images, orders)

        def run(number: int) -> None:
            for at in np.arange(number) % steps:
                held[:] = program(*held, images, orders, at, 1)
            jax.block_until_ready(held)

        return Contender(run)

    engines = {engine.name: engine for engine in candidates(task, seeds)}
    yield (
        f"a step of {seeds} seeds of LeNet-5",
        {
            "ours": lambda: contender(engines["loop"], 1),
            **{
                name: lambda engine=engine: contender(engine, seeds)
                for name, engine in engines.items()
            },
        },
    )
