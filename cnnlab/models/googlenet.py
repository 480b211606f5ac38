"""GoogLeNet, in the form of 2014 and with batch normalisation."""

import functools

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from cnnlab.layers.subsampling import strided_conv, strided_pool
from cnnlab.models.ceil_mode import ceil_padding
from cnnlab.models.globally_pooled import GloballyPooled
from cnnlab.models.inception import AuxiliaryHead, Inception, Map, Widths
from cnnlab.models.registry import models
from cnnlab.models.torch_names import TorchModule, TorchNames
from cnnlab.ops import local_response_norm
from cnnlab.ops.global_pooling import adaptive_avg_pool

INCEPTIONS = {
    "3a": Widths(64, 96, 128, 16, 32, 32),
    "3b": Widths(128, 128, 192, 32, 96, 64),
    "4a": Widths(192, 96, 208, 16, 48, 64),
    "4b": Widths(160, 112, 224, 24, 64, 64),
    "4c": Widths(128, 128, 256, 24, 64, 64),
    "4d": Widths(112, 144, 288, 32, 64, 64),
    "4e": Widths(256, 160, 320, 32, 128, 128),
    "5a": Widths(256, 160, 320, 32, 128, 128),
    "5b": Widths(384, 192, 384, 48, 128, 128),
}


class GoogLeNet(GloballyPooled, kw_only=True):
    """A stem, nine inception modules with three pools before and among them.

    Szegedy et al., 2014, "Going deeper with convolutions",
    https://arxiv.org/abs/1409.4842, table 1 and figure 3. Kernels start from He's rule
    (a truncated normal distribution of variance 2 / fan-in), biases from 0, as the
    paper does not say how; scales of normalisations start from 1.

    Attributes:
        normalised: whether convolutions have batch normalisation and no biases, and the
            network is torchvision's: no response normalisation, 3x3 for 5x5, and a last
            pool of 2x2.
        pool: of all max pools, those at stride 1 within the modules too, so that one
            argument leaves none behind.
        auxiliary: whether there are two more heads, after 4a and 4d. Under `train=True`
            they sow their scores in the collection "auxiliary", of which `train_step`
            adds 0.3 times the loss; what `apply` returns is the same without them.
    """

    normalised: bool
    auxiliary: bool = False

    # Torchvision's weights are TensorFlow's, for images from -1 to 1, and its files
    # have the auxiliary heads whether the model wants them or not.
    torch_normalization = "inception"
    torch_ignored = "aux1.", "aux2."

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Float[Array, "batch classes"]:
        everywhere = {"downsample": self.downsample, "boundary": self.boundary}
        everywhere["train"] = train
        weights = {"dtype": self.dtype, "kernel_init": nn.initializers.he_normal()}
        dense = functools.partial(nn.Dense, **weights)
        norm = self.norm(train) if self.normalised else None
        conv = functools.partial(_conv, norm=norm, **weights, **everywhere)

        def pool(x, window_shape, strides, padding=None):
            if padding is None:
                padding = ceil_padding(x, window_shape, strides)
            return strided_pool(
                x, self.pool, window_shape, strides, padding, **everywhere
            )

        def average(x):
            if self.normalised:
                return adaptive_avg_pool(x, 4)
            return strided_pool(x, "avg_pool", 5, 3, **everywhere)

        def respond(x):
            return x if self.normalised else local_response_norm(x)

        x = respond(pool(conv(x, 64, 7, 2, name="conv1"), 3, 2))
        x = conv(x, 64, 1, name="conv2_reduce")
        x = pool(respond(conv(x, 192, 3, name="conv2")), 3, 2)
        for name, widths in INCEPTIONS.items():
            if name in ("4a", "5a"):
                x = pool(x, 2 if self.normalised and name == "5a" else 3, 2)
            module = Inception(
                widths,
                3 if self.normalised else 5,
                conv,
                pool,
                name=f"inception_{name}",
            )
            x = module(x)
            # Their parameters are made in any case, their scores in training alone.
            wanted = train or self.is_initializing()
            if self.auxiliary and wanted and name in ("4a", "4d"):
                head = AuxiliaryHead(
                    self.num_classes, conv, dense, average, name=f"auxiliary_{name}"
                )
                scores = head(x, train=train)
                if not self.is_initializing():
                    self.sow("auxiliary", f"scores_{name}", scores)
        x = self.globally_pooled(x)
        rate = 0.2 if self.normalised else 0.4
        x = nn.Dropout(rate, deterministic=not train)(x)
        return dense(self.num_classes, name="scores")(x)

    def torch_names(self) -> TorchNames | None:
        """Torchvision's names of the layers; it has no form without normalisation."""
        if not self.normalised:
            return None
        convs = {"conv1": "conv1", "conv2_reduce": "conv2", "conv2": "conv3"}
        dense = {"scores": "fc"}
        for name in INCEPTIONS:
            for ours, theirs in (
                ("1x1", "branch1"),
                ("3x3_reduce", "branch2.0"),
                ("3x3", "branch2.1"),
                ("5x5_reduce", "branch3.0"),
                ("5x5", "branch3.1"),
                ("pool_proj", "branch4.1"),
            ):
                convs[f"inception_{name}/{ours}"] = f"inception{name}.{theirs}"
        for ours, theirs in (("auxiliary_4a", "aux1"), ("auxiliary_4d", "aux2")):
            convs[f"{ours}/reduce"] = f"{theirs}.conv"
            dense[f"{ours}/hidden"] = TorchModule((f"{theirs}.fc1",), channels=128)
            dense[f"{ours}/scores"] = f"{theirs}.fc2"
        names = {}
        for ours, theirs in convs.items():
            names |= {ours: f"{theirs}.conv", f"{ours}_norm": f"{theirs}.bn"}
        return names | dense


def _conv(x, features, size, strides=1, *, name, norm, **options):
    """A convolution, its normalisation if there is one, and a ReLU."""

    def then(x):
        if norm is not None:
            x = norm(epsilon=1e-3, name=f"{name}_norm")(x)
        return nn.relu(x)

    return strided_conv(
        x,
        features,
        size,
        strides,
        size // 2,
        then=then,
        use_bias=norm is None,
        name=name,
        **options,
    )


@models.register
def googlenet(**options) -> GoogLeNet:
    """GoogLeNet (224-112-56-28-14-7-1): 13,378,280 parameters, 6,998,552 at test time.

    Szegedy et al., 2014, table 1 and figure 3, with its auxiliary heads
    (`auxiliary=False` leaves them out). Pools are padded as Caffe's, on the far side
    alone, so that the last window reaches the map's end (`ceil_mode.ceil_padding`). The
    paper gives no constants for its response normalisation: here they are those of
    Krizhevsky et al., 2012.
    """
    return GoogLeNet(normalised=False, **{"auxiliary": True} | options)


@models.register
def googlenet_bn(**options) -> GoogLeNet:
    """GoogLeNet with batch normalisation: 6,624,904 parameters.

    The form that torchvision gives `googlenet`, whose pretrained weights it has:
    3x3 convolutions where the paper has 5x5, no response normalisation, a 2x2 pool
    before 5a, and 20% dropped before the scores. `auxiliary=True` adds its two heads,
    13,004,888 parameters in all, which average their maps to 4x4 whatever the images'
    size. Weights start as in `googlenet`; torchvision's kernels start from a normal
    distribution of deviation 0.01, which these normalisations undo.
    """
    return GoogLeNet(normalised=True, **options)
