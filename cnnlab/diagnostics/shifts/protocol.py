"""Which shifts are compared with which: what a number has to say to be repeated."""

import dataclasses

import numpy as np
from jaxtyping import Int, Num

from cnnlab.diagnostics.predictions import Images
from cnnlab.diagnostics.shifts.motion import Motion, written
from cnnlab.diagnostics.shifts.ranges import Range
from cnnlab.ops.arguments import check_choice, check_count, check_integer

PAIRS = ("all pairs", "with the unshifted", "two draws")


@dataclasses.dataclass(frozen=True)
class Shift:
    """Images moved by (dy, dx), and which of the results are compared.

    `str` gives the spec, such as `shift(circular, -3..3, all pairs, per image)`, and
    `parse` the protocol back.

    Attributes:
        motion: how images move.
        rows, columns: the dy and the dx; every dy comes with every dx.
        pairs: "all pairs" of different displacements and "with the unshifted", each
            displacement but that one, go over the whole grid and leave nothing to
            chance; "two draws" compares two displacements, each drawn with equal
            chances, so that they may be the same.
        shared_by: how many images, in a row, share their draws; None draws for each.
        passes: how often two are drawn.
        seed: of the draws.
        published: the name under which this is known, with its options; it takes the
            place of the spec.

    Raises:
        ValueError: unknown pairs, a range that runs backwards, a grid too small to
            hold a pair, or options of draws where there are none.
    """

    motion: Motion
    rows: Range
    columns: Range
    pairs: str = "all pairs"
    shared_by: int | None = None
    passes: int = 1
    seed: int = 0
    published: str | None = None

    def __post_init__(self):
        check_choice("pairs", self.pairs, PAIRS)
        self.rows.check()
        self.columns.check()
        check_count("passes", self.passes)
        check_seed(self.seed)
        if self.shared_by is not None:
            check_count("a batch that shares its draws", self.shared_by)
        if not self.draws and (self.shared_by, self.passes, self.seed) != (None, 1, 0):
            raise ValueError(
                f"{self.pairs} draws nothing: write per image, and no passes= or seed="
            )
        shifts = self.rows.how_many * self.columns.how_many
        if self.pairs != "with the unshifted" and shifts < 2:
            raise ValueError(f"{self.pairs} of {self.written_ranges} need two shifts")

    @property
    def draws(self) -> bool:
        """Whether displacements are drawn, rather than all of them taken."""
        return self.pairs == "two draws"

    @property
    def written_ranges(self) -> str:
        """The displacements as the spec has them."""
        if self.rows == self.columns:
            return str(self.rows)
        return f"{self.rows} x {self.columns}"

    @property
    def spelled_out(self) -> str:
        """The spec without a published name."""
        shared = "image" if self.shared_by is None else f"batch of {self.shared_by}"
        parts = [self.motion.name, self.written_ranges, self.pairs, f"per {shared}"]
        sizes = {"canvas": self.motion.canvas, "crop": self.motion.crop}
        parts += [f"{name}={written(size)}" for name, size in sizes.items() if size]
        if self.draws:
            parts += [f"passes={self.passes}", f"seed={self.seed}"]
        return f"shift({', '.join(parts)})"

    def __str__(self) -> str:
        return self.published or self.spelled_out

    def check(self, images: Images) -> None:
        """Refuses images that these shifts do not fit.

        Raises:
            ValueError: they do not.
        """
        rows, columns = self.rows.values(), self.columns.values()
        self.motion.check(*images.shape[1:3], rows, columns)

    def grid(self) -> Num[np.ndarray, "shifts 2"]:
        """Every (dy, dx), row by row."""
        rows, columns = np.meshgrid(
            self.rows.values(), self.columns.values(), indexing="ij"
        )
        return np.stack([rows.ravel(), columns.ravel()], axis=-1)

    def drawn(self, examples: int) -> Int[np.ndarray, "looks examples 2"]:
        """Two displacements for each image and pass, in turn."""
        generator = np.random.default_rng(self.seed)
        shared_by = self.shared_by or 1
        groups = -(-examples // shared_by)
        number = generator.integers(len(self.grid()), size=(2 * self.passes, groups))
        return np.repeat(self.grid()[number], shared_by, axis=1)[:, :examples]


def check_seed(seed: int) -> None:
    """Refuses what seeds no draws.

    Raises:
        TypeError: no integer.
        ValueError: below 0.
    """
    check_integer("seed", seed)
    if seed < 0:
        raise ValueError(f"seed {seed} must be at least 0")
