"""What surgery knows of a site: the map that its strides thin, and how to thin it."""

import dataclasses
from collections.abc import Callable, Sequence

from jax import Array

from cnnlab.diagnostics.surgery.site import Site

# Positions of equations, from the whole program inwards: equation, body, equation, ...
Location = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A map's spatial axes, and the one that holds its channels (None: none does)."""

    axes: tuple[int, ...]
    channels: int | None


@dataclasses.dataclass(frozen=True)
class Cut:
    """A site, and its map before the strides.

    Attributes:
        dense: from the equation's inputs the map that is to be thinned: the input of a
            pool, a convolution or a slice at stride 1.
        layout: that of the dense map, and of the thinned one.
        whole_windows: whether the operator takes the site's own windows, as a pool's
            does; if not, it thins a map that has one entry for each place.
        division: of a window's sum, the equation after it that makes it a mean, and
            which of its operands is the sum.
    """

    site: Site
    location: Location = ()
    dense: Callable[[Sequence[Array]], Array] | None = None
    layout: Layout = Layout((), None)
    whole_windows: bool = False
    division: tuple[int, int] | None = None
