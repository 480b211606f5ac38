"""The sets that TFDS itself prepared, where CNNLAB_TEST_DATA names their folder."""

import os

import numpy as np
import pytest

import cnnlab.data


@pytest.fixture
def data_dir():
    folder = os.environ.get("CNNLAB_TEST_DATA")
    if not folder:
        pytest.skip("CNNLAB_TEST_DATA is not set: no folder of prepared TFDS sets")
    if not os.path.isdir(os.path.join(folder, "mnist")):
        pytest.skip(f"CNNLAB_TEST_DATA={folder} holds no mnist")
    return folder


@pytest.mark.slow
def test_mnist_is_mnist(data_dir):
    dataset = cnnlab.data.load("mnist", data_dir=data_dir)
    assert dataset.image_shape == (28, 28, 1)
    assert len(dataset.train.labels) == 60_000
    # As published: http://yann.lecun.com/exdb/mnist.
    np.testing.assert_array_equal(
        np.bincount(dataset.test.labels),
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    )
    assert np.bincount(dataset.train.labels).min() > 5_000
    # 0.1307 and 0.3081 are the training set's well-known mean and deviation.
    pixels = dataset.train.images / np.float32(255)
    assert pixels.mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)
    assert pixels.std(dtype=np.float64) == pytest.approx(0.3081, abs=5e-5)
    again = cnnlab.data.load("mnist", data_dir=data_dir)
    np.testing.assert_array_equal(again.train.images, dataset.train.images)
    assert again.fingerprint == dataset.fingerprint
