"""What a trained net takes images for: its first guesses, with their probabilities.

The net is one of a finished run, a file that experiments.export wrote, or one of
PyTorch's networks with weights in torchvision's or timm's names. Images may be of any
size: the shorter side is scaled and the middle cut out, as the net was evaluated.

  python -m experiments.predict --checkpoint=runs/a:max_pool:0 image.png
  python -m experiments.predict --model=resnet50 --weights=resnet50.safetensors \\
      --labels=imagenet.txt *.jpg
"""

import dataclasses
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from cnnlab.errors import UserError
from experiments.harness import checkpoints, flags, trained_net
from experiments.harness.refusals import refuse_below
from experiments.harness.trained_net import NORMALIZATION_HELP, NORMALIZATIONS, Net

_WIDTH = 79


@dataclasses.dataclass(frozen=True)
class Config:
    """Which net, and what it is shown."""

    experiment: ClassVar[str] = "predict"

    images: tuple[str, ...] | None = flags.field(
        None, "image files, PNG or JPEG; also words that are no flags", words=True
    )
    checkpoint: str | None = flags.field(None, checkpoints.HELP)
    weights: str | None = flags.field(
        None, "safetensors file, in place of a checkpoint"
    )
    model: str | None = flags.field(
        None, "model that the weights are of; none where their file says it"
    )
    num_classes: int | None = flags.field(
        None, "classes of PyTorch's weights; none means the paper's"
    )
    normalization: str = flags.field(
        "auto",
        NORMALIZATION_HELP,
        choices=("auto", *NORMALIZATIONS),
    )
    labels: str | None = flags.field(
        None, "text file of the classes' names, one a line; none means those known"
    )
    top: int = flags.field(5, "guesses to show for each image")
    batch_size: int = flags.field(32, "images at a time")

    def validate(self) -> None:
        """Raises UserError for flags that do not go together."""
        refuse_below(self, top=1, batch_size=1, num_classes=1)
        trained_net.validate(self)
        if not self.images:
            raise UserError("images", "is empty; name at least one image file")


class Guess(NamedTuple):
    """A class, and the probability that the net gives it."""

    label: str
    probability: float


def run(config: Config) -> list[list[Guess]]:
    """For each image, in their order, the net's guesses, the likeliest first.

    Raises:
        UserError: a net or an image that cannot be read, or flags that do not fit it.
    """
    config = flags.checked(config)
    return _predict(config, trained_net.load(config))


def main(config: Config) -> None:
    """Prints the guesses for each image."""
    net = trained_net.load(config)
    guesses = _predict(config, net)
    height, width, channels = net.image_shape
    head = f"{net.name}, on {height}x{width}x{channels} images"
    print(textwrap.fill(head, _WIDTH, subsequent_indent="  "))
    for path, found in zip(config.images, guesses, strict=True):
        print(f"\n{path}")
        for guess in found:
            share = f"  {guess.probability:8.2%}  "
            print(
                textwrap.fill(
                    guess.label,
                    _WIDTH,
                    initial_indent=share,
                    subsequent_indent=" " * len(share),
                )
            )


def _predict(config: Config, net: Net) -> list[list[Guess]]:
    from cnnlab.data.image_files import read_images
    from cnnlab.training import Scaling, predictor

    names = _class_names(config, net)
    images = read_images(config.images, net.image_shape, margin=net.margin)
    predict = predictor(
        net.model,
        net.variables,
        Scaling(*(np.asarray(part, np.float32) for part in (net.mean, net.deviation))),
        batch_size=min(config.batch_size, len(images)),
    )
    scores = predict(images).astype(np.float64)
    # Of a net that slides over its images, the mean of its scores.
    scores = scores.reshape(len(images), -1, scores.shape[-1]).mean(1)
    for path, finite in zip(config.images, np.isfinite(scores).all(-1), strict=True):
        if not finite:
            source = "weights" if config.checkpoint is None else "checkpoint"
            raise UserError(
                source, f"its net gives '{path}' scores that are no finite numbers"
            )
    likelihoods = np.exp(scores - scores.max(-1, keepdims=True))
    probabilities = likelihoods / likelihoods.sum(-1, keepdims=True)
    best = np.argsort(-probabilities, -1, kind="stable")[:, : config.top]
    return [
        [Guess(names(label), float(shares[label])) for label in order]
        for shares, order in zip(probabilities, best, strict=True)
    ]


def _class_names(config: Config, net: Net) -> Callable[[int], str]:
    count = net.model.num_classes
    if config.labels is None:
        known = net.class_names
        return lambda label: known[label] if known else f"class {label}"
    try:
        lines = Path(config.labels).expanduser().read_text("utf-8").splitlines()
    except OSError as error:
        raise UserError("labels", f"'{config.labels}': {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError("labels", f"'{config.labels}' is not text in UTF-8") from None
    lines = [line.strip() for line in lines]
    if len(lines) != count:
        raise UserError(
            "labels",
            f"'{config.labels}' has {len(lines):,} lines, and the net has {count:,} "
            "classes",
        )
    return lambda label: lines[label]


if __name__ == "__main__":
    flags.main(Config, main, usage=__doc__)
