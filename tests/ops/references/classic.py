"""Maximum, means and the stochastic draw of one window."""

import numpy as np

from references.loops import reference


@reference
def max_pool(entries, taps):
    return entries.max(axis=0)


@reference
def avg_pool(entries, taps, count_include_pad=True):
    return entries.sum(axis=0) / (taps if count_include_pad else len(entries))


@reference
def lp_pool(entries, taps, p=2.0, normalize=True, count_include_pad=True):
    total = (np.abs(entries) ** p).sum(axis=0)
    count = taps if count_include_pad else len(entries)
    return (total / count if normalize else total) ** (1 / p)


@reference
def stochastic_pool(entries, taps):
    probabilities = stochastic_probabilities(entries)
    return (probabilities * np.maximum(entries, 0)).sum(axis=0)


def stochastic_probabilities(entries):
    """The law of the draw in one window; all 0 where nothing is above 0."""
    activations = np.maximum(entries, 0)
    total = activations.sum(axis=0)
    return activations / np.where(total == 0, 1, total)
