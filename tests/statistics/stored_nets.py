"""Which test images 100 small nets get right: two of each of 50 beginnings.

Two nets of a beginning stand for two arms whose operators make no difference: they
share their initial parameters, and their expected accuracies are equal whatever the
test images are. The file beside this one was made in two minutes by

  TFDS_DATA_DIR=... python tests/statistics/stored_nets.py

LeNet-5 on the first 1,000 training images of MNIST, 6 epochs of batches of 64 at rate
0.3; the first 2,000 test images. Only which answers are right is kept, no image.
"""

from pathlib import Path

import numpy as np

STORED = Path(__file__).with_name("stored_nets.npz")
BEGINNINGS, ORDERS = 50, 2


def stored() -> tuple[np.ndarray, np.ndarray]:
    """Hits, (beginnings, orders, examples), and the labels."""
    with np.load(STORED) as file:
        labels = file["labels"]
        hits = np.unpackbits(file["hits"], count=BEGINNINGS * ORDERS * len(labels))
    return hits.reshape(len(labels), BEGINNINGS, ORDERS).transpose(1, 2, 0), labels


def store(hits: np.ndarray, labels: np.ndarray) -> None:
    """Image by image, as most are right, or wrong, for all nets: smaller packed."""
    packed = np.packbits(hits.transpose(2, 0, 1).ravel())
    np.savez_compressed(STORED, hits=packed, labels=labels.astype(np.uint8))


class Trainer:
    """Trains nets of one architecture on one set of images."""

    def __init__(self, dataset, *, epochs, batch_size=64):
        import jax

        from cnnlab import training
        from cnnlab.models import create_model

        self._dataset = dataset
        self._epochs, self._batch_size = epochs, batch_size
        self._model = create_model("lenet5", dataset.num_classes)
        steps = len(dataset.train.labels) // batch_size * epochs
        self._optimizer = training.optimizer_of(training.recipes["quick"](), steps)
        self._step = jax.jit(training.train_step, static_argnums=(0, 1))
        self._scaling = training.scaling_of(dataset.train)
        self._images = training.resident(dataset.train, self._scaling)

    def hits(self, beginning: int, order: int) -> np.ndarray:
        """Whether each test image is classified rightly by the net of these seeds."""
        from cnnlab import training

        dataset = self._dataset
        state = training.init(
            self._model, self._optimizer, beginning, dataset.image_shape
        )
        state = training.with_learning_rate(state, 0.3)
        for epoch in range(self._epochs):
            for index in training.epoch_order(
                np.arange(len(dataset.train.labels)),
                order,
                epoch,
                batch_size=self._batch_size,
            ):
                batch = self._images.batch(index)
                state, _ = self._step(self._model, self._optimizer, state, *batch)
        predict = training.predictor(
            self._model, state.variables, self._scaling, batch_size=200
        )
        return predict(dataset.test.images).argmax(-1) == dataset.test.labels


def main() -> None:
    """Trains them all, and stores what they get right."""
    from cnnlab import data

    mnist = data.load("mnist", train_examples=1000, test_examples=2000)
    trainer, labels = Trainer(mnist, epochs=6), mnist.test.labels
    hits = np.empty((BEGINNINGS, ORDERS, len(labels)), bool)
    for beginning, order in np.ndindex(BEGINNINGS, ORDERS):
        hits[beginning, order] = trainer.hits(beginning, ORDERS * beginning + order)
        if order:
            print(beginning, hits[beginning].mean(-1), flush=True)
    store(hits, labels)


if __name__ == "__main__":
    main()
