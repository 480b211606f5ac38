"""Colours, against colorsys and mixtures written out in float64."""

import colorsys
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.data.augmentation import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    color_jitter,
    grayscale,
    random_brightness,
    random_contrast,
    random_grayscale,
    random_hue,
    random_saturation,
)

ADJUSTMENTS = [adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue]
COUNT = 400


def image(channels=3):
    """Among others black, white, greys, ties and the corners of the cube."""
    corners = np.indices((3, 3, 3)).reshape(3, -1).T / 2
    more = np.random.default_rng(1).random((29, 3))
    return np.concatenate([corners, more]).reshape(7, 8, 3)[..., :channels].astype("f4")


def luma(pixels):
    if pixels.shape[-1] == 1:
        return pixels
    return (pixels.astype(float) @ (0.299, 0.587, 0.114))[..., None]


def poorer(function, pixels):
    """What the function mixes the image with."""
    return {
        adjust_brightness: np.zeros(1),
        adjust_contrast: luma(pixels).mean(),
        adjust_saturation: luma(pixels),
    }[function]


@functools.cache
def jitted(function, **options):
    return jax.jit(functools.partial(function, **options))


@functools.cache
def keys():
    return jax.random.split(jax.random.key(5), COUNT)


def many(function, pixels, **options):
    each = jax.vmap(functools.partial(function, **options), (0, None))
    return np.asarray(jax.jit(each)(keys(), pixels), float)


def shifted_hue(pixel, turns):
    hue, saturation, value = colorsys.rgb_to_hsv(*map(float, pixel))
    return colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("function", ADJUSTMENTS[:3])
def test_a_factor_mixes_with_a_poorer_image(function, channels):
    pixels = image(channels)
    for factor in (0.0, 0.3, 1.7):
        mixed = factor * pixels + (1 - factor) * poorer(function, pixels)
        got = jitted(function)(pixels, factor)
        np.testing.assert_allclose(got, np.clip(mixed, 0, 1), atol=1e-6)


@pytest.mark.parametrize("turns", [0.2, -0.45, 1 / 3, 0.5, 1.1])
def test_hue_is_that_of_colorsys(turns):
    wanted = np.apply_along_axis(shifted_hue, -1, image(), turns)
    np.testing.assert_allclose(jitted(adjust_hue)(image(), turns), wanted, atol=2e-6)


def test_a_third_of_a_turn_passes_the_channels_on():
    got = jitted(adjust_hue)(image(), 1 / 3)
    np.testing.assert_allclose(got, np.roll(image(), 1, axis=-1), atol=2e-6)


def test_grayscale_is_the_luma():
    wanted = np.broadcast_to(luma(image()), image().shape)
    np.testing.assert_allclose(jitted(grayscale)(image()), wanted, atol=1e-6)


@pytest.mark.parametrize("function", ADJUSTMENTS)
def test_nothing_asked_gives_the_image_to_the_bit(function):
    amount = 0.0 if function is adjust_hue else 1.0
    np.testing.assert_array_equal(jitted(function)(image(), amount), image())


def test_one_channel_has_no_colour():
    gray = image(1)
    np.testing.assert_array_equal(grayscale(gray), gray)
    np.testing.assert_array_equal(adjust_hue(gray, 0.3), gray)
    saturated = jitted(adjust_saturation)(gray, 1.9)
    np.testing.assert_allclose(saturated, gray, atol=1e-6)


@pytest.mark.parametrize("function", [*ADJUSTMENTS, grayscale])
def test_keeps_dtype(function):
    pixels = jax.ShapeDtypeStruct((4, 5, 3), jnp.bfloat16)
    amounts = () if function is grayscale else (0.5,)
    result = jax.eval_shape(function, pixels, *amounts)
    assert (result.shape, result.dtype) == (pixels.shape, pixels.dtype)


def assert_uniform(values, low, high):
    width = high - low
    assert (values >= low - 1e-3).all() and (values <= high + 1e-3).all()
    error = width / 12**0.5 / len(values) ** 0.5
    assert abs(values.mean() - (low + high) / 2) < 4 * error
    assert abs(values.std() - width / 12**0.5) < 4 * error


@pytest.mark.parametrize(
    ("function", "adjusted"),
    [
        (random_brightness, adjust_brightness),
        (random_contrast, adjust_contrast),
        (random_saturation, adjust_saturation),
    ],
)
def test_factors_are_uniform(function, adjusted):
    # Close to grey, so that nothing is clipped.
    pixels = (0.45 + 0.1 * image()).astype(np.float32)
    results = many(function, pixels, strength=0.3)
    away = (pixels - poorer(adjusted, pixels)).ravel()
    moved = (results - poorer(adjusted, pixels)).reshape(COUNT, -1)
    factors = moved @ away / (away @ away)
    np.testing.assert_allclose(moved, factors[:, None] * away, atol=1e-6)
    assert_uniform(factors, 0.7, 1.3)


def test_hues_are_uniform():
    red = np.array([[[1, 0, 0]]], np.float32)
    results = many(random_hue, red, turns=0.25)
    hues = [colorsys.rgb_to_hsv(*pixel)[0] for pixel in results[:, 0, 0]]
    assert_uniform((np.array(hues) + 0.5) % 1 - 0.5, -0.25, 0.25)


def test_jitter_changes_what_it_is_asked_to_and_no_more():
    strengths = {"brightness": 0.5, "contrast": 0.0, "saturation": 0.0, "hue": 0.1}
    red = np.array([[[0.5, 0, 0]]], np.float32)
    results = many(color_jitter, red, **strengths)[:, 0, 0]
    hue, saturation, value = np.transpose([colorsys.rgb_to_hsv(*p) for p in results])
    hue = (hue + 0.5) % 1 - 0.5
    np.testing.assert_allclose(saturation, 1, atol=1e-6)
    assert_uniform(2 * value, 0.5, 1.5)
    assert_uniform(hue, -0.1, 0.1)
    assert abs(np.corrcoef(hue, value)[0, 1]) < 4 / COUNT**0.5


def test_jitter_is_the_four_changes_in_turn():
    def changed(key, pixels):
        one, two, three, four = jax.random.split(key, 4)
        pixels = random_brightness(one, pixels, strength=0.4)
        pixels = random_contrast(two, pixels, strength=0.3)
        pixels = random_saturation(three, pixels, strength=0.2)
        return random_hue(four, pixels, turns=0.1)

    strengths = {"brightness": 0.4, "contrast": 0.3, "saturation": 0.2, "hue": 0.1}
    key, pixels = keys()[0], image()
    got = jitted(color_jitter, **strengths)(key, pixels)
    np.testing.assert_allclose(got, jitted(changed)(key, pixels), atol=1e-5)


def test_grey_is_as_frequent_as_its_rate():
    pixels, rate = image(), 0.2
    results = many(random_grayscale, pixels, rate=rate)
    grey = (results[..., :1] == results).all((1, 2, 3))
    assert (results[~grey] == pixels).all()
    assert abs(grey.mean() - rate) <= 4 * (rate * (1 - rate) / COUNT) ** 0.5


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (random_brightness, {"strength": 1.5}, "strength 1.5 must be in [0, 1]"),
        (random_contrast, {"strength": -0.1}, "strength -0.1 must be in [0, 1]"),
        (random_saturation, {"strength": 2}, "strength 2 must be in [0, 1]"),
        (random_hue, {"turns": 0.6}, "turns 0.6 must be in [0, 0.5]"),
        (color_jitter, {"hue": 1}, "hue 1 must be in [0, 0.5]"),
        (color_jitter, {"contrast": 3}, "contrast 3 must be in [0, 1]"),
        (random_grayscale, {"rate": -1}, "rate -1 must be in [0, 1]"),
    ],
)
def test_refuses_in_one_line(function, options, message):
    with pytest.raises(ValueError) as raised:
        jax.eval_shape(functools.partial(function, **options), keys()[0], image())
    assert str(raised.value) == message


def test_refuses_what_is_no_image():
    for function in (random_hue, random_grayscale, random_contrast):
        with pytest.raises(ValueError, match="2 channels where 1 or 3 are needed"):
            function(keys()[0], image(2))
        with pytest.raises(ValueError, match="is .height, width, channels., got"):
            function(keys()[0], image()[0])
        with pytest.raises(TypeError, match="must be floating-point, got int32"):
            function(keys()[0], image().astype(np.int32))
