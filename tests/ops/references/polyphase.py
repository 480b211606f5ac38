"""Shift-exact subsampling, candidate by candidate in integers of any size."""

import functools
import itertools
import math
import struct

import numpy as np

from references.loops import each, map_reference, output_shape, padding_pairs, pool

_WORD = 1 << 32


@map_reference
def adaptive_polyphase(
    x,
    window_shape,
    strides=1,
    padding="VALID",
    boundary="circular",
    pool="max_pool",
    p=2,
):
    path = window_shape, strides, padding
    dense = dense_map(x, window_shape, pool)
    bits = (32 - math.ceil(math.log2(x.shape[-1]))) // p
    return _subsampled(x, dense, path, lambda dense: norms(dense, p, bits))


@map_reference
def learned_polyphase(
    x,
    window_shape,
    strides=1,
    padding="VALID",
    boundary="circular",
    pool="max_pool",
    temperature=1.0,
    kernel=None,
    readout=None,
):
    rank = 2 if isinstance(window_shape, int) else len(window_shape)
    channels = x.shape[-1]
    if kernel is None:
        kernel = np.random.default_rng(0).normal(size=(*(3,) * rank, channels, 8))
        kernel = kernel * math.sqrt(2 / (3**rank * channels))
    if readout is None:
        readout = np.random.default_rng(1).normal(size=8) * math.sqrt(1 / 8)
    path = window_shape, strides, padding
    dense = dense_map(x, window_shape, pool)
    return _subsampled(
        x,
        dense,
        path,
        lambda dense: scores(dense, kernel, readout, each(strides, rank)),
    )


def scores(image, kernel, readout, strides):
    """The integer that each place adds to a logit."""
    *spatial, channels = image.shape
    bits = min(7, (24 - math.ceil(math.log2(channels))) // 2)
    drop = max(2 * bits + math.ceil(math.log2(3 ** len(spatial) * channels)) - 20, 0)
    image, kernel = _rounded(image, bits), _rounded(kernel, bits)
    readout = _rounded(readout, 7)

    def score(place):
        hidden = np.zeros(len(readout), object)
        for tap in itertools.product(range(3), repeat=len(spatial)):
            there = tuple(
                (i + (t - 1) * s) % n
                for i, t, s, n in zip(place, tap, strides, spatial, strict=True)
            )
            hidden += image[there] @ kernel[tap]
        return sum(
            (max(h, 0) >> drop) * r for h, r in zip(hidden, readout, strict=True)
        )

    return {place: score(place) for place in itertools.product(*map(range, spatial))}


def _rounded(values, bits):
    """The values as integers of so many bits and a sign, towards 0."""
    values = np.asarray(values, np.float32).astype(np.float64)
    exponent = max(math.frexp(np.abs(values).max(initial=0))[1], -125)
    return np.trunc(np.ldexp(values, bits - exponent)).astype(int).astype(object)


def _subsampled(x, dense, path, energies):
    """The samples of `dense` at the offset of the largest energy, image by image."""
    window_shape, strides, padding = path
    rank = 2 if isinstance(window_shape, int) else len(window_shape)
    batch, spatial = x.shape[: x.ndim - rank - 1], x.shape[x.ndim - rank - 1 : -1]
    window_shape, strides = each(window_shape, rank), each(strides, rank)
    pairs = padding_pairs(padding, spatial, window_shape, strides)
    output = output_shape(spatial, window_shape, strides, pairs)
    images, denses = (m.reshape(-1, *spatial, x.shape[-1]) for m in (x, dense))
    out = np.zeros((len(images), *output, x.shape[-1]))
    for image, full, kept in zip(images, denses, out, strict=True):
        offset = best_offset(image, energies(full), strides, output)
        for corner in itertools.product(*map(range, output)):
            kept[corner] = full[_sample(offset, corner, strides, spatial)]
    return out.reshape(*batch, *output, x.shape[-1])


def dense_map(x, window_shape, name):
    """The pool at every place of the torus."""
    if name is None:
        return np.asarray(x)
    rank = 2 if isinstance(window_shape, int) else len(window_shape)
    margins = tuple((0, size - 1) for size in each(window_shape, rank))
    return pool(name, x, window_shape, 1, margins, "circular")


def norms(image, p, bits):
    """The integer that each place adds to a norm: sum |x|^p in fixed point."""
    finite = np.abs(image[np.isfinite(image)])
    largest = 2.0**128 if np.isinf(image).any() else finite.max(initial=0)
    exponent = max(math.frexp(largest)[1], -125)

    def share(value):
        if np.isnan(image).any():
            return (1 << bits) - 1 if math.isnan(value) else 0
        value = 2.0**128 if math.isinf(value) else abs(value)
        return math.floor(math.ldexp(value, bits - exponent))

    return {
        place: sum(share(value) ** p for value in image[place])
        for place in itertools.product(*map(range, image.shape[:-1]))
    }


def best_offset(image, energy, strides, output):
    """The candidate of the largest energy; of equal ones, of the largest hashes."""
    spatial = image.shape[:-1]
    divides = [
        n * s == size for n, s, size in zip(output, strides, spatial, strict=True)
    ]
    candidates = [
        range(s if exact else size)
        for exact, s, size in zip(divides, strides, spatial, strict=True)
    ]
    repeats = [
        range(n if exact else 1) for exact, n in zip(divides, output, strict=True)
    ]
    hashes = [torus_hash(image, stream) for stream in range(2)]

    def key(offset):
        total = sum(
            energy[_sample(offset, corner, strides, spatial)]
            for corner in itertools.product(*map(range, output))
        )
        views = [
            _sample(offset, corner, strides, spatial)
            for corner in itertools.product(*repeats)
        ]
        return total, *(max(map(look, views)) for look in hashes)

    return max(itertools.product(*candidates), key=key)


def _sample(offset, corner, strides, spatial):
    return tuple(
        (o + i * s) % n
        for o, i, s, n in zip(offset, corner, strides, spatial, strict=True)
    )


def torus_hash(image, stream):
    """place -> the hash of the torus as seen from there, by its definition."""
    multiplier, start = ((0x9E3779B1, 0x6A09E667), (0x85EBCA77, 0xBB67AE85))[stream]
    spatial = image.shape[:-1]
    doublings = [math.ceil(math.log2(size)) for size in spatial]

    @functools.cache
    def stretch(place, axis, times):
        """Of 2^times places along `axis`, and all around along the axes before."""
        if times == 0 and axis == 0:
            return (
                sum(
                    _channel(value, (channel * multiplier + start) % _WORD)
                    for channel, value in enumerate(image[place])
                )
                % _WORD
            )
        if times == 0:
            return stretch(place, axis - 1, doublings[axis - 1])
        further = list(place)
        further[axis] = (place[axis] + 2 ** (times - 1)) % spatial[axis]
        near, far = (stretch(p, axis, times - 1) for p in (place, tuple(further)))
        return _scatter((_scatter(near) * multiplier + far + start) % _WORD)

    return lambda place: stretch(place, len(spatial) - 1, doublings[-1])


def _channel(value, salt):
    h = _scatter(salt)
    if math.isnan(value):
        return _scatter(h ^ (_WORD - 1))
    return _scatter(h ^ struct.unpack("<I", struct.pack("<f", value + 0.0))[0])


def _scatter(h):
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) % _WORD
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) % _WORD
    return h ^ (h >> 16)
