"""What cannot be measured is refused in one line, before the long work."""

import numpy as np
import pytest

from cnnlab.diagnostics import shifts

IMAGES = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype(np.float32)
LABELS = np.arange(6) % 3
SPEC = "shift(circular, -1..1, all pairs, per image)"
EVERY = [SPEC, "azulay_2019(canvas=10)", "engstrom_2019(attack='random', pixels=1)"]


def predict(images):
    return images.sum((1, 3))[:, 2:5]


def refusal(kind, *arguments):
    with pytest.raises(kind) as refused:
        shifts.measure(*arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("spec", EVERY)
@pytest.mark.parametrize(
    "images, message",
    [
        (IMAGES[0], "got shape (8, 8, 1)"),
        (IMAGES[:0], "none of them 0, got shape (0, 8, 8, 1)"),
        (IMAGES.transpose(0, 3, 1, 2), "(6, 1, 8, 8) look as if channels came first"),
        (
            np.where(np.arange(6)[:, None, None, None] == 4, np.nan, IMAGES),
            "image 4 is",
        ),
        (
            np.where(np.arange(6)[:, None, None, None] == 2, np.inf, IMAGES),
            "image 2 is",
        ),
    ],
)
def test_images(spec, images, message):
    assert message in refusal(ValueError, predict, images, spec, LABELS)


def test_lists_are_no_images():
    assert "got list" in refusal(TypeError, predict, IMAGES.tolist(), SPEC)


@pytest.mark.parametrize("spec", EVERY)
@pytest.mark.parametrize(
    "labels, message",
    [
        (LABELS[:5], "labels must be 6 integers"),
        (LABELS[:, None], "labels must be 6 integers"),
        (LABELS.astype(float), "got float64"),
        (LABELS + 1, "labels must be 0 to 2, as predict gives 3 classes, got 3"),
        (LABELS - 1, "got -1"),
    ],
)
def test_labels(spec, labels, message):
    assert message in refusal(ValueError, predict, IMAGES, spec, labels)


@pytest.mark.parametrize("spec", EVERY)
@pytest.mark.parametrize(
    "function, message",
    [
        (lambda images: predict(images)[0], "must give logits [6, classes]"),
        (lambda images: predict(images).argmax(-1), "got shape (6,)"),
        (lambda images: predict(images)[:5], "got shape (5, 3)"),
        (lambda images: predict(images)[:, None], "got shape (6, 1, 3)"),
        (lambda images: predict(images) * np.nan, "not numbers (NaN)"),
    ],
)
def test_what_predict_gives(spec, function, message):
    assert message in refusal(ValueError, function, IMAGES, spec, LABELS)


@pytest.mark.parametrize("spec", EVERY)
def test_dropout_left_on(spec):
    generator = np.random.default_rng(0)

    def dropping(images):
        return predict(images) * generator.integers(0, 2, (len(images), 3)) * 2

    message = refusal(ValueError, dropping, IMAGES, spec, LABELS)
    assert "changes between calls" in message and "is dropout left on?" in message


@pytest.mark.parametrize("spec", EVERY)
def test_statistics_of_the_batch(spec):
    def normalised(images):
        logits = predict(images)
        return (logits - logits.mean(0)) / logits.std(0)

    message = refusal(ValueError, normalised, IMAGES, spec, LABELS)
    assert "changes with the other images of a batch, by up to " in message
    assert "is BatchNorm in training mode?" in message


def test_rounding_between_calls_is_no_change():
    calls = iter(range(1000))

    def rounding(images):
        return predict(images) * (1 + 1e-6 * next(calls))

    shifts.consistency(rounding, IMAGES, SPEC)


def test_impossible_classes_may_have_infinite_logits():
    def masked(images):
        return np.where([True, False, True], predict(images), -np.inf)

    got = shifts.grid(masked, IMAGES, SPEC, probabilities=True)
    assert np.isfinite(got.probabilities).all()


def test_classes_that_come_and_go():
    calls = iter(range(1000))

    def growing(images):
        return images.sum((1, 3))[:, : 3 + (next(calls) > 4)]

    message = refusal(ValueError, growing, IMAGES, SPEC)
    assert "predict gave 4 classes, and 3 in another call" in message


@pytest.mark.parametrize(
    "spec, message",
    [
        ("shift(circular, -8..8, all pairs, per image)", "8x8 go from -7 to 7 in dy"),
        ("shift(zero, 0..1 x -8..7, all pairs, per image)", "-7 to 7 in dx, got -8"),
        ("shift(fourier, 0..7.5 by 0.5, all pairs, per image)", "got 7.5"),
        ("shift(circular, 0..1 by 0.5, all pairs, per image)", "whole pixels"),
        (
            "shift(crop, 0..3, all pairs, per image, canvas=8, crop=6)",
            "go from 0 to 2 in dy, got 3",
        ),
        (
            "shift(crop, -1..2, all pairs, per image, canvas=8, crop=6)",
            "go from 0 to 2 in dy, got -1",
        ),
        ("zhang_2019", "crops of a canvas 256 need images of that size, got 8x8"),
        (
            "shift(embed, 0..1, all pairs, per image, canvas=7)",
            "images of 8x8 do not fit canvas 7",
        ),
        ("azulay_2019(canvas=10, steps=3)", "go from 0 to 2 in dy, got 3"),
        ("engstrom_2019(pixels=8)", "by 8 pixels, out of sight"),
        ("chaman_2021(max_shift=8)", "got -8"),
    ],
)
def test_shifts_that_do_not_fit_the_images(spec, message):
    assert message in refusal(ValueError, predict, IMAGES, spec, LABELS)


def test_refused_before_predict_is_asked():
    def never(images):
        raise AssertionError

    refusal(ValueError, never, IMAGES, "shift(circular, -8..8, all pairs, per image)")
    refusal(ValueError, never, IMAGES, "engstrom_2019", None)
    assert "needs labels" in refusal(ValueError, never, IMAGES, "engstrom_2019")


def test_arguments_that_are_something_else():
    with pytest.raises(ValueError, match="batch_size 0 must be at least 1"):
        shifts.consistency(predict, IMAGES, SPEC, batch_size=0)
    with pytest.raises(ValueError, match="measure\\(\\) takes it"):
        shifts.consistency(predict, IMAGES, "engstrom_2019")
    with pytest.raises(TypeError, match="a protocol is a spec"):
        shifts.measure(predict, IMAGES, 3)
    with pytest.raises(ValueError, match="unknown norm 'l7'"):
        shifts.grid(predict, IMAGES, SPEC).flip_radius("l7")
    with pytest.raises(ValueError, match="without labels"):
        _ = shifts.grid(predict, IMAGES, SPEC).accuracy


@pytest.mark.parametrize(
    "spec",
    [
        "zhang_2019(canvas=8, crop=5)",
        "shift(circular, 0..1, all pairs, per image)",
        *EVERY,
    ],
)
def test_a_predict_that_works_in_place_changes_no_image(spec):
    def in_place(images):
        # A number for each image and part, from which the batch is of no matter.
        images -= images.min((1, 2, 3), keepdims=True)
        return images.reshape(len(images), -1)[:, :3].copy()

    images = IMAGES.copy()
    found = shifts.measure(in_place, images, spec, LABELS)
    np.testing.assert_array_equal(images, IMAGES)
    wanted = shifts.measure(lambda x: in_place(x.copy()), images, spec, LABELS)
    for name, value in vars(found).items():
        np.testing.assert_array_equal(value, getattr(wanted, name), err_msg=name)
