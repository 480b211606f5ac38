"""Variances of a net's outputs over rolls of its images, within and between phases."""

import functools
import itertools

import numpy as np
from jaxtyping import Float

from cnnlab.diagnostics.predictions import (
    Images,
    logits_of,
    probabilities_of,
    steady_answer,
)
from cnnlab.diagnostics.shifts.motions import roll

Variances = Float[np.ndarray, " examples"]


class Net:
    """The net as features and a head, or as its outputs alone."""

    def __init__(self, predict, outputs, first):
        halves = (None, predict) if callable(predict) else tuple(predict)
        if len(halves) != 2:
            raise TypeError(
                "predict takes a function, or the pair (features, head), got "
                f"{len(halves)} of them"
            )
        self.features, self.head = halves
        self.outputs, self.classes = outputs, None
        name, maps = "predict", first
        if self.features is not None:
            name, maps = "head", steady_answer("features", self.maps_of, first)
        head = functools.partial(logits_of, self.head)
        self.classes = steady_answer(name, head, maps).shape[1]

    def maps_of(self, images):
        """The maps; of a net in one piece, the images themselves."""
        if self.features is None:
            return images
        # Its own, to change as it likes.
        maps = np.asarray(self.features(np.array(images)))
        if maps.ndim != 4 or len(maps) != len(images) or 0 in maps.shape:
            raise ValueError(
                f"features must give maps [{len(images)}, rows, columns, channels] "
                f"for images {images.shape}, got shape {maps.shape}"
            )
        if not np.isfinite(maps).all():
            raise ValueError("features gives maps that are not finite")
        return maps

    def outputs_of(self, maps):
        """In double precision."""
        logits = logits_of(self.head, maps, self.classes)
        if self.outputs == "probabilities":
            return probabilities_of(logits)
        return logits.astype(float)


class Moments:
    """Means, and the covariances of two sequences of arrays, summed over classes."""

    def __init__(self):
        self.count, self.origin = 0, None
        self.first = self.second = self.products = 0.0

    def add(self, first, second):
        """Takes the next of both."""
        # From near their mean the squares keep their digits, and equal values none.
        if self.origin is None:
            self.origin = first, second
        first, second = first - self.origin[0], second - self.origin[1]
        self.count += 1
        self.first = self.first + first
        self.second = self.second + second
        self.products = self.products + (first * second).sum(-1)

    @property
    def mean(self):
        """Of the first sequence."""
        return self.origin[0] + self.first / self.count

    @property
    def covariance(self):
        """Divided by the number of values."""
        means = (self.first * self.second).sum(-1) / self.count**2
        return self.products / self.count - means


def variances(net: Net, images: Images, strides, lattice) -> tuple[Variances, ...]:
    """(power, total, aliasing, head) of each image."""
    power = np.square(net.outputs_of(net.maps_of(images))).sum(-1)
    phases = list(itertools.product(*map(range, strides)))
    points = list(itertools.product(*lattice))
    between, within, head = Moments(), 0.0, 0.0
    for phase in phases:
        kept = net.maps_of(roll(images, *phase)) if net.features else None
        own, shared = Moments(), Moments()
        for point in points:
            steps = zip(phase, strides, point, strict=True)
            moved = roll(images, *(p + s * m for p, s, m in steps))
            output = net.outputs_of(net.maps_of(moved))
            own.add(output, output)
            if kept is not None:
                shared.add(output, net.outputs_of(roll(kept, *point)))
        between.add(own.mean, own.mean)
        within = within + own.covariance
        if kept is not None:
            head = head + shared.covariance
    within = within / len(phases)
    head = np.broadcast_to(head, within.shape) / len(phases)
    return power, between.covariance + within, between.covariance, head
