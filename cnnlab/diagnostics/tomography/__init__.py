"""Where in a network equivariance is lost, operation by operation."""

from cnnlab.diagnostics.tomography.equivariance import equivariance_error
from cnnlab.diagnostics.tomography.finite import invariance_error
from cnnlab.diagnostics.tomography.generators import TRANSFORMATIONS
from cnnlab.diagnostics.tomography.results import Invariance, Row, Tomography

__all__ = [
    "TRANSFORMATIONS",
    "Invariance",
    "Row",
    "Tomography",
    "equivariance_error",
    "invariance_error",
]
