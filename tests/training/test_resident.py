"""Data on the device: its scaling, its split for validation, its order by epoch."""

import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from cnnlab.data import Split
from cnnlab.training import (
    epoch_order,
    resident,
    scaling_of,
    unit_scaling,
    validation_split,
)


def three_channels():
    """A split whose channels differ in mean and deviation; the last is constant."""
    rng = np.random.default_rng(0)
    images = np.stack(
        [
            rng.integers(0, 256, (50, 4, 5)),
            rng.integers(200, 210, (50, 4, 5)),
            np.full((50, 4, 5), 17),
        ],
        axis=-1,
    )
    return Split(images.astype(np.uint8), np.zeros(50, np.int32))


def test_scaling_is_each_channels_mean_and_deviation():
    split = three_channels()
    scaling = scaling_of(split)
    pixels = split.images.astype(np.float64)
    mean, deviation = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
    np.testing.assert_allclose(scaling.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(scaling.deviation[:2], deviation[:2], rtol=1e-6)


def test_scaled_images_have_mean_0_and_deviation_1():
    split = three_channels()
    scaled = scaling_of(split)(jnp.asarray(split.images))
    assert scaled.dtype == jnp.float32
    np.testing.assert_allclose(scaled.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled[..., :2].std((0, 1, 2)), 1, rtol=1e-5)
    # The constant channel is 0 throughout, not 0 / 0.
    assert not scaled[..., 2].any()


def test_scaling_has_the_precision_asked_for():
    split = three_channels()
    scaling = scaling_of(split, jnp.bfloat16)
    assert scaling(jnp.asarray(split.images)).dtype == jnp.bfloat16


def test_a_batch_is_the_examples_at_its_index():
    split = tiny.split()
    data = resident(split, scaling_of(split))
    assert data.images.dtype == jnp.uint8
    index = np.array([5, 0, 5])
    images, labels = data.batch(jnp.asarray(index))
    np.testing.assert_array_equal(labels, split.labels[index])
    wanted = data.scaling(jnp.asarray(split.images[index]))
    np.testing.assert_array_equal(images, wanted)


@pytest.mark.parametrize(
    ("examples", "fraction", "held_out"), [(50, 0.1, 5), (7, 0.3, 2)]
)
def test_a_split_for_validation_is_disjoint_and_complete(examples, fraction, held_out):
    training, validation = validation_split(examples, fraction, seed=3)
    assert len(validation) == held_out
    together = np.concatenate([training, validation])
    np.testing.assert_array_equal(np.sort(together), np.arange(examples))


def test_a_split_for_validation_is_a_function_of_its_seed():
    first, again, other = (validation_split(50, 0.2, seed)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_no_fraction_leaves_everything_for_training():
    training, validation = validation_split(9, 0.0, seed=0)
    np.testing.assert_array_equal(training, np.arange(9))
    assert len(validation) == 0


def order(seed=0, epoch=0, *, index=None, batch_size=6):
    index = np.arange(100, 120) if index is None else index
    return np.asarray(
        epoch_order(jnp.asarray(index), seed, epoch, batch_size=batch_size)
    )


def test_an_epoch_takes_each_example_at_most_once_and_drops_the_rest():
    batches = order()
    assert batches.shape == (20 // 6, 6)
    assert len(np.unique(batches)) == batches.size
    assert set(batches.ravel()) <= set(range(100, 120))


def test_an_epoch_that_divides_evenly_takes_each_example_once():
    np.testing.assert_array_equal(np.sort(order(batch_size=5), None), range(100, 120))


def test_an_epochs_order_is_a_function_of_seed_and_epoch():
    np.testing.assert_array_equal(order(1, 2), order(1, 2))
    assert (order(1, 2) != order(1, 3)).any()
    assert (order(1, 2) != order(2, 2)).any()


def test_what_is_dropped_changes_with_the_epoch():
    assert set(order(epoch=0).ravel()) != set(order(epoch=1).ravel())


def test_a_batch_larger_than_the_set_is_refused():
    with pytest.raises(ValueError, match="batch_size 21 exceeds the 20 examples"):
        order(batch_size=21)


def test_under_the_unit_scaling_black_is_zero_and_white_one():
    images = np.array([[[[0, 255, 51]]]], np.uint8)
    np.testing.assert_allclose(unit_scaling(3)(images).ravel(), [0, 1, 0.2], rtol=1e-6)
