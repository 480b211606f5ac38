"""Dense layers at the end of a network, which may slide over its last map.

A dense layer on a flattened map is a convolution whose window is the whole map. With
the window kept and the map larger, the same weights give scores at every place.

Source: Sermanet et al., 2014, "OverFeat", section 3.5,
https://arxiv.org/abs/1312.6229; Simonyan and Zisserman, 2015, section 3.2,
https://arxiv.org/abs/1409.1556.
"""

from collections.abc import Sequence

import flax.linen as nn
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from cnnlab.ops import windows
from cnnlab.ops.im2col import im2col


class DenseHead(nn.Module):
    """Dense layers with ReLUs between them, over each window of a map.

    Parameters are those of `nn.Dense` on the flattened window, in row-major order with
    the channels last, so that the weights do not tell how far the window slides. A map
    of the window's own size runs the same program as the whole map does.

    Attributes:
        features: of each layer, the classes last.
        dropout_rates: what share of each layer's inputs training drops, from the rng
            stream "dropout".
        window_shape: None is the whole map.
        kernel_init: of all layers.
        bias_init: of all layers but the last, whose biases start from 0.
    """

    features: Sequence[int]
    dropout_rates: Sequence[float]
    window_shape: windows.Sizes | None = None
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch rows columns classes"]:
        x = windows_as_rows(x, self.window_shape)
        last = len(self.features) - 1
        zeros = nn.initializers.zeros_init()
        for layer, (features, rate) in enumerate(
            zip(self.features, self.dropout_rates, strict=True)
        ):
            x = nn.Dropout(rate, deterministic=not train)(x)
            x = nn.Dense(
                features,
                dtype=self.dtype,
                kernel_init=self.kernel_init,
                bias_init=zeros if layer == last else self.bias_init,
            )(x)
            x = x if layer == last else nn.relu(x)
        return x


def windows_as_rows(
    x: Float[Array, "batch height width channels"],
    window_shape: windows.Sizes | None = None,
) -> Float[Array, "batch rows columns entries"]:
    """The entries of `x` in each window, flattened; None is one window, the whole map.

    Raises:
        ValueError: the window is larger than the map.
    """
    spatial = windows.spatial_shape(x, 2)
    size = spatial if window_shape is None else window_shape
    window = windows.geometry(spatial, size, 1, "VALID", argument="the head's window")
    if window.window_shape == spatial:
        return x.reshape(x.shape[0], 1, 1, -1)
    return im2col(x, window.window_shape, 1, "VALID")
