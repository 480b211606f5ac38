"""What an experiment asks of every trained net, beside its accuracy."""

import dataclasses
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnlab.statistics import mean_interval

OfNet = Callable[[Callable, Any], dict[str, Any]]
OfArm = Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]


def intervals(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The interval over seeds of each number that all of them have; None is none."""
    names = [
        name
        for name, value in seeds[0].items()
        if value is None or isinstance(value, numbers.Real)
    ]
    return {name: interval([seed[name] for seed in seeds]) for name in names}


def interval(values: Sequence[float | None]) -> dict[str, Any] | None:
    """The mean and its interval; None where a value is missing."""
    return None if None in values else mean_interval(values)._asdict()


@dataclasses.dataclass(frozen=True)
class Measure:
    """A measurement of every trained net.

    Attributes:
        name: of what is stored of it, for each net: what is stored is not asked again.
        of_net: from `predict` (of uint8 images, to float32 logits) and the data set to
            JSON by names, which join the seed's record. A number of a name can be
            compared: `statistics.compare(results, metric=name)`.
        of_arm: from what `of_net` gave of each seed to what joins the arm's row.
    """

    name: str
    of_net: OfNet
    of_arm: OfArm = intervals
