"""The flags of whatever compares arms."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from cnnlab.errors import UserError
from cnnlab.run_layout import arm_directory
from experiments.comparing.arm import BATCHES, Arm
from experiments.harness import flags
from experiments.harness.recipe_flags import chosen_recipe
from experiments.harness.refusals import refuse_below
from experiments.harness.run_flags import RunFlags


def _of_run(name: str, default: Any, more: str) -> Any:
    """The field of `RunFlags`, with another default and more to say of it."""
    (field,) = (each for each in dataclasses.fields(RunFlags) if each.name == name)
    help = field.metadata["help"] + more
    return dataclasses.field(default=default, metadata={**field.metadata, "help": help})


@dataclasses.dataclass(frozen=True)
class ComparisonFlags(RunFlags):
    """How all arms are trained, and how their differences are judged.

    A subclass says what is asked, in `question`, and of which arms, in `arms`. A flag
    that arms set for themselves is none of the experiment's: `pool: ClassVar[None] =
    None` takes it away.
    """

    learning_rate: ClassVar[None] = None

    seeds: int = flags.field(5, "seeds per arm; seeds are 0 to this less one")
    # On a CPU all are as fast, and timing them costs a short comparison seconds.
    seed_engine: str = _of_run(
        "seed_engine",
        default="loop",
        more="; seeds that it cannot serve, as one alone, are trained as by loop",
    )
    learning_rates: tuple[float, ...] = flags.field(
        (0.1, 0.3, 0.6),
        "peak rates to choose from, by validation accuracy, for each arm",
    )
    rate_seeds: int = flags.field(1, "seeds on which each rate is tried")
    delta: float = flags.field(
        0.01,
        "difference of accuracies or consistencies, as a fraction, below which arms "
        "count as equivalent; 0 asks no such question",
    )

    def arms(self) -> list[Arm]:
        """What is compared."""
        raise NotImplementedError

    def families(self) -> dict[str, list[tuple[str, str]]] | None:
        """The pairs of arms that are compared, by the name of those that Holm adjusts
        for together; None is all of them, as one."""
        return None

    def question(self) -> str:
        """What is asked: the report's title."""
        raise NotImplementedError

    def rates_of(self, arm: Arm) -> tuple[float, ...]:
        """The peak rates that an arm chooses from."""
        rates = arm.learning_rates
        return self.learning_rates if rates is None else rates

    def validate(self) -> None:
        """Refuses what needs neither the data nor a compiled program to be refused.

        Raises:
            UserError: naming the first flag that cannot be used.
        """
        super().validate()
        refuse_below(self, rate_seeds=1)
        if not 0 <= self.delta < 1:
            raise UserError("delta", f"{self.delta} is not in 0 <= delta < 1")
        _refuse_rates(self.learning_rates)
        recipe = chosen_recipe(self)
        arms = self.arms()
        _refuse_alike(arms)
        most = max(len(self.rates_of(arm)) for arm in arms)
        if most > 1 and recipe.validation_fraction == 0:
            raise UserError(
                "validation_fraction",
                f"0 leaves nothing to choose among {most} learning rates on",
            )
        if most > 1 and self.rate_seeds > self.seeds:
            raise UserError(
                "rate_seeds", f"{self.rate_seeds} is more than seeds, {self.seeds}"
            )
        for arm in arms:
            _refuse_net(self, arm)

    def validate_images(self, image_shape: tuple[int, int, int]) -> None:
        """Refuses what images of that shape do not allow.

        Raises:
            UserError: naming the first flag that cannot be used.
        """


def _refuse_rates(rates: Sequence[float]) -> None:
    if not rates:
        raise UserError("learning_rates", "is empty; give at least one")
    for rate in rates:
        if not 0 < rate < float("inf"):
            raise UserError("learning_rates", f"{rate} is not above 0")
        if rates.count(rate) > 1:
            raise UserError("learning_rates", f"{rate} is given twice")


def _refuse_alike(arms: Sequence[Arm]) -> None:
    """Raises a UserError where files of two arms would have one name."""
    taken: dict[str, Arm] = {}
    for arm in arms:
        other = taken.setdefault(arm_directory(arm.name), arm)
        if other.name != arm.name:
            raise UserError(
                arm.flag, f"{arm.name} and {other.name} would share a directory"
            )
        if other is not arm:
            raise UserError(arm.flag, f"{arm.name} is given twice")


def _refuse_net(config: ComparisonFlags, arm: Arm) -> None:
    """Raises a UserError where the arm's model, an option or a recipe is none."""
    from experiments.training.model_refusal import refuse_other_model

    own = arm.configured(config)
    try:
        refuse_other_model(own)
        recipe = chosen_recipe(own)
    except UserError as error:
        raise blamed(error, arm) from error
    _refuse_other_batches(config, arm, chosen_recipe(config), recipe)


def _refuse_other_batches(config: ComparisonFlags, arm: Arm, shared, own) -> None:
    """Raises a UserError where the recipe of an arm takes other batches than theirs."""
    names = [name for name in BATCHES if getattr(own, name) != getattr(shared, name)]
    if not names:
        return
    own_recipe = arm.flags["recipe"]
    told = "; ".join(
        f"{name} {getattr(own, name)}, not {getattr(shared, name)}" for name in names
    )
    # Either of these two settles both.
    given = [name for name in names if name != "steps" or "epochs" not in names]
    raise UserError(
        arm.flag,
        f"{arm.name} has the recipe {own_recipe}, which takes other batches than "
        f"{config.recipe} ({told}); arms share theirs: give all of them "
        f"{', '.join(f'--{name}' for name in given)}",
    )


def blamed(error: UserError, arm: Arm) -> UserError:
    """The same error, with the flag that brings the arm in for those that it sets."""
    argument, message = error.argument, error.message
    for name in arm.flags:
        message = re.sub(rf"--{name}\b", f"--{arm.flag}", message)
    return UserError(arm.flag if argument in arm.flags else argument, message)
