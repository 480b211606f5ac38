"""What the networks with dense layers at their end share."""

from collections.abc import Sequence

from jax import Array
from jaxtyping import Float

from cnnlab.layers.dense_head import DenseHead
from cnnlab.models.network import Network
from cnnlab.ops.arguments import check_choice

HEADS = ("dense", "conv")


class DenseHeaded(Network, kw_only=True):
    """A network whose last map is read by dense layers, at one place or at many.

    With `head="dense"` the first of them reads the whole map, so its weights are those
    of one size of images: the paper's, or any other that the network began on. With
    `head="conv"` it reads windows of `head_window` entries a side, and `apply` gives a
    score for every class at each place, `[batch, rows, columns, classes]`. Parameters
    have the same names and shapes either way, and begin alike. Images of the paper's
    size get the same scores to the bit, in the map's only place.

    On a larger image a score is that of the crop below it, to rounding, only if no map
    of the network is padded. Where maps are, none is: at the crop's margin stands
    padding, and in the image what lies beyond the crop.
    `diagnostics.dense_scores.crop_difference` says how far the two are apart.

    Attributes:
        head: "dense" or "conv".
        head_window: how many entries a side of the last map the convolution reads. The
            default is what the paper's images leave, whatever images the network
            begins on; another size is for weights that began on other images.
        head_features: how many each hidden dense layer has.
    """

    head: str = "dense"
    head_window: int = 6
    head_features: int = 4096

    def __post_init__(self):
        super().__post_init__()
        check_choice("head", self.head, HEADS)

    def scores(
        self,
        x: Float[Array, "batch height width channels"],
        dropout_rates: Sequence[float],
        *,
        train: bool,
        **options,
    ) -> Float[Array, "batch *rows_and_columns classes"]:
        """What two hidden layers and one of classes say of the last map.

        Args:
            options: those of `DenseHead`.
        """
        scores = DenseHead(
            (self.head_features, self.head_features, self.num_classes),
            dropout_rates,
            self.head_window if self.head == "conv" else None,
            dtype=self.dtype,
            **options,
        )(x, train=train)
        return scores if self.head == "conv" else scores[:, 0, 0]
