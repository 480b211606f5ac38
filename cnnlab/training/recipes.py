"""How nets are trained, by name: everything but the net and the images."""

import dataclasses
import math
import numbers
from collections.abc import Callable
from typing import Any

from cnnlab.data.augmentation import resolve_augmentation
from cnnlab.errors import UserError
from cnnlab.ops.registry import Registry
from cnnlab.training.objective import LOSSES
from cnnlab.training.schedules import schedules

OPTIMIZERS = ("momentum", "nesterov", "adam", "adadelta")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way to train. 0 turns off what has a number, () what is a list.

    Attributes:
        epochs, steps: how long; one of the two, the other is 0.
        batch_size: images per step.
        optimizer: "momentum" descends with heavy-ball momentum, "nesterov" with
            Nesterov's, "adam" with Adam's moments, "adadelta" by Zeiler's ratio.
        learning_rate: the peak.
        schedule: spec of the rate's shape, one of `schedules`.
        momentum: of the first two; Adam's first moment; both averages of Adadelta.
        weight_decay: L2 penalty of kernels alone: norms and biases, which have one
            axis, are spared. It joins the gradient before momentum, as in the papers;
            with Adam it is decoupled.
        clip: a longer gradient is shortened to this norm, over all parameters.
        label_smoothing: the share of a label that goes to all classes alike.
        mixup: the parameter of Beta from which shares of mixed images are drawn.
        loss: one of `objective.LOSSES`.
        ema_decay: of the exponential moving average of weights and statistics, which
            then is the result.
        accumulate: pieces in which a step's batch is taken, one after the other.
        augment: specs of `data.augmentation`, applied in turn.
        validation_fraction: of the training images, held out.
        patience: epochs without a better validation accuracy after which training
            stops; the best is then the result.

    Raises:
        UserError: about the first field whose value is out of its range.
    """

    epochs: int = 0
    steps: int = 0
    batch_size: int = 128
    optimizer: str = "momentum"
    learning_rate: float = 0.1
    schedule: str = "constant"
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    loss: str = "cross_entropy"
    ema_decay: float = 0.0
    accumulate: int = 1
    augment: tuple[str, ...] = ()
    validation_fraction: float = 0.0
    patience: int = 0

    def __post_init__(self):
        for name, (fine, wanted) in _ALLOWED.items():
            if not fine(getattr(self, name)):
                raise UserError(name, f"{getattr(self, name)!r} is not {wanted}")
        if bool(self.epochs) == bool(self.steps):
            raise UserError(
                "epochs",
                f"{self.epochs} and steps {self.steps}: one of them is above 0, and "
                "the other is 0",
            )
        if self.batch_size % self.accumulate:
            raise UserError(
                "accumulate",
                f"{self.accumulate} is not a divisor of batch_size, {self.batch_size}",
            )
        if self.patience and not self.validation_fraction:
            raise UserError(
                "patience", f"{self.patience} is not 0, and validation_fraction is"
            )
        _check("schedule", self.schedule, lambda: schedules.resolve(self.schedule)(100))
        for spec in self.augment:
            _check("augment", spec, lambda spec=spec: resolve_augmentation((spec,)))

    def total_steps(self, steps_per_epoch: int) -> int:
        """The steps of a run whose epochs have so many."""
        return self.steps or self.epochs * steps_per_epoch


def _check(field: str, spec: Any, resolve: Callable[[], Any]) -> None:
    try:
        resolve()
    except (ValueError, TypeError) as error:
        named = "" if repr(spec) in str(error) else f"{spec}: "
        raise UserError(field, f"{named}{error}") from None


def _whole(least: int) -> tuple[Callable[[Any], bool], str]:
    def fine(value):
        return isinstance(value, numbers.Integral) and value >= least

    return fine, f"a whole number of at least {least}"


def _share(value: Any) -> bool:
    return isinstance(value, numbers.Real) and 0 <= value < 1


def _amount(value: Any) -> bool:
    return isinstance(value, numbers.Real) and 0 <= value < math.inf


_SHARE = _share, "a number from 0 to 1, 1 excluded"
_AMOUNT = _amount, "a finite number of at least 0"

# For each field what it takes, in a test and in words.
_ALLOWED = {
    "epochs": _whole(0),
    "steps": _whole(0),
    "batch_size": _whole(1),
    "optimizer": (OPTIMIZERS.__contains__, f"one of {', '.join(OPTIMIZERS)}"),
    "learning_rate": (lambda v: _amount(v) and v > 0, "a finite number above 0"),
    "momentum": _SHARE,
    "weight_decay": _AMOUNT,
    "clip": _AMOUNT,
    "label_smoothing": _SHARE,
    "mixup": (lambda v: _amount(v) and v <= 1000, "a number from 0 to 1000"),
    "loss": (LOSSES.__contains__, f"one of {', '.join(LOSSES)}"),
    "ema_decay": _SHARE,
    "accumulate": _whole(1),
    "augment": (lambda v: isinstance(v, tuple), "a tuple of specs"),
    "validation_fraction": _SHARE,
    "patience": _whole(0),
}

recipes = Registry("recipe")


@recipes.register
def quick() -> Recipe:
    """A few epochs that suit every net here: what the comparisons train with.

    Nesterov momentum, clipped, under a rate that rises over a fifth of the run and
    falls as a cosine. Our own.
    """
    return Recipe(
        epochs=6,
        optimizer="nesterov",
        learning_rate=0.3,
        schedule="cosine(warmup=0.2)",
        clip=1.0,
        validation_fraction=0.1,
    )


@recipes.register
def zeiler_fergus() -> Recipe:
    """280 epochs, the rate annealed from 0.01 to a hundredth of it.

    Source: Zeiler and Fergus, 2013, section 4.1 (https://arxiv.org/abs/1301.3557). Its
        numbers are quoted from memory; that the rate falls in a line is our reading.
    """
    return Recipe(
        epochs=280,
        learning_rate=0.01,
        schedule="linear(final=0.01)",
        weight_decay=1e-3,
    )


@recipes.register
def all_cnn() -> Recipe:
    """350 epochs, the rate divided by 10 after 200, 250 and 300.

    The paper takes the best of the rates 0.25, 0.1, 0.05 and 0.01 for each net; ours
    is 0.05. It does not say how many images a step has; ours are 128.

    Source: Springenberg et al., 2014, section 3.1 (https://arxiv.org/abs/1412.6806).
    """
    return Recipe(
        epochs=350,
        learning_rate=0.05,
        schedule="piecewise(at=(200, 250, 300), of=350)",
        weight_decay=1e-3,
    )


@recipes.register
def red_green() -> Recipe:
    """At most 50 epochs of 200 images a step by Adadelta, while validation improves.

    The images held out, a fifth, are others than those that are trained on. That
    training stops after 8 epochs without a better accuracy, and what the paper's code
    sets besides, is quoted from it second-hand.

    Source: Kayhan and van Gemert, 2020, section 4.1
        (https://arxiv.org/abs/2003.07064); Zeiler, 2012, "Adadelta"
        (https://arxiv.org/abs/1212.5701).
    """
    return Recipe(
        epochs=50,
        batch_size=200,
        optimizer="adadelta",
        learning_rate=1.0,
        momentum=0.9,
        weight_decay=5e-5,
        validation_fraction=0.2,
        patience=8,
    )


@recipes.register
def cifar_resnet() -> Recipe:
    """64,000 steps, the rate 0.1 divided by 10 after 32,000 and 48,000.

    Images are padded by 4 pixels, cropped at random and mirrored. The paper spares
    neither norms nor biases from weight decay, and pads with the mean.

    Source: He et al., 2015, section 4.2 (https://arxiv.org/abs/1512.03385).
    """
    return Recipe(
        steps=64_000,
        learning_rate=0.1,
        schedule="piecewise(at=(32, 48), of=64)",
        weight_decay=1e-4,
        augment=("pad_and_crop(padding=4)", "random_flip"),
    )


@recipes.register
def imagenet_resnet() -> Recipe:
    """90 epochs of 256 images a step, the rate 0.1 divided by 10 after 30, 60 and 80.

    He et al. divide when the error no longer falls; the epochs are those of Goyal et
    al., whose rate for 256 images is the same and needs no warm-up. Images are mirrored
    alone: the papers' crops of other scales and colour noise are not in it.

    Source: He et al., 2015, section 3.4 (https://arxiv.org/abs/1512.03385); Goyal et
        al., 2017, section 5.1 (https://arxiv.org/abs/1706.02677).
    """
    return Recipe(
        epochs=90,
        batch_size=256,
        learning_rate=0.1,
        schedule="piecewise(at=(30, 60, 80), of=90)",
        weight_decay=1e-4,
        augment=("random_flip",),
    )
