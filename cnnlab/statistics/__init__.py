"""Uncertainty of what several seeds measured."""

from cnnlab.statistics.intervals import Interval, mean_interval
from cnnlab.statistics.paired import compare, compare_pairs

__all__ = ["Interval", "compare", "compare_pairs", "mean_interval"]
