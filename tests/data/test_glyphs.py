import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnlab.data
from cnnlab.data import glyphs
from cnnlab.data.glyphs import CLASS_NAMES, GlyphOptions
from cnnlab.errors import UserError

STILL = GlyphOptions(
    translation=0.0,
    rotation=0.0,
    scale=(0.3, 0.3),
    shear=0.0,
    stroke_width=(2.0, 2.0),
    clutter=(0, 0),
    noise=(0.0, 0.0),
)
EVERY_CLASS = np.arange(len(CLASS_NAMES))


def draw(labels, *, seed=0, options=None, image_size=28):
    key = jax.random.key(seed)
    images = glyphs.draw(key, labels, image_size=image_size, options=options)
    return np.asarray(images)


def varied(**changes):
    return dataclasses.replace(STILL, **changes)


def centroids(images):
    """Of the ink, as [n, (x, y)] in pixels."""
    weights = images[..., 0] / images.sum(axis=(1, 2, 3), dtype=float)[:, None, None]
    positions = np.arange(images.shape[1])
    return np.stack(
        [weights.sum(axis=1) @ positions, weights.sum(axis=2) @ positions], axis=-1
    )


def ink(images):
    return images.sum(axis=(1, 2, 3), dtype=float) / 255


def test_an_image_depends_on_its_key_index_and_label_alone():
    labels = np.arange(300) % 10
    whole = draw(labels)
    np.testing.assert_array_equal(draw(labels[:7]), whole[:7])
    np.testing.assert_array_equal(draw(labels[:260]), whole[:260])
    others = labels.copy()
    others[1:] = 3
    np.testing.assert_array_equal(draw(others)[0], whole[0])
    assert (draw(labels[:7], seed=1) != whole[:7]).any(axis=(1, 2, 3)).all()


def test_no_two_images_of_a_class_are_equal():
    images = draw(np.zeros(300, int)).reshape(300, -1)
    assert len(np.unique(images, axis=0)) == 300


def test_drawing_works_under_jit():
    key, labels = jax.random.key(0), jnp.asarray(EVERY_CLASS)
    np.testing.assert_array_equal(jax.jit(glyphs.draw)(key, labels), draw(EVERY_CLASS))


def test_nothing_drawn_is_an_empty_batch():
    assert draw(np.zeros(0, int)).shape == (0, 28, 28, 1)


@pytest.mark.parametrize("image_size", [16, 28, 57])
def test_images_are_bytes_of_the_size_asked_for(image_size):
    images = draw(EVERY_CLASS, image_size=image_size)
    assert images.shape == (10, image_size, image_size, 1)
    assert images.dtype == np.uint8
    assert images.max() == 255


def test_a_larger_image_shows_the_same_glyph():
    small, large = (
        draw(EVERY_CLASS, options=STILL),
        draw(EVERY_CLASS, options=STILL, image_size=56),
    )
    shrunk = large.reshape(10, 28, 2, 28, 2).mean(axis=(2, 4))
    assert np.abs(shrunk - small[..., 0]).mean() < 0.02 * 255


def test_double_precision_mode_changes_nothing():
    expected = draw(EVERY_CLASS)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(draw(EVERY_CLASS), expected)


def test_zero_ranges_give_one_image_per_class():
    images = draw(np.tile(EVERY_CLASS, 4), options=STILL).reshape(4, 10, 28, 28)
    np.testing.assert_array_equal(images, images[:1].repeat(4, axis=0))


CLEAN = dataclasses.replace(GlyphOptions(), clutter=(0, 0), noise=(0.0, 0.0))


def test_no_glyph_is_cut_off_by_the_frame():
    labels = np.arange(3000) % 10
    central = draw(labels, options=dataclasses.replace(CLEAN, translation=0.0))
    pushed = draw(labels, options=dataclasses.replace(CLEAN, translation=100.0))
    border = pushed[:, [0, -1]].max(axis=(1, 2, 3))
    assert (border > 100).any()
    # What the frame took would be missing here; the rest is rounding of soft edges.
    np.testing.assert_allclose(ink(pushed), ink(central), rtol=0.04)


def test_every_fragment_is_smaller_than_its_glyph():
    labels = np.arange(3000) % 10
    alone = draw(labels, options=CLEAN)
    joined = draw(labels, options=dataclasses.replace(CLEAN, clutter=(1, 1)))
    added = ink(joined) - ink(alone)
    assert (added >= 0).all() and (added > 0).any()
    assert (added < 0.7 * ink(alone)).all()


def test_classes_are_told_apart_by_the_nearest_still_glyph():
    patterns = draw(EVERY_CLASS, options=STILL).reshape(10, -1).astype(float)
    labels = np.arange(100) % 10
    nudged = varied(translation=1.0, rotation=5.0, noise=(0.0, 0.1))
    images = draw(labels, options=nudged).reshape(100, -1).astype(float)
    distances = ((images[:, None] - patterns) ** 2).sum(axis=-1)
    np.testing.assert_array_equal(distances.argmin(axis=1), labels)


def test_translation_moves_the_glyph_by_up_to_that_much():
    labels = np.full(500, CLASS_NAMES.index("ring"))
    still = centroids(draw(labels[:1], options=STILL))
    moved = centroids(draw(labels, options=varied(translation=3.0))) - still
    assert np.abs(moved).max() <= 3.1
    assert (moved.max(axis=0) > 2.8).all() and (moved.min(axis=0) < -2.8).all()
    # Uniform on -3..3; five standard errors.
    np.testing.assert_allclose(moved.var(axis=0), 3.0, atol=5 * 0.12)


def test_rotation_turns_the_glyph_by_up_to_that_much():
    labels = np.full(500, CLASS_NAMES.index("arrow"))
    options = varied(rotation=20.0)
    images = draw(labels, options=options)[..., 0].astype(float)
    y, x = np.mgrid[:28, :28] - 13.5
    covariance, spread = (images * x * y).sum((1, 2)), (y**2 - x**2) * images
    # The arrow's long axis; its moments blur the angle by a few degrees.
    turns = np.degrees(np.arctan2(-2 * covariance, spread.sum((1, 2)))) / 2
    assert 15 < turns.max() < 30 and -30 < turns.min() < -15


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("scale", (0.2, 0.2), (0.4, 0.4)),
        ("stroke_width", (1.0, 1.0), (3.0, 3.0)),
        ("clutter", (0, 0), (5, 5)),
        ("noise", (0.0, 0.0), (0.3, 0.3)),
    ],
)
def test_more_of_a_range_is_more_ink(name, low, high):
    labels = np.arange(100) % 10
    less = ink(draw(labels, options=varied(**{name: low})))
    more = ink(draw(labels, options=varied(**{name: high})))
    assert (more > less).mean() > 0.95


def test_the_noise_has_the_standard_deviation_asked_for():
    labels = np.zeros(50, int)
    images = draw(labels, options=varied(noise=(0.1, 0.1)))[..., 0] / 255.0
    corner = images[:, :4, :4]
    # Black clips the negative half: what is left has E[x^2] = sigma^2 / 2.
    measured = np.sqrt(2 * (corner**2).mean())
    assert measured == pytest.approx(0.1, rel=5 / np.sqrt(corner.size))


@pytest.mark.parametrize(
    "change",
    [
        {"translation": -1.0},
        {"translation": float("nan")},
        {"rotation": 45.0},
        {"shear": 2.0},
        {"scale": (0.3, 0.2)},
        {"scale": (0.0, 0.3)},
        {"scale": (0.2, 0.6)},
        {"stroke_width": (0.0, 1.0)},
        {"clutter": (-1, 2)},
        {"noise": (0.2, float("inf"))},
    ],
)
def test_a_range_that_makes_no_glyphs_is_refused(change):
    (name,) = change
    with pytest.raises(UserError, match=f"^{name}: "):
        GlyphOptions(**change)


def test_images_too_small_to_tell_glyphs_apart_are_refused():
    with pytest.raises(UserError, match="^image_size: 15 is less than 16"):
        cnnlab.data.load("glyphs", image_size=15)


def test_the_set_is_the_same_however_many_are_drawn():
    few = cnnlab.data.load("glyphs", train_examples=20, test_examples=10)
    more = cnnlab.data.load("glyphs", train_examples=50, test_examples=10)
    np.testing.assert_array_equal(few.train.images, more.train.images[:20])
    np.testing.assert_array_equal(few.train.labels, more.train.labels[:20])
    np.testing.assert_array_equal(few.test.images, more.test.images)
    assert few.fingerprint != more.fingerprint
    again = cnnlab.data.load("glyphs", train_examples=20, test_examples=10)
    assert few.fingerprint == again.fingerprint


def test_train_and_test_share_no_image():
    dataset = cnnlab.data.load("glyphs", train_examples=200, test_examples=200)
    both = np.concatenate([dataset.train.images, dataset.test.images])
    assert len(np.unique(both.reshape(400, -1), axis=0)) == 400


def test_the_default_set_is_balanced_and_summarised():
    dataset = cnnlab.data.load("glyphs", image_size=16)
    assert len(set(np.bincount(dataset.train.labels))) == 1
    assert len(set(np.bincount(dataset.test.labels))) == 1
    sizes = [f"{len(split.labels):,}" for split in (dataset.train, dataset.test)]
    assert dataset.summary() == (
        f"glyphs: {sizes[0]} train and {sizes[1]} test images, 16x16x1, 10 classes"
    )
