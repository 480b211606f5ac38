"""Specs: what a number is called is enough to make it again."""

import dataclasses

import numpy as np
import pytest

from cnnlab.diagnostics import shifts
from cnnlab.diagnostics.specs import spec_of

SPECS = [
    "shift(circular, -3..3, all pairs, per image)",
    "shift(zero, -2..2 x 0..0, with the unshifted, per image)",
    "shift(fourier, -1..1 by 0.25, all pairs, per image)",
    "shift(fourier, 0..0 x -0.3..0.3 by 0.1, with the unshifted, per image)",
    "shift(crop, 0..3, all pairs, per image, canvas=12, crop=8)",
    "shift(crop, 0..3, two draws, per image, canvas=12, crop=8x7, passes=5, seed=1)",
    "shift(embed, 0..2 x 1..3, two draws, per image, canvas=14x16, passes=1, seed=0)",
    "zhang_2019(canvas=12, crop=8, passes=2, batch=3, seed=4)",
    "chaman_2021(max_shift=2, batch=None, passes=3, seed=0)",
    "chaman_2021(max_shift=3, batch=256, passes=1, seed=0)",
    "azulay_2019(motion='embed', canvas=16, steps=3, seed=0)",
    "azulay_2019(motion='crop', canvas=12, crop=8, steps=2, seed=5)",
    "engstrom_2019(attack='grid', pixels=3, degrees=30.0, translations=2, angles=3)",
    "engstrom_2019(attack='worst_of_3', pixels=1, degrees=10, seed=2)",
    "engstrom_2019(attack='random', pixels=3, degrees=30, seed=0)",
    "accuracy(motion='zero', shifts=((0, -2), (1, 0)))",
]


@pytest.mark.parametrize("spec", SPECS)
def test_a_protocol_is_its_spec(spec):
    protocol = shifts.parse(spec)
    assert str(protocol) == spec
    assert shifts.parse(str(protocol)) == protocol
    assert shifts.parse(protocol) is protocol


@pytest.mark.parametrize("spec", SPECS)
def test_the_spec_of_a_result_gives_it_again(spec):
    images = np.random.default_rng(0).normal(size=(12, 12, 12, 1)).astype(np.float32)
    labels = np.arange(12) % 4

    def predict(images):
        weights = np.random.default_rng(1).normal(size=(*images.shape[1:], 4))
        return np.einsum("nhwc,hwck->nk", images, weights)

    first = shifts.measure(predict, images, spec, labels, batch_size=5)
    # In batches of another size, and by what the result calls itself.
    again = shifts.measure(predict, images, first.spec, labels, batch_size=12)
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(again, name), err_msg=name)


def test_a_spec_has_pythons_numbers_whatever_it_was_given():
    spec = shifts.engstrom_2019(degrees=np.float64(30), pixels=np.int64(3))
    assert str(spec) == str(shifts.engstrom_2019(degrees=30.0, pixels=3))
    steps = shifts.Range(*np.float32([-1, 1, 0.25]))
    assert str(steps) == "-1.0..1.0 by 0.25"
    assert spec_of("f", pairs=[(np.int32(1), np.float64(2))]) == "f(pairs=[(1, 2.0)])"


def test_defaults_are_the_published_numbers():
    zhang = shifts.zhang_2019()
    assert zhang.motion == shifts.Motion("crop", (256, 256), (224, 224))
    assert (zhang.rows, zhang.columns) == (shifts.Range(0, 31),) * 2
    assert (zhang.passes, zhang.shared_by) == (5, 8)
    assert "canvas=256, crop=224" in str(zhang)
    chaman = shifts.chaman_2021()
    assert chaman.rows.values() == [-3, -2, -1, 0, 1, 2]
    assert (chaman.motion, chaman.shared_by) == (shifts.Motion("circular"), 256)
    attack = list(shifts.engstrom_2019().transformations(7))
    assert len({tuple(point) for (point,) in attack}) == len(attack) == 775
    np.testing.assert_array_equal(np.max(attack, (0, 1)), [3, 3, 30])
    np.testing.assert_array_equal(np.min(attack, (0, 1)), [-3, -3, -30])
    tries = np.array(
        list(shifts.parse("engstrom_2019(attack='worst_of_10')").transformations(500))
    )
    assert tries.shape == (10, 500, 3)
    assert (np.abs(tries) <= [3, 3, 30]).all()
    # Of 5,000 draws from an even spread, one at least lies in each outermost fiftieth.
    assert (np.abs(tries).max((0, 1)) > 0.98 * np.array([3, 3, 30])).all()


@pytest.mark.parametrize("name", ["zhang_2019(canvas=40, crop=32)", "chaman_2021"])
def test_a_published_protocol_can_be_spelled_out(name):
    protocol = shifts.parse(name)
    assert protocol.spelled_out.startswith("shift(")
    same = dataclasses.replace(protocol, published=None)
    assert shifts.parse(protocol.spelled_out) == same


def test_ranges_hold_both_ends_and_say_zero_where_it_is_meant():
    assert shifts.Range.parse("-3..3").values() == list(range(-3, 4))
    values = shifts.Range.parse("-1..1 by 0.1").values()
    assert values[10] == 0 and len(values) == 21 and values[-1] == 1


def test_every_published_protocol_is_found_by_name():
    names = {"zhang_2019", "chaman_2021", "azulay_2019", "engstrom_2019"}
    assert set(shifts.protocols) == {*names, "accuracy"}


@pytest.mark.parametrize(
    "spec, message",
    [
        ("shift(circular, 3..-3, all pairs, per image)", "3..-3 is empty"),
        ("shift(circular, -3, all pairs, per image)", "malformed range '-3'"),
        ("shift(circular, a..b, all pairs, per image)", "malformed range 'a..b'"),
        ("shift(circular, 0..inf, all pairs, per image)", "malformed range '0..inf'"),
        ("shift(circular, nan..1, all pairs, per image)", "malformed range 'nan..1'"),
        (
            "shift(fourier, 0..1 by 0.3, all pairs, per image)",
            "do not lead from 0 to 1",
        ),
        ("shift(fourier, 0..1 by -1, all pairs, per image)", "step must be above 0"),
        ("shift(circular, 0..0, all pairs, per image)", "need two shifts"),
        ("shift(wave, -3..3, all pairs, per image)", "unknown motion 'wave'"),
        ("shift(circular, -3..3, some pairs, per image)", "unknown pairs 'some pairs'"),
        ("shift(circular, -3..3, all pairs, each)", "write per image, or per batch"),
        ("shift(circular, -3..3, all pairs, per batch of 8)", "draws nothing"),
        ("shift(circular, -3..3, two draws, per batch of 0)", "must be at least 1"),
        ("shift(circular, -3..3, all pairs, per image, seed=1)", "draws nothing"),
        ("shift(circular, -3..3)", "malformed spec"),
        ("shift(circular, -3..3, all pairs, per image, x=1)", "malformed option 'x=1'"),
        ("shift(crop, 0..3, all pairs, per image, crop=8)", "needs canvas="),
        ("shift(zero, 0..3, all pairs, per image, canvas=8)", "takes no canvas="),
        ("shift(crop, 0..3, all pairs, per image, canvas=a, crop=8)", "cannot be 'a'"),
        (
            "shift(crop, 0..1, all pairs, per image, canvas=8, crop=9)",
            "crop 9 does not fit canvas 8",
        ),
        ("zhang_2019(canvas=8, crop=8)", "canvas at least 2 larger than the crop"),
        ("zhang_2019(canvas=9, crop=8)", "canvas at least 2 larger than the crop"),
        ("shift(circular, 0..0, two draws, per image)", "0..0 need two shifts"),
        ("zhang_2019(crops=8)", "no option 'crops'"),
        ("chaman_2021(max_shift=0)", "max_shift 0 must be at least 1"),
        ("azulay_2019(motion='zero')", "unknown motion 'zero'"),
        ("azulay_2019(motion='crop')", "needs crop="),
        ("azulay_2019(steps=-1)", "steps -1 must be at least 1"),
        ("engstrom_2019(attack='worst')", "unknown attack 'worst'"),
        ("engstrom_2019(degrees=-30)", "degrees -30 must be at least 0"),
        ("chaman_2021(seed=-1)", "seed -1 must be at least 0"),
        ("hinton_2012", "unknown protocol 'hinton_2012'"),
    ],
)
def test_a_spec_that_says_nothing_is_refused_in_one_line(spec, message):
    with pytest.raises(ValueError) as refused:
        shifts.parse(spec)
    assert message in str(refused.value) and "\n" not in str(refused.value)
