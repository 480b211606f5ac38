"""When a seed's result is settled, by its validation accuracy."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass
class Patience:
    """Keeps a seed's best validation accuracy, and tells when to stop looking.

    What comes after that does not count, as other seeds may go on beside it.

    Attributes:
        epochs: without a better accuracy after which a seed is settled; 0 never.
        accuracy: the best so far; None before the first.
        step: where it was reached.
        since: epochs since then.
        noted: the last step whose accuracy was taken, as none is twice.
    """

    epochs: int
    accuracy: float | None = None
    step: int = 0
    since: int = 0
    noted: int = 0

    @property
    def settled(self) -> bool:
        """Whether the result stands."""
        return bool(self.epochs) and self.since >= self.epochs

    def counts_at(self, step: int) -> bool:
        """Whether what a seed is at `step` can still matter to its result."""
        return not self.settled or step <= self.noted

    def note(self, step: int, accuracy: float) -> None:
        """Takes the accuracy after an epoch that ended at `step`."""
        if self.settled or step <= self.noted:
            return
        self.noted = step
        if self.accuracy is None or accuracy > self.accuracy:
            self.accuracy, self.step, self.since = accuracy, step, 0
        else:
            self.since += 1


class Stopping:
    """The patience with each seed of a run, which ends when all are settled."""

    def __init__(self, seeds: int, epochs: int):
        self._of_seeds = [Patience(epochs) for _ in range(seeds)]

    def __getitem__(self, place: int) -> Patience:
        return self._of_seeds[place]

    @property
    def settled(self) -> bool:
        """Whether every seed's result stands."""
        return all(patience.settled for patience in self._of_seeds)

    def that_count(self, step: int, seeds: Sequence[Any]) -> list[Any]:
        """Those of the seeds whose results what they do at `step` can still change."""
        found = zip(seeds, self._of_seeds, strict=True)
        return [each for each, patience in found if patience.counts_at(step)]

    def note(self, step: int, accuracies: Sequence[float | None]) -> None:
        """Takes each seed's after an epoch; None where it has not been asked for."""
        for patience, accuracy in zip(self._of_seeds, accuracies, strict=True):
            if accuracy is not None:
                patience.note(step, accuracy)

    def scores(self, step: int) -> list[float | None]:
        """The accuracies of the seeds that are best at `step`; None for the others."""
        return [
            patience.accuracy if patience.step == step else None
            for patience in self._of_seeds
        ]

    def notes(self) -> list[dict[str, Any]]:
        """What is to be remembered of each seed, as JSON."""
        return [dataclasses.asdict(patience) for patience in self._of_seeds]

    def go_on(self, notes: Sequence[Mapping[str, Any]]) -> None:
        """Takes over what `notes` gave; of a seed that begins, nothing."""
        self._of_seeds = [
            dataclasses.replace(patience, **note)
            for patience, note in zip(self._of_seeds, notes, strict=True)
        ]
