"""Equivariance errors: closed forms, finite shifts, and what nets are made of."""

import json
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.diagnostics.aliasing import meter
from cnnlab.diagnostics.over_images import OverImages
from cnnlab.diagnostics.places import Place, places_of
from cnnlab.diagnostics.program import trace
from cnnlab.diagnostics.tomography import equivariance_error, invariance_error
from cnnlab.models import create_model, list_models
from cnnlab.ops import blur_pool, convolution, max_pool, pools

N = 16
_NOISE = np.random.default_rng(0).normal(size=(3, N, N, 2))
_KERNEL = np.random.default_rng(1).normal(size=(3, 3, 2, 2))


def conv(x, kernel, *geometry, **options):
    arrays = map(jnp.asarray, (x, kernel))
    return convolution.conv(*arrays, *geometry, **options)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def _waves(highest, images=3, size=N):
    """Noise of at most so many cycles along each axis."""
    noise = np.random.default_rng(2).normal(size=(images, size, size, 2))
    spectrum = np.fft.fft2(noise, axes=(1, 2))
    cycles = np.abs(np.fft.fftfreq(size, 1 / size))
    spectrum[:, cycles > highest] = 0
    spectrum[:, :, cycles > highest] = 0
    waves = np.fft.ifft2(spectrum, axes=(1, 2)).real
    return waves / waves.std()


def _shifted(x, pixels, stride=1, axis=1):
    """Moved down by a fraction of an entry, on a torus; the fastest wave stays."""
    size = x.shape[axis]
    turns = np.fft.fftfreq(size) * pixels / stride
    factor = np.exp(-2j * np.pi * turns)
    factor[size // 2] = 1
    shape = [size if i == axis else 1 for i in range(x.ndim)]
    return np.fft.ifft(np.fft.fft(x, axis=axis) * factor.reshape(shape), axis=axis).real


def _wave(cycles, size=N):
    """One cosine across, of so many cycles."""
    row = np.cos(2 * np.pi * cycles * np.arange(size) / size + 0.3)
    return np.broadcast_to(row[:, None], (1, size, size, 1)).copy()


def _errors(function, images, transformation="translation", **options):
    found = equivariance_error(
        function, images, transformations=(transformation,), **options
    )
    return found.rows


def _one(rows, name):
    (row,) = (row for row in rows if row.operation == name)
    return row


def test_what_commutes_with_shifts_of_a_torus_has_no_error():
    def function(x):
        around = conv(x, _KERNEL, boundary="circular")
        bordered = conv(around, _KERNEL)
        return conv(bordered, _KERNEL, boundary="circular")

    first, second, third = _errors(function, _NOISE)
    for exact in (first.own, first.cumulative, third.own):
        np.testing.assert_array_less(exact, 1e-20)
    for lost in (second.own, second.cumulative, third.cumulative):
        np.testing.assert_array_less(1e-3, lost)
    np.testing.assert_allclose(second.own, second.cumulative, rtol=1e-6)


def test_a_blur_loses_less_than_a_stride():
    rows = _errors(
        lambda x: (
            x[:, ::2, ::2],
            blur_pool(x, (3, 3), 2, "SAME", boundary="circular"),
            max_pool(x, (2, 2), 2),
        ),
        _NOISE,
    )
    stride, blur, largest = (row.own for row in rows)
    np.testing.assert_array_less(blur, stride)
    np.testing.assert_array_less(blur, largest)


def test_a_wave_above_the_new_nyquist_frequency_moves_as_its_alias():
    # cos(w x) sampled at 2 j is cos(v 2 j): it changes at the rate w, and should at v.
    cycles, alias = np.array([3, 5, 7]), np.array([3, -3, -1])
    across, down = equivariance_error(
        lambda x: x[:, ::2, ::2],
        np.concatenate([_wave(some) for some in cycles]),
        transformations=("translation_x", "translation_y"),
    ).rows
    expected = (cycles - alias) ** 2 / (cycles**2 + alias**2)
    np.testing.assert_allclose(across.own, expected, atol=1e-12)
    np.testing.assert_allclose(down.own, [0, 0, 0], atol=1e-12)


def test_a_nonlinearity_is_wrong_by_the_waves_that_it_makes_and_cannot_hold():
    images = np.concatenate([_wave(2), _wave(3)])
    row, *_ = _errors(jax.nn.relu, images, "translation_x")
    line = images[:, 0, :, 0]
    slope = 2j * np.pi * np.fft.fftfreq(N)
    slope[N // 2] = 0

    def derivative(x):
        return np.fft.ifft(slope * np.fft.fft(x)).real

    got, wanted = (line > 0) * derivative(line), derivative(np.maximum(line, 0))
    lost = ((got - wanted) ** 2).sum(-1)
    expected = lost / ((got**2).sum(-1) + (wanted**2).sum(-1))
    assert expected.min() > 1e-3
    np.testing.assert_allclose(row.own, expected, rtol=1e-10)
    smooth, *_ = _errors(lambda x: jnp.tanh(x / 4), _waves(1))
    np.testing.assert_array_less(smooth.own, 1e-8)


def test_what_has_no_place_should_stand_still():
    # A wave's rate of change is its frequency; its mean never changes.
    rows = _errors(
        lambda x: (x.reshape(len(x), -1), x.mean((1, 2))), 2 + _wave(3), "translation_x"
    )
    flat = _one(rows, "reshape")
    wave = (2 * np.pi * 3 / N) ** 2 * 0.5
    assert (flat.kind, flat.own) == ("invariant", pytest.approx([wave / 4.5]))
    assert _one(rows, "reduce_sum").own == pytest.approx([0], abs=1e-20)


def test_the_mean_of_a_net_on_a_torus_is_invariant():
    def function(x):
        for _ in range(2):
            x = jnp.tanh(conv(x, _KERNEL / 40, boundary="circular"))
        return x.mean((1, 2))

    last = _errors(function, _waves(1, size=32))[-1]
    assert last.kind == "invariant"
    np.testing.assert_array_less(last.cumulative, 1e-10)


def _strided(x):
    x = jnp.tanh(conv(x, _KERNEL / 4))
    return conv(x, _KERNEL / 4, 2)


def _net(x):
    x = jnp.tanh(_strided(x))
    return x.reshape(len(x), -1) @ np.linspace(-1, 1, N * N // 2 * 3).reshape(-1, 3)


def test_small_shifts_come_to_the_same():
    rows = _errors(_net, _NOISE, "translation_y")
    strided = rows[2]
    assert (strided.operation, strided.place.stride) == ("conv", (2, 2))
    still = np.asarray(_strided(_NOISE))

    def energy(x):
        return np.square(x).sum(tuple(range(1, x.ndim)))

    def slope(function, step):
        return np.asarray(function(step) - function(-step)) / (2 * step)

    def by_steps(step):
        got = slope(lambda pixels: _strided(_shifted(_NOISE, pixels)), step)
        wanted = slope(lambda pixels: _shifted(still, pixels, stride=2), step)
        logits = slope(lambda pixels: _net(_shifted(_NOISE, pixels)), step)
        lost = energy(got - wanted) / (energy(got) + energy(wanted))
        return lost, energy(logits) / energy(_net(_NOISE))

    exact = strided.cumulative, rows[-1].cumulative
    for error, large, small in zip(exact, by_steps(4e-3), by_steps(2e-3), strict=True):
        np.testing.assert_allclose(small, error, rtol=1e-3)
        # Of second order: half the step, a quarter of the difference.
        np.testing.assert_allclose((large - error) / (small - error), 4, rtol=0.02)


def test_any_predict_is_asked_by_small_steps():
    found = equivariance_error(_net, _NOISE)

    def predict(images):
        assert type(images) is np.ndarray
        return np.asarray(_net(images))

    for transformation in ("translation", "rotation", "scale"):
        steps = invariance_error(
            predict, _NOISE, transformation, step=1e-5, batch_size=2
        )
        exact = found.of(transformation)[-1].cumulative
        np.testing.assert_allclose(steps.errors, exact, rtol=1e-4)


def _blob(size=41):
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return y, x, np.exp(-(x**2 + y**2) / 32)


def test_turns_and_scales_are_about_the_centre_in_pixels_at_any_stride():
    y, x, blob = _blob()
    slopes = x / 16 * blob, y / 16 * blob

    # With du/dx = -x/16 u: what turns counterclockwise (upwards on the right) and what
    # grows, of the product of the blob and x.
    u = (x * blob)[None, :, :, None]
    turned = -(-x * (-x * slopes[1]) + y * (blob - x * slopes[0]))
    grown = -(y * (-x * slopes[1]) + x * (blob - x * slopes[0]))

    def given(images):
        # The change of the image itself, which flattening takes for an error.
        return images.reshape(len(images), -1)

    for name, change in (("rotation", turned), ("scale", grown)):
        row = _errors(given, u, name)[-1]
        expected = np.square(change).sum() / np.square(u).sum()
        np.testing.assert_allclose(row.own, [expected], rtol=1e-6)

    # Slices at another phase are where they were: a smooth map loses nothing.
    sampled = _errors(lambda x: x[:, 1::2, 1::2], u, "rotation")[0]
    assert sampled.place.phase == (1, 1)
    np.testing.assert_array_less(sampled.own, 1e-5)
    # About another point a round blob moves, about its own it does not.
    round_one = blob[None, :, :, None]
    own, other = (
        _errors(given, round_one, "rotation", centre=centre)[-1].own
        for centre in (None, (16, 20))
    )
    np.testing.assert_array_less(own, 1e-10)
    assert other == pytest.approx([16 * 8 / 16**2], rel=1e-3)


def test_a_round_filter_turns_with_the_image_and_a_slanted_one_does_not():
    _, x, blob = _blob()
    images = ((1 + x / 3) * blob)[None, :, :, None]
    y = np.exp(-(np.arange(-2, 3) ** 2))
    round_kernel = np.multiply.outer(y, y)[..., None, None]
    slanted = np.zeros((5, 5, 1, 1))
    slanted[2, 1], slanted[2, 3] = -1, 1
    turning, lost = _errors(
        lambda x: (conv(x, round_kernel), conv(x, slanted)), images, "rotation"
    )
    np.testing.assert_array_less(turning.own, 1e-4)
    np.testing.assert_array_less(0.1, lost.own)


def test_loops_and_what_is_no_float_stand_in_the_way_of_nothing():
    def function(x):
        def step(carry, _):
            return jnp.tanh(carry), None

        carry, _ = jax.lax.scan(step, x, length=2)
        return carry * (x > 0), x.argmax(-1)

    rows = {row.operation: row for row in _errors(function, _waves(1) / 4)}
    np.testing.assert_array_less(
        rows["scan/0" if "scan/0" in rows else "scan"].own, 1e-6
    )
    assert rows["mul"].kind == "map"
    assert "argmax" not in rows


def test_batches_and_rows_are_chosen_without_changing_any_number():
    model = _Modules()
    variables = jax.jit(model.init)(jax.random.key(0), _NOISE)
    names = ("rotation", "scale")
    whole = equivariance_error(model.apply, variables, _NOISE, transformations=names)
    pieces = equivariance_error(
        model.apply,
        variables,
        _NOISE,
        transformations=("rotation",),
        only=lambda operation: operation.operator,
        batch_size=2,
    )
    assert [row.operation for row in pieces.rows] == ["max_pool"]
    same = _one(whole.of("rotation"), "max_pool")
    for view in ("own", "cumulative"):
        np.testing.assert_allclose(
            getattr(pieces.rows[0], view), getattr(same, view), rtol=1e-10
        )
    layers = [row.path[-1] for row in whole.layers("scale")]
    assert layers == ["Conv_0", "_Modules", "Dense_0"]
    text = json.loads(json.dumps(whole.as_json(), allow_nan=False))
    assert {row["kind"] for row in text["rows"]} == {"map", "invariant"}
    assert text["rows"][0]["cumulative"]["interval"]["n"] == 3
    assert "max_pool" in str(whole) and "centre=(7.5, 7.5)" in whole.spec


class _Modules(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv(3, (3, 3), param_dtype=float)(x)
        return nn.Dense(2, param_dtype=float)(max_pool(x, (2, 2), 2).mean((1, 2)))


@pytest.mark.parametrize("view", ["own", "cumulative"])
def test_one_image_gives_no_interval(view):
    row, *_ = _errors(jnp.tanh, _NOISE[:1])
    interval = row.interval(view)
    assert (interval.low, interval.high, interval.n) == (None, None, 1)


def _untraceable(x):
    return np.tanh(np.asarray(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(images=_NOISE[0]), "examples, height, width"),
        (dict(images=_NOISE * np.inf), "finite"),
        (dict(images=_NOISE.astype(int)), "floating-point"),
        (dict(transformations=("shear",)), "shear"),
        (dict(transformations=()), "got none"),
        (dict(boundary="reflect"), "reflect"),
        (dict(centre=(1,)), "centre"),
        (dict(centre=(1, np.nan)), "centre"),
        (dict(image=1), "image 1"),
        (dict(batch_size=0), "batch_size"),
        (dict(function=_untraceable), "cannot be traced"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, message):
    arguments = {"function": jnp.tanh, "images": _NOISE} | arguments
    function, images = arguments.pop("function"), arguments.pop("images")
    with pytest.raises((TypeError, ValueError), match=message) as raised:
        equivariance_error(function, images, **arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(images=_NOISE[0]), "examples, height, width"),
        (dict(transformation="shear"), "shear"),
        (dict(step=0), "step 0"),
        (dict(predict=lambda x: x), "logits"),
        (
            dict(predict=lambda x: np.random.default_rng().normal(size=(len(x), 2))),
            "dropout",
        ),
    ],
)
def test_bad_input_to_small_steps_is_refused_in_one_line(arguments, message):
    arguments = {"predict": lambda x: x.mean((1, 2)), "images": _NOISE} | arguments
    with pytest.raises((TypeError, ValueError), match=message) as raised:
        invariance_error(**arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "resnet20"])
def test_every_operation_of_a_model_has_its_errors(name):
    with jax.enable_x64(False):
        model = create_model(name)
        images = np.random.default_rng(0).normal(size=(2, *model.image_shape))
        images = images.astype(np.float32)
        variables = jax.jit(model.init)(jax.random.key(0), images)
        found = equivariance_error(
            model.apply, variables, images, transformations=("translation",)
        )
        logits = invariance_error(
            jax.jit(lambda x: model.apply(variables, x)), images, step=3e-4
        ).errors
    for row in found.rows:
        assert row.kind != "unknown"
        for errors in (row.own, row.cumulative):
            assert errors.shape == (2,) and np.isfinite(errors).all()
    np.testing.assert_allclose(found.rows[-1].cumulative, logits, rtol=0.2)


@pytest.mark.slow
@pytest.mark.parametrize(
    # The deepest repeat what shallower ones have.
    "name",
    [name for name in list_models() if not re.search("101|152", name)],
)
def test_every_value_of_every_model_has_a_place(name):
    model = create_model(name)
    images = jax.ShapeDtypeStruct((2, *model.image_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    program = trace(model.apply, variables, images)
    places = places_of(program, len(jax.tree.leaves(variables)))
    assert None not in places.values()
    assert places[program.outputs[0]] == Place(0)


def _without_computing(over, measure):
    shapes = jax.eval_shape(measure, over.leaves)
    return {key: np.zeros(shape.shape) for key, shape in shapes.items()}


@pytest.mark.slow
def test_every_pool_can_be_measured(monkeypatch):
    monkeypatch.setattr(OverImages, "measured", _without_computing)
    images = np.zeros((2, 12, 12, 3), np.float32)
    found = equivariance_error(
        lambda x: [pool(x, (2, 2), 2) for pool in pools.values()], images
    )
    for row, name in zip(found.of("rotation"), pools, strict=True):
        assert row.operation == name
        if name == "fractional_max_pool":
            # Its entries lie at uneven distances.
            assert (row.kind, row.own, row.cumulative) == ("unknown", None, None)
        else:
            assert (row.kind, row.place.stride) == ("map", (2, 2))
            assert row.own.shape == row.cumulative.shape == (2,)


# One of each family, and one with its blocks in a loop.
_FAMILIES = """alexnet all_cnn_c googlenet_bn lenet5_1998 nin_cifar10 resnet110
resnet18_v2 vgg11 zeiler_fergus zfnet""".split()


@pytest.mark.slow
@pytest.mark.parametrize("name", _FAMILIES)
def test_every_family_of_models_can_be_measured(name):
    model = create_model(name)
    images = np.zeros((2, *model.image_shape), np.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OverImages, "measured", _without_computing)
        rows = equivariance_error(model.apply, variables, images).rows
        places = meter(model.apply, variables, images).rows
    assert all(row.own is not None and row.own.shape == (2,) for row in rows)
    assert all(row.above is not None for row in places)
