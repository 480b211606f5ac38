"""Augmentations by their specs, and the laws that all of them keep."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.data.augmentation import (
    augmentations,
    cutout,
    pad_and_crop,
    random_flip,
    resolve_augmentation,
)

SHAPE = (8, 9, 3)
# Of these random_affine and color_jitter are made, and theirs are the same laws.
PARTS = {f"random_{part}" for part in ("translation", "rotation", "scale", "shear")}
PARTS |= {f"random_{part}" for part in ("brightness", "contrast", "saturation", "hue")}
WHOLE = [name for name in augmentations if name not in PARTS]
# Other than the default wherever the default changes nothing.
OPTIONS = {
    "random_affine": {"degrees": 20, "scale": (0.8, 1.2), "slope": 0.1, "distance": 2},
    "cutout": {"size": 3},
}


@functools.cache
def keys():
    return jax.random.split(jax.random.key(1), 3)


@functools.cache
def images():
    return jax.random.uniform(jax.random.key(2), (3, *SHAPE))


def every():
    """The augmentations that are no part of another, by name."""
    return {
        name: functools.partial(augmentations[name], **OPTIONS.get(name, {}))
        for name in WHOLE
    }


# One program of them all compiles sooner than one for each.
@functools.cache
def results(form):
    """What each gives for each key and image, or for the first of them alone."""
    if form == "vmap":
        together = jax.jit(
            lambda keys, images: {
                name: jax.vmap(one)(keys, images) for name, one in every().items()
            }
        )
        return together(keys(), images())
    if form == "jit":
        alone = jax.jit(
            lambda key, image: {name: one(key, image) for name, one in every().items()}
        )
        each = [alone(key, image) for key, image in zip(keys(), images(), strict=True)]
        return {name: jnp.stack([one[name] for one in each]) for name in every()}
    return {name: one(keys()[0], images()[0])[None] for name, one in every().items()}


@pytest.mark.parametrize("form", ["jit", pytest.param("eager", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", WHOLE)
def test_is_the_same_alone_and_in_a_batch(name, form):
    got = results(form)[name]
    np.testing.assert_allclose(got, results("vmap")[name][: len(got)], atol=1e-5)


@pytest.mark.parametrize("name", WHOLE)
def test_changes_images_by_their_keys(name):
    # Not each key flips, and not each makes grey.
    if name not in ("random_flip", "random_grayscale"):
        assert (results("vmap")[name] != images()).any((1, 2, 3)).all()


@pytest.mark.parametrize("name", WHOLE)
def test_draws_alike_for_every_dtype(name):
    single = every()[name]
    narrow = jax.eval_shape(single, keys()[0], images()[0].astype(jnp.bfloat16))
    assert (narrow.shape, narrow.dtype) == (SHAPE, jnp.bfloat16)
    with jax.enable_x64(True):
        text = str(jax.make_jaxpr(single)(keys()[0], images()[0]))
    # Numbers drawn in 64 bits would be others than those drawn in 32.
    assert "bit_width=32" in text and "bit_width=64" not in text


def test_steps_draw_from_keys_of_their_own():
    augment = resolve_augmentation(
        ["pad_and_crop(padding=2)", "random_flip", cutout], SHAPE
    )

    @jax.jit
    def both(key, image):
        wanted = pad_and_crop(jax.random.fold_in(key, 0), image, padding=2)
        wanted = random_flip(jax.random.fold_in(key, 1), wanted)
        return augment(key, image), cutout(jax.random.fold_in(key, 2), wanted)

    np.testing.assert_array_equal(*both(keys()[0], images()[0]))


def test_no_steps_are_the_image():
    image = images()[0]
    assert resolve_augmentation([])(keys()[0], image) is image


def test_a_spec_is_a_step_too():
    key, image = keys()[0], images()[0]
    for spec in ("cutout(size=3)", functools.partial(cutout, size=3)):
        wanted = cutout(jax.random.fold_in(key, 0), image, size=3)
        got = resolve_augmentation(spec)(key, image)
        np.testing.assert_array_equal(got, wanted)


def test_fill_goes_where_none_is_given():
    def corner(*specs):
        augment = resolve_augmentation(
            [*specs, lambda key, image: image], SHAPE, fill=(0.1, 0.2, 0.3)
        )
        return augment(keys()[0], images()[0])[0, 0]

    everything = "cutout(size=100)"
    np.testing.assert_allclose(corner(everything), (0.1, 0.2, 0.3), rtol=1e-6)
    assert not corner("cutout(size=100, fill=0)").any()


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["crop"], "unknown augmentation 'crop'; choose from color_jitter, cutout, "),
        (["cutout(side=3)"], "cutout has no option 'side'; its options: size, fill"),
        (["cutout(3)"], "malformed spec 'cutout(3)'; write a name, or name("),
        (
            ["random_flip", "cutout(size=-1)"],
            "cutout(size=-1): size -1 must be in [0, ",
        ),
        (["pad_and_crop(padding='4')"], "pad_and_crop(padding='4'): padding takes an "),
        (["random_scale(scale=(2,1))"], "random_scale(scale=(2,1)): scale (2, 1) must"),
        (
            ["cutout(fill=(1,2,3))"],
            "cutout(fill=(1,2,3)): fill takes a number, or one for",
        ),
        (["random_hue"], "random_hue: 2 channels where 1 or 3 are needed"),
    ],
)
def test_refuses_a_step_by_its_name(specs, message):
    with pytest.raises(ValueError) as raised:
        resolve_augmentation(specs, (8, 9, 2))
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


def test_refuses_a_step_that_makes_another_shape():
    with pytest.raises(ValueError, match=r"makes .*\(1, 9, 3\).* of .*\(8, 9, 3\)"):
        resolve_augmentation([lambda key, image: image[:1]], SHAPE)
