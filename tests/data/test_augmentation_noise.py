"""PCA noise lies along a set's axes, and mixup mixes pairs with their labels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.data.augmentation import color_axes, mixup, pca_noise
from cnnlab.data.augmentation.pca_noise import IMAGENET

COUNT = 1_000


def pixels():
    """Images whose channels go together."""
    generator = np.random.default_rng(2)
    mixing = generator.random((3, 3)) * (0.5, 0.3, 0.1)
    return (generator.random((6, 5, 4, 3)) @ mixing.T).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_axes_are_those_of_the_covariance(dtype):
    images = pixels()
    if dtype == np.uint8:
        images = (255 * images / images.max()).astype(np.uint8)
    axes = color_axes(images)
    unit = images.astype(float) / (255 if dtype == np.uint8 else 1)
    covariance = np.cov(unit.reshape(-1, 3).T, bias=True)
    vectors, values = np.array(axes.vectors), np.array(axes.values)
    assert (np.diff(values) < 0).all()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(covariance @ vectors, vectors * values, atol=1e-7)


def test_imagenets_axes_are_orthonormal_and_begin_with_grey():
    vectors = np.array(IMAGENET.vectors)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-3)
    assert abs(vectors[:, 0] @ np.ones(3)) / 3**0.5 > 0.999


def test_noise_is_one_colour_with_the_axes_law():
    axes = color_axes(pixels())
    image = pixels()[0]
    noise = functools.partial(pca_noise, deviation=0.5, **axes._asdict())
    keys = jax.random.split(jax.random.key(0), COUNT)
    results = np.asarray(jax.jit(jax.vmap(noise, (0, None)))(keys, image), float)
    moved = results - image
    np.testing.assert_allclose(moved, moved[:, :1, :1] + 0 * moved, atol=1e-6)
    alpha = moved[:, 0, 0] @ np.array(axes.vectors) / axes.values
    assert (abs(alpha.mean(0)) < 4 * 0.5 / COUNT**0.5).all()
    assert (abs(alpha.std(0) / 0.5 - 1) < 4 / (2 * COUNT) ** 0.5).all()
    assert (abs(np.corrcoef(alpha.T) - np.eye(3)) < 4 / COUNT**0.5).all()


def test_no_deviation_gives_the_image_to_the_bit():
    image = pixels()[0]
    result = jax.jit(functools.partial(pca_noise, deviation=0))(
        jax.random.key(0), image
    )
    np.testing.assert_array_equal(result, image)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 4, 1), {}, "1 channels where 3 are needed"),
        ((4, 4, 3), {"deviation": -1}, "deviation -1 must be in [0, "),
        ((4, 4, 3), {"values": (1.0, 2.0)}, "values (2,) and vectors (3, 3) must be"),
        ((4, 4, 3), {"values": 1.0}, "values () and vectors (3, 3) must be (n,)"),
    ],
)
def test_noise_refuses_in_one_line(shape, options, message):
    with pytest.raises(ValueError) as raised:
        pca_noise(jax.random.key(0), jnp.zeros(shape), **options)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_axes_need_a_batch_of_images():
    with pytest.raises(ValueError, match="are needed, got .5, 4, 3."):
        color_axes(pixels()[0])


BATCH, ALPHA = 300, 0.4


@functools.cache
def batch():
    """Image i holds i, and so does its label, as a one-hot row."""
    images = np.arange(BATCH, dtype=np.float32)[:, None, None, None] * np.ones(
        (2, 2, 1)
    )
    return images.astype(np.float32), np.eye(BATCH, dtype=np.float32)


@functools.cache
def mixed():
    images, labels = jax.jit(functools.partial(mixup, alpha=ALPHA))(
        jax.random.key(4), *batch()
    )
    return np.asarray(images, float), np.asarray(labels, float)


def test_labels_stay_a_distribution():
    _, labels = mixed()
    assert (labels >= 0).all()
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-6)


def test_an_image_is_mixed_as_its_label_says():
    images, labels = mixed()
    assert ((labels > 0).sum(1) <= 2).all() and (np.diag(labels) > 0).all()
    wanted = (labels @ np.arange(BATCH))[:, None, None, None]
    np.testing.assert_allclose(images, np.broadcast_to(wanted, images.shape), rtol=1e-5)


def test_partners_are_a_random_order():
    _, labels = mixed()
    given = labels - np.diag(np.diag(labels))
    (mixed_in,) = given.any(1).nonzero()
    partners = given.argmax(1)[mixed_in]
    assert len(set(partners)) == len(partners) >= BATCH - 30
    assert abs(np.corrcoef(mixed_in, partners)[0, 1]) < 4 / len(partners) ** 0.5


def test_shares_follow_their_law():
    _, labels = mixed()
    alone = (labels > 0).sum(1) == 1
    shares = np.diag(labels)[~alone]
    # Of Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)).
    deviation = 0.5 / (2 * ALPHA + 1) ** 0.5
    assert abs(shares.mean() - 0.5) < 4 * deviation / len(shares) ** 0.5
    assert abs(shares.std() / deviation - 1) < 4 / (2 * len(shares)) ** 0.5


def test_no_mixture_leaves_all_as_it_is():
    images, labels = mixup(jax.random.key(0), *batch(), alpha=0)
    np.testing.assert_array_equal(images, batch()[0])
    np.testing.assert_array_equal(labels, batch()[1])


def test_mixup_keeps_dtypes():
    images, labels = batch()
    results = jax.eval_shape(
        mixup, jax.random.key(0), images.astype(jnp.bfloat16), labels
    )
    assert [result.dtype for result in results] == [jnp.bfloat16, jnp.float32]


def test_mixup_refuses_in_one_line():
    images, labels = map(jnp.asarray, batch())
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"^alpha -1 must be in \[0, "):
        mixup(key, images, labels, alpha=-1)
    with pytest.raises(ValueError, match=r"labels \[300, classes\], got \(2, 300\)$"):
        mixup(key, images, labels[:2])
    with pytest.raises(ValueError, match=r"labels \[300, classes\], got \(300,\)$"):
        mixup(key, images, labels[0])
    with pytest.raises(TypeError, match="^labels must be floating-point, got int32$"):
        mixup(key, images, labels.astype(int))
