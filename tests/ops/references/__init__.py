"""What the operators should give, by loops in NumPy float64: slow and obvious.

Every registered pool has a reference under its name, in any file here. Most are of one
window (`@reference`): they take `entries`, the part of the window that lies on the map,
`[entries, lanes]` with the tap's row-major order kept, and `taps`, the window's size
with padding counted; then the operator's own options. A pool that is no function of one
window has one of the whole map (`@map_reference`).
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

from references.classic import stochastic_probabilities  # noqa: E402
from references.convolution import conv  # noqa: E402
from references.loops import (  # noqa: E402
    MAPS,
    POOLS,
    apply,
    each,
    padding_pairs,
    pool,
    source,
)
from references.normalization import local_response_norm  # noqa: E402

__all__ = [
    "MAPS",
    "POOLS",
    "apply",
    "conv",
    "each",
    "local_response_norm",
    "padding_pairs",
    "pool",
    "source",
    "stochastic_probabilities",
]
