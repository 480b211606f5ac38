"""What the networks with a global pool at their end share."""

from collections.abc import Callable

from jax import Array
from jaxtyping import Float

from cnnlab.models.network import Network, check_spec
from cnnlab.ops import global_pools

Map = Float[Array, "batch height width channels"]


class GloballyPooled(Network, kw_only=True):
    """A network whose last map a global pool makes into one entry.

    Attributes:
        head_pool: any of `ops.global_pools`.
    """

    head_pool: str | Callable = "global_avg_pool"

    def __post_init__(self):
        super().__post_init__()
        check_spec("head_pool", self.head_pool, global_pools.resolve)

    def globally_pooled(self, x: Map) -> Float[Array, "batch features"]:
        """The last map under `head_pool`."""
        return global_pools.resolve(self.head_pool)(x)


class MapPerClass(GloballyPooled, kw_only=True):
    """A network without dense layers: its last map has a channel for each class.

    Attributes:
        head_pool: any of `ops.global_pools` that keeps the channels.
    """

    def class_scores(self, x: Map) -> Float[Array, "batch classes"]:
        """The last map under `head_pool`.

        Raises:
            ValueError: a pool that gives more scores than there are classes, or fewer.
        """
        scores = self.globally_pooled(x)
        if scores.shape[-1] != self.num_classes:
            raise ValueError(
                f"head_pool {self.head_pool!r} gives {scores.shape[-1]} scores for "
                f"{self.num_classes} classes; choose one that keeps the channels"
            )
        return scores
