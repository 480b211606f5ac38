"""The smallest and the middle entries of one window, and its Euclidean norm."""

import numpy as np

from references.loops import reference


@reference
def min_pool(entries, taps):
    return entries.min(axis=0)


@reference
def median_pool(entries, taps):
    return np.median(entries, axis=0)


@reference
def l2_pool(entries, taps, normalize=True, count_include_pad=True):
    norm = np.linalg.norm(entries, axis=0)
    return norm / np.sqrt(taps if count_include_pad else len(entries)) ** normalize
