"""Steps of one pixel along the diagonal."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from cnnlab.diagnostics.predictions import Images, Labels, Predict, probabilities_of
from cnnlab.diagnostics.shifts.answers import BATCH_SIZE, ask, stream
from cnnlab.diagnostics.shifts.motion import Motion
from cnnlab.diagnostics.shifts.parsing import protocols
from cnnlab.diagnostics.shifts.protocol import check_seed
from cnnlab.ops.arguments import check_choice, check_count
from cnnlab.statistics.intervals import Interval, mean_interval


@dataclasses.dataclass(frozen=True, eq=False)
class Jaggedness:
    """What each step along each image's path changes.

    Attributes:
        spec: what gives these numbers again.
        starts: the offset at which each path begins, in the canvas.
        changes: whether a step changes the top class.
        probability_changes: by how much a step changes the probability of the class
            that was the top one before it; absolute.
        probabilities: along the path, of the image's label or, without labels, of the
            class that is the top one at the start: the paper's maps, an image a row.
    """

    spec: str
    starts: Int[np.ndarray, "examples 2"]
    changes: Bool[np.ndarray, "examples steps"]
    probability_changes: Float[np.ndarray, "examples steps"]
    probabilities: Float[np.ndarray, "examples positions"]

    @property
    def top1_change(self) -> Interval:
        """The chance that a step changes the top class, over images."""
        return mean_interval(self.changes.mean(1))

    @property
    def mean_absolute_change(self) -> Interval:
        """The mean change of the top class's probability by a step, over images."""
        return mean_interval(self.probability_changes.mean(1))

    @property
    def jaggedness(self) -> Int[np.ndarray, " examples"]:
        """How many of its steps change each image's top class."""
        return self.changes.sum(1)


@dataclasses.dataclass(frozen=True)
class DiagonalSteps:
    """Paths of one-pixel steps down and to the right, from starts that are drawn.

    Attributes:
        motion: "crop" or "embed", with its sizes.
        steps: of each path.
        seed: of the starts, one for each image.
        published: the spec.
    """

    motion: Motion
    steps: int
    seed: int
    published: str

    def __str__(self) -> str:
        return self.published

    def check(self, images: Images) -> None:
        """Refuses images whose canvas has no room for the path.

        Raises:
            ValueError: it has none.
        """
        path = range(self.steps + 1)
        self.motion.check(*images.shape[1:3], path, path)

    def measure(
        self,
        predict: Predict,
        images: Images,
        labels: Labels | None = None,
        *,
        batch_size: int = BATCH_SIZE,
    ) -> Jaggedness:
        """What the steps change in `predict`'s answers; arguments as `consistency`'s.

        Raises:
            ValueError: images that do not fit the canvas, labels that do not belong to
                them, or a predict that gives no logits or changes between calls.
        """

        def home(images):
            return self.motion(images, *self.motion.home(*images.shape[1:3]))

        asked = ask(
            predict, images, labels, batch_size=batch_size, fits=self.check, home=home
        )
        examples = len(asked.images)
        room = self.motion.room(*asked.images.shape[1:3])
        generator = np.random.default_rng(self.seed)
        last = np.array(room) - self.steps
        starts = generator.integers(last + 1, size=(examples, 2))
        moves = starts + np.arange(self.steps + 1)[:, None, None]

        changes = np.empty((examples, self.steps), bool)
        probability_changes = np.empty((examples, self.steps), np.float32)
        curves = np.empty((examples, self.steps + 1), np.float32)
        before = shown = None
        looks = stream(predict, asked, self.motion, moves, batch_size)
        for position, part, logits in looks:
            now = probabilities_of(logits)
            own = np.arange(len(now))
            if position == 0:
                shown = now.argmax(-1) if labels is None else asked.labels[part]
            else:
                top = before.argmax(-1)
                changes[part, position - 1] = now.argmax(-1) != top
                moved = np.abs(now[own, top] - before[own, top])
                probability_changes[part, position - 1] = moved
            curves[part, position] = now[own, shown]
            before = now
        return Jaggedness(str(self), starts, changes, probability_changes, curves)


@protocols.register
def azulay_2019(
    *,
    motion: str = "embed",
    canvas: int = 224,
    crop: int | None = None,
    steps: int = 1,
    seed: int = 0,
) -> DiagonalSteps:
    """One-pixel diagonal steps: how often, and how far, they change the answer.

    Args:
        motion: "embed" puts the images on a canvas of zeros, the paper's second
            protocol; "crop" takes a window of larger images, near its first.
        canvas: side of the canvas: of what the network sees for "embed", of the images
            for "crop".
        crop: side of what the network sees for "crop".
        steps: of a path; the paper's numbers are for 1, its maps for many.

    Raises:
        ValueError: an unknown motion, or sizes that it does not take.

    Source: Azulay and Weiss, 2019, "Why do deep convolutional networks generalize so
    poorly to small image transformations?", section 2,
    https://arxiv.org/abs/1805.12177. There images are first resized (so that the
    smaller side is 100, on a canvas of 224), and windows have a random size and are
    resized after they are cut; here images come at their size, and windows have one.
    Its third protocol, which paints the canvas's rest in, is left out.
    """
    check_choice("motion", motion, ("embed", "crop"))
    check_count("canvas", canvas)
    check_count("steps", steps)
    check_seed(seed)
    if crop is not None:
        check_count("crop", crop)
    window = None if crop is None else (crop, crop)
    sizes = f"canvas={canvas}" if crop is None else f"canvas={canvas}, crop={crop}"
    return DiagonalSteps(
        Motion(motion, (canvas, canvas), window),
        steps,
        seed,
        f"azulay_2019(motion={motion!r}, {sizes}, steps={steps}, seed={seed})",
    )
