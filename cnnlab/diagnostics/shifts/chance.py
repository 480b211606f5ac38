"""How often an image's looks agree, and how often they would by accuracy alone.

A *look* is an image at one displacement. Two looks of two *different* images of one
label share the label, and so the accuracy and the confusions at their displacements,
and nothing else. With C_d[y, k] the share of class k among the looks of label y at d,
independent draws would agree at (d, d') for that label with probability

    sum over k of C_d[y, k] C_d'[y, k]

Counted over pairs of different images this is free of the bias that an image's
agreement with itself would bring.
"""

import numpy as np
from jaxtyping import Float, Int

from cnnlab.diagnostics.predictions import Labels

Classes = Int[np.ndarray, "looks examples"]
Shares = Float[np.ndarray, " examples"]

# Counts of classes are held for as many images at once as this has entries for.
_ENTRIES = 2**20


def agreement_of_all(classes: Classes) -> Shares:
    """For each image, the share of its pairs of different looks that agree.

    With n_k looks of class k among n: sum of n_k (n_k - 1) / (n (n - 1)).

    Source: Fleiss, 1971, "Measuring nominal scale agreement among many raters",
    equation 2.
    """
    looks = len(classes)
    kinds = int(classes.max()) + 1
    squares = [
        np.square(counts).sum(1) for _, counts in _counts_of_classes(classes, kinds)
    ]
    return (np.concatenate(squares) - looks) / (looks * (looks - 1))


def chance_of_all(classes: Classes, labels: Labels) -> Shares:
    """For each image, how its looks agree with those of others of its label.

    The mean over all ordered pairs of different looks and over those images; NaN where
    no other image has the label.
    """
    looks = len(classes)
    kinds = int(max(classes.max(), labels.max())) + 1
    of_label = np.bincount(labels, minlength=kinds)
    total = np.zeros((kinds, kinds), np.int64)
    at_one_look = np.zeros(len(labels), np.int64)
    for seen in classes:
        table = _confusions(labels, seen, kinds)
        total += table
        at_one_look += table[labels, seen] - 1
    at_any = [
        (counts * (total[labels[part]] - counts)).sum(1)
        for part, counts in _counts_of_classes(classes, kinds)
    ]
    agreeing = np.concatenate(at_any) - at_one_look
    return _per(agreeing, (of_label[labels] - 1) * (looks * (looks - 1)))


def agreement_of_pairs(left: Classes, right: Classes) -> Shares:
    """For each image, the share of its pairs (left, right) that agree."""
    return np.mean(left == right, axis=0)


def chance_of_pairs(left: Classes, right: Classes, labels: Labels) -> Shares:
    """For each image, how its looks agree with their partners in others of its label.

    The mean over the pairs, over which of the two looks is the image's own, and over
    those images; NaN where no other image has the label. `left` may be one look that
    all of `right` are paired with.
    """
    kinds = int(max(left.max(), right.max(), labels.max())) + 1
    agreeing = np.zeros(len(labels), np.int64)
    for own, other in zip(np.broadcast_to(left, right.shape), right, strict=True):
        itself = own == other
        agreeing += _confusions(labels, other, kinds)[labels, own] - itself
        agreeing += _confusions(labels, own, kinds)[labels, other] - itself
    others = np.bincount(labels)[labels] - 1
    return _per(agreeing, others * (2 * len(right)))


def beyond(agreement: Shares, chance: Shares, labels: Labels) -> Shares:
    """Values for each image whose mean is that of `agreement` - `chance`.

    Their spread is that of the difference: an image counts in the chance of all others
    of its label as well, so that its value is agreement - 2 chance + the label's mean
    chance (Hajek's projection of a U-statistic of order two). Images whose label no
    other has are left out.
    """
    shared = np.isfinite(chance)
    labels, agreement, chance = labels[shared], agreement[shared], chance[shared]
    sums = np.bincount(labels, weights=chance)
    means = sums / np.maximum(np.bincount(labels), 1)
    return agreement - 2 * chance + means[labels]


def _counts_of_classes(classes, kinds):
    """(some images, how many of their looks are of each class), for all in turn."""
    chunk = max(1, _ENTRIES // max(kinds, len(classes)))
    for start in range(0, classes.shape[1], chunk):
        part = slice(start, min(start + chunk, classes.shape[1]))
        seen = classes[:, part]
        index = seen + np.arange(seen.shape[1]) * kinds
        counts = np.bincount(index.ravel(), minlength=seen.shape[1] * kinds)
        yield part, counts.reshape(-1, kinds)


def _confusions(labels, seen, kinds):
    """How many images of each label are seen as each class: [labels, classes]."""
    index = labels.astype(np.int64) * kinds + seen
    return np.bincount(index, minlength=kinds * kinds).reshape(kinds, kinds)


def _per(agreeing, pairs):
    with np.errstate(invalid="ignore"):
        return np.where(pairs > 0, agreeing / np.maximum(pairs, 1), np.nan)
