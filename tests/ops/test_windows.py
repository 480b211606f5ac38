"""Window geometry, checked against counting and against NumPy."""

import functools
import itertools

import jax.numpy as jnp
import numpy as np
import pytest
import references

from cnnlab.ops import windows

SIZES = list(itertools.product((1, 4, 7), (1, 2, 3, 5), (1, 2, 4), (1, 2)))


def _starts(size, padding, extent, stride):
    """Where windows start that fit into the padded axis, by trying every place."""
    low, high = padding
    places = range(-low, size + high)
    return [p for p in places if (p + low) % stride == 0 and p + extent <= size + high]


@pytest.mark.parametrize("padding", ["VALID", "SAME", "FULL", 2, [(0, 3)]])
def test_output_has_one_entry_for_every_window_that_fits(padding):
    for size, window, stride, dilation in SIZES:
        extent = (window - 1) * dilation + 1
        (pair,) = references.padding_pairs(padding, (size,), (extent,), (stride,))
        starts = _starts(size, pair, extent, stride)
        call = functools.partial(
            windows.geometry, (size,), window, stride, padding, dilation=dilation
        )
        if starts:
            assert call().padding == (pair,)
            assert call().output_shape == (len(starts),)
        else:
            with pytest.raises(ValueError, match="exceeds the padded map"):
                call()


def test_same_gives_the_rounded_up_quotient_and_pads_as_little_as_it_can():
    for size, window, stride, dilation in SIZES:
        got = windows.geometry((size,), (window,), stride, "SAME", dilation=dilation)
        ((low, high),) = got.padding
        assert got.output_shape == (-(-size // stride),)
        assert high - low in (0, 1)
        if low + high:
            extent = (window - 1) * dilation + 1
            less = (low, high - 1)
            assert len(_starts(size, less, extent, stride)) < -(-size // stride)


def test_full_covers_every_window_that_touches_the_map():
    got = windows.geometry((5,), (3,), 1, "FULL")
    touching = [start for start in range(-9, 9) if -3 < start < 5]
    assert got.output_shape == (len(touching),)


@pytest.mark.parametrize("boundary", windows.BOUNDARIES)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_padding_holds_what_the_boundary_says(boundary, size):
    # Wider than the map itself, so that it repeats.
    x = np.arange(1.0, size + 1)
    padded = windows.pad(jnp.asarray(x)[:, None], [(7, 6)], boundary, fill=-1)[:, 0]
    sources = [references.source(p, size, boundary) for p in range(-7, size + 6)]
    np.testing.assert_array_equal(padded, [-1 if s is None else x[s] for s in sources])


def test_padding_touches_spatial_axes_alone():
    x = jnp.ones((2, 3, 4, 5, 6))
    padded = windows.pad(x, [(1, 2), (3, 4)], "zero", 0)
    assert padded.shape == (2, 3, 7, 12, 6)
    assert windows.pad(x, [(0, 0), (0, 0)], "zero", 0) is x


def test_taps_are_row_major_and_know_what_is_real():
    x = jnp.arange(1, 13).reshape(3, 4, 1)
    window = windows.geometry((3, 4), (2, 3), (2, 2), ((1, 0), (0, 1)), dilation=(2, 1))
    taps = windows.taps(x, window, fill=0)
    padded = np.pad(np.arange(1, 13).reshape(3, 4), ((1, 0), (0, 1)))
    assert len(taps) == 6 and window.output_shape == (1, 2)
    expected = [padded[r, c : c + 3 : 2] for r in (0, 2) for c in range(3)]
    for tap, real, wanted in zip(taps, taps.real, expected, strict=True):
        np.testing.assert_array_equal(tap[0, :, 0], wanted)
        np.testing.assert_array_equal(real[0, :, 0], wanted > 0)


@pytest.mark.parametrize(("padding", "boundary"), [(0, "zero"), (1, "edge")])
def test_taps_without_padding_are_all_real(padding, boundary):
    window = windows.geometry((3,), (2,), 1, padding, boundary)
    assert windows.taps(jnp.ones((3, 1)), window, 0).real is None


def test_geometry_reads_as_a_call():
    window = windows.geometry((8, 8), (3, 2), 2, 1)
    plain = "window_shape=(3, 2), strides=(2, 2), padding=((1, 1), (1, 1)), "
    assert str(window) == plain + "boundary='zero'"
    dilated = windows.geometry((8, 8), (3, 2), 2, 1, "edge", dilation=2)
    assert str(dilated) == plain + "boundary='edge', dilation=(2, 2)"


def test_equal_geometries_are_one_key():
    one = windows.geometry((8, 8), 3, 2, 1)
    other = windows.geometry([8, 8], [3, 3], [2, 2], [[1, 1], [1, 1]])
    assert one == other and hash(one) == hash(other)
