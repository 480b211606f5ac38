"""How often the class stays the same when the image moves."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from cnnlab.diagnostics.predictions import Images, Labels, Predict
from cnnlab.diagnostics.shifts import chance
from cnnlab.diagnostics.shifts.answers import BATCH_SIZE, Answers, Asked, answers, ask
from cnnlab.diagnostics.shifts.parsing import parse_shift
from cnnlab.diagnostics.shifts.protocol import Shift
from cnnlab.statistics.intervals import Interval, mean_interval


@dataclasses.dataclass(frozen=True, eq=False)
class Consistency:
    """The agreement of each image's looks with one another.

    Intervals are Student's at 95 % over images. Where images share their draws, a
    batch's values are not independent, and the interval is too narrow.

    Attributes:
        spec: what gives these numbers again.
        agreement: for each image, the share of its pairs that agree.
        unshifted: the class of the image at home.
        labels: None where none were given; then so is all that needs them.
        chance: for each image, how often its looks agree with the partners' looks of
            other images of its label: what accuracy and confusions alone would give
            (see `cnnlab.diagnostics.shifts.chance`). NaN where no other has the label.
        right: for each image, the share of its looks that are of its label.
    """

    spec: str
    agreement: Float[np.ndarray, " examples"]
    unshifted: Int[np.ndarray, " examples"]
    labels: Labels | None
    chance: Float[np.ndarray, " examples"] | None
    right: Float[np.ndarray, " examples"] | None

    @property
    def overall(self) -> Interval:
        """The mean agreement."""
        return mean_interval(self.agreement)

    @property
    def among_correct(self) -> Interval | None:
        """The mean over images that are right unshifted; None where none is."""
        return self._among(self._correct())

    @property
    def among_wrong(self) -> Interval | None:
        """The mean over images that are wrong unshifted; None where none is."""
        return self._among(~self._correct())

    @property
    def accuracy(self) -> Interval:
        """The share of looks that are right: the mean over shifts and images."""
        self._correct()
        return mean_interval(self.right)

    @property
    def beyond_accuracy(self) -> Interval | None:
        """The mean agreement less what accuracy alone would give.

        0 for predictions that tell the label and know nothing else of the image (a
        perfect net's among them), and more where an image keeps even its mistakes.
        None where no two images share a label.
        """
        self._correct()
        values = chance.beyond(self.agreement, self.chance, self.labels)
        return mean_interval(values) if values.size else None

    def _correct(self) -> Bool[np.ndarray, " examples"]:
        if self.labels is None:
            raise ValueError(f"{self.spec} was measured without labels")
        return self.unshifted == self.labels

    def _among(self, chosen) -> Interval | None:
        return mean_interval(self.agreement[chosen]) if chosen.any() else None


def consistency(
    predict: Predict,
    images: Images,
    spec: str | Shift = "shift(circular, -3..3, all pairs, per image)",
    labels: Labels | None = None,
    *,
    batch_size: int = BATCH_SIZE,
) -> Consistency:
    """How often `predict` gives the moved images the same class.

    Args:
        predict: from images to logits, in NumPy, JAX or anything else; it is asked in
            batches of `batch_size`, the last of which may be smaller.
        images: for crops, the larger canvases that they are taken from.
        spec: a `Shift` or its spec, such as `shift(zero, -2..2 x 0..0, with the
            unshifted, per image)` or `zhang_2019(canvas=32, crop=28)`.
        labels: needed for accuracies and what depends on them.

    Raises:
        ValueError: a malformed spec, images that its shifts do not fit, labels that do
            not belong to the images, or a predict that gives no logits or changes
            between calls.
    """
    protocol = parse_shift(spec)
    asked, home = prepared(predict, images, labels, protocol, batch_size)
    examples = len(asked.images)
    moves = protocol.drawn(examples) if protocol.draws else protocol.grid()[:, None]
    looks, unshifted = looks_and_home(
        predict, asked, protocol, moves, home, batch_size=batch_size
    )
    return compared(protocol, looks.classes, unshifted, asked.labels, home)


def prepared(
    predict: Predict,
    images: Images,
    labels: Labels | None,
    protocol: Shift,
    batch_size: int,
) -> tuple[Asked, tuple[int, int]]:
    """The checked arguments, and the displacement at which images are unmoved."""

    def at_home(images):
        return protocol.motion(images, *protocol.motion.home(*images.shape[1:3]))

    asked = ask(
        predict,
        images,
        labels,
        batch_size=batch_size,
        fits=protocol.check,
        home=at_home,
    )
    return asked, protocol.motion.home(*asked.images.shape[1:3])


def looks_and_home(
    predict, asked, protocol, moves, home, *, batch_size, probabilities=False
) -> tuple[Answers, Int[np.ndarray, " examples"]]:
    """The answers at `moves`, and the class unmoved, asked for once."""
    at = [len(move) == 1 and tuple(move[0]) == home for move in moves]
    if not any(at):
        own = np.broadcast_to(np.array(home, moves.dtype), (1, *moves.shape[1:]))
        moves = np.concatenate([moves, own])
    found = answers(
        predict,
        asked,
        protocol.motion,
        moves,
        batch_size=batch_size,
        probabilities=probabilities,
    )
    unshifted = found.classes[at.index(True) if any(at) else -1]
    looks = Answers(*(a if a is None else a[: len(at)] for a in found))
    return looks, unshifted


def compared(
    protocol: Shift,
    classes: Int[np.ndarray, "looks examples"],
    unshifted: Int[np.ndarray, " examples"],
    labels: Labels | None,
    home: tuple[int, int],
) -> Consistency:
    """The consistency of looks that were predicted already."""
    by_chance = right = None
    if protocol.pairs == "all pairs":
        agreement = chance.agreement_of_all(classes)
        if labels is not None:
            by_chance = chance.chance_of_all(classes, labels)
    else:
        left, other = unshifted[None], classes
        if protocol.draws:
            left, other = classes[::2], classes[1::2]
        else:
            other = classes[(protocol.grid() != home).any(1)]
            if not len(other):
                raise ValueError(f"{protocol} holds no shift but the unshifted")
        agreement = chance.agreement_of_pairs(left, other)
        if labels is not None:
            by_chance = chance.chance_of_pairs(left, other, labels)
    if labels is not None:
        right = np.mean(classes == labels, axis=0)
    return Consistency(str(protocol), agreement, unshifted, labels, by_chance, right)
