"""Under which circular shifts of its image a network is exact, bit for bit."""

from cnnlab.diagnostics.lattice.certificate import Certificate, Verdict
from cnnlab.diagnostics.lattice.certifying import certify

__all__ = ["Certificate", "Verdict", "certify"]
