"""What is made again of the nets that a finished run cannot read."""

import pytest

from cnnlab.errors import UserError
from cnnlab.training.checkpoint import Unreadable
from experiments.training.whole_nets import fault_of_nets


class Stored:
    """Checkpoints of two seeds, of which the second cannot be read."""

    def __init__(self, error):
        self.error = error

    def net(self, seed, step):
        assert step == 4
        if seed == 1:
            raise self.error
        return {}


RECORDS = [{"seed": 0, "steps": 4}, {"seed": 1, "steps": 4}]


def test_what_is_damaged_is_told():
    stored = Stored(UserError("workdir", "it is damaged"))
    assert fault_of_nets(stored, RECORDS) == "it is damaged"
    assert fault_of_nets(stored, RECORDS[:1]) is None


def test_what_other_versions_can_read_is_not_damaged():
    with pytest.raises(Unreadable):
        fault_of_nets(Stored(Unreadable("workdir", "it is whole")), RECORDS)
