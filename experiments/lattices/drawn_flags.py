"""The flags of whatever certifies nets, on what is drawn, one boundary by one."""

import dataclasses

from cnnlab.errors import UserError
from experiments.harness import flags
from experiments.harness.directory_flags import DirectoryFlags
from experiments.harness.refusals import refuse_below
from experiments.lattices.refusals import refuse_same

_LARGEST_SEED = 2**32 - 1


@dataclasses.dataclass(frozen=True)
class DrawnFlags(DirectoryFlags):
    """The boundaries that are gone through, and the seed of what is drawn."""

    boundaries: tuple[str, ...] = flags.field(
        ("circular", "zero"),
        "what padding holds, one after the other",
        choices=("circular", "zero", "reflect", "edge"),
    )
    seed: int = flags.field(0, "of the weights and the images, which are drawn")

    def validate(self) -> None:
        """Refuses what no image and no draw can be.

        Raises:
            UserError: naming the first flag that cannot be used.
        """
        refuse_below(self, image_size=2, trials=1, seed=0)
        if self.seed > _LARGEST_SEED:
            raise UserError("seed", f"{self.seed} is more than {_LARGEST_SEED:,}")
        for flag in ("models", "pools", "boundaries"):
            if not getattr(self, flag, True):
                raise UserError(flag, "is empty; give at least one")
        refuse_same("boundaries", self.boundaries)
