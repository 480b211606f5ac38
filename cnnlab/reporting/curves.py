"""Learning curves: rows of metrics.jsonl as a mean and a band at every epoch."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cnnlab.statistics import mean_interval


class Curve(NamedTuple):
    """Means over seeds; `low` and `high` are NaN where one seed was recorded."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def by_epoch(
    arm: Mapping, metrics: Sequence[Mapping], split: str, quantity: str
) -> Curve | None:
    """The arm's curve; None where nothing was recorded.

    Of an arm that tried several rates it is that of the rate it chose. Where an epoch
    was recorded twice, as after a resumption, the later row holds.
    """
    # Rows have the rate of their step; those of one rate among several, its peak.
    chosen = arm.get("learning_rate") if arm.get("rates") else None
    recorded = {
        (row["epoch"], row["seed"]): row[quantity]
        for row in metrics
        if row["arm"] == arm["name"]
        and row["split"] == split
        and _is_chosen(row, chosen)
        and row[quantity] is not None
        and math.isfinite(row[quantity])
    }
    epochs = defaultdict(list)
    for (epoch, _), value in sorted(recorded.items()):
        epochs[epoch].append(value)
    if not epochs:
        return None
    intervals = [mean_interval(values) for values in epochs.values()]
    low = [math.nan if each.low is None else each.low for each in intervals]
    high = [math.nan if each.high is None else each.high for each in intervals]
    mean = [each.mean for each in intervals]
    return Curve(*map(np.asarray, (list(epochs), mean, low, high)))


def limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """An axis' range that shows all means, and the bands as far as they leave them
    legible: Student's band of two seeds can be many times as high as the curves."""
    means = np.concatenate([curve.mean for curve in curves])
    bands = np.concatenate([np.append(curve.low, curve.high) for curve in curves])
    bands = bands[np.isfinite(bands)]
    height = np.ptp(means) or max(abs(means[0]) * 0.1, 1e-3)
    everything = np.append(means, bands)
    low = max(everything.min(), means.min() - height / 2)
    high = min(everything.max(), means.max() + height / 2)
    margin = 0.05 * (high - low or height)
    return low - margin, high + margin


def _is_chosen(row: Mapping, chosen: float | None) -> bool:
    return chosen is None or math.isclose(
        row.get("peak_rate", row["learning_rate"]), chosen, rel_tol=1e-6
    )
