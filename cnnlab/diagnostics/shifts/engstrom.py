"""Images turned and moved at once, at random or over a grid, and the worst of it."""

import dataclasses
import itertools
import re
from collections.abc import Iterator

import jax
import numpy as np
from jaxtyping import Bool, Float

from cnnlab.diagnostics.predictions import Images, Labels, Predict, logits_of
from cnnlab.diagnostics.shifts.answers import BATCH_SIZE, ask_labelled
from cnnlab.diagnostics.shifts.parsing import protocols
from cnnlab.diagnostics.shifts.protocol import check_seed
from cnnlab.diagnostics.specs import plain
from cnnlab.ops.arguments import check_count, check_number
from cnnlab.ops.warping import affine_matrix, affine_warp
from cnnlab.statistics.intervals import Interval, mean_interval


@dataclasses.dataclass(frozen=True, eq=False)
class Robustness:
    """Which images stay right under what was tried.

    Attributes:
        spec: what gives these numbers again.
        unmoved: whether each image is right as it is.
        tried: the share of its transformations under which it is right.
    """

    spec: str
    unmoved: Bool[np.ndarray, " examples"]
    tried: Float[np.ndarray, " examples"]

    @property
    def natural(self) -> Interval:
        """The accuracy on the images as they are."""
        return mean_interval(self.unmoved)

    @property
    def average(self) -> Interval:
        """The accuracy over all that was tried."""
        return mean_interval(self.tried)

    @property
    def worst(self) -> Interval:
        """The share of images that are right under everything that was tried."""
        return mean_interval(self.tried == 1)


@dataclasses.dataclass(frozen=True)
class Spatial:
    """Turns about the centre followed by moves, zeros shifted in.

    Attributes:
        pixels: the largest move along each axis.
        degrees: the largest turn.
        tries: how many are drawn for each image; None takes the grid.
        translations, angles: how many of each axis's moves and of turns the grid has.
        seed: of the draws.
        published: the spec.
    """

    pixels: float
    degrees: float
    tries: int | None
    translations: int
    angles: int
    seed: int
    published: str

    def __str__(self) -> str:
        return self.published

    def transformations(
        self, examples: int
    ) -> Iterator[Float[np.ndarray, "examples_or_one 3"]]:
        """What is tried in turn: (dy, dx, degrees) of each image, or of all."""
        limits = np.array([self.pixels, self.pixels, self.degrees])
        if self.tries is None:
            counts = self.translations, self.translations, self.angles
            axes = (
                np.linspace(-limit, limit, count) if count > 1 else [0.0]
                for limit, count in zip(limits, counts, strict=True)
            )
            yield from (np.array([point]) for point in itertools.product(*axes))
            return
        generator = np.random.default_rng(self.seed)
        for _ in range(self.tries):
            yield generator.uniform(-limits, limits, (examples, 3))

    def check(self, images: Images) -> None:
        """Refuses moves as large as the images.

        Raises:
            ValueError: they are.
        """
        if self.pixels >= min(images.shape[1:3]):
            height, width = images.shape[1:3]
            raise ValueError(
                f"{self} moves images {height}x{width} by {self.pixels:g} pixels, out "
                "of sight"
            )

    def measure(
        self,
        predict: Predict,
        images: Images,
        labels: Labels | None = None,
        *,
        batch_size: int = BATCH_SIZE,
    ) -> Robustness:
        """Which images `predict` gets right; arguments as `consistency`'s.

        Raises:
            ValueError: no labels or such as do not belong to the images, images that
                the moves do not fit, or a predict that gives no logits or changes
                between calls.
        """
        asked = ask_labelled(self, predict, images, labels, batch_size=batch_size)
        images, labels, classes = asked
        # As the moved ones are, or `predict` may take them for something else.
        images = images.astype(np.float32, copy=False)
        parts = [
            slice(start, start + batch_size)
            for start in range(0, len(images), batch_size)
        ]

        def correct(part, batch):
            return logits_of(predict, batch, classes).argmax(-1) == labels[part]

        unmoved = [correct(part, images[part]) for part in parts]
        right, tries = np.zeros(len(images), np.int64), 0
        for moves in self.transformations(len(images)):
            tries += 1
            for part in parts:
                own = moves if len(moves) == 1 else moves[part]
                right[part] += correct(part, turned_and_moved(images[part], own))
        return Robustness(str(self), np.concatenate(unmoved), right / tries)


def turned_and_moved(
    images: Images, moves: Float[np.ndarray, "examples_or_one 3"]
) -> Float[np.ndarray, "examples height width channels"]:
    """`images` turned counter-clockwise about the centre, then moved, in float32.

    Args:
        moves: (dy, dx, degrees) of each image, or of all.
    """
    pixels = images.astype(np.float32)
    moves = np.broadcast_to(moves, (len(images), 3)).astype(np.float32)
    return np.asarray(_turned_and_moved(pixels, moves))


@jax.jit
def _turned_and_moved(images, moves):
    def matrix(move):
        return affine_matrix(angle=np.pi / 180 * move[2], translation=move[:2])

    return affine_warp(images, jax.vmap(matrix)(moves))


@protocols.register
def engstrom_2019(
    *,
    attack: str = "grid",
    pixels: float = 3,
    degrees: float = 30,
    translations: int = 5,
    angles: int = 31,
    seed: int = 0,
) -> Spatial:
    """Turns and moves: correct is what is right under all that was tried.

    Args:
        attack: "grid", all of translations x translations x angles, evenly spaced and
            both ends included, 775 at the defaults; "random", one drawn evenly from the
            whole range for each image; "worst_of_10", or any other number, the worst of
            as many.
        pixels: the largest move along each axis.
        degrees: the largest turn.
        translations, angles: of the grid.
        seed: of the draws.

    Raises:
        ValueError: an unknown attack, or a limit below 0.

    Source: Engstrom, Tran, Tsipras, Schmidt and Madry, 2019, "Exploring the landscape
    of spatial robustness", sections 3 and 4, https://arxiv.org/abs/1712.02779, with the
    numbers of the authors' CIFAR-10 configuration. There a turn and a move are
    interpolated one after the other, here at once, which blurs less; the draws are
    NumPy's. What is shifted in is 0, so that images should come with black as 0.
    """
    found = re.fullmatch(r"worst_of_([1-9]\d*)", attack)
    if attack not in ("grid", "random") and found is None:
        raise ValueError(
            f"unknown attack {attack!r}; choose from grid, random, worst_of_N"
        )
    for name, limit in {"pixels": pixels, "degrees": degrees}.items():
        check_number(name, limit)
        if not 0 <= limit < np.inf:
            raise ValueError(f"{name} {limit} must be at least 0")
    for name, count in {"translations": translations, "angles": angles}.items():
        check_count(name, count)
    check_seed(seed)
    pixels, degrees, translations, angles, seed = map(
        plain, (pixels, degrees, translations, angles, seed)
    )
    tries = None if attack == "grid" else int(found[1]) if found else 1
    limits = f"attack={attack!r}, pixels={pixels!r}, degrees={degrees!r}"
    more = f"translations={translations}, angles={angles}"
    more = more if tries is None else f"seed={seed}"
    spec = f"engstrom_2019({limits}, {more})"
    return Spatial(pixels, degrees, tries, translations, angles, seed, spec)
