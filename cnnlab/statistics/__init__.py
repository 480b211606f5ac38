"""Uncertainty of what several seeds measured, and what it lets one say of two arms."""

from cnnlab.statistics.bootstrap import crossed_bootstrap
from cnnlab.statistics.comparison import compare
from cnnlab.statistics.intervals import Interval, mean_interval
from cnnlab.statistics.iso_compute import iso_compute
from cnnlab.statistics.mcnemar import McNemar, mcnemar
from cnnlab.statistics.paired import compare_pairs
from cnnlab.statistics.predictions import Predictions, load_predictions
from cnnlab.statistics.sentences import sentence

__all__ = [
    "Interval",
    "McNemar",
    "Predictions",
    "compare",
    "compare_pairs",
    "crossed_bootstrap",
    "iso_compute",
    "load_predictions",
    "mcnemar",
    "mean_interval",
    "sentence",
]
