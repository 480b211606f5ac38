"""The aliasing meter: waves of known frequencies, noise, and every way to thin maps."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnlab.diagnostics.aliasing import meter
from cnnlab.models import create_model, sites
from cnnlab.ops import convolution, pools

N = 16
_NOISE = np.random.default_rng(0).normal(size=(4, N, N, 3)).astype(np.float32)
_KERNEL = jnp.asarray(np.random.default_rng(1).normal(size=(3, 3, 3, 2)), jnp.float32)


def _wave(down, across, size=N):
    """One cosine of so many cycles along each axis, about a mean of 3."""
    places = 2 * np.pi * np.arange(size) / size
    turns = np.add.outer(down * places, across * places) + 0.3
    return (3 + np.cos(turns))[None, :, :, None].astype(np.float32)


def _thinned(x):
    return x[:, ::2, ::2]


def _shares(function, images, **options):
    (row,) = meter(function, images, **options).rows
    return row.above, row.folded


@pytest.mark.parametrize(
    ("down", "across", "share"),
    [(3, 3, 0), (0, 3, 0), (0, 4, 1), (5, 0, 1), (3, 7, 1), (0, 8, 1)],
)
def test_a_wave_is_held_below_the_new_nyquist_frequency_and_folded_above(
    down, across, share
):
    # Of 16 samples every other one: fewer than 4 cycles can be held. 8 cycles fold onto
    # the mean.
    for found in _shares(_thinned, _wave(down, across)):
        np.testing.assert_allclose(found, [share], atol=1e-6)


def test_waves_on_either_side_share_their_energy():
    images = _wave(0, 3) + 2 * _wave(1, 6)
    for found in _shares(_thinned, images):
        np.testing.assert_allclose(found, [4 / 5], rtol=1e-5)
    # A stride down alone folds nothing across.
    for found in _shares(lambda x: x[:, ::2], images):
        np.testing.assert_allclose(found, [0], atol=1e-6)


@pytest.mark.parametrize("boundary", ["circular", "mirror"])
@pytest.mark.parametrize("stride", [2, 3])
def test_noise_has_all_above_but_one_in_so_many(boundary, stride):
    noise = np.random.default_rng(2).normal(size=(8, 60, 60, 4)).astype(np.float32)
    for found in _shares(lambda x: x[:, ::stride, ::stride], noise, boundary=boundary):
        assert found.mean() == pytest.approx(1 - 1 / stride**2, abs=0.03)


def test_a_ramp_is_slow_unless_its_ends_meet():
    ramp = np.broadcast_to(np.arange(N, dtype=np.float32)[:, None], (1, N, N, 1))
    around, mirrored = (
        _shares(_thinned, ramp.copy(), boundary=boundary)[0]
        for boundary in ("circular", "mirror")
    )
    assert mirrored < 0.01 < 0.1 < around


def _check(row, dense, samples):
    """The row's shares, by the Fourier transform of a dense map written out.

    The samples are at the offset of every image at which the map has them.
    """
    dense = np.asarray(dense, np.float64)
    dense = dense - dense.mean((1, 2), keepdims=True)
    spectrum = np.fft.fft2(dense, axes=(1, 2))
    for axis in (1, 2):
        fast = np.abs(np.fft.fftfreq(dense.shape[axis])) >= 1 / 4
        spectrum[(slice(None),) * axis + (fast,)] = 0
    slow = np.fft.ifft2(spectrum, axes=(1, 2)).real
    axes = (1, 2, 3)
    above = ((dense - slow) ** 2).sum(axes) / (dense**2).sum(axes)
    np.testing.assert_allclose(row.above, above, rtol=1e-4)
    offsets = [(0, 0)]
    if dense.shape[1:3] == (N, N):
        offsets += [(0, 1), (1, 0), (1, 1)]
    for i, image in enumerate(np.asarray(samples)):
        misses = [_deviation(image - dense[i, y::2, x::2]) for y, x in offsets]
        assert min(misses) < 1e-4
        y, x = offsets[int(np.argmin(misses))]
        kept = slow[i, y::2, x::2]
        aliases = ((dense[i, y::2, x::2] - kept) ** 2).sum()
        folded = aliases / (aliases + (kept**2).sum())
        np.testing.assert_allclose(row.folded[i], folded, rtol=1e-3)


def _deviation(x):
    """By how much the entries of each channel differ from one another."""
    return np.ptp(x, axis=(0, 1)).max()


def test_each_way_to_thin_is_measured_on_its_dense_map():
    names = ("NHWC", "HWIO", "NHWC")

    def function(x):
        return (
            pools["max_pool"](x, (2, 2), 2),
            lax.reduce_window(
                x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
            ),
            convolution.conv(x, _KERNEL, 2, boundary="circular"),
            convolution.conv(x, _KERNEL, 2),
            lax.conv_general_dilated(
                x, _KERNEL, (2, 2), "SAME", dimension_numbers=names
            ),
        )

    rows = meter(function, _NOISE).rows
    x = jnp.asarray(_NOISE)
    largest = _largest(x)
    circular = convolution.conv(x, _KERNEL, boundary="circular", padding=_CENTRED)
    # What is padded by zeros has as many entries as windows.
    bordered = convolution.conv(x, _KERNEL, padding=((0, 1), (0, 1)))
    maps = (largest, largest, circular, bordered, bordered)
    for row, dense, samples in zip(rows, maps, function(x), strict=True):
        _check(row, dense, samples)
        assert row.strides == (2, 2) and row.input_shape == (N, N, 3)


# SAME padding at stride 2 on an even size begins at the first entry.
_CENTRED = ((0, 2), (0, 2))


def _largest(x):
    """The maxima of all 2x2 windows of a torus."""
    around = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="wrap")
    return pools["max_pool"](around, (2, 2), 1)


@pytest.mark.parametrize(
    "pool", [None, pytest.param("max_pool", marks=pytest.mark.slow)]
)
def test_what_chooses_its_samples_is_measured_where_it_chose(pool):
    def function(x):
        return pools["adaptive_polyphase"](x, (2, 2), 2, pool=pool)

    x = jnp.asarray(_NOISE)
    (row,) = meter(function, _NOISE).rows
    _check(row, _largest(x) if pool else x, function(x))


def test_a_blur_leaves_less_to_fold():
    def function(x):
        return (
            _thinned(x),
            pools["blur_pool"](x, (3, 3), 2, "SAME", boundary="circular"),
            pools["max_pool"](x, (2, 2), 2),
            pools["max_blur_pool"](x, (2, 2), 2),
        )

    stride, blur, largest, blurred = meter(function, _NOISE).rows
    for share in ("above", "folded"):
        assert (getattr(blur, share) < getattr(stride, share)).all()
        assert (getattr(blurred, share) < getattr(largest, share)).all()


def test_what_samples_no_dense_map_is_listed_without_shares():
    found = meter(
        lambda x: (pools["spectral_pool"](x, (2, 2), 2), x[..., ::2], x[:1], x),
        _NOISE,
    )
    (row,) = found.rows
    assert (row.operation, row.above, row.folded) == ("spectral_pool", None, None)
    assert row.interval("above") is None
    assert "spectral_pool" in str(found)
    json.dumps(found.as_json(), allow_nan=False)


def test_a_constant_map_has_nothing_to_fold():
    for found in _shares(_thinned, np.ones((2, N, N, 1), np.float32)):
        np.testing.assert_array_equal(found, [0, 0])


def test_a_model_is_measured_at_all_its_sites():
    model = create_model("lenet5")
    images = np.random.default_rng(3).normal(size=(3, 28, 28, 1)).astype(np.float32)
    variables = jax.jit(model.init)(jax.random.key(0), images)
    found = meter(model.apply, variables, images, batch_size=2)
    assert [row.path for row in found.rows] == [site.path for site in sites(model)]
    assert [row.stride for row in found.rows] == [(1, 1), (2, 2)]
    text = json.loads(json.dumps(found.as_json(), allow_nan=False))
    for row in text["rows"]:
        assert len(row["folded"]["shares"]) == 3
        assert 0 <= row["above"]["interval"]["mean"] <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(images=_NOISE[0]), "examples, height, width"),
        (dict(images=_NOISE * np.nan), "finite"),
        (dict(boundary="zero"), "zero"),
        (dict(function=lambda x: np.asarray(x)[:, ::2]), "cannot be traced"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, message):
    arguments = {"function": _thinned, "images": _NOISE} | arguments
    function, images = arguments.pop("function"), arguments.pop("images")
    with pytest.raises((TypeError, ValueError), match=message) as raised:
        meter(function, images, **arguments)
    assert "\n" not in str(raised.value)
