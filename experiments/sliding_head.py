"""How far the scores of a dense head that slides over a larger image are from those of
the crops below them.

A network without padding gives every place the score of its crop. One with padding
gives none: at the crop's margin stands padding, and in the image what lies beyond.
Wider crops show the difference go, once they hold all that their middle score sees.

Images and weights are drawn, unless a file has the weights.

  python -m experiments.sliding_head
  python -m experiments.sliding_head --model=vgg16 --input=384 \\
      --weights=vgg16.safetensors
"""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

from cnnlab.errors import UserError
from experiments.harness import flags, networks
from experiments.harness.refusals import refuse_below

_LARGEST_SEED = 2**32 - 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Which network, and on what images."""

    experiment: ClassVar[str] = "sliding_head"

    model: str = flags.field("alexnet", "name of a model with a dense head")
    input: str | None = flags.field(
        None,
        "size of the images in pixels, 384 or 384x448; none means one that is larger "
        "than the crop that no padding reaches",
    )
    weights: str | None = flags.field(
        None, "safetensors file, as experiments.predict takes it; none means drawn ones"
    )
    num_classes: int | None = flags.field(
        None, "how many scores an image gets; none means the paper's number"
    )
    boundary: str = flags.field(
        "zero", "what padding holds", choices=("zero", "circular", "reflect", "edge")
    )
    images: int = flags.field(1, "how many images to draw")
    seed: int = flags.field(0, "of what is drawn")

    def validate(self) -> None:
        """Raises UserError for a model without a dense head, and numbers below 1."""
        refuse_below(self, num_classes=1, images=1, seed=0)
        if self.seed > _LARGEST_SEED:
            raise UserError("seed", f"{self.seed} is more than {_LARGEST_SEED:,}")
        networks.image_shape(self.input, (1, 1, 1))
        _network(self)


class Geometry(NamedTuple):
    """Of the scores of a sliding head, in pixels.

    Attributes:
        size: of the crop that leaves a map of one place, a side.
        field: a score's receptive field, a side.
        stride: from one place to the next.
        margin: in places, by how much a crop is to be wider on each side so that it
            holds the field of its middle score.
    """

    size: int
    field: int
    stride: int
    margin: int

    @property
    def widest(self) -> int:
        """The side of the crop with that margin."""
        return self.size + 2 * self.margin * self.stride


def run(config: Config) -> dict[str, Any]:
    """The geometry, the map's size, and a summary of the difference for each margin.

    Raises:
        UserError: a model without a dense head, weights that do not fit it, or images
            that hold no more than one crop.
    """
    import jax
    import numpy as np

    from cnnlab.diagnostics.dense_scores import margin_difference, summary

    config = flags.checked(config)
    network = _network(config)
    try:
        of = geometry(network)
    except networks.FAULTS as error:
        reason = networks.first_line(error)
        raise UserError(
            "model", f"'{config.model}' cannot slide with these flags: {reason}"
        ) from error
    shape = _images_shape(config, network, of)
    variables = _variables(config, network, (of.size, of.size, shape[3]))
    apply = jax.jit(network.apply)
    images = np.random.default_rng(config.seed).normal(size=shape).astype(np.float32)

    def predict_map(images):
        return np.asarray(apply(variables, images), np.float32)

    scores = predict_map(images)
    places = scores.shape[1:3]
    rows = []
    # One crop, as large as the image, would show nothing.
    widest = min(of.margin, (min(places) - 1) // 2, (max(places) - 2) // 2)
    for margin in range(widest + 1):
        difference = margin_difference(predict_map, images, of.stride, of.size, margin)
        rows.append(
            {
                "crop": of.size + 2 * margin * of.stride,
                "places": list(difference.shape[1:3]),
                **summary(difference, scores)._asdict(),
            }
        )
    return {
        "model": config.model,
        "input": list(shape),
        "command": flags.command_line(config),
        "places": list(places),
        **of._asdict(),
        "widest": of.widest,
        "differences": rows,
    }


def geometry(network) -> Geometry:
    """How the scores of a network with a sliding head lie on its images.

    Raises:
        ValueError: each score sees the whole image, or the head's window does not fit
            images of twice the paper's size.
    """
    from cnnlab.diagnostics.cost import count

    side, _, channels = network.image_shape

    def seen(side):
        images = networks.like((1, side, side, channels), network)
        return count(network.apply, networks.shapes(network, images), images).rows[-1]

    last = seen(2 * side)
    if None in last.phase:
        raise ValueError("its scores see the whole image, or nobody knows what")
    field, stride = int(last.receptive_field[0]), int(last.stride[0])
    # As much larger than the paper's image as strides can be followed.
    side += math.ceil(side / stride) * stride
    size = side - (seen(side).output_shape[1] - 1) * stride
    before = (field - 1) / 2 - last.phase[0]
    after = (field - 1) / 2 + last.phase[0] - (size - 1)
    margin = max(math.ceil(max(before, after) / stride), 0)
    return Geometry(size, field, stride, margin)


def main(config: Config) -> None:
    """Prints the geometry and the differences."""
    found = run(config)
    size, places = networks.by(found["input"][1:3]), networks.by(found["places"])
    print(
        f"{found['model']} on {size} pixels: {places} places, {found['stride']} apart"
    )
    print(f"a crop has {found['size']} pixels a side, a score sees {found['field']}")
    print("\nfrom a score to that of its crop, by the class that is furthest:\n")
    print("  crop  places       min    median       max  max/range  equal")
    for row in found["differences"]:
        numbers = " ".join(f"{row[name]:9.2e}" for name in ("least", "median", "most"))
        print(
            f"{row['crop']:6} {networks.by(row['places']):>7} {numbers} "
            f"{row['relative']:10.2e} {row['equal']:6.0%}"
        )
    print("\nequal: the share of places within 1e-5 of the range of the scores.")
    widest, shown = found["widest"], found["differences"][-1]["crop"]
    larger = f": see --input={widest + found['stride']}"
    print(
        f"A crop of {widest} holds all that its middle score sees"
        f"{', and no padding' if shown == widest else larger}."
    )


def _network(config: Config):
    from cnnlab.models import create_model, list_models
    from cnnlab.models.dense_headed import DenseHeaded

    if not isinstance(networks.create(config.model), DenseHeaded):
        names = [
            name
            for name in list_models()
            if isinstance(create_model(name), DenseHeaded)
        ]
        raise UserError(
            "model",
            f"'{config.model}' has no dense head; choose from {', '.join(names)}",
        )
    given = {
        "num_classes": config.num_classes,
        "boundary": None if config.boundary == "zero" else config.boundary,
    }
    return networks.create(config.model, given).clone(head="conv")


def _images_shape(config: Config, network, of: Geometry) -> tuple[int, int, int, int]:
    # Larger than the widest crop, which would else be the image itself.
    side, channels = of.widest + of.stride, network.image_shape[2]
    shape = networks.image_shape(config.input, (side, side, channels))
    if shape[2] != channels:
        raise UserError(
            "input",
            f"'{config.input}' has {shape[2]} channels, and the network takes "
            f"{channels}",
        )
    if max(shape[:2]) < of.size + of.stride or min(shape[:2]) < of.size:
        raise UserError(
            "input",
            f"'{config.input}' holds no more than one crop of {of.size}; give at least "
            f"{of.size + of.stride}",
        )
    return config.images, *shape


def _variables(config: Config, network, image_shape: tuple[int, int, int]):
    import jax
    import jax.numpy as jnp

    from cnnlab.models import load_pretrained

    if config.weights is not None:
        return load_pretrained(network, config.weights, image_shape=image_shape)
    images = jnp.zeros((1, *image_shape))
    return jax.jit(network.init)(jax.random.key(config.seed), images)


if __name__ == "__main__":
    flags.main(Config, main, usage=__doc__)
