"""When a seed's result is settled, by its validation accuracy."""

import dataclasses


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
