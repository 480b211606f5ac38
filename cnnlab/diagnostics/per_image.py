"""One number for each image: its interval, and what JSON can hold of it."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from cnnlab.statistics.intervals import Interval, mean_interval

PerImage = Float[np.ndarray, " examples"]


def interval_of(values: PerImage | None, confidence: float = 0.95) -> Interval | None:
    """Student's interval of the mean over images; None without finite numbers."""
    if values is None or not np.isfinite(values).all():
        return None
    return mean_interval(values, confidence)


def as_json(name: str, values: PerImage | None) -> dict[str, Any]:
    """The `interval`, and the values under `name`; what is no number is null."""
    interval = interval_of(values)
    listed = None if values is None else list(map(_number, values))
    return {"interval": interval and interval._asdict(), name: listed}


def _number(value) -> float | None:
    return float(value) if math.isfinite(value) else None
