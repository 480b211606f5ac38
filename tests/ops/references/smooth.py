"""Means of one window that are weighted by exponentials."""

import numpy as np

from references.loops import reference


@reference
def soft_pool(entries, taps, beta=1.0):
    weights = np.exp(beta * entries)
    return (weights / weights.sum(axis=0) * entries).sum(axis=0)


@reference
def log_sum_exp_pool(entries, taps, r=1.0, normalize=True):
    powers = np.exp(r * entries)
    return np.log(powers.mean(axis=0) if normalize else powers.sum(axis=0)) / r
