import numpy as np
import pytest

from cnnlab.reporting import curves
from cnnlab.statistics import mean_interval


def row(epoch, seed, loss, rate=0.1, arm="a", split="train"):
    return {
        "arm": arm,
        "seed": seed,
        "epoch": epoch,
        "split": split,
        "loss": loss,
        "learning_rate": rate,
    }


ARM = {
    "name": "a",
    "learning_rate": 0.1,
    "rates": [{"learning_rate": 0.1}, {"learning_rate": 0.3}],
}


def test_is_the_interval_over_seeds_at_every_epoch():
    losses = np.random.default_rng(0).uniform(size=(3, 4))
    rows = [row(e, s, losses[e, s]) for s in range(4) for e in (2, 0, 1)]
    curve = curves.by_epoch(ARM, rows, "train", "loss")
    wanted = [mean_interval(values) for values in losses]
    assert curve.x.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(curve.mean, [each.mean for each in wanted])
    np.testing.assert_array_equal(curve.low, [each.low for each in wanted])
    np.testing.assert_array_equal(curve.high, [each.high for each in wanted])


def test_an_arm_that_tried_no_rates_has_rows_of_any_under_its_schedule():
    arm = {"name": "a", "learning_rate": 0.1}
    rows = [row(1, 0, 3.0, rate=0.05), row(2, 0, 2.0), row(3, 0, 1.0, rate=0.0)]
    assert curves.by_epoch(arm, rows, "train", "loss").mean.tolist() == [3.0, 2.0, 1.0]


@pytest.mark.parametrize(
    "other",
    [
        row(0, 0, 9.0, rate=0.3),
        row(0, 0, 9.0, arm="b"),
        row(0, 0, 9.0, split="test"),
        row(0, 0, float("nan")),
        row(0, 0, None),
    ],
)
def test_takes_no_row_of_anything_else(other):
    curve = curves.by_epoch(ARM, [row(0, 0, 1.0), other], "train", "loss")
    assert curve.mean.tolist() == [1.0]


def test_the_later_of_two_rows_holds():
    rows = [row(0, 0, 1.0), row(1, 0, 2.0), row(1, 0, 3.0)]
    curve = curves.by_epoch(ARM, rows, "train", "loss")
    assert curve.mean.tolist() == [1.0, 3.0]


def test_rows_of_a_schedule_are_known_by_their_peak():
    rates = {0.1: [0.02, 0.1, 0.01], 0.3: [0.1, 0.3, 0.1]}
    rows = [
        row(epoch, 0, 10 * peak + epoch, rate) | {"peak_rate": peak}
        for peak, schedule in rates.items()
        for epoch, rate in enumerate(schedule)
    ]
    curve = curves.by_epoch(ARM, rows, "train", "loss")
    assert curve.mean.tolist() == [1.0, 2.0, 3.0]


def test_one_seed_has_no_band():
    curve = curves.by_epoch(ARM, [row(0, 0, 1.0), row(1, 0, 2.0)], "train", "loss")
    assert np.isnan(curve.low).all() and np.isnan(curve.high).all()


def test_nothing_recorded_is_no_curve():
    assert curves.by_epoch(ARM, [row(0, 0, 1.0)], "validation", "loss") is None


def test_limits_show_every_mean_and_keep_wide_bands_from_flattening_them():
    mean = np.array([0.5, 0.7, 0.8])
    wide = curves.Curve(np.arange(3), mean, mean - 9, mean + 9)
    low, high = curves.limits([wide])
    assert low < 0.5 and high > 0.8
    assert high - low < 4 * np.ptp(mean)
    narrow = wide._replace(low=mean - 0.01, high=mean + 0.01)
    low, high = curves.limits([narrow, wide._replace(low=mean, high=mean)])
    assert low < 0.49 and high > 0.81


def test_limits_of_one_point_have_a_height():
    absent = np.array([np.nan])
    low, high = curves.limits([curves.Curve(absent, np.array([0.0]), absent, absent)])
    assert low < 0 < high
