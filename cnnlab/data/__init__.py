"""Image sets as uint8 arrays: drawn (glyphs, red_green) or prepared by TFDS."""

import dataclasses
import hashlib

from cnnlab.data.dataset import Dataset, Split
from cnnlab.errors import UserError

__all__ = ["Dataset", "Split", "load"]

# LeNet-5 reaches about 93 % with these, and 99.6 % with ten times as many.
_GLYPHS_TRAIN, _GLYPHS_TEST = 4_000, 2_000
_GLYPHS_SIZE = 28
# Fixed, so that training seeds differ in training alone.
_GLYPHS_SEED = 20130116
_RED_GREEN_SEED = 20200316


def load(
    name: str,
    *,
    data_dir: str | None = None,
    image_size: int = _GLYPHS_SIZE,
    train_examples: int | None = None,
    test_examples: int | None = None,
) -> Dataset:
    """The named set: one that is drawn, or one of TFDS that is prepared on disk.

    Args:
      name: "glyphs", "red_green", or a TFDS name such as "mnist" or
        "cifar10_corrupted/fog_1".
      data_dir: where TFDS sets are; None means $TFDS_DATA_DIR, or else
        ~/tensorflow_datasets.
      image_size: side of the glyphs in pixels; other sets are read as they are.
      train_examples: how many to draw or, of a prepared set, how many to keep from
        the front; None means 4,000 glyphs, 2,500 of red_green, or all.
      test_examples: the same of the test split; None means 2,000 that are drawn, or
        all.

    Raises:
      UserError: a set that is unknown, not prepared, damaged or not of labelled
        images, or a size that it cannot have.
    """
    sizes = {"train_examples": train_examples, "test_examples": test_examples}
    for argument, size in sizes.items():
        if size is not None and size < 1:
            raise UserError(argument, f"{size} is less than 1")
    if name == "glyphs":
        return _glyphs(
            image_size, train_examples or _GLYPHS_TRAIN, test_examples or _GLYPHS_TEST
        )
    if image_size != _GLYPHS_SIZE:
        raise UserError(
            "image_size",
            f"{image_size} is for glyphs alone; {name!r} is read at its own size",
        )
    if name == "red_green":
        return _red_green(train_examples or 2_500, test_examples or 2_000)
    from cnnlab.data import prepared

    return _shortened(prepared.load(name, data_dir), train_examples, test_examples)


def _glyphs(image_size: int, train_examples: int, test_examples: int) -> Dataset:
    # JAX starts slowly, and reading a prepared set does not need it.
    import jax
    import numpy as np

    from cnnlab.data import glyphs

    # The generator is named, because a global JAX setting can change the default.
    key = jax.random.key(_GLYPHS_SEED, impl="threefry2x32")

    def split(role: int, count: int) -> Split:
        labels = np.arange(count, dtype=np.int32) % len(glyphs.CLASS_NAMES)
        role_key = jax.random.fold_in(key, role)
        images = glyphs.draw(role_key, labels, image_size=image_size)
        return Split(np.asarray(images), labels)

    train, test = split(0, train_examples), split(1, test_examples)
    return _drawn("glyphs", train, test, glyphs.CLASS_NAMES)


def _red_green(train_examples: int, test_examples: int) -> Dataset:
    from cnnlab.data import red_green

    sizes = train_examples, test_examples
    splits = (Split(*drawn) for drawn in red_green.splits(_RED_GREEN_SEED, sizes))
    return _drawn("red_green", *splits, red_green.CLASS_NAMES)


def _drawn(name: str, train: Split, test: Split, class_names: tuple) -> Dataset:
    digest = hashlib.sha256(name.encode())
    for array in (train.images, train.labels, test.images, test.labels):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array)
    return Dataset(name, train, test, class_names, digest.hexdigest())


def _shortened(
    dataset: Dataset, train_examples: int | None, test_examples: int | None
) -> Dataset:
    """The front of each split, under a fingerprint of its own."""
    splits = {}
    for split_name, size in (("train", train_examples), ("test", test_examples)):
        split = getattr(dataset, split_name)
        available = len(split.labels)
        if size is not None and size > available:
            raise UserError(
                f"{split_name}_examples",
                f"{size} is more than the {available} that {dataset.name!r} has",
            )
        if size is not None and size < available:
            splits[split_name] = split.first(size)
    if not splits:
        return dataset
    lengths = {name: len(split.labels) for name, split in splits.items()}
    fingerprint = hashlib.sha256(f"{dataset.fingerprint} {lengths}".encode())
    return dataclasses.replace(dataset, fingerprint=fingerprint.hexdigest(), **splits)
