"""Every number has a spec, and the spec gives the number again."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.diagnostics import shifts
from cnnlab.diagnostics.aliasing import meter
from cnnlab.diagnostics.error_budget import error_budget
from cnnlab.diagnostics.measuring import MEASURES, measure
from cnnlab.diagnostics.surgery import sampling_effects
from cnnlab.diagnostics.tomography import equivariance_error, invariance_error

IMAGES = np.random.default_rng(0).normal(size=(4, 8, 8, 2)).astype(np.float32)
LABELS = np.arange(4) % 3
WEIGHTS = np.random.default_rng(1).normal(size=(8, 8, 2, 3)).astype(np.float32)


def predict(images):
    return np.einsum("nhwc,hwck->nk", images, WEIGHTS)


def halves(images):
    return images[:, ::2, ::2] ** 2


def head(maps):
    return np.einsum("nhwc,hwck->nk", maps, WEIGHTS[:4, :4])


def thinned(scale, images):
    return jnp.tanh(scale * images)[:, ::2, ::2]


def pooled(scale, images):
    return thinned(scale, images).sum((1, 2))


def images_first(images, scale):
    return thinned(scale, images)


# A result of every measure at options that are not its defaults, and what of.
MADE = {
    "consistency": (
        lambda *of: shifts.consistency(
            of[0], of[1], "shift(zero, -1..1, two draws, per image, passes=2)", of[2]
        ),
        (predict, IMAGES, LABELS),
    ),
    "grid": (
        lambda *of: shifts.grid(
            *of, "shift(zero, 0..1 x -1..1, all pairs, per image)", probabilities=True
        ),
        (predict, IMAGES),
    ),
    "consistency of a grid with labels": (
        lambda *of: (
            shifts.grid(
                of[0], of[1], "shift(circular, 0..1, all pairs, per image)", of[2]
            ).consistency
        ),
        (predict, IMAGES, LABELS),
    ),
    "accuracy_under_shifts": (
        lambda *of: shifts.accuracy_under_shifts(
            *of, [(0, -1), (2, 0.5)], motion="fourier"
        ),
        (predict, IMAGES, LABELS),
    ),
    "azulay_2019": (
        lambda *of: shifts.azulay_2019(canvas=11, steps=2, seed=3).measure(*of),
        (lambda images: predict(images[:, :8, :8]), IMAGES, LABELS),
    ),
    "engstrom_2019": (
        lambda *of: shifts.engstrom_2019(attack="worst_of_2", pixels=1).measure(*of),
        (predict, IMAGES, LABELS),
    ),
    "error_budget": (
        lambda *of: error_budget(*of, stride=2, multiples=(0, 1), outputs="logits"),
        (predict, IMAGES),
    ),
    "error_budget of halves": (
        lambda *of: error_budget(*of, stride=(2, 2)),
        ((halves, head), IMAGES),
    ),
    "invariance_error": (
        lambda *of: invariance_error(*of, "rotation", boundary="edge", step=0.1),
        (predict, IMAGES),
    ),
    "equivariance_error": (
        lambda *of: equivariance_error(
            *of,
            transformations=("scale", "translation_x"),
            boundary="edge",
            centre=(1, 2.5),
        ),
        (thinned, np.float32(0.3), IMAGES),
    ),
    "equivariance_error of the first argument": (
        lambda *of: equivariance_error(*of, image=0),
        (images_first, IMAGES, np.float32(0.3)),
    ),
    "aliasing": (
        lambda *of: meter(*of, boundary="mirror"),
        (thinned, np.float32(0.3), IMAGES),
    ),
    "sampling_effects": (
        lambda *of: sampling_effects(
            *of,
            shift="shift(circular, 0..1, all pairs, per image)",
            permutations=4,
            seed=2,
        ),
        (pooled, np.float32(0.3), IMAGES),
    ),
    "aliasing of the first argument": (
        lambda *of: meter(*of, image=-2),
        (images_first, IMAGES, np.float32(0.3)),
    ),
}


def numbers(found):
    """Every number of a result, by where it stands."""
    if dataclasses.is_dataclass(found):
        for field in dataclasses.fields(found):
            for name, value in numbers(getattr(found, field.name)):
                yield f"{field.name} {name}", value
    elif isinstance(found, tuple):
        for place, each in enumerate(found):
            for name, value in numbers(each):
                yield f"{place} {name}", value
    elif isinstance(found, np.ndarray):
        yield "", found


@pytest.mark.parametrize("name", MADE)
def test_a_result_is_measured_again_by_its_spec(name):
    make, (function, *args) = MADE[name]
    found = make(function, *args)
    again = measure(found.spec, function, *args)
    assert type(again) is type(found) and again.spec == found.spec
    first, second = dict(numbers(found)), dict(numbers(again))
    assert first and first.keys() == second.keys()
    for place in first:
        np.testing.assert_array_equal(first[place], second[place], err_msg=place)


def test_no_measure_is_left_out():
    made = {name.split(" ")[0] for name in MADE}
    assert made >= set(MEASURES)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tomography", "unknown measure 'tomography'; choose from accuracy, aliasing"),
        ("aliasing(border='mirror')", "aliasing has no option 'border'; its options"),
        ("aliasing(boundary=mirror)", "malformed spec"),
        ("aliasing(boundary='zero')", "boundary 'zero' must be one of"),
        ("shift(circular, 3..-3, all pairs, per image)", "3..-3 is empty"),
        ("accuracy(shifts=())", "shifts are none; give one"),
        ("accuracy(shifts=((0, 1),), motion='crop')", "unknown motion 'crop'"),
    ],
)
def test_a_spec_that_measures_nothing_is_refused_in_one_line(spec, message):
    with pytest.raises(ValueError) as refused:
        measure(spec, predict, IMAGES, LABELS)
    assert message in str(refused.value) and "\n" not in str(refused.value)
